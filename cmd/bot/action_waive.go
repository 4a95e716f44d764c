package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/github"
)

// tokenRuns are the check runs of a report that a workflow's token writes, with
// the waivers of its commit.
func tokenRuns(rep *checks.Report, id checkrun.ID, whole string, waivers []checkrun.Waiver) []checkrun.Run {
	opt := checkrun.Options{ID: id, Whole: whole, Text: checkrun.WaiverText(waivers)}
	var notes []string
	for _, w := range waivers {
		notes = append(notes, fmt.Sprintf("**Waived** %s by %s for this commit: %s", report.Code(w.Case), report.Code(w.By), report.Escape(report.Plain(w.Reason))))
	}
	if n := len(waivers); n > 0 {
		opt.Lead = fmt.Sprintf("%d waived by %s", n, report.Plain(waivers[n-1].By))
		sum := sha256.Sum256([]byte(opt.Text))
		opt.ID.Policy = hex.EncodeToString(sum[:6])
	}
	opt.Note = strings.Join(notes, "\n\n")
	return checkrun.Render(app.Waive(rep, waivers), opt)
}

// tokenWaivers are the waivers that a commit's verdict carries. What the token of
// another App wrote is not believed.
func tokenWaivers(have map[string]*gh.CheckRun) []checkrun.Waiver {
	v := have[checkrun.Verdict]
	if v == nil || v.GetApp().GetSlug() != "github-actions" {
		return nil
	}
	var out []checkrun.Waiver
	for _, w := range checkrun.Waivers(v.GetOutput().GetText()) {
		if w.SHA == v.GetHeadSHA() {
			out = append(out, w)
		}
	}
	return out
}

// maxArtifact bounds an artifact that is read into memory, in bytes.
const maxArtifact = 64 << 20

// report is the report of a run's last attempt; text says why there is none.
func (a *answerer) report(ctx context.Context, r *gh.WorkflowRun) (rep *checks.Report, text string, err error) {
	if r.GetStatus() != "completed" {
		return nil, "The check is still running; its report is there when it is done.", nil
	}
	list, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.Artifact, *gh.Response, error) {
		l, resp, err := a.client.Actions.ListWorkflowRunArtifacts(ctx, a.owner, a.repo, r.GetID(), &o)
		if err != nil {
			return nil, resp, err
		}
		return l.Artifacts, resp, nil
	})
	if err != nil {
		return nil, "", err
	}
	newest := func(prefix string) (found *gh.Artifact, attempt int) {
		for _, art := range list {
			n, err := strconv.Atoi(strings.TrimPrefix(art.GetName(), prefix))
			if err == nil && strings.HasPrefix(art.GetName(), prefix) && n > attempt && n <= max(1, r.GetRunAttempt()) && !art.GetExpired() {
				found, attempt = art, n
			}
		}
		return found, attempt
	}
	made, attempt := newest("asterbot-report-")
	plan, _ := newest("asterbot-plan-")
	if made == nil || plan == nil || attempt != max(1, r.GetRunAttempt()) {
		return nil, fmt.Sprintf("[The run](%s) left no report. `/rebuild` runs it again.", r.GetHTMLURL()), nil
	}
	var data [2][]byte
	for i, art := range []*gh.Artifact{made, plan} {
		if data[i], err = a.download(ctx, art); err != nil {
			return nil, "", err
		}
	}
	if rep, err = app.ReadReport(data[0], data[1], r.GetHeadSHA()); err != nil {
		return nil, "The report of [the run](" + r.GetHTMLURL() + ") cannot be used: " + report.Escape(report.Plain(err.Error())), nil
	}
	return rep, "", nil
}

func (a *answerer) download(ctx context.Context, art *gh.Artifact) ([]byte, error) {
	at, _, err := a.client.Actions.DownloadArtifact(ctx, a.owner, a.repo, art.GetID(), 3)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Plain().Do(req) // a signed address: it gets no token
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("download artifact %d: %s", art.GetID(), resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxArtifact+1))
	if err == nil && len(data) > maxArtifact {
		err = fmt.Errorf("download artifact %d: it has more than %d bytes", art.GetID(), maxArtifact)
	}
	return data, err
}

func (a *answerer) explain(ctx context.Context, r *gh.WorkflowRun, subject string) (reply, error) {
	rep, text, err := a.report(ctx, r)
	if rep == nil {
		return reply{text: text}, err
	}
	text, ok := app.Explain(rep, subject)
	if !ok {
		return reply{text: report.Code(subject) + " is neither affected by this change nor a case of its report."}, nil
	}
	return reply{true, text}, nil
}

// waive lets a commit pass in spite of a case: the check runs are written anew,
// and the verdict carries the waiver.
func (a *answerer) waive(ctx context.Context, pr *gh.PullRequest, r *gh.WorkflowRun, c command.Command) (reply, error) {
	if a.config.Publish != config.PublishToken {
		return reply{text: fmt.Sprintf("%s says `publish: %s`: there are no check runs of this workflow's that a waiver could change.", config.Path, a.config.Publish)}, nil
	}
	if pr.GetHead().GetRepo().GetFullName() != a.owner+"/"+a.repo {
		return reply{text: "A pull request from a fork has no check runs here, so there is nothing that a waiver could change; the GitHub App writes them for forks too."}, nil
	}
	rep, text, err := a.report(ctx, r)
	if rep == nil {
		return reply{text: text}, err
	}
	sha := pr.GetHead().GetSHA()
	p := &checkrun.Publisher{Client: a.client, Owner: a.owner, Repo: a.repo}
	have, err := p.List(ctx, sha)
	if err != nil {
		return reply{}, err
	}
	waivers := tokenWaivers(have)
	var blocking []string
	found := false
	for _, res := range app.Waive(rep, waivers).Cases {
		if !res.Blocks() && !res.Unsettled() {
			continue
		}
		found = found || app.Means(c.Subject, res)
		if len(blocking) < 20 {
			blocking = append(blocking, report.Code(report.Plain(res.Subject+"/"+res.Name)))
		}
	}
	switch {
	case !found && len(blocking) == 0:
		return reply{text: "No case of this commit needs a waiver."}, nil
	case !found:
		return reply{text: fmt.Sprintf("%s is no case that stands in the way. These do: %s.", report.Code(c.Subject), strings.Join(blocking, ", "))}, nil
	}
	comment := fmt.Sprintf("%s#issuecomment-%d", pr.GetHTMLURL(), a.event.Comment.ID)
	waivers = append(waivers, checkrun.Waiver{Case: c.Subject, Reason: c.Reason, By: a.event.Sender.Login, SHA: sha, URL: comment})
	id := checkrun.ID{Run: r.GetID(), Attempt: r.GetRunAttempt(), Base: rep.Change.Base, Merge: rep.Change.Merged, Pulls: []string{fmt.Sprintf("%d@%s", pr.GetNumber(), pr.GetBase().GetRef())}}
	if _, err := p.Publish(ctx, sha, tokenRuns(rep, id, r.GetHTMLURL(), waivers), have); err != nil {
		return reply{}, err
	}
	return reply{true, fmt.Sprintf("%s no longer stands in the way of %.12s: %s. The check `%s` carries the waiver.", report.Code(c.Subject), sha, report.Escape(report.Plain(c.Reason)), checkrun.Verdict)}, nil
}
