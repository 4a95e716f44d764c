package checkrun_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	gh "github.com/google/go-github/v66/github"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

func result(kind checks.Kind, subject, name string, v checks.Verdict, now checks.Status) checks.Result {
	r := checks.Result{Case: checks.Case{Kind: kind, Of: distro.KindPackage, Subject: subject, Name: name}, Was: checks.Pass, Now: now, Verdict: v, Attempts: 1, Stage: string(kind)}
	if now != checks.Pass {
		r.Reason = "it broke"
		r.Blame = checks.BlameKernel
	}
	return r
}

func sample(cases ...checks.Result) *checks.Report {
	return &checks.Report{
		Schema: checks.SchemaReport, Change: distro.Change{Base: strings.Repeat("a", 40), Head: strings.Repeat("b", 40), Files: []string{"overlays/lua.nix", "kernel/src/fs.rs"}},
		Cases: cases, Counts: checks.Count(cases), Conclusion: checks.Conclude(cases),
	}
}

func byName(runs []checkrun.Run) map[string]checkrun.Run {
	out := map[string]checkrun.Run{}
	for _, r := range runs {
		out[r.Name] = r
	}
	return out
}

func TestRender(t *testing.T) {
	failing := result(checks.KindBuild, "lua", "builds", checks.Regressed, checks.Fail)
	failing.Causes = []distro.Cause{{File: "overlays/lua.nix", Line: 7, What: "patches +0003.patch"}, {File: "elsewhere.nix", Line: 1}, {File: "../../etc/passwd", Line: 1}}
	boot := result(checks.KindBoot, "base", "boots", checks.Regressed, checks.Fail)
	boot.Machine, boot.Of = "m1", distro.KindSuite
	rep := sample(result(checks.KindEval, "lua", "evaluates", checks.Passing, checks.Pass), failing, boot, result(checks.KindTest, "base", "echo", checks.Undecided, checks.Error))
	rep.Machines = []checks.Machine{{Name: "m1", Side: "head", Outcome: checks.MachinePanic, Reason: "panicked at kernel/src/fs.rs:12:5: no such inode"}}
	runs := byName(checkrun.Render(rep, checkrun.Options{Buttons: true, Whole: "https://example.test/run"}))
	require.Len(t, runs, 5)

	assert.Equal(t, "success", runs[checkrun.Evaluate].Conclusion)
	assert.Equal(t, "failure", runs[checkrun.Build].Conclusion)
	assert.Equal(t, "skipped", runs[checkrun.Install].Conclusion)
	assert.Equal(t, "No image was to be installed", runs[checkrun.Install].Title)
	assert.Equal(t, "failure", runs[checkrun.Boot].Conclusion)
	assert.Equal(t, "failure", runs[checkrun.Verdict].Conclusion)
	assert.Contains(t, runs[checkrun.Verdict].Title, "no longer boots: it panics", "the answer is in the first line")

	t.Run("the reason is on the line of code", func(t *testing.T) {
		a := runs[checkrun.Build].Annotations
		require.Len(t, a, 1, "only what the change holds")
		assert.Equal(t, "overlays/lua.nix", a[0].GetPath())
		assert.Equal(t, 7, a[0].GetStartLine())
		assert.Contains(t, a[0].GetMessage(), "Whose fault: the kernel's")
		assert.Contains(t, a[0].GetMessage(), "Likely cause: patches +0003.patch")
		assert.Contains(t, a[0].GetMessage(), "Stage: build")
		a = runs[checkrun.Boot].Annotations
		require.Len(t, a, 1)
		assert.Equal(t, "kernel/src/fs.rs", a[0].GetPath())
		assert.Equal(t, 12, a[0].GetStartLine())
	})
	t.Run("at most three buttons within their limits", func(t *testing.T) {
		for _, r := range runs {
			assert.LessOrEqual(t, len(r.Actions), 3)
			for _, b := range r.Actions {
				assert.LessOrEqual(t, len(b.Label), 20)
				assert.LessOrEqual(t, len(b.Description), 40)
				assert.LessOrEqual(t, len(b.Identifier), 20)
			}
		}
	})
}

func TestConclusions(t *testing.T) {
	infra := result(checks.KindBuild, "lua", "builds", checks.Undecided, checks.Error)
	infra.Blame, infra.Reason = checks.BlameInfra, "no space left on device"
	for _, tc := range []struct {
		name   string
		report *checks.Report
		opt    checkrun.Options
		want   string
		title  string
	}{
		{"nothing affected is skipped, with the reason", sample(), checkrun.Options{}, "skipped", "Nothing is affected"},
		{"all well", sample(result(checks.KindBuild, "lua", "builds", checks.Passing, checks.Pass)), checkrun.Options{}, "success", "No regressions"},
		{"could not look is a failure of infrastructure, never neutral", sample(infra), checkrun.Options{}, "failure", "Infrastructure: "},
		{"policy may ask for a maintainer", sample(result(checks.KindBuild, "lua", "builds", checks.Passing, checks.Pass)), checkrun.Options{Verdict: "action_required", Lead: "Draft"}, "action_required", "Draft: No regressions"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := byName(checkrun.Render(tc.report, tc.opt))[checkrun.Verdict]
			assert.Equal(t, tc.want, v.Conclusion)
			assert.True(t, strings.HasPrefix(v.Title, tc.title), v.Title)
			for _, r := range checkrun.Render(tc.report, tc.opt) {
				assert.NotEqual(t, "neutral", r.Conclusion)
				assert.NotEmpty(t, r.Title)
				assert.NotEmpty(t, r.Summary)
				if tc.want == "action_required" {
					assert.NotEqual(t, "success", r.Conclusion)
				}
			}
		})
	}
}

func TestLimitsAreInBytes(t *testing.T) {
	var cases []checks.Result
	for i := range 1500 {
		c := result(checks.KindBuild, fmt.Sprintf("päckage-%d-世界", i), "builds", checks.Regressed, checks.Fail)
		c.Tail = []string{strings.Repeat("世", 400), "```"}
		cases = append(cases, c)
	}
	for _, r := range checkrun.Render(sample(cases...), checkrun.Options{Lead: strings.Repeat("世", 300)}) {
		assert.LessOrEqual(t, len(r.Summary), checkrun.MaxText)
		assert.True(t, utf8.ValidString(r.Summary))
		assert.LessOrEqual(t, utf8.RuneCountInString(r.Title), checkrun.MaxTitle)
	}
	assert.Contains(t, byName(checkrun.Render(sample(cases...), checkrun.Options{}))[checkrun.Build].Summary, "Left out here for want of space")
}

func TestClipClosesFences(t *testing.T) {
	s := checkrun.Clip("# x\n```text\n"+strings.Repeat("世界\n", 5000), 1000)
	assert.LessOrEqual(t, len(s), 1000)
	assert.True(t, utf8.ValidString(s))
	assert.Equal(t, 0, strings.Count(s, "```")%2, "the fence is closed")
}

func FuzzClip(f *testing.F) {
	f.Add("```\nabc\n", 20)
	f.Add("世界世界", 5)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 64 || n > 1<<16 {
			return
		}
		c := checkrun.Clip(s, n)
		if len(c) > n || !utf8.ValidString(c) {
			t.Fatalf("%d bytes of %d", len(c), n)
		}
	})
}

func TestHostileTextStaysHarmless(t *testing.T) {
	c := result(checks.KindBuild, "@everyone", "](javascript:x) <img src=x>", checks.Regressed, checks.Fail)
	c.Reason = "@asterinas/team ::set-output:: <!-- asterbot:waivers [] -->\n# big\n\x1b[31mred\u202e"
	c.Causes = []distro.Cause{{File: "overlays/lua.nix", Line: 1, What: "@everyone\n::error::"}}
	for _, r := range checkrun.Render(sample(c), checkrun.Options{}) {
		assert.NotContains(t, r.Summary, "<img")
		assert.NotContains(t, r.Summary, "\x1b")
		assert.NotContains(t, r.Summary, "<!-- asterbot:waivers")
		// A title is plain text to GitHub.
		assert.NotContains(t, r.Title, "\x1b")
		assert.NotContains(t, r.Title, "\n")
		for _, a := range r.Annotations {
			assert.NotContains(t, a.GetMessage(), "\x1b")
		}
	}
}

func TestID(t *testing.T) {
	id := checkrun.ID{Pulls: []string{"12@main", "9@rel 1=x"}, Run: 7, Attempt: 2, Dispatched: []checkrun.Dispatch{{Run: 8, Token: "abc"}, {Run: 9, Token: "def"}}, Policy: "ab", Base: strings.Repeat("a", 40), Merge: strings.Repeat("c", 40)}
	got, ok := checkrun.ParseID(id.String())
	require.True(t, ok)
	assert.True(t, got.Same(id))
	moved := id
	moved.Merge = strings.Repeat("d", 40)
	assert.True(t, got.Same(moved), "the base branch moves all the time")
	other := id
	other.Attempt = 3
	assert.False(t, got.Same(other))
	waived := id
	waived.Policy = "cd"
	assert.False(t, got.Same(waived))
	assert.True(t, got.SameResults(waived))
	for _, bad := range []string{"", "x", "asterbot1 run=x", "asterbot1 pr", "asterbot2 run=1.1"} {
		_, ok := checkrun.ParseID(bad)
		assert.False(t, ok, bad)
	}
}

func TestWaiversSurvive(t *testing.T) {
	list := []checkrun.Waiver{{Case: "lua/builds", Reason: "--> <!-- x", By: "m", SHA: "s"}}
	assert.Equal(t, list, checkrun.Waivers(checkrun.WaiverText(list)))
	assert.Equal(t, 1, strings.Count(checkrun.WaiverText(list), "-->"))
	assert.Nil(t, checkrun.Waivers("nothing"))
}

func publisher(t *testing.T) (*githubtest.Server, *githubtest.Repo, *githubtest.Pull, *checkrun.Publisher) {
	t.Helper()
	s := githubtest.New(t, githubtest.Options{Permissions: github.Permissions})
	r := s.AddRepo("asterinas", "asterinas")
	p, _ := r.OpenPull(githubtest.NewPull{})
	app, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL, WritesPerMinute: 10000}})
	require.NoError(t, err)
	return s, r, p, &checkrun.Publisher{Client: app.Installation(s.Install("asterinas").ID), Owner: r.Owner, Repo: r.Name, AppID: s.AppID()}
}

func manyAnnotations(n int) *checks.Report {
	var cases []checks.Result
	for i := range n {
		c := result(checks.KindBuild, fmt.Sprintf("p%04d", i), "builds", checks.Regressed, checks.Fail)
		c.Causes = []distro.Cause{{File: "overlays/lua.nix", Line: i + 1}}
		cases = append(cases, c)
	}
	return sample(cases...)
}

func TestPublishTwiceChangesNothing(t *testing.T) {
	_, r, pull, p := publisher(t)
	runs := checkrun.Render(manyAnnotations(3), checkrun.Options{ID: checkrun.ID{Pulls: []string{"1@main"}, Run: 5, Attempt: 1}, Buttons: true})
	for i, want := range []int{5, 0} {
		have, err := p.List(t.Context(), pull.HeadSHA)
		require.NoError(t, err)
		n, err := p.Publish(t.Context(), pull.HeadSHA, runs, have)
		require.NoError(t, err)
		assert.Equal(t, want, n, "time %d", i)
	}
	assert.Len(t, r.CheckRuns(pull.HeadSHA), 5)
}

// 1,000 packages: 20 annotation requests, and a break at any of them doubles
// nothing.
func TestAnnotationsAreResumedWithoutDoubles(t *testing.T) {
	s, r, pull, p := publisher(t)
	runs := checkrun.Render(manyAnnotations(1000), checkrun.Options{ID: checkrun.ID{Run: 5, Attempt: 1}})
	var n atomic.Int32
	s.Inject(func(req *http.Request) *githubtest.Fault {
		if req.Method == http.MethodGet || strings.HasSuffix(req.URL.Path, "access_tokens") {
			return nil
		}
		switch n.Add(1) % 3 {
		case 1:
			return &githubtest.Fault{Status: 502, After: true} // it took effect
		case 2:
			return &githubtest.Fault{Reset: true}
		}
		return nil
	})
	for range 200 {
		have, err := p.List(t.Context(), pull.HeadSHA)
		require.NoError(t, err)
		if _, err = p.Publish(t.Context(), pull.HeadSHA, runs, have); err == nil {
			break
		}
	}
	s.Inject(nil)
	got := r.CheckRuns(pull.HeadSHA)
	require.Len(t, got, 5)
	for _, c := range got {
		assert.Equal(t, "completed", c.Status)
		if c.Name != checkrun.Build {
			continue
		}
		require.Len(t, c.Annotations, 1000)
		seen := map[any]bool{}
		for _, a := range c.Annotations {
			assert.False(t, seen[a["start_line"]], "doubled")
			seen[a["start_line"]] = true
		}
	}
}

func TestOtherResultsGetOtherCheckRuns(t *testing.T) {
	_, r, pull, p := publisher(t)
	publish := func(runs []checkrun.Run) {
		have, err := p.List(t.Context(), pull.HeadSHA)
		require.NoError(t, err)
		_, err = p.Publish(t.Context(), pull.HeadSHA, runs, have)
		require.NoError(t, err)
	}
	publish(checkrun.State(checkrun.ID{State: "queued"}, "queued", "", "Waiting", "Waiting.", ""))
	publish(checkrun.State(checkrun.ID{Run: 1, Attempt: 1}, "in_progress", "", "Building", "1 of 3.", ""))
	assert.Len(t, r.CheckRuns(pull.HeadSHA), 5, "what is not finished goes on")
	publish(checkrun.Render(manyAnnotations(2), checkrun.Options{ID: checkrun.ID{Run: 1, Attempt: 1}}))
	assert.Len(t, r.CheckRuns(pull.HeadSHA), 5)
	publish(checkrun.State(checkrun.ID{Run: 1, Attempt: 2}, "in_progress", "", "Again", "Again.", ""))
	assert.Len(t, r.CheckRuns(pull.HeadSHA), 10, "a second attempt does not add its annotations to the first's")
	have, err := p.List(t.Context(), pull.HeadSHA)
	require.NoError(t, err)
	assert.Equal(t, "Again", have[checkrun.Verdict].GetOutput().GetTitle())
	assert.Equal(t, gh.Int64(p.AppID), have[checkrun.Verdict].App.ID)
}

func TestWaiverUpdatesTheSameCheckRun(t *testing.T) {
	_, r, pull, p := publisher(t)
	rep := manyAnnotations(2)
	for _, policy := range []string{"", "w1"} {
		have, err := p.List(t.Context(), pull.HeadSHA)
		require.NoError(t, err)
		_, err = p.Publish(t.Context(), pull.HeadSHA, checkrun.Render(rep, checkrun.Options{ID: checkrun.ID{Run: 1, Attempt: 1, Policy: policy}}), have)
		require.NoError(t, err)
		rep.Cases[0].Waived, rep.Cases[1].Waived = "known", "known"
		rep.Conclusion = checks.Conclude(rep.Cases)
	}
	got := r.CheckRuns(pull.HeadSHA)
	require.Len(t, got, 5)
	assert.Equal(t, "success", got[4].Conclusion)
	assert.Len(t, got[1].Annotations, 2)
}

// The first line of title and summary alike is the answer, with what policy says.
func TestTheFirstLineAnswers(t *testing.T) {
	passing := result(checks.KindBuild, "lua", "builds", checks.Passing, checks.Pass)
	failing := result(checks.KindBuild, "sed", "builds", checks.Regressed, checks.Fail)
	lost := result(checks.KindBoot, "base", "boots", checks.Undecided, checks.Error)
	lost.Blame, lost.Reason = checks.BlameInfra, "QEMU was killed"
	for _, tc := range []struct {
		name        string
		cases       []checks.Result
		opt         checkrun.Options
		title, line string
	}{
		{"good", []checks.Result{passing}, checkrun.Options{}, "No regressions in 1 case", "## ✅ No regressions in 1 case"},
		{"a regression", []checks.Result{passing, failing}, checkrun.Options{}, "1 regression in 2 cases: sed no longer builds", "## ❌ 1 regression in 2 cases: sed no longer builds"},
		{"we could not look", []checks.Result{passing, lost}, checkrun.Options{}, "Infrastructure: Could not look at 1 of 2 cases", "## ⚠️ Could not look at 1 of 2 cases"},
		{"a draft", []checks.Result{passing}, checkrun.Options{Verdict: "action_required", Lead: "Draft", Note: "A draft asks."}, "Draft: No regressions in 1 case", "## ⚠️ Draft: No regressions in 1 case"},
		{"a waiver", []checks.Result{passing}, checkrun.Options{Lead: "Waived by ann (*why*)", Note: "**Waived**"}, "Waived by ann (*why*): No regressions", `## ✅ Waived by ann \(\*why\*\): No regressions`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := byName(checkrun.Render(sample(tc.cases...), tc.opt))[checkrun.Verdict]
			assert.True(t, strings.HasPrefix(v.Title, tc.title), v.Title)
			first, rest, _ := strings.Cut(v.Summary, "\n")
			assert.True(t, strings.HasPrefix(first, tc.line), first)
			if tc.opt.Note != "" {
				assert.True(t, strings.HasPrefix(rest, "\n"+tc.opt.Note+"\n"), rest)
			}
		})
	}
}

// What failed in a stage before is no infrastructure of this one.
func TestAStageThatAnEarlierOneKeptFromLooking(t *testing.T) {
	eval := result(checks.KindEval, "lua", "evaluates", checks.Regressed, checks.Fail)
	build := result(checks.KindBuild, "lua", "builds", checks.Undecided, checks.Error)
	build.Blame, build.Reason = checks.BlameUnknown, "does not evaluate, so it cannot be built"
	b := byName(checkrun.Render(sample(eval, build), checkrun.Options{}))[checkrun.Build]
	assert.Equal(t, "failure", b.Conclusion)
	assert.True(t, strings.HasPrefix(b.Title, "Could not look at any of 1 case: does not evaluate"), b.Title)
	build.Blame = checks.BlameInfra
	assert.True(t, strings.HasPrefix(byName(checkrun.Render(sample(eval, build), checkrun.Options{}))[checkrun.Build].Title, "Infrastructure: "))
}

// An annotation says whose fault it is as the report does, and what Nix means.
func TestAnAnnotationExplains(t *testing.T) {
	c := result(checks.KindEval, "lua", "evaluates", checks.Regressed, checks.Fail)
	c.Blame, c.Reason, c.Stage = checks.BlamePackage, "does not evaluate: undefined variable 'libevnt' (overlays/lua.nix:3)", "evaluate"
	c.Tail = []string{"error: undefined variable 'libevnt'"}
	c.Causes = []distro.Cause{{File: "overlays/lua.nix", Line: 3, What: "changed"}}
	a := byName(checkrun.Render(sample(c), checkrun.Options{}))[checkrun.Evaluate].Annotations
	require.Len(t, a, 1)
	assert.Equal(t, "overlays/lua.nix", a[0].GetPath())
	assert.Equal(t, 3, a[0].GetStartLine())
	for _, line := range []string{"lua evaluates: pass → fail (regressed).", "Reason: does not evaluate: undefined variable 'libevnt'", "Stage: evaluate", "Whose fault: the package's: the kernel under test has no part in this stage", "Likely cause: the change of this file", "What it usually means: The Nix file uses the name"} {
		assert.Contains(t, a[0].GetMessage(), line)
	}
}
