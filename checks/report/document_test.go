package report_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "if this is meant: go test ./checks/report -update")
}

func sampleResults() *checks.Results {
	r := sample()
	return &checks.Results{Machines: r.Machines, Cases: r.Cases[:4], Headline: "1 regression in 4 cases"}
}

func encoded(t *testing.T, doc any) []byte {
	t.Helper()
	var b bytes.Buffer
	switch d := doc.(type) {
	case *checks.Plan:
		require.NoError(t, report.Encode(&b, d))
	case *checks.Results:
		require.NoError(t, report.Encode(&b, d))
	case *checks.Report:
		require.NoError(t, report.Encode(&b, d))
	}
	return b.Bytes()
}

func TestDocumentsAreWhatTheyWere(t *testing.T) {
	r := sample()
	r.Headline = report.Headline(r)
	golden(t, "report.json", encoded(t, r))
	golden(t, "plan.json", encoded(t, r.Plan))
	golden(t, "results.json", encoded(t, sampleResults()))
}

func TestWhatIsWrittenCanBeRead(t *testing.T) {
	r := sample()
	text := encoded(t, r)
	back, err := report.DecodeReport(bytes.NewReader(text))
	require.NoError(t, err)
	assert.Equal(t, string(text), string(encoded(t, back)))

	plan, err := report.DecodePlan(bytes.NewReader(encoded(t, r.Plan)))
	require.NoError(t, err)
	assert.Equal(t, string(encoded(t, r.Plan)), string(encoded(t, plan)))

	results, err := report.DecodeResults(bytes.NewReader(encoded(t, sampleResults())))
	require.NoError(t, err)
	assert.Equal(t, string(encoded(t, sampleResults())), string(encoded(t, results)))

	long := sample()
	long.Cases[0].Tail = []string{strings.Repeat("ü", report.MaxString), "bad \xff byte"}
	_, err = report.DecodeReport(bytes.NewReader(encoded(t, long)))
	require.NoError(t, err, "a long text is cut, invalid UTF-8 replaced")

	empty := finish(&checks.Report{})
	_, err = report.DecodeReport(bytes.NewReader(encoded(t, empty)))
	require.NoError(t, err)
	for _, field := range []string{`"files": []`, `"cases": []`, `"conclusion": "skipped"`} {
		assert.Contains(t, string(encoded(t, empty)), field)
	}
	for _, field := range []string{`"scope": []`, `"packages": []`, `"images": []`, `"suites": []`} {
		assert.Contains(t, string(encoded(t, &checks.Plan{})), field)
	}
	for _, field := range []string{`"machines": []`, `"cases": []`} {
		assert.Contains(t, string(encoded(t, &checks.Results{})), field)
	}
}

func TestAForgedReportIsRefused(t *testing.T) {
	good := string(encoded(t, sample()))
	replace := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	for _, tc := range []struct{ name, text, path, want string }{
		{"empty", "", "", "EOF"},
		{"cut short", good[:len(good)/2], "", "EOF"},
		{"something after it", good + "{}", "", "after top-level value"},
		{"another version", replace("asterbot/report/1", "asterbot/report/2"), "schema", `"asterbot/report/2", expected "asterbot/report/1"`},
		{"another document", string(encoded(t, &checks.Plan{})), "schema", `expected "asterbot/report/1"`},
		{"an unknown field", replace(`"conclusion"`, `"colour": "green", "conclusion"`), "", `"colour"`},
		{"an unknown field of a case", replace(`"verdict": "passing"`, `"verdikt": "passing"`), "", `"verdikt"`},
		{"a field in other case", replace(`"verdict": "passing"`, `"Verdict": "passing"`), "", `"Verdict"`},
		{"a field twice", replace(`"conclusion": "failure"`, `"conclusion": "failure", "conclusion": "success"`), "", "duplicate"},
		{"a verdict that is none", replace(`"verdict": "regressed"`, `"verdict": "fine"`), "cases[6].verdict", `"fine" is none of`},
		{"a status that is none", replace(`"now": "fail"`, `"now": "failed"`), "cases[6].now", `"failed" is none of`},
		{"a scope that is none", replace(`"overlay"`, `"everything"`), "plan.scope[0]", `is none of`},
		{"a green conclusion over red cases", replace(`"conclusion": "failure"`, `"conclusion": "success"`), "conclusion", `its cases say "failure"`},
		{"counts that contradict the cases", replace(`"regressed": 3`, `"regressed": 0`), "counts", "not those of its cases"},
		{"a count more", replace(`"regressed": 3`, `"regressed": 3, "green": 100`), "counts", "not those of its cases"},
		{"a log outside", replace(`"logs/languages/lua-starts.log"`, `"../../etc/passwd"`), "cases[15].log", "not a path below"},
		{"an absolute log", replace(`"logs/languages/lua-starts.log"`, `"/etc/passwd"`), "cases[15].log", "not a path below"},
		{"an address as log", replace(`"logs/languages/lua-starts.log"`, `"javascript:alert(1)"`), "cases[15].log", "not a path below"},
		{"a console outside", replace(`"logs/languages/hvc0"`, `"logs/../../x"`), "machines[0].consoles", "not a path below"},
		{"a screenshot outside", replace(`"logs/network-2/screen.png"`, `"//evil/x.png"`), "machines[3].screenshots", "not a path below"},
		{"a case twice", replace(`"subject": "hello"`, `"subject": "lua"`), "cases[2]", "the same case as cases[0]"},
		{"invalid UTF-8", replace("lua starts", "lua \xff starts"), "", "UTF-8"},
		{"a time that is none", replace("2026-11-20T10:00:00Z", "yesterday"), "cases[17].remembered", "not a time"},
		{"seconds without bound", replace(`"seconds": 9.4`, `"seconds": 1e300`), "machines[0].seconds", "not a number of seconds"},
		{"negative seconds", replace(`"seconds": 9.4`, `"seconds": -1`), "machines[0].seconds", "not a number of seconds"},
		{"a number that overflows", replace(`"exit": 33`, `"exit": 1e400`), "", "exit"},
		{"a text without end", replace("lua starts", strings.Repeat("a", report.MaxString+1)), "cases[15].name", "a text of 65537 bytes"},
		{"text where a list should be", replace(`"trace": []`, `"trace": "none"`), "", "trace"},
		{"null as the whole", "null", "schema", `"", expected`},
		{"a list as the whole", "[]", "", "array"},
		{"nesting without end", strings.Repeat(`{"plan":`, 100000), "", "depth"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := report.DecodeReport(strings.NewReader(tc.text))
			var e *report.DecodeError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tc.path, e.Path, "%v", err)
			assert.Contains(t, e.Error(), tc.want)
			assert.Less(t, len(e.Error()), 1000)
		})
	}
	_, err := report.DecodeReport(&endless{})
	require.ErrorContains(t, err, fmt.Sprintf("more than %d bytes", report.MaxDocument))
	_, err = report.DecodeReport(strings.NewReader(`{"schema":"asterbot/report/1","change":{"base":"","head":"","files":[]},"conclusion":"success","counts":{},"cases":[]}`))
	require.Error(t, err, "success without a single case")
}

// endless is a reader that never ends.
type endless struct{}

func (*endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func FuzzDecodeReport(f *testing.F) {
	for _, name := range []string{"report.json", "plan.json", "results.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := report.DecodeReport(bytes.NewReader(data))
		if err == nil {
			// What is accepted holds: no renderer fails on it, and it stays the
			// same when it is written and read again.
			text := encoded(t, r)
			again, err := report.DecodeReport(bytes.NewReader(text))
			require.NoError(t, err)
			require.Equal(t, string(text), string(encoded(t, again)))
			require.NotContains(t, report.Headline(r), "\n")
			if len(r.Cases) > 0 && checks.Conclude(r.Cases) == checks.Failure {
				require.Equal(t, checks.Failure, r.Conclusion)
			}
		}
		if p, err := report.DecodePlan(bytes.NewReader(data)); err == nil {
			encoded(t, p)
		}
		if r, err := report.DecodeResults(bytes.NewReader(data)); err == nil {
			encoded(t, r)
		}
	})
}

// Three bytes of a document are some hundred in memory: what is too much is
// refused before anything is made of it.
func TestADocumentThatGrowsInMemory(t *testing.T) {
	for name, doc := range map[string]string{
		"cases":           `{"schema":"asterbot/report/1","cases":[` + strings.Repeat("{},", 2_000_000) + `{}]}`,
		"texts of a case": `{"schema":"asterbot/report/1","cases":[{"tail":[` + strings.Repeat(`"",`, 2_000_000) + `""]}]}`,
		"lists of lists":  `{"schema":"asterbot/report/1","cases":[` + strings.TrimSuffix(strings.Repeat(`{"tail":[`+strings.Repeat(`"",`, 90_000)+`""]},`, 100), ",") + `]}`,
		"very deep":       `{"schema":"asterbot/report/1","cases":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := report.DecodeReport(strings.NewReader(doc))
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			assert.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(200), "%v", err)
		})
	}
}
