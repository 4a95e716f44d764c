package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// commented is a world with a pull request whose run has ended.
func commented(t *testing.T, cases ...checks.Result) (*world, *githubtest.Pull, *githubtest.Run) {
	t.Helper()
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{Files: map[string]string{"overlays/lua.nix": "x"}})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, cases...)
	return w, p, run
}

func (w *world) say(p *githubtest.Pull, who, what string) *githubtest.Comment {
	w.t.Helper()
	c, d := p.Comment(who, what)
	w.send(d)
	for _, o := range p.Comments() {
		if o.ID == c.ID {
			return &o
		}
	}
	return c
}

func answers(p *githubtest.Pull) (out []string) {
	for _, c := range p.Comments() {
		if c.Author == githubtest.Slug+"[bot]" {
			out = append(out, c.Body)
		}
	}
	return
}

var (
	wasDone    = []string{"eyes by asterbot[bot]", "rocket by asterbot[bot]"}
	wasNot     = []string{"eyes by asterbot[bot]", "confused by asterbot[bot]"}
	wasRefused = []string{"eyes by asterbot[bot]", "-1 by asterbot[bot]"}
)

func TestRebuild(t *testing.T) {
	w, p, run := commented(t, good(), broken())
	c := w.say(p, "triager", "/rebuild")
	assert.Equal(t, wasDone, c.Reactions())
	assert.Equal(t, 1, run.Get().Reruns)
	assert.Empty(t, answers(p))
	assert.Equal(t, "in_progress", w.verdict(p).Status)
	w.finish(run, good(), aCase(checks.KindBuild, "sed", "builds", checks.Pass))
	assert.Equal(t, "success", w.verdict(p).Conclusion)

	t.Run("once, whatever is delivered again, and after a restart", func(t *testing.T) {
		w.stop()
		w.start()
		w.settle()
		assert.Equal(t, 1, run.Get().Reruns)
	})
	t.Run("nothing failed: says so", func(t *testing.T) {
		assert.Equal(t, wasNot, w.say(p, "triager", "/rebuild").Reactions())
		require.Len(t, answers(p), 1)
		assert.Contains(t, answers(p)[0], "Nothing failed")
	})
	t.Run("everything, though nothing failed", func(t *testing.T) {
		assert.Equal(t, wasDone, w.say(p, "triager", "/rebuild all").Reactions())
		assert.Equal(t, 2, run.Get().Reruns)
	})
	t.Run("while it runs: says so", func(t *testing.T) {
		assert.Equal(t, wasDone, w.say(p, "triager", "/cancel").Reactions())
		assert.Equal(t, 1, run.Get().Cancels)
		assert.Equal(t, "cancelled", w.verdict(p).Conclusion)
	})
}

func TestRebuildSome(t *testing.T) {
	w, p, run := commented(t, good(), broken())
	assert.Equal(t, wasNot, w.say(p, "triager", "/rebuild nothing-of-that-name").Reactions())
	c := w.say(p, "triager", "/rebuild sed")
	assert.Equal(t, wasDone, c.Reactions())
	var dispatched *githubtest.Run
	for _, r := range w.repo.Runs() {
		if r.Event == "workflow_dispatch" {
			require.Nil(t, dispatched, "one effect")
			dispatched = r
		}
	}
	require.NotNil(t, dispatched)
	assert.Equal(t, p.Head(), dispatched.Inputs["head"])
	assert.Equal(t, "sed", dispatched.Inputs["only"])
	assert.Equal(t, w.repo.Tip("main"), dispatched.Inputs["base"])
	assert.Equal(t, fmt.Sprintf("%d.1", run.ID), dispatched.Inputs["own-run"])
	token := dispatched.Inputs["token"].(string)
	assert.Equal(t, "asterbot rebuild "+token, dispatched.Get().Title, "the workflow that 'bot init' writes names its run so")
	v := w.verdict(p)
	assert.Equal(t, "in_progress", v.Status)
	id, _ := checkrun.ParseID(v.ExternalID)
	assert.Equal(t, []checkrun.Dispatch{{Run: dispatched.ID, Token: token}}, id.Dispatched)

	t.Run("a restart finds it again, and its results take the place of the old ones", func(t *testing.T) {
		w.stop()
		w.start()
		rep := makeReport(w.repo.Tip("main"), p.Head(), aCase(checks.KindBuild, "sed", "builds", checks.Pass))
		w.send(dispatched.Finish("success", artifacts(1, rep)))
		assert.Equal(t, "success", w.verdict(p).Conclusion)
		assert.Contains(t, w.verdict(p).Title, "2 cases", "of both runs")
	})
}

func TestWhoMayCommand(t *testing.T) {
	w, p, run := commented(t, broken())
	t.Run("an outsider is refused, and told so once", func(t *testing.T) {
		assert.Equal(t, wasRefused, w.say(p, "stranger", "/rebuild").Reactions())
		assert.Equal(t, wasRefused, w.say(p, "stranger", "/rebuild all").Reactions())
		assert.Len(t, answers(p), 1)
		assert.Equal(t, 0, run.Get().Reruns)
	})
	t.Run("anyone may have something explained", func(t *testing.T) {
		assert.Equal(t, wasDone, w.say(p, "stranger", "/explain sed").Reactions())
		last := answers(p)[len(answers(p))-1]
		assert.Contains(t, last, "it does not build")
	})
	t.Run("triage is not enough to waive", func(t *testing.T) {
		assert.Equal(t, wasRefused, w.say(p, "triager", "/waive sed/builds no reason").Reactions())
		assert.Equal(t, "failure", w.verdict(p).Conclusion)
	})
	t.Run("another bot is left alone", func(t *testing.T) {
		assert.Empty(t, w.say(p, "other[bot]", "/rebuild").Reactions())
	})
	t.Run("an edited comment is left alone", func(t *testing.T) {
		c, _ := p.Comment("maintainer", "hello")
		w.send(p.Edit(c, "/rebuild"))
		assert.Empty(t, c.Reactions())
		assert.Equal(t, 0, run.Get().Reruns)
	})
	t.Run("somebody else's reaction does not count as ours", func(t *testing.T) {
		c, d := p.Comment("maintainer", "/rebuild")
		p.React(c, "stranger", "rocket")
		w.send(d)
		assert.Equal(t, 1, run.Get().Reruns)
	})
}

func TestWaive(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	assert.Equal(t, wasNot, w.say(p, "maintainer", "/waive nothing/such I say so").Reactions())
	assert.Contains(t, answers(p)[0], "`sed/builds`", "it says which cases stand in the way")
	assert.Equal(t, wasDone, w.say(p, "maintainer", "/waive sed/builds upstream <b>bug</b> 12").Reactions())
	v := w.verdict(p)
	assert.Equal(t, "success", v.Conclusion)
	assert.Contains(t, v.Title, "Waived by maintainer")
	assert.Contains(t, v.Title, "1 waived")
	assert.NotContains(t, v.Summary, "<b>")
	list := checkrun.Waivers(v.Text)
	require.Len(t, list, 1)
	assert.Equal(t, p.Head(), list[0].SHA)

	t.Run("survives a restart", func(t *testing.T) {
		w.stop()
		w.start()
		w.settle()
		assert.Equal(t, "success", w.verdict(p).Conclusion)
	})
	t.Run("is bound to its commit", func(t *testing.T) {
		w.gh.Advance(2e9)
		w.send(p.Push(nil))
		run, _ := p.RunFor(workflow)
		w.finish(run, good(), broken())
		assert.Equal(t, "failure", w.verdict(p).Conclusion)
	})
}

func TestCommandsAreBoundToAHead(t *testing.T) {
	w, p, _ := commented(t, broken())
	old := p.Head()
	w.stop()
	c, _ := p.Comment("maintainer", "/rebuild")
	w.gh.Advance(3e9)
	p.Push(nil)
	run, _ := p.RunFor(workflow)
	run.Finish("failure", artifacts(1, makeReport(w.repo.Tip("main"), p.Head(), broken())))
	w.start()
	w.settle()
	assert.Equal(t, wasNot, c.Reactions(), "the push in between cancels it")
	assert.Equal(t, 0, run.Get().Reruns)
	assert.Contains(t, answers(p)[0], "another commit")
	assert.Equal(t, wasNot, w.say(p, "maintainer", "/rebuild head="+old[:8]).Reactions())
	assert.Equal(t, wasDone, w.say(p, "maintainer", "/rebuild head="+p.Head()[:8]).Reactions())
	assert.Equal(t, 1, run.Get().Reruns)
}

func TestHelpIsMadeFromTheTable(t *testing.T) {
	w, p, _ := commented(t, good())
	w.say(p, "stranger", "/help")
	require.Len(t, answers(p), 1)
	assert.Contains(t, answers(p)[0], "`/waive CASE REASON`")
	w.say(p, "stranger", "thanks, see the `/help`")
	assert.Len(t, answers(p), 1)
}

func TestAnswersKeepToTheLimit(t *testing.T) {
	var cases []checks.Result
	for range 400 {
		c := broken()
		c.Name = strings.Repeat("n", len(cases)+1)
		c.Reason = strings.Repeat("世", 900)
		cases = append(cases, c)
	}
	w, p, _ := commented(t, cases...)
	w.say(p, "stranger", "/explain sed")
	require.Len(t, answers(p), 1)
	assert.LessOrEqual(t, len(answers(p)[0]), app.MaxComment)
}

func TestButtons(t *testing.T) {
	w, p, run := commented(t, good(), broken())
	press := w.repo.Press(w.verdict(p), checkrun.RerunFailed, "triager")
	t.Run("who may not is ignored", func(t *testing.T) {
		w.send(w.repo.Press(w.verdict(p), checkrun.RerunFailed, "stranger"))
		assert.Equal(t, 0, run.Get().Reruns)
	})
	t.Run("acted on before the answer", func(t *testing.T) {
		require.Equal(t, 202, w.gh.Send(press))
		assert.Equal(t, 1, run.Get().Reruns)
		w.settle()
	})
	t.Run("the same press delivered again does nothing more, even when the run has ended", func(t *testing.T) {
		w.finish(run, good(), broken())
		w.send(press, press)
		assert.Equal(t, 1, run.Get().Reruns)
	})
	t.Run("a new press does", func(t *testing.T) {
		w.send(w.repo.Rerequest(w.verdict(p), "triager"))
		assert.Equal(t, 2, run.Get().Reruns)
		w.finish(run, good(), broken())
	})
	t.Run("explain answers once for each attempt", func(t *testing.T) {
		d := w.repo.Press(w.verdict(p), checkrun.ExplainIt, "triager")
		w.send(d, d)
		require.Len(t, answers(p), 1)
		assert.Contains(t, answers(p)[0], "it does not build")
	})
}

func TestAButtonWhoseDeliveryFailedIsAskedForAgain(t *testing.T) {
	w, p, run := commented(t, broken())
	press := w.repo.Press(w.verdict(p), checkrun.RerunAll, "triager")
	w.stop()
	w.gh.Drop(press)
	w.gh.Advance(5e9)
	w.start()
	require.Eventually(t, func() bool { return run.Get().Reruns == 1 }, 10e9, 5e6)
}

func TestLevelsAreTheRepositorys(t *testing.T) {
	w := newWorld(t, func(o *app.Options) {
		o.ParsePolicy = func([]byte) (app.Policy, error) {
			return app.Policy{Publish: true, Answer: true, Levels: map[string]string{"rebuild": "read", "explain": "maintain"}}, nil
		}
	})
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, broken())
	assert.Equal(t, wasRefused, w.say(p, "triager", "/explain sed").Reactions())
	w.say(p, "maintainer", "/help")
	require.Len(t, answers(p), 2)
	assert.Regexp(t, `/explain PACKAGE\\\|CASE.*\| maintain \|`, answers(p)[1], "the help tells the repository's own")
	assert.Equal(t, wasDone, w.say(p, "stranger", "/rebuild").Reactions())
	assert.Equal(t, 1, run.Get().Reruns)
}
