package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/release"
)

// accepted are the waivers with which pull requests were merged since the release
// before: the check run of each pull request's head carries them. note says why
// some may be missing.
func accepted(ctx context.Context, client *github.Client, owner, repo, dir string, c release.Candidate) (list []release.Accepted, note string, err error) {
	if c.Previous == nil {
		return nil, "", nil
	}
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-list", "--end-of-options", c.Previous.Tag+".."+c.Commit).Output()
	if err != nil {
		return nil, fmt.Sprintf("waivers of pull requests are not known: the tag %s is not here", c.Previous.Tag), nil
	}
	landed := map[string]bool{}
	for _, sha := range strings.Fields(string(out)) {
		landed[sha] = true
	}
	// Whoever may write checks could write one that looks like the App's: where a
	// ruleset says which App is to be believed, nobody else is.
	id, err := app.RequiredFrom(ctx, client, owner, repo)
	if err != nil && github.Status(err) == 0 {
		return nil, "", err
	}
	denied := func(err error) bool {
		s := github.Status(err)
		return s == http.StatusForbidden || s == http.StatusNotFound
	}
	p := &checkrun.Publisher{Client: client, Owner: owner, Repo: repo, AppID: id}
	opt := &gh.PullRequestListOptions{State: "closed", Sort: "updated", Direction: "desc", ListOptions: gh.ListOptions{PerPage: 100}}
	for range 10 {
		pulls, resp, err := client.PullRequests.List(ctx, owner, repo, opt)
		if denied(err) {
			return list, "waivers of pull requests are not known: the token lacks pull-requests: read", nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("list pull requests: %w", err)
		}
		for _, pr := range pulls {
			if !landed[pr.GetMergeCommitSHA()] || pr.MergedAt == nil {
				continue
			}
			head := pr.GetHead().GetSHA()
			have, err := p.List(ctx, head)
			if denied(err) {
				return list, "waivers of pull requests are not known: the token lacks checks: read", nil
			}
			if err != nil {
				return nil, "", err
			}
			for _, w := range checkrun.Waivers(have[checkrun.Verdict].GetOutput().GetText()) {
				if w.SHA == head {
					list = append(list, release.Accepted{Pull: pr.GetNumber(), Case: w.Case, Reason: w.Reason, By: w.By})
				}
			}
		}
		if resp.NextPage == 0 {
			return list, "", nil
		}
		opt.Page = resp.NextPage
	}
	return list, "waivers of pull requests are not all known: more were closed than are looked at", nil
}
