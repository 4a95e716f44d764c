package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/githubtest"
)

func fixed() checks.Result { return aCase(checks.KindBuild, "sed", "builds", checks.Pass) }

// dispatches are the runs that were dispatched.
func (w *world) dispatches() (out []*githubtest.Run) {
	for _, r := range w.repo.Runs() {
		if r.Get().Event == "workflow_dispatch" {
			out = append(out, r)
		}
	}
	return out
}

// leave ends a dispatched run with a report about a pull request's head.
func (w *world) leave(run *githubtest.Run, head string, cases ...checks.Result) {
	w.t.Helper()
	rep := makeReport(w.repo.Tip("main"), head, cases...)
	w.send(run.Finish(conclusionOf(rep), artifacts(run.Get().Attempt, rep)))
}

func TestWhatIsRebuilt(t *testing.T) {
	test := aCase(checks.KindTest, "text", "sed works", checks.Pass)
	test.Of, test.Package = distro.KindSuite, "sed"
	image := aCase(checks.KindInstall, "installer", "installs", checks.Pass)
	image.Of = distro.KindImage
	command := aCase(checks.KindTest, "ltp", "runs", checks.Fail)
	command.Of = distro.KindSuite
	for _, tc := range []struct{ name, say, only, says string }{
		{"a package, and the suites that test it", "/rebuild sed", "sed text", ""},
		{"several, each once", "/rebuild sed lua sed", "sed text lua", ""},
		{"a suite", "/rebuild suite text", "text", ""},
		{"the image, whatever its name", "/rebuild iso", "installer", ""},
		{"the image by its name", "/rebuild installer", "installer", ""},
		{"a suite of a command is not dispatched: it would run outside any sandbox", "/rebuild suite ltp", "", "runs through a command"},
		{"nothing of that name", "/rebuild suite sed", "", "There is no suite `sed`"},
		{"a name that is none", "/rebuild $(id)", "", "a name may hold"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			p, opened := w.repo.OpenPull(githubtest.NewPull{Files: map[string]string{"overlays/lua.nix": "x"}})
			w.send(opened)
			run, _ := p.RunFor(workflow)
			rep := makeReport(w.repo.Tip("main"), p.Head(), good(), broken(), test, image, command)
			rep.Plan.Images = []distro.AttrDiff{{Attr: "installer", Status: distro.StatusRebuilt}}
			rep.Plan.Suites = []checks.SuitePlan{{Name: "text", Run: true}, {Name: "ltp", Command: true, Run: true}}
			w.send(run.Finish("failure", artifacts(1, rep)))
			c := w.say(p, "triager", tc.say)
			if tc.only == "" {
				assert.Equal(t, wasNot, c.Reactions())
				assert.Empty(t, w.dispatches())
				require.Len(t, answers(p), 1)
				assert.Contains(t, answers(p)[0], tc.says)
				return
			}
			assert.Equal(t, wasDone, c.Reactions(), "%v", answers(p))
			require.Len(t, w.dispatches(), 1)
			assert.Equal(t, tc.only, w.dispatches()[0].Inputs["only"])
		})
	}
}

func TestEachLineOfACommentHasItsEffect(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	assert.Equal(t, wasDone, w.say(p, "triager", "/rebuild sed\n/rebuild lua\n").Reactions())
	var only []any
	for _, r := range w.dispatches() {
		only = append(only, r.Inputs["only"])
	}
	assert.Equal(t, []any{"sed", "lua"}, only)
	id, _ := checkrun.ParseID(w.verdict(p).ExternalID)
	assert.Len(t, id.Dispatched, 2)
}

// What a rebuild found does not hide what a later run finds.
func TestALaterRunTakesARebuildsPlace(t *testing.T) {
	w, p, run := commented(t, good(), broken())
	w.say(p, "triager", "/rebuild sed")
	w.leave(w.dispatches()[0], p.Head(), fixed())
	require.Equal(t, "success", w.verdict(p).Conclusion)
	t.Run("looking again costs no more for it", func(t *testing.T) {
		d := p.SetDraft(false)
		w.send(d)
		w.gh.Calls()
		w.send(d)
		calls := w.gh.Calls()
		assert.LessOrEqual(t, len(calls), 5, "%v", calls)
		for _, c := range calls {
			assert.Equal(t, 304, c.Status, "%v", c)
		}
	})
	w.gh.Advance(2e9)
	w.say(p, "triager", "/rebuild all")
	require.Equal(t, 1, run.Get().Reruns)
	w.finish(run, good(), broken())
	assert.Equal(t, "failure", w.verdict(p).Conclusion, "it fails again, later")
	w.stop()
	w.start()
	w.settle()
	assert.Equal(t, "failure", w.verdict(p).Conclusion)
}

// The jobs of the run do not know what a rebuild found: all of them run again.
func TestWhatARebuildFoundBrokenRunsAgain(t *testing.T) {
	w, p, run := commented(t, good(), fixed())
	w.say(p, "triager", "/rebuild sed")
	w.leave(w.dispatches()[0], p.Head(), broken())
	require.Equal(t, "failure", w.verdict(p).Conclusion)
	w.gh.Advance(2e9)
	assert.Equal(t, wasDone, w.say(p, "triager", "/rebuild").Reactions())
	w.finish(run, good(), fixed())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}

// Another secret makes other names, and a comment may be deleted: the check run
// tells which rebuilds it shows.
func TestARebuildIsFoundAgainByItsNumber(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	w.say(p, "triager", "/rebuild sed")
	w.stop()
	w.start(func(o *app.Options) { o.Secrets = []string{"the secret that comes after", secret} })
	w.leave(w.dispatches()[0], p.Head(), fixed())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
	assert.Len(t, w.dispatches(), 1)
}

func TestARebuildThatLeavesNothingIsSaidSo(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	w.say(p, "triager", "/rebuild sed")
	w.send(w.dispatches()[0].Finish("failure", nil))
	assert.Equal(t, "failure", w.verdict(p).Conclusion)
	assert.Contains(t, w.verdict(p).Title, "Infrastructure: the rebuild that was asked for left no report")
}

func TestARepositoryWithoutTheWorkflowIsTold(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("main", map[string]string{rebuild: "on: push\n"})
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, broken())
	assert.Equal(t, wasNot, w.say(p, "triager", "/rebuild sed").Reactions())
	assert.Contains(t, answers(p)[0], "bot init --app")
}

func TestOutsidersAreToldOnce(t *testing.T) {
	for _, tc := range []struct {
		name string
		say  []string
	}{
		{"several commands in one comment", []string{"/rebuild\n/cancel\n/waive a/b because", "/rebuild\n/cancel"}},
		{"mistakes", []string{"/waive x", "/rebuild $HOME", "/explain nothing-of-that-name", "/rebuild"}},
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, down: %v", tc.name, down), func(t *testing.T) {
				w, p, run := commented(t, broken())
				if down {
					w.stop()
				}
				for _, s := range tc.say {
					if down {
						p.Comment("stranger", s)
					} else {
						w.say(p, "stranger", s)
					}
				}
				if down {
					w.start()
					w.settle()
				}
				assert.Len(t, answers(p), 1)
				assert.Equal(t, 0, run.Get().Reruns)
				for _, c := range p.Comments() {
					if c.Author == "stranger" {
						assert.Len(t, c.Reactions(), 2, "each has its outcome: %s", c.Body)
					}
				}
			})
		}
	}
}

func TestAWaiverBesideWhatWasNotDoneDoesNotCount(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	assert.Equal(t, wasNot, w.say(p, "maintainer", "/waive sed/builds known upstream\n/cancel").Reactions())
	assert.Equal(t, "failure", w.verdict(p).Conclusion)
	require.Len(t, answers(p), 1)
	assert.Contains(t, answers(p)[0], "The waiver does not count")
	assert.Equal(t, wasDone, w.say(p, "maintainer", "/waive sed/builds known upstream").Reactions())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}

// A title's change starts a run that does nothing.
func TestAnEditedTitleChangesNothing(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	before := w.verdict(p)
	run, started := p.RunFor(workflow)
	w.send(started, run.Finish("skipped", nil))
	assert.Equal(t, before.Conclusion, w.verdict(p).Conclusion)
	assert.Equal(t, before.Title, w.verdict(p).Title)
}

func TestLiveCountsCostOneWrite(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	run, started := p.RunFor(workflow)
	run.Set(func(r *githubtest.Run) {
		r.Jobs = []githubtest.Job{{Name: "workflow plan", Status: "in_progress"}, {Name: "workflow first", Status: "queued"}}
	})
	w.send(started)
	w.gh.Calls()
	run.Set(func(r *githubtest.Run) {
		r.Jobs[0] = githubtest.Job{Name: "workflow plan", Status: "completed", Conclusion: "success"}
	})
	w.send(run.JobDelivery("completed", run.Get().Jobs[0]))
	writes := 0
	for _, c := range w.gh.Calls() {
		if c.Method == "PATCH" || c.Method == "POST" {
			writes++
		}
	}
	assert.Equal(t, 1, writes)
	assert.Equal(t, "Running: 1 of 2 jobs done", w.verdict(p).Title)
}

// What is no change against one base may be one against another.
func TestAForgeryAgainstOneOfTwoBasesIsDoubted(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("release", baseFiles)
	fork := w.repo.Fork("contributor")
	p, opened := w.repo.OpenPull(githubtest.NewPull{From: fork, HeadRef: "fix", Base: "release", Files: map[string]string{"a": "x"}})
	q, opened2 := w.repo.OpenPull(githubtest.NewPull{From: fork, HeadRef: "fix", SHA: p.Head(), Files: map[string]string{workflow: "x"}})
	w.send(opened, opened2)
	for _, pull := range []*githubtest.Pull{p, q} {
		run, _ := pull.RunFor(workflow)
		w.finish(run, good())
	}
	assert.Equal(t, "action_required", w.verdict(p).Conclusion)
	assert.Contains(t, w.verdict(p).Summary, "the change touches `"+workflow+"`")
}

func TestASuiteThatIsAskedForAgainTwice(t *testing.T) {
	w, p, run := commented(t, good(), broken())
	w.gh.Advance(2e9)
	d := w.repo.RerequestSuite(p.Head(), "triager")
	w.send(d, d)
	assert.Equal(t, 1, run.Get().Reruns)
	w.gh.Advance(2e9)
	w.finish(run, good(), broken())
	w.send(d)
	assert.Equal(t, 1, run.Get().Reruns, "the same press, delivered when the run had ended")
	w.gh.Advance(2e9)
	w.send(w.repo.RerequestSuite(p.Head(), "triager"))
	assert.Equal(t, 2, run.Get().Reruns)
}

// A check run's ID names one run: of the other one the time tells.
func TestAButtonOfTwoBasesPressedOnce(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("release", baseFiles)
	p, opened := w.repo.OpenPull(githubtest.NewPull{HeadRef: "fix"})
	q, opened2 := w.repo.OpenPull(githubtest.NewPull{HeadRef: "fix", SHA: p.Head(), Base: "release"})
	w.send(opened, opened2)
	var runs []*githubtest.Run
	for _, pull := range []*githubtest.Pull{p, q} {
		run, _ := pull.RunFor(workflow)
		runs = append(runs, run)
		w.finish(run, broken())
	}
	w.gh.Advance(2e9)
	d := w.repo.Press(w.verdict(p), checkrun.RerunAll, "triager")
	w.send(d)
	w.gh.Advance(2e9)
	for _, r := range runs {
		w.finish(r, broken())
	}
	w.send(d)
	for _, r := range runs {
		assert.Equal(t, 1, r.Get().Reruns)
	}
}

func TestAPushToABaseBringsConflicts(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("release", baseFiles)
	p, opened := w.repo.OpenPull(githubtest.NewPull{Base: "release"})
	w.send(opened)
	p.SetConflicts(true)
	_, pushed := w.repo.Commit("release", map[string]string{"b": "c"})
	w.send(pushed)
	assert.Equal(t, "action_required", w.verdict(p).Conclusion)
	assert.True(t, strings.HasPrefix(w.verdict(p).Title, "Cannot be judged: conflicts with release"), w.verdict(p).Title)
}

// The jobs of a branch are of no pull request: they cost a list, not a look at
// everything.
func TestJobsOfABranchCostLittle(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		p, opened := w.repo.OpenPull(githubtest.NewPull{})
		w.send(opened)
		run, _ := p.RunFor(workflow)
		w.finish(run, good())
	}
	run, _ := w.repo.StartRun(githubtest.NewRun{Path: ".github/workflows/other.yml", Event: "push", HeadSHA: w.repo.Tip("main")})
	w.gh.Calls()
	for range 20 {
		w.send(run.JobDelivery("in_progress", githubtest.Job{Name: "x", Status: "in_progress"}))
	}
	assert.LessOrEqual(t, len(w.gh.Calls()), 2)
}

// The App heard of a fork's run before it heard of the pull request.
func TestARunBeforeItsPullRequest(t *testing.T) {
	w := newWorld(t)
	p, _ := w.repo.OpenPull(githubtest.NewPull{From: w.repo.Fork("contributor")})
	_, started := p.RunFor(workflow)
	w.send(started)
	assert.Equal(t, "in_progress", w.verdict(p).Status)
}

// Whatever becomes of the answer, one run is dispatched, and found.
func TestOneDispatchWhateverIsAnswered(t *testing.T) {
	for name, fault := range map[string]githubtest.Fault{
		"an older server does not name the run":         {Status: 204, After: true},
		"the answer is lost":                            {Reset: true, After: true},
		"a gateway gives up, and the run has started":   {Status: 502, After: true},
		"a gateway gives up, and nothing has happened":  {Status: 502},
		"GitHub asks to come back, and nothing started": {Status: 403, Header: map[string]string{"Retry-After": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, p, _ := commented(t, good(), broken())
			once := true
			w.gh.Inject(func(r *http.Request) *githubtest.Fault {
				if strings.HasSuffix(r.URL.Path, "/dispatches") && once {
					once = false
					return &fault
				}
				return nil
			})
			_, d := p.Comment("triager", "/rebuild sed")
			w.send(d)
			require.Eventually(t, func() bool { return w.verdict(p).Status == "in_progress" }, 20*time.Second, 10*time.Millisecond)
			w.settle()
			require.Len(t, w.dispatches(), 1)
			w.leave(w.dispatches()[0], p.Head(), fixed())
			assert.Equal(t, "success", w.verdict(p).Conclusion)
		})
	}
}

// A commit that was offered to a base where everything is broken already would
// break nothing there.
func TestARunAgainstABaseThatIsOfferedNoMore(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("old", baseFiles)
	fork := w.repo.Fork("contributor")
	p, opened := w.repo.OpenPull(githubtest.NewPull{From: fork, HeadRef: "fix"})
	q, opened2 := w.repo.OpenPull(githubtest.NewPull{From: fork, HeadRef: "fix", SHA: p.Head(), Base: "old"})
	w.send(opened, opened2)
	run, _ := p.RunFor(workflow)
	w.finish(run, good(), broken())
	other, _ := q.RunFor(workflow)
	w.send(q.Close(false))
	w.finish(other, good())
	assert.Equal(t, "action_required", w.verdict(p).Conclusion)
	assert.Contains(t, w.verdict(p).Summary, "pull request 2 offered the same commit to `old`")
	w.gh.Advance(2e9)
	w.send(p.Push(nil))
	run, _ = p.RunFor(workflow)
	w.finish(run, good())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}
