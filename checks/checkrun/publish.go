package checkrun

import (
	"context"
	"fmt"
	"slices"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/internal/github"
)

// Publisher writes check runs into one repository.
type Publisher struct {
	Client      *github.Client
	Owner, Repo string
	// AppID limits what is looked at to one App's check runs; a workflow's token
	// leaves it zero.
	AppID int64
}

// List are the newest check runs of our names at a commit.
func (p *Publisher) List(ctx context.Context, sha string) (map[string]*gh.CheckRun, error) {
	opt := &gh.ListCheckRunsOptions{ListOptions: gh.ListOptions{PerPage: 100}}
	if p.AppID != 0 {
		opt.AppID = gh.Int64(p.AppID)
	}
	out := map[string]*gh.CheckRun{}
	for {
		list, resp, err := p.Client.Checks.ListCheckRunsForRef(ctx, p.Owner, p.Repo, sha, opt)
		if err != nil {
			return nil, fmt.Errorf("list check runs of %s: %w", sha, err)
		}
		for _, c := range list.CheckRuns {
			if _, ours := ParseID(c.GetExternalID()); !ours || !slices.Contains(Names, c.GetName()) || p.AppID != 0 && c.GetApp().GetID() != p.AppID {
				continue
			}
			if old := out[c.GetName()]; old == nil || old.GetID() < c.GetID() {
				out[c.GetName()] = c
			}
		}
		if resp.NextPage == 0 {
			return out, nil
		}
		opt.Page = resp.NextPage
	}
}

// Settled reports whether a check run already shows what id says, for good.
func Settled(have *gh.CheckRun, id ID) bool {
	old, ok := ParseID(have.GetExternalID())
	return ok && have.GetStatus() == "completed" && old.Same(id)
}

// Publish makes the check runs of a commit what they should be, with as few
// writes as possible, and returns how many. have is what List returned. After an
// error, list again and publish again: nothing is doubled.
func (p *Publisher) Publish(ctx context.Context, sha string, want []Run, have map[string]*gh.CheckRun) (int, error) {
	n := 0
	for _, w := range want {
		m, err := p.publish(ctx, sha, w, have[w.Name])
		n += m
		if err != nil {
			return n, fmt.Errorf("publish %q: %w", w.Name, err)
		}
	}
	return n, nil
}

func (p *Publisher) publish(ctx context.Context, sha string, w Run, have *gh.CheckRun) (int, error) {
	var sent int
	writes := 0
	if have != nil {
		old, _ := ParseID(have.GetExternalID())
		done := have.GetStatus() == "completed"
		same := old.SameResults(w.ID)
		if Settled(have, w.ID) && w.Status == "completed" && have.GetConclusion() == w.Conclusion && have.GetOutput().GetTitle() == w.Title {
			return 0, nil
		}
		if !done && have.GetStatus() == w.Status && old.Same(w.ID) && have.GetOutput().GetTitle() == w.Title && have.GetOutput().GetSummary() == w.Summary {
			return 0, nil
		}
		if sent = have.GetOutput().GetAnnotationsCount(); sent > 0 && !same || done && !same {
			// Annotations cannot be taken back, and a finished check run is a
			// record: other results get a check run of their own.
			have = nil
			sent = 0
		}
	}
	for {
		part := w.Annotations[min(sent, len(w.Annotations)):]
		part = part[:min(len(part), MaxAnnotations)]
		last := sent+len(part) >= len(w.Annotations)
		u := github.CheckRunUpdate{
			Name: w.Name, ExternalID: w.ID.String(), DetailsURL: w.DetailsURL, Status: w.Status, Conclusion: w.Conclusion, Actions: w.Actions,
			Output: &gh.CheckRunOutput{Title: gh.String(w.Title), Summary: gh.String(w.Summary), Annotations: part},
		}
		if u.Actions == nil {
			u.Actions = []*gh.CheckRunAction{}
		}
		if w.Text != "" || have.GetOutput().GetText() != "" {
			// What is left out stays: a waiver that was withdrawn would.
			u.Output.Text = gh.String(w.Text)
		}
		if !last {
			// Not complete before the last annotation is there: whoever finds it
			// so goes on from the number that GitHub has.
			u.Status, u.Conclusion = "in_progress", ""
		}
		var err error
		writes++
		if have == nil {
			u.HeadSHA = sha
			have, err = p.Client.CreateCheckRun(ctx, p.Owner, p.Repo, u)
		} else {
			have, err = p.Client.UpdateCheckRun(ctx, p.Owner, p.Repo, have.GetID(), u)
		}
		if err != nil {
			return writes, err
		}
		sent += len(part)
		if last {
			return writes, nil
		}
	}
}
