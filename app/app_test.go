package app_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/githubtest"
)

func good() checks.Result   { return aCase(checks.KindBuild, "lua", "builds", checks.Pass) }
func broken() checks.Result { return aCase(checks.KindBuild, "sed", "builds", checks.Fail) }

func TestAPullRequestFromOpenedToVerdict(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{From: w.repo.Fork("contributor"), Files: map[string]string{"overlays/lua.nix": "x"}})
	w.send(opened)
	got := w.checks(p.Head())
	require.Len(t, got, 5)
	for _, name := range checkrun.Names {
		assert.Equal(t, "queued", got[name].Status, name)
	}
	run, requested := p.RunFor(workflow)
	run.Set(func(r *githubtest.Run) {
		r.Jobs = []githubtest.Job{{Name: "workflow plan", Status: "completed", Conclusion: "success"}, {Name: "workflow @everyone", Status: "in_progress"}}
	})
	w.send(requested)
	assert.Equal(t, "in_progress", w.verdict(p).Status)
	assert.Equal(t, "Running: 1 of 2 jobs done", w.verdict(p).Title)
	assert.NotContains(t, w.verdict(p).Summary, " @everyone")

	w.finish(run, good(), broken())
	v := w.verdict(p)
	assert.Equal(t, "failure", v.Conclusion)
	assert.Contains(t, v.Title, "1 regression in 2 cases")
	assert.Len(t, v.Actions, 3)
	assert.Equal(t, "failure", w.checks(p.Head())[checkrun.Build].Conclusion)
	assert.Equal(t, "skipped", w.checks(p.Head())[checkrun.Boot].Conclusion)
	id, ok := checkrun.ParseID(v.ExternalID)
	require.True(t, ok)
	assert.Equal(t, run.ID, id.Run)
	assert.Equal(t, []string{"1@main"}, id.Pulls)

	t.Run("looking again changes nothing, and costs at most five conditional calls", func(t *testing.T) {
		before := w.repo.CheckRuns(p.Head())
		w.send(opened) // once for what is asked for the first time
		w.gh.Calls()
		w.send(opened)
		calls := w.gh.Calls()
		assert.LessOrEqual(t, len(calls), 5, "%v", calls)
		for _, c := range calls {
			assert.Equal(t, http.StatusNotModified, c.Status, "%v", c)
		}
		assert.Equal(t, before, w.repo.CheckRuns(p.Head()))
	})
	t.Run("a restart changes nothing either", func(t *testing.T) {
		before := w.repo.CheckRuns(p.Head())
		w.stop()
		w.start()
		w.settle()
		assert.Equal(t, before, w.repo.CheckRuns(p.Head()))
	})
}

func TestStatesWithoutAReport(t *testing.T) {
	for _, tc := range []struct {
		name       string
		pull       githubtest.NewPull
		then       func(*world, *githubtest.Pull)
		status     string
		conclusion string
		title      string
	}{
		{"a draft asks for action, so that it is not merged untested", githubtest.NewPull{Draft: true}, nil, "completed", "action_required", "Draft: not tested"},
		{"a conflict says so", githubtest.NewPull{Conflicts: true}, nil, "completed", "action_required", "Cannot be judged: conflicts with main"},
		{"a run that waits for approval", githubtest.NewPull{}, func(w *world, p *githubtest.Pull) {
			run, _ := p.RunFor(workflow)
			w.send(run.Set(func(r *githubtest.Run) { r.Status, r.Conclusion = "completed", "action_required" }))
		}, "completed", "action_required", "A maintainer has to approve"},
		{"a run that waits for its budget", githubtest.NewPull{}, func(w *world, p *githubtest.Pull) {
			run, _ := p.RunFor(workflow)
			w.send(run.Set(func(r *githubtest.Run) { r.Status = "waiting" }))
		}, "completed", "action_required", "A maintainer has to let the rest"},
		{"a run that ended without a report is infrastructure, never neutral", githubtest.NewPull{}, func(w *world, p *githubtest.Pull) {
			run, _ := p.RunFor(workflow)
			w.send(run.Finish("failure", nil))
		}, "completed", "failure", "Infrastructure: the workflow run ended (failure) and left no report"},
		{"a run that was cancelled", githubtest.NewPull{}, func(w *world, p *githubtest.Pull) {
			run, _ := p.RunFor(workflow)
			w.send(run.Finish("cancelled", nil))
		}, "completed", "cancelled", "The run was cancelled"},
		{"another workflow's run is none of ours", githubtest.NewPull{}, func(w *world, p *githubtest.Pull) {
			run, _ := p.RunFor(".github/workflows/other.yml")
			w.send(run.Finish("success", nil))
		}, "queued", "", "Waiting for the workflow"},
		{"nothing affected is skipped, with the reason", githubtest.NewPull{}, func(w *world, p *githubtest.Pull) {
			run, _ := p.RunFor(workflow)
			w.finish(run)
		}, "completed", "skipped", "Nothing is affected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			p, opened := w.repo.OpenPull(tc.pull)
			w.send(opened)
			if tc.then != nil {
				tc.then(w, p)
			}
			v := w.verdict(p)
			assert.Equal(t, tc.status, v.Status)
			assert.Equal(t, tc.conclusion, v.Conclusion)
			assert.True(t, strings.HasPrefix(v.Title, tc.title), v.Title)
			assert.Len(t, w.checks(p.Head()), 5)
		})
	}
}

// Where there is no report, the job that failed is named.
func TestWhyThereIsNoReport(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	run.Set(func(r *githubtest.Run) {
		r.Jobs = []githubtest.Job{{Name: "check / workflow plan", Steps: []githubtest.Step{{Name: "Check out", Conclusion: "success"}, {Name: "Plan", Conclusion: "failure"}}}}
	})
	w.send(run.Finish("failure", nil))
	assert.Regexp(t, `the job \[check / workflow plan\]\(\S+\) ended \(failure\) at its step `+"`Plan`", w.verdict(p).Summary)
}

func TestNoRunAppears(t *testing.T) {
	w := newWorld(t, func(o *app.Options) { o.Patience = 1500 * time.Millisecond })
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	require.Eventually(t, func() bool { return w.verdict(p).Conclusion == "failure" }, 10*time.Second, 20*time.Millisecond)
	assert.Contains(t, w.verdict(p).Title, "Infrastructure: no workflow run has started")
	run, started := p.RunFor(workflow)
	w.send(started)
	w.finish(run, good())
	assert.Equal(t, "success", w.verdict(p).Conclusion, "a run that comes late counts")
}

func TestDraftThenReady(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{Draft: true})
	w.send(opened)
	run, started := p.RunFor(workflow)
	w.send(started)
	w.finish(run, good())
	assert.Equal(t, "action_required", w.verdict(p).Conclusion, "green, and still a draft")
	w.send(p.SetDraft(false))
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}

func TestForcePushMidRun(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	old := p.Head()
	run, started := p.RunFor(workflow)
	w.send(opened, started)
	pushed := p.Push(map[string]string{"a": "b"})
	w.send(pushed)
	assert.Equal(t, "cancelled", w.checks(old)[checkrun.Verdict].Conclusion)
	assert.Equal(t, "queued", w.verdict(p).Status)
	assert.Equal(t, "cancelled", run.Get().Conclusion)
	t.Run("late results never touch the new commit", func(t *testing.T) {
		rep := makeReport(w.repo.Tip("main"), old, good())
		w.send(run.Finish("success", artifacts(1, rep)))
		assert.Equal(t, "queued", w.verdict(p).Status)
		assert.Equal(t, "cancelled", w.checks(old)[checkrun.Verdict].Conclusion)
	})
	t.Run("a report of the old commit in a run of the new one is refused", func(t *testing.T) {
		run, _ := p.RunFor(workflow)
		w.send(run.Finish("success", artifacts(1, makeReport(w.repo.Tip("main"), old, good()))))
		assert.Equal(t, "failure", w.verdict(p).Conclusion)
		assert.Contains(t, w.verdict(p).Title, "not about this commit")
	})
}

// The push's event is lost, and so is whatever was in memory.
func TestForcePushThatNobodyHeardOf(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	old := p.Head()
	_, started := p.RunFor(workflow)
	w.send(opened, started)
	w.stop()
	p.Push(nil)
	w.start()
	w.settle()
	assert.Equal(t, "cancelled", w.checks(old)[checkrun.Verdict].Conclusion)
	assert.Equal(t, "queued", w.verdict(p).Status)
}

func TestClosedMidRun(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	run, started := p.RunFor(workflow)
	w.send(opened, started)
	w.send(p.Close(false))
	assert.Equal(t, "cancelled", w.verdict(p).Conclusion)
	assert.Equal(t, "cancelled", run.Get().Conclusion)
}

func TestDeletedFork(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{From: w.repo.Fork("contributor")})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	p.DeleteFork()
	run.Set(func(r *githubtest.Run) { r.HeadRepo = nil })
	w.finish(run, good())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}

func TestBaseChanges(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("release", baseFiles)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, good())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
	w.send(p.SetBase("release"))
	id, _ := checkrun.ParseID(w.verdict(p).ExternalID)
	assert.Equal(t, []string{"1@release"}, id.Pulls)
	assert.NotEqual(t, "success", w.verdict(p).Conclusion, "green does not survive a change of base")
	w.stop()
	w.start()
	w.settle()
	assert.Equal(t, "Waiting for a run against release", w.verdict(p).Title)
	run2, _ := p.RunFor(workflow)
	w.finish(run2, good())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}

func TestOneHeadAgainstTwoBases(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("release", baseFiles)
	p, opened := w.repo.OpenPull(githubtest.NewPull{HeadRef: "fix"})
	q, opened2 := w.repo.OpenPull(githubtest.NewPull{HeadRef: "fix", SHA: p.Head(), Base: "release"})
	w.send(opened, opened2)
	run, _ := p.RunFor(workflow)
	w.finish(run, good(), aCase(checks.KindBuild, "sed", "builds", checks.Pass))
	assert.Equal(t, "in_progress", w.verdict(p).Status, "one of two bases is not enough")
	run2, _ := q.RunFor(workflow)
	w.finish(run2, good(), broken())
	v := w.verdict(p)
	assert.Equal(t, "failure", v.Conclusion, "the worst of both")
	assert.Contains(t, v.Summary, "#1 → `main`, #2 → `release`")
	assert.Len(t, w.checks(p.Head()), 5)
}

func TestMergeGroup(t *testing.T) {
	w := newWorld(t)
	p, _ := w.repo.OpenPull(githubtest.NewPull{})
	sha, d := w.repo.MergeGroup(p)
	w.send(d)
	assert.Equal(t, "queued", w.checks(sha)[checkrun.Verdict].Status)
	run, _ := w.repo.StartRun(githubtest.NewRun{Path: workflow, Event: "merge_group", HeadSHA: sha})
	w.finish(run, good())
	assert.Equal(t, "success", w.checks(sha)[checkrun.Verdict].Conclusion)
}

func TestAMergeGroupThatIsGivenUp(t *testing.T) {
	w := newWorld(t)
	p, _ := w.repo.OpenPull(githubtest.NewPull{})
	sha, d := w.repo.MergeGroup(p)
	run, started := w.repo.StartRun(githubtest.NewRun{Path: workflow, Event: "merge_group", HeadSHA: sha})
	w.send(d, started)
	w.send(w.repo.LeaveQueue(sha, "dequeued"))
	assert.Equal(t, "cancelled", w.checks(sha)[checkrun.Verdict].Conclusion)
	assert.Equal(t, "cancelled", run.Get().Conclusion)
}

// Two replicas that hear the same at once do each command once.
func TestTwoReplicas(t *testing.T) {
	w := newWorld(t)
	second := &world{t: t, gh: w.gh, repo: w.repo}
	second.start()
	t.Cleanup(func() { second.stop() })
	both := func(d *githubtest.Delivery) {
		t.Helper()
		var wg sync.WaitGroup
		for _, o := range []*world{w, second} {
			wg.Go(func() {
				resp, err := http.DefaultClient.Do(d.Request(o.hook.URL, secret))
				if assert.NoError(t, err) {
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
		w.settle()
		second.settle()
	}
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	both(opened)
	run, _ := p.RunFor(workflow)
	rep := makeReport(w.repo.Tip("main"), p.Head(), good(), broken())
	both(run.Finish("failure", artifacts(1, rep)))
	assert.Equal(t, "failure", w.verdict(p).Conclusion)
	outcome := func(c *githubtest.Comment) (got []string) {
		require.Eventually(t, func() bool {
			for _, o := range p.Comments() {
				if o.ID == c.ID {
					got = o.Reactions()
				}
			}
			return len(got) == 2
		}, 20*time.Second, 10*time.Millisecond)
		return got
	}
	c, d := p.Comment("triager", "/rebuild sed")
	both(d)
	assert.Equal(t, wasDone, outcome(c))
	assert.Len(t, w.dispatches(), 1)
	w.leave(w.dispatches()[0], p.Head(), broken())
	w.gh.Advance(2e9)
	c, d = p.Comment("triager", "/rebuild all")
	both(d)
	assert.Equal(t, wasDone, outcome(c))
	assert.Equal(t, 1, run.Get().Reruns)
	c, d = p.Comment("stranger", "/help")
	both(d)
	assert.Equal(t, wasDone, outcome(c))
	assert.Len(t, answers(p), 1)
}

func TestTheSameDeliveryFiftyTimesAtOnce(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { w.gh.Send(opened) })
	}
	wg.Wait()
	w.settle()
	assert.Len(t, w.repo.CheckRuns(p.Head()), 5)
}

func TestAnEnterpriseServer(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.base = "/api/v3"
	w.gh.ExpireTokens()
	w.start()
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, good(), broken())
	assert.Equal(t, "failure", w.verdict(p).Conclusion)
	assert.Equal(t, wasDone, w.say(p, "maintainer", "/rebuild").Reactions())
}

func TestOnePublisherOnly(t *testing.T) {
	for _, tc := range []struct {
		name, config       string
		publishes, answers bool
	}{
		{"the App is silent where the workflow does both", "publish: token\ncommands: workflow\n", false, false},
		{"summaries alone are the workflow's too", "publish: summary\ncommands: workflow\n", false, false},
		{"it publishes, and the workflow answers", "publish: app\ncommands: workflow\n", true, false},
		{"it answers, and the workflow publishes", "publish: token\ncommands: app\n", false, true},
		{"a configuration that says nothing", "", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.repo.Commit("main", map[string]string{".github/asterbot.yml": tc.config})
			w.stop()
			w.start()
			p, opened := w.repo.OpenPull(githubtest.NewPull{})
			c, commented := p.Comment("maintainer", "/help")
			w.send(opened, commented)
			assert.Equal(t, tc.publishes, len(w.repo.CheckRuns(p.Head())) > 0)
			assert.Equal(t, tc.answers, len(p.Comments()) == 2)
			assert.Equal(t, tc.answers, len(c.Reactions()) == 2)
		})
	}
}

func TestAForkMayForgeItsReport(t *testing.T) {
	external := githubtest.Referenced{Path: "asterinas/asterbot/.github/workflows/compat.yml@v1", SHA: strings.Repeat("1", 40), Ref: "refs/tags/v1"}
	nested := githubtest.Referenced{Path: "asterinas/asterbot/.github/workflows/shard.yml@v1", SHA: strings.Repeat("1", 40)}
	for _, tc := range []struct {
		name  string
		files map[string]string
		refs  []githubtest.Referenced
		want  string
		says  string
	}{
		{"an honest change", map[string]string{"overlays/lua.nix": "x"}, []githubtest.Referenced{external, nested}, "success", ""},
		{"it touches its workflow", map[string]string{workflow: "x"}, []githubtest.Referenced{external}, "action_required", "the change touches `.github/workflows/compatibility.yml`"},
		{"it touches an action below .github", map[string]string{".github/actions/x/action.yml": "x"}, nil, "action_required", "the change touches `.github/actions"},
		{"its run used another workflow", map[string]string{"a": "x"}, []githubtest.Referenced{{Path: "evil/evil/.github/workflows/compat.yml@v1", SHA: strings.Repeat("2", 40)}}, "action_required", "which the base branch's workflow does not"},
		{"its run used another version of the workflow", map[string]string{"a": "x"}, []githubtest.Referenced{{Path: "asterinas/asterbot/.github/workflows/compat.yml@evil", SHA: strings.Repeat("2", 40)}}, "action_required", "which the base branch's workflow does not"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			p, opened := w.repo.OpenPull(githubtest.NewPull{From: w.repo.Fork("contributor"), Files: tc.files})
			w.send(opened)
			run, _ := p.RunFor(workflow)
			run.Set(func(r *githubtest.Run) { r.Referenced = tc.refs })
			w.finish(run, good())
			v := w.verdict(p)
			assert.Equal(t, tc.want, v.Conclusion)
			assert.Contains(t, v.Summary, tc.says)
			if tc.want == "action_required" {
				assert.NotEqual(t, "success", w.checks(p.Head())[checkrun.Build].Conclusion)
				_, d := p.Comment("maintainer", "/waive trust looked at it")
				w.send(d)
				assert.Equal(t, "success", w.verdict(p).Conclusion, "a maintainer has looked")
			}
		})
	}
}

// A job that runs the change's code may have used an artifact's name before the
// job whose it is.
func TestAnArtifactUnderAnotherJobsName(t *testing.T) {
	job := func(name, step, conclusion string) githubtest.Job {
		return githubtest.Job{Name: "check / " + name, Status: "completed", Conclusion: "success", Steps: []githubtest.Step{{Name: "Check out", Conclusion: "success"}, {Name: step, Conclusion: conclusion}}}
	}
	for _, tc := range []struct {
		name         string
		plan, report string
		want, says   string
	}{
		{"each job left its own", "success", "success", "success", ""},
		{"the report's name was taken", "success", "failure", "action_required", "the job `workflow report` could not leave its report"},
		{"the plan's name was taken", "failure", "success", "action_required", "the job `workflow plan` could not leave its plan"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			p, opened := w.repo.OpenPull(githubtest.NewPull{From: w.repo.Fork("contributor")})
			w.send(opened)
			run, _ := p.RunFor(workflow)
			run.Set(func(r *githubtest.Run) {
				r.Jobs = []githubtest.Job{job("workflow plan", "Keep the plan", tc.plan), job("workflow report", "Keep the report", tc.report)}
			})
			w.finish(run, good())
			assert.Equal(t, tc.want, w.verdict(p).Conclusion)
			assert.Contains(t, w.verdict(p).Summary, tc.says)
		})
	}
}

func TestTheStepsThatAreLookedForAreThere(t *testing.T) {
	for _, file := range []string{"compat.yml", "rebuild-some.yml"} {
		text, err := os.ReadFile(filepath.Join("..", ".github", "workflows", file))
		require.NoError(t, err)
		for _, name := range []string{"name: workflow plan", "name: Keep the plan", "name: workflow report", "name: Keep the report"} {
			assert.Contains(t, string(text), name+"\n", file)
		}
	}
}

func TestPoisonedArtifacts(t *testing.T) {
	rep := func(w *world, p *githubtest.Pull) *checks.Report {
		return makeReport(w.repo.Tip("main"), p.Head(), good(), broken())
	}
	for _, tc := range []struct {
		name string
		make func(w *world, p *githubtest.Pull) map[string][]byte
		says string
	}{
		{"names that climb out", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			a["asterbot-report-1"] = zipOf(map[string][]byte{"../../etc/passwd": []byte("x"), "report.json": []byte("{}")})
			return a
		}, "a file is named"},
		{"a bomb", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			a["asterbot-report-1"] = zipOf(map[string][]byte{"report.json": make([]byte, 80<<20)})
			return a
		}, "grows from"},
		{"a small zip file that takes gigabytes in memory", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			f, _ := z.Create("report.json")
			io.WriteString(f, `{"schema":"asterbot/report/1","headline":"`)
			noise := make([]byte, 32<<10) // so that the ratio is harmless
			rand.Read(noise)
			io.WriteString(f, hex.EncodeToString(noise)[:60<<10]+`","cases":[`+strings.Repeat("{},", 1_500_000)+`{}]}`)
			z.Close()
			a["asterbot-report-1"] = b.Bytes()
			return a
		}, "more than 100000 elements"},
		{"too many files", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			many := map[string][]byte{}
			for i := range 20001 {
				many[fmt.Sprint(i)] = nil
			}
			a["asterbot-report-1"] = zipOf(many)
			return a
		}, "20001 files"},
		{"no zip file", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			a["asterbot-report-1"] = []byte("<html>")
			return a
		}, "not a zip file"},
		{"another schema", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			a["asterbot-report-1"] = zipOf(map[string][]byte{"report.json": []byte(`{"schema":"asterbot/report/9"}`)})
			return a
		}, "the report was refused"},
		{"a string of 10 MB", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			a["asterbot-report-1"] = zipOf(map[string][]byte{"report.json": []byte(`{"schema":"asterbot/report/1","headline":"` + strings.Repeat("x", 10<<20) + `"}`)})
			return a
		}, "the report was refused"},
		{"text that is not UTF-8", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			a["asterbot-report-1"] = zipOf(map[string][]byte{"report.json": []byte("{\"schema\":\"asterbot/report/1\",\"headline\":\"\xff\"}")})
			return a
		}, "the report was refused"},
		{"numbers that its cases contradict", func(w *world, p *githubtest.Pull) map[string][]byte {
			r := rep(w, p)
			r.Counts["regressed"] = 0
			return artifacts(1, r)
		}, "the report was refused"},
		{"a conclusion that its cases contradict", func(w *world, p *githubtest.Pull) map[string][]byte {
			r := rep(w, p)
			r.Conclusion = checks.Success
			return artifacts(1, r)
		}, "the report was refused"},
		{"a case that was not planned", func(w *world, p *githubtest.Pull) map[string][]byte {
			r := rep(w, p)
			a := artifacts(1, r)
			r.Plan.Cases = r.Plan.Cases[:1]
			a["asterbot-plan-1"] = artifacts(1, r)["asterbot-plan-1"]
			return a
		}, "is not in the plan"},
		{"a planned case without a result", func(w *world, p *githubtest.Pull) map[string][]byte {
			r := rep(w, p)
			only := makeReport(w.repo.Tip("main"), p.Head(), good())
			a := artifacts(1, only)
			a["asterbot-plan-1"] = artifacts(1, r)["asterbot-plan-1"]
			return a
		}, "has no result"},
		{"no plan to hold it against", func(w *world, p *githubtest.Pull) map[string][]byte {
			a := artifacts(1, rep(w, p))
			delete(a, "asterbot-plan-1")
			return a
		}, "no plan"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			p, opened := w.repo.OpenPull(githubtest.NewPull{})
			w.send(opened)
			run, _ := p.RunFor(workflow)
			w.send(run.Finish("success", tc.make(w, p)))
			v := w.verdict(p)
			assert.Equal(t, "failure", v.Conclusion)
			assert.True(t, strings.HasPrefix(v.Title, "Infrastructure: "), v.Title)
			assert.Contains(t, v.Title+v.Summary, tc.says)
		})
	}
}

func TestHostileNames(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{Title: "<script>alert(1)</script>", HeadRef: "a;rm -rf $HOME`x`@everyone&%", Author: "contributor"})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, good())
	assert.Equal(t, "success", w.verdict(p).Conclusion)
}
