package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/github"
)

// button is a press of a button, or of "re-run" in GitHub's own pages.
type button struct {
	sha string
	// shown is the ID of the check run that was pressed; empty for a suite.
	shown  string
	action string
	sender string
	// since is when what was pressed had come to its end: an attempt of ours that
	// started later is the answer to this press, or to a later one.
	since time.Time
}

// press acts on a button. It is known to the event only, so that it is done
// before GitHub is told that the event has arrived. The check run's ID and the
// time at which it was completed tell which attempt its reader saw: a press
// that comes twice finds a newer one.
func (a *App) press(ctx context.Context, k Key, b button) error {
	sha := b.sha
	id, ok := checkrun.ParseID(b.shown)
	if b.shown != "" && !ok {
		return nil
	}
	s := a.scene(k, sha)
	pulls, err := openPulls(ctx, s.c, k)
	if err != nil {
		return err
	}
	for _, p := range pulls {
		if p.GetHead().GetSHA() == sha {
			s.pulls = append(s.pulls, p)
		}
	}
	if len(s.pulls) == 0 {
		return nil // closed, or superseded
	}
	k.Pull = s.pulls[0].GetNumber()
	s.key = k
	if s.policy, err = a.policy(ctx, s.c, k, s.pulls[0].GetBase().GetRef()); err != nil {
		return err
	}
	if !s.policy.Publish {
		return nil
	}
	defer a.lock(k.Owner + "/" + k.Repo + "@" + sha)()
	need := command.Rebuild
	if b.action == checkrun.ExplainIt {
		need = command.Explain
	}
	level, err := a.permission(ctx, s, b.sender)
	if err != nil {
		return err
	}
	log := a.log.With(slog.String("repository", k.Owner+"/"+k.Repo), slog.Int("pull", k.Pull), slog.String("button", b.action), slog.String("by", b.sender))
	if !command.Allows(s.policy.level(need), level) {
		log.Warn("not allowed", "has", level)
		return nil
	}
	if _, err := a.findRuns(ctx, s, s.pulls[0]); err != nil {
		return err
	}
	if s.have, err = s.p.List(ctx, sha); err != nil {
		return err
	}
	if err := a.findRebuilds(ctx, s, nil, time.Time{}); err != nil {
		return err
	}
	a.q.add(k, time.Second)
	switch b.action {
	case checkrun.RerunFailed, checkrun.RerunAll:
		all := b.action == checkrun.RerunAll || len(s.rebuilds) > 0
		for _, run := range s.runs {
			newer := run.GetID() == id.Run && run.GetRunAttempt() > id.Attempt || !b.since.IsZero() && a.startedByUs(run, b.since)
			if run.GetStatus() != "completed" || newer {
				continue
			}
			text, err := a.startAgain(ctx, s, run, all)
			if err != nil {
				return err
			}
			if text != "" {
				log.Warn("GitHub would not", "why", text)
			}
		}
	case checkrun.ExplainIt:
		e, err := a.present(ctx, s)
		if err != nil || e == nil || e.report == nil {
			return err
		}
		mark := fmt.Sprintf("<!-- asterbot:explained %d.%d -->", id.Run, id.Attempt)
		comments, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.IssueComment, *gh.Response, error) {
			return s.c.Issues.ListComments(ctx, k.Owner, k.Repo, k.Pull, &gh.IssueListCommentsOptions{ListOptions: o})
		})
		if err != nil {
			return fmt.Errorf("list comments: %w", err)
		}
		if a.said(comments, mark) {
			return nil
		}
		_, err = a.post(ctx, s, k.Pull, mark, report.Markdown(e.report, report.MarkdownOptions{Limit: MaxComment - 200}))
		return err
	}
	return nil
}
