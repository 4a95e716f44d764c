package app

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/asterinas/asterbot/checks/report"
)

func FuzzArtifact(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create("report.json")
	w.Write([]byte(`{"schema":"asterbot/report/1","change":{"base":"","head":"","files":[]},"conclusion":"skipped","headline":"","counts":{"total":0},"cases":[]}`))
	z.Close()
	f.Add(b.Bytes())
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := unzip(data, "report.json")
		if err != nil {
			return
		}
		if len(doc) > max(1<<20, maxRatio*len(data)) {
			t.Fatalf("%d bytes of %d", len(doc), len(data))
		}
		rep, err := report.DecodeReport(bytes.NewReader(doc))
		if err != nil {
			return
		}
		if contradicts(rep, nil, rep.Change.Head) == "" && rep.Conclusion == "" {
			t.Fatal("accepted without a conclusion")
		}
	})
}
