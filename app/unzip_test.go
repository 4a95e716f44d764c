package app

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

func zipped(name string, data []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if w, err := z.Create(name); err == nil {
		w.Write(data)
	}
	z.Close()
	return b.Bytes()
}

// Bytes are an artifact as they are, or a report that is well zipped.
func FuzzArtifact(f *testing.F) {
	empty := []byte(`{"schema":"asterbot/report/1","change":{"base":"","head":"","files":[]},"conclusion":"skipped","headline":"","counts":{"total":0},"cases":[]}`)
	one := []byte(`{"schema":"asterbot/report/1","change":{"base":"a","head":"b","files":["x"]},"conclusion":"failure","headline":"h","counts":{"total":1,"regressed":1},"cases":[{"kind":"build","of":"package","subject":"s","name":"builds","was":"pass","now":"fail","verdict":"regressed"}],"machines":[]}`)
	f.Add(zipped("report.json", empty), false)
	f.Add(empty, true)
	f.Add(one, true)
	f.Add([]byte("PK\x03\x04"), false)
	f.Fuzz(func(t *testing.T, data []byte, wrap bool) {
		if wrap {
			data = zipped("report.json", data)
		}
		doc, err := unzip(data, "report.json")
		if err != nil {
			return
		}
		if len(doc) > min(maxDocument, max(1<<20, maxRatio*len(data))) {
			t.Fatalf("%d bytes of %d", len(doc), len(data))
		}
		rep, err := report.DecodeReport(bytes.NewReader(doc))
		if err != nil || contradicts(rep, nil, rep.Change.Head) != "" {
			return
		}
		// What is accepted is never better than its cases.
		switch c := checks.Conclude(rep.Cases); {
		case rep.Conclusion == "":
			t.Fatal("accepted without a conclusion")
		case rep.Conclusion.ExitCode() == 0 && c.ExitCode() != 0:
			t.Fatalf("%s, and its cases make %s", rep.Conclusion, c)
		case rep.Counts["total"] != len(rep.Cases):
			t.Fatalf("counts %d of %d cases", rep.Counts["total"], len(rep.Cases))
		}
	})
}
