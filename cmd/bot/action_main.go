package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// ofDefaultBranch is the report in the folder out, if it is the default branch's:
// what is kept for all pull requests is nothing that one of them may add to.
func (s *step) ofDefaultBranch() (*checks.Report, error) {
	if branch := "refs/heads/" + s.event.DefaultBranch; s.event.Untrusted || s.Getenv("GITHUB_REF") != branch {
		return nil, usage("this is for runs of the default branch, %s, and not for %s", branch, s.Getenv("GITHUB_REF"))
	}
	rep, err := readDocument(filepath.Join(s.path("out"), "report.json"), report.DecodeReport)
	if err != nil {
		return nil, couldNotLook(err)
	}
	if rep.Change.Head != s.event.Head {
		return nil, couldNotLook(fmt.Errorf("the report is about commit %.12s, and this run about %.12s: nothing was kept", rep.Change.Head, s.event.Head))
	}
	return rep, nil
}

// history appends the report's cases to the history of the default branch.
func (s *step) history(ctx context.Context) error {
	rep, err := s.ofDefaultBranch()
	if err != nil {
		return err
	}
	client, owner, repo, err := s.github()
	if err != nil {
		return err
	}
	run, err := strconv.ParseInt(s.Getenv("GITHUB_RUN_ID"), 10, 64)
	if err != nil {
		return usage("GITHUB_RUN_ID is no number: %w", err)
	}
	attempt, err := strconv.Atoi(s.Getenv("GITHUB_RUN_ATTEMPT"))
	if err != nil {
		attempt = 1
	}
	h := &action.History{Client: client, Owner: owner, Repo: repo}
	added, err := h.Append(ctx, rep, run, attempt, time.Now())
	if err != nil {
		return couldNotLook(err)
	}
	if added {
		s.note(fmt.Sprintf("%d lines were added to branch %s", len(rep.Cases), action.HistoryBranch))
	}
	return nil
}

// track keeps an issue for each failure of the default branch.
func (s *step) track(ctx context.Context) error {
	rep, err := s.ofDefaultBranch()
	if err != nil {
		return err
	}
	client, owner, repo, err := s.github()
	if err != nil {
		return err
	}
	t := &action.Tracker{Client: client, Owner: owner, Repo: repo}
	did, err := t.Follow(ctx, rep, s.runAddress())
	if err != nil {
		return couldNotLook(err)
	}
	var words []string
	for _, d := range []struct {
		what string
		list []int
	}{{"opened", did.Opened}, {"opened again", did.Reopened}, {"updated", did.Updated}, {"closed", did.Closed}} {
		if len(d.list) > 0 {
			words = append(words, fmt.Sprintf("%s %s", d.what, issues(d.list)))
		}
	}
	if len(words) > 0 {
		s.note("issues: " + strings.Join(words, "; "))
	}
	if did.Left > 0 {
		s.log.Annotate(action.Annotation{Level: action.Warning, Title: "issues",
			Message: fmt.Sprintf("%d more failures have no issue yet: one run opens a few at a time", did.Left)})
	}
	return nil
}

func issues(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, "#"+strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}
