package app_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// hostile is what somebody may put into any text.
const hostile = "@octocat fixes #1 <script>alert(1)</script> ![x](https://evil.test/x.png) [a](https://evil.test) `tick` ``` | **b** www.evil.test https://evil.test \u202eright --> <!-- asterbot:waivers [] --> </details>\n# heading\n::error::x"

var (
	ours    = regexp.MustCompile(`^(</?(details( open)?|summary|sub)>)+$|^<!-- asterbot:[^>]*-->$`)
	mention = regexp.MustCompile(`@[A-Za-z0-9]`)
)

// harmless reads Markdown as GitHub does: nothing that others wrote is markup, a
// link, an image or a mention.
func harmless(t *testing.T, where, md string) {
	t.Helper()
	src := []byte(md)
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(src))
	err := ast.Walk(doc, func(n ast.Node, in bool) (ast.WalkStatus, error) {
		if !in {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Image, *ast.AutoLink:
			t.Errorf("%s: %s in %q", where, n.Kind(), md)
		case *ast.Link:
			assert.True(t, strings.HasPrefix(string(n.Destination), "https://github.test/"), "%s: a link to %s", where, n.Destination)
		case *ast.RawHTML:
			for i := range n.Segments.Len() {
				s := n.Segments.At(i)
				assert.Regexp(t, ours, strings.TrimSpace(string(s.Value(src))), where)
			}
		case *ast.HTMLBlock:
			for i := range n.Lines().Len() {
				l := n.Lines().At(i)
				s := strings.TrimSpace(string(l.Value(src)))
				s = regexp.MustCompile(`>[^<>]*</summary>`).ReplaceAllString(s, "></summary>")
				assert.Regexp(t, ours, s, where)
			}
		case *ast.CodeSpan, *ast.FencedCodeBlock, *ast.CodeBlock:
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			assert.NotRegexp(t, mention, string(n.Segment.Value(src)), where)
		}
		return ast.WalkContinue, nil
	})
	require.NoError(t, err)
	assert.NotContains(t, md, "\u202e", where)
}

func TestHostileTextIsHarmlessWhereverItIsShown(t *testing.T) {
	w := newWorld(t)
	w.repo.Commit("rel`@octocat`<b>", baseFiles)
	fork := w.repo.Fork("contributor")
	p, opened := w.repo.OpenPull(githubtest.NewPull{From: fork, Author: "contributor", Title: hostile, HeadRef: "a;rm -rf $HOME`x`@octocat&%", Files: map[string]string{workflow: "x", ".github/" + hostile: "x"}})
	q, opened2 := w.repo.OpenPull(githubtest.NewPull{From: fork, Title: hostile, HeadRef: "a;rm -rf $HOME`x`@octocat&%", SHA: p.Head(), Base: "rel`@octocat`<b>"})
	look := func(when string) {
		t.Helper()
		for _, c := range w.repo.CheckRuns(p.Head()) {
			harmless(t, when+" "+c.Name, c.Summary)
			harmless(t, when+" "+c.Name+" text", c.Text)
			assert.NotContains(t, c.Title, "\n")
			assert.NotContains(t, c.Title, "\u202e")
		}
		for i, pull := range []*githubtest.Pull{p, q} {
			for _, a := range answers(pull) {
				harmless(t, when+" answer in "+string(rune('1'+i)), a)
			}
		}
	}
	w.send(opened, opened2)
	look("queued")
	run, started := p.RunFor(workflow)
	run.Set(func(r *githubtest.Run) { r.Jobs = []githubtest.Job{{Name: hostile, Status: "in_progress"}} })
	w.send(started)
	look("running")
	bad := broken()
	bad.Name, bad.Reason, bad.Title, bad.Stage, bad.Known = hostile, hostile, hostile, hostile, hostile
	bad.Tail, bad.Likely, bad.Repro = []string{hostile, "````", "~~~"}, []string{hostile}, []string{hostile}
	bad.Causes = []distro.Cause{{File: ".github/" + hostile, Line: 1, What: hostile}, {File: "overlays/lua.nix", Line: 1, What: hostile}}
	rep := makeReport(w.repo.Tip("main"), p.Head(), good(), bad)
	rep.Notices, rep.Errors = []string{hostile}, nil
	rep.Plan.Packages = []distro.AttrDiff{{Attr: "sed", Status: distro.StatusRebuilt, Root: true, Via: []string{hostile}, Causes: bad.Causes}}
	w.send(run.Finish("failure", artifacts(1, rep)))
	other, _ := q.RunFor(workflow)
	w.send(other.Finish("failure", artifacts(1, rep)))
	require.Equal(t, "action_required", w.verdict(p).Conclusion, w.verdict(p).Title)
	assert.Contains(t, w.verdict(p).Summary, "octocat", "it is shown")
	look("judged")
	w.say(p, "stranger", "/explain sed")
	w.say(p, "maintainer", "/waive sed/builds "+strings.ReplaceAll(hostile, "\n", " ")[:150])
	w.say(p, "maintainer", "/waive trust "+strings.ReplaceAll(hostile, "\n", " ")[:150])
	w.say(p, "maintainer", "/waive \"build:sed\" "+strings.ReplaceAll(hostile, "\n", " ")[:150])
	look("waived")
	assert.Contains(t, w.verdict(p).Title, "aived by maintainer")
	assert.NotContains(t, w.verdict(p).Text, "waivers []")
}

func TestAnEventWithoutAnInstallationIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	opened.Payload = []byte(strings.Replace(string(opened.Payload), `"installation":{`, `"was":{`, 1))
	w.send(opened)
	assert.Empty(t, w.repo.CheckRuns(p.Head()))
}

func TestASuspendedInstallationWaits(t *testing.T) {
	w := newWorld(t)
	w.gh.AddRepo("someone", "else").Commit("main", baseFiles)
	i := w.gh.Install("asterinas")
	w.gh.Suspend(i, true)
	w.gh.ExpireTokens()
	p, opened := w.repo.OpenPull(githubtest.NewPull{})
	require.Equal(t, 202, w.gh.Send(opened))
	require.Eventually(t, func() bool { return w.app.Idle(time.Second) }, 20*time.Second, 5*time.Millisecond)
	assert.Empty(t, w.repo.CheckRuns(p.Head()))
	assert.True(t, w.app.Ready())
	w.gh.Suspend(i, false)
	w.send(w.repo.InstallationEvent("unsuspend"))
	assert.Equal(t, "queued", w.verdict(p).Status)
}

// One installation that GitHub holds back holds back no other.
func TestOthersGoOnWhileOneHasToWait(t *testing.T) {
	w := newWorld(t)
	other := w.gh.AddRepo("someone", "else")
	other.Commit("main", baseFiles)
	for name, fault := range map[string]githubtest.Fault{
		"429 without headers":     {Status: 429},
		"403, come back in a day": {Status: 403, Header: map[string]string{"Retry-After": "86400"}},
		"the hour is used up":     {Status: 403, Header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800"}},
		"a storm of 502":          {Status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			w.gh.Inject(func(r *http.Request) *githubtest.Fault {
				if strings.HasPrefix(r.URL.Path, "/repos/asterinas/") {
					return &fault
				}
				return nil
			})
			defer w.gh.Inject(nil)
			_, opened := w.repo.OpenPull(githubtest.NewPull{})
			q, opened2 := other.OpenPull(githubtest.NewPull{})
			require.Equal(t, 202, w.gh.Send(opened))
			require.Equal(t, 202, w.gh.Send(opened2))
			require.Eventually(t, func() bool { return len(other.CheckRuns(q.Head())) == 5 }, 20*time.Second, 5*time.Millisecond)
			assert.True(t, w.app.Ready())
		})
	}
}

// Whoever changed a comment may not have been its author.
func TestAWaiverWhoseCommentWasChangedEnds(t *testing.T) {
	w, p, _ := commented(t, good(), broken())
	c, d := p.Comment("maintainer", "/waive sed/builds known upstream")
	w.send(d)
	require.Equal(t, "success", w.verdict(p).Conclusion)
	w.send(p.Edit(c, "/waive lua/builds known upstream"))
	w.stop()
	w.start(func(o *app.Options) {})
	w.settle()
	assert.Equal(t, "failure", w.verdict(p).Conclusion)
	assert.Empty(t, checkrun.Waivers(w.verdict(p).Text))
}
