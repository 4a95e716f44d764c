package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// bot runs one command line in a folder, in this process.
func bot(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Dir: dir}, args)
	return code, out.String(), errs.String()
}

func putDocument[D *checks.Plan | *checks.Results | *checks.Report](t *testing.T, file string, doc D) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	f, err := os.Create(file)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, report.Encode(f, doc))
}

// shards lays a plan of three cases out, and the results of two shards; the
// third case's job never came back.
func shards(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	case_ := func(name string) checks.Case {
		return checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: "base", Name: name}
	}
	plan := &checks.Plan{}
	for _, name := range []string{"a", "b", "c"} {
		plan.Cases = append(plan.Cases, checks.PlannedCase{Case: case_(name)})
	}
	putDocument(t, filepath.Join(dir, "plan.json"), plan)
	putDocument(t, filepath.Join(dir, "shards/1/results.json"), &checks.Results{Cases: []checks.Result{
		{Case: case_("a"), Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing, Attempts: 1, Passes: 1},
	}})
	putDocument(t, filepath.Join(dir, "shards/2/results.json"), &checks.Results{
		Cases: []checks.Result{
			{Case: case_("b"), Was: checks.Unknown, Now: checks.Fail, Verdict: checks.Undecided, Attempts: 1, Reason: "exit status 1", Log: "logs/b.log", Image: "logs/secret.png"},
		},
		Machines: []checks.Machine{{Name: "base", Outcome: checks.MachineOK, Consoles: map[string]string{"hvc0": "logs/gone"}}},
	})
	require.NoError(t, os.Mkdir(filepath.Join(dir, "shards/2/logs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shards/2/logs/b.log"), []byte("it broke\n"), 0o644))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "shards/2/logs/secret.png")))
	return dir
}

func TestReportPutsShardsTogether(t *testing.T) {
	dir := shards(t)
	code, stdout, stderr := bot(t, dir, "report", "--plan", "plan.json", "--out", "out", "shards")
	assert.Equal(t, 3, code, stderr)
	assert.True(t, strings.HasPrefix(stdout, "? Could not look at 1 of 3 cases: no result came back"), stdout)
	f, err := os.Open(filepath.Join(dir, "out/report.json"))
	require.NoError(t, err)
	defer f.Close()
	r, err := report.DecodeReport(f)
	require.NoError(t, err)
	require.Len(t, r.Cases, 3)
	log, err := os.ReadFile(filepath.Join(dir, "out", r.Cases[1].Log))
	require.NoError(t, err)
	assert.Equal(t, "it broke\n", string(log))
	assert.Empty(t, r.Cases[1].Image, "a link out of the shard's folder is not followed")
	assert.Empty(t, r.Machines[0].Consoles["hvc0"], "what is not there is not referred to")
}

func TestReportJudgesByAnEarlierRun(t *testing.T) {
	dir := shards(t)
	putDocument(t, filepath.Join(dir, "base.json"), &checks.Results{Cases: []checks.Result{
		{Case: checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: "base", Name: "b"}, Was: checks.Unknown, Now: checks.Pass, Verdict: checks.Passing, Attempts: 1, Passes: 1},
	}})
	code, stdout, stderr := bot(t, dir, "report", "--plan", "plan.json", "--out", "out", "--baseline", "base.json", "shards/1/results.json", "shards/2")
	assert.Equal(t, 1, code, stderr)
	assert.True(t, strings.HasPrefix(stdout, "✗ 1 regression in 3 cases: base: b fails now"), stdout)

	code, stdout, _ = bot(t, dir, "report", "--plan", "plan.json", "--out", "out", "--baseline", "base.json", "--json", "shards")
	assert.Equal(t, 1, code)
	_, err := report.DecodeReport(strings.NewReader(stdout))
	assert.NoError(t, err)
}

func TestReportRefusesWhatIsNotAsItShouldBe(t *testing.T) {
	dir := shards(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.json"), []byte(`{"schema":"asterbot/results/1","cases":[],"machines":[],"more":1}`), 0o644))
	putDocument(t, filepath.Join(dir, "foreign.json"), &checks.Results{Cases: []checks.Result{
		{Case: checks.Case{Kind: checks.KindTest, Subject: "forged", Name: "x"}, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing},
	}})
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"no plan", "--plan plan.json --out DIR", []string{"shards"}},
		{"no arguments", "at least 1 arg", []string{"--plan", "plan.json", "--out", "out"}},
		{"a file that is not there", "no such file", []string{"--plan", "plan.json", "--out", "out", "gone.json"}},
		{"a folder without results", "there is no results.json in", []string{"--plan", "plan.json", "--out", "out", "shards/2/logs"}},
		{"an unknown field", `bad.json: read asterbot/results/1 document`, []string{"--plan", "plan.json", "--out", "out", "bad.json"}},
		{"a case that is not in the plan", `forged`, []string{"--plan", "plan.json", "--out", "out", "foreign.json"}},
		{"results for a plan", `expected "asterbot/plan/1"`, []string{"--plan", "shards/1/results.json", "--out", "out", "shards"}},
		{"an unknown flag", "unknown flag: --nope", []string{"--nope"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, _, stderr := bot(t, dir, append([]string{"report"}, tc.args...)...)
			assert.Equal(t, checks.ExitUsage, code)
			assert.Contains(t, stderr, tc.want)
			assert.True(t, strings.HasPrefix(stderr, "bot: "))
		})
	}
}

func TestReportMakesASite(t *testing.T) {
	dir := shards(t)
	bot(t, dir, "report", "--plan", "plan.json", "--out", "out", "shards")
	code, stdout, stderr := bot(t, dir, "report", "--site", "public", "out")
	assert.Zero(t, code, stderr)
	assert.Contains(t, stdout, "index.html")
	assert.FileExists(t, filepath.Join(dir, "public/index.html"))
	assert.FileExists(t, filepath.Join(dir, "public/missing.html"))
}

// What the plan settled needs no result, and its known failures excuse what they name.
func TestReportJudgesByThePlansKnownFailures(t *testing.T) {
	dir := t.TempDir()
	test := checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: "base", Name: "b"}
	rule := checks.Case{Kind: checks.KindLint, Of: distro.KindSuite, Subject: "distribution", Name: "pinned"}
	plan := &checks.Plan{
		Cases:   []checks.PlannedCase{{Case: test}, {Case: rule}},
		Settled: []checks.Result{{Case: rule, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing, Attempts: 1, Passes: 1}},
		Known:   []checks.KnownFailure{{Pattern: "test/base/*", Tracker: "https://tracker.example/7"}},
		Notes:   []string{"read this"},
	}
	putDocument(t, filepath.Join(dir, "plan.json"), plan)
	putDocument(t, filepath.Join(dir, "shards/1/results.json"), &checks.Results{Cases: []checks.Result{
		{Case: test, Was: checks.Pass, Now: checks.Fail, Verdict: checks.Regressed, Attempts: 1, Reason: "exit status 1"},
	}})
	code, stdout, stderr := bot(t, dir, "report", "--plan", "plan.json", "--out", "out", "--json", "shards")
	assert.Zero(t, code, stderr)
	r, err := report.DecodeReport(strings.NewReader(stdout))
	require.NoError(t, err)
	require.Len(t, r.Cases, 2)
	assert.Equal(t, checks.StillFailing, r.Cases[0].Verdict)
	assert.Equal(t, "https://tracker.example/7", r.Cases[0].Known)
	assert.Equal(t, checks.Passing, r.Cases[1].Verdict)
	assert.Equal(t, []string{"read this"}, r.Notices)
	assert.Len(t, pipeline.Shards(plan), 1)
	assert.Len(t, pipeline.Shards(plan)[0].Cases, 1, "no job is made for what is settled")
}
