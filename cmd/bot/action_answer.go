package main

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/github"
)

// answerer answers one comment. Doing it twice answers once: what was written
// carries a mark.
type answerer struct {
	client      *github.Client
	owner, repo string
	event       action.Event
	config      *config.Config
}

// reply is what comes of a command: whether it was done, and the line that goes into
// the answer.
type reply struct {
	done bool
	text string
}

// The reactions, as the App has them: seen, and then exactly one of the others.
const (
	reactSeen    = "eyes"
	reactDone    = "rocket"
	reactNot     = "confused"
	reactRefused = "-1"
)

// compatWorkflow is the name of the workflow whose runs are ours.
const compatWorkflow = "compat.yml"

func (a *answerer) answer(ctx context.Context, asked []command.Command, problems []command.Problem) error {
	mark := fmt.Sprintf("<!-- asterbot answers %d -->", a.event.Comment.ID)
	outsider := "<!-- asterbot says who may -->"
	said, err := a.said(ctx)
	if err != nil {
		return err
	}
	if strings.Contains(said, mark) {
		return nil
	}
	level, err := a.level(ctx)
	if err != nil {
		return err
	}
	var refused []string
	var allowed []command.Command
	for _, c := range asked {
		if need := a.config.Permissions[string(c.Name)]; need.Allows(level) {
			allowed = append(allowed, c)
		} else {
			refused = append(refused, fmt.Sprintf("`/%s` is for people who have the permission %q here.", c.Name, need))
		}
	}
	if len(allowed) == 0 && len(refused) > 0 {
		// One explanation for each pull request: an outsider must not make us talk.
		if strings.Contains(said, outsider) {
			return nil
		}
		if err := a.say(ctx, strings.Join(refused, "\n")+"\n"+outsider+mark); err != nil {
			return err
		}
		return a.react(ctx, reactRefused)
	}
	if err := a.react(ctx, reactSeen); err != nil {
		return err
	}
	lines, outcome := refused, reactDone
	if len(refused) > 0 {
		outcome = reactRefused
	}
	for _, p := range problems {
		lines, outcome = append(lines, p.Message), reactNot
	}
	for _, c := range allowed {
		did, err := a.obey(ctx, c)
		if err != nil {
			return couldNotLook(fmt.Errorf("/%s: %w", c.Name, err))
		}
		if did.text != "" {
			lines = append(lines, did.text)
		}
		if !did.done {
			outcome = reactNot
		}
	}
	if len(lines) > 0 { // else the run itself is the answer
		if err := a.say(ctx, strings.Join(lines, "\n\n")+"\n"+mark); err != nil {
			return err
		}
	}
	return a.react(ctx, outcome)
}

func (a *answerer) react(ctx context.Context, content string) error {
	if _, _, err := a.client.Reactions.CreateIssueCommentReaction(ctx, a.owner, a.repo, a.event.Comment.ID, content); err != nil {
		return couldNotLook(fmt.Errorf("react to the comment: %w", err))
	}
	return nil
}

// level is the sender's permission, as GitHub says; never what the comment says
// of its author.
func (a *answerer) level(ctx context.Context) (config.Permission, error) {
	got, resp, err := a.client.Repositories.GetPermissionLevel(ctx, a.owner, a.repo, a.event.Sender.Login)
	if resp != nil && resp.StatusCode == http.StatusNotFound {
		return config.PermissionNone, nil
	}
	if err != nil {
		return "", couldNotLook(fmt.Errorf("ask for the permission of the sender: %w", err))
	}
	if role := got.GetRoleName(); role != "" && config.PermissionNone.Allows(config.Permission(role)) {
		return config.Permission(role), nil
	}
	return config.Permission(got.GetPermission()), nil
}

// said is what this workflow wrote on the pull request before.
func (a *answerer) said(ctx context.Context) (string, error) {
	var b strings.Builder
	opt := &gh.IssueListCommentsOptions{ListOptions: gh.ListOptions{PerPage: 100}}
	for {
		page, resp, err := a.client.Issues.ListComments(ctx, a.owner, a.repo, a.event.Number, opt)
		if err != nil {
			return "", couldNotLook(fmt.Errorf("list comments: %w", err))
		}
		for _, c := range page {
			if c.GetUser().GetLogin() == "github-actions[bot]" {
				b.WriteString(c.GetBody())
			}
		}
		if resp.NextPage == 0 {
			return b.String(), nil
		}
		opt.Page = resp.NextPage
	}
}

func (a *answerer) say(ctx context.Context, body string) error {
	_, _, err := a.client.Issues.CreateComment(ctx, a.owner, a.repo, a.event.Number, &gh.IssueComment{Body: &body})
	if err != nil {
		return couldNotLook(fmt.Errorf("answer the comment: %w", err))
	}
	return nil
}

// obey does what a command says.
func (a *answerer) obey(ctx context.Context, c command.Command) (reply, error) {
	if c.Name == command.Help {
		return reply{true, command.Manual(func(n command.Name) string { return string(a.config.Permissions[string(n)]) })}, nil
	}
	if c.Name == command.Rebuild && len(c.Targets) > 0 {
		return reply{text: "Single packages are rebuilt by the GitHub App. `/rebuild` runs again what failed, `/rebuild all` everything."}, nil
	}
	pr, _, err := a.client.PullRequests.Get(ctx, a.owner, a.repo, a.event.Number)
	if err != nil {
		return reply{}, err
	}
	if pr.GetState() != "open" {
		return reply{text: "The pull request is closed."}, nil
	}
	head := pr.GetHead().GetSHA()
	if c.Head != "" && !strings.HasPrefix(head, c.Head) {
		return reply{text: fmt.Sprintf("The pull request is at %.12s, not at %s: nothing was done.", head, c.Head)}, nil
	}
	if c.Head == "" {
		seen, err := a.seenBefore(ctx, head)
		if err != nil {
			return reply{}, err
		}
		if !seen {
			return reply{text: fmt.Sprintf("The pull request got commit %.12s after your comment, so it is not clear what you meant: nothing was done. Say `/%s head=%.12s` to mean it.", head, c.Name, head)}, nil
		}
	}
	runs, err := a.runs(ctx, head)
	if err != nil {
		return reply{}, err
	}
	switch {
	case len(runs) == 0:
		return reply{text: fmt.Sprintf("There is no run of the compatibility workflow for %.12s: push a commit, or close and reopen the pull request.", head)}, nil
	case c.Name == command.Cancel:
		return a.cancel(ctx, runs)
	case c.Name == command.Explain:
		return a.explain(ctx, runs[0], c.Subject)
	case c.Name == command.Waive:
		return a.waive(ctx, pr, runs[0], c)
	}
	return a.rebuild(ctx, runs[0], c.All)
}

// seenBefore reports whether GitHub knew the head before the comment was made:
// when a suite of checks was created for it.
func (a *answerer) seenBefore(ctx context.Context, head string) (bool, error) {
	comment, _, err := a.client.Issues.GetComment(ctx, a.owner, a.repo, a.event.Comment.ID)
	if err != nil {
		return false, err
	}
	runs, err := a.runs(ctx, head)
	if err != nil {
		return false, err
	}
	for _, r := range runs {
		if !r.GetCreatedAt().After(comment.GetCreatedAt().Add(time.Second)) {
			return true, nil
		}
	}
	return len(runs) == 0, nil
}

// runs are the runs of the compatibility workflow for a head, newest first.
func (a *answerer) runs(ctx context.Context, head string) ([]*gh.WorkflowRun, error) {
	list, _, err := a.client.Actions.ListRepositoryWorkflowRuns(ctx, a.owner, a.repo, &gh.ListWorkflowRunsOptions{
		HeadSHA: head, Event: "pull_request", ListOptions: gh.ListOptions{PerPage: 100},
	})
	if err != nil {
		return nil, err
	}
	var ours []*gh.WorkflowRun
	for _, r := range list.WorkflowRuns {
		used := path.Base(r.GetPath()) == compatWorkflow
		for _, w := range r.ReferencedWorkflows {
			file, _, _ := strings.Cut(w.GetPath(), "@")
			used = used || path.Base(file) == compatWorkflow
		}
		if used {
			ours = append(ours, r)
		}
	}
	slices.SortFunc(ours, func(x, y *gh.WorkflowRun) int { return y.GetCreatedAt().Compare(x.GetCreatedAt().Time) })
	return ours, nil
}

func (a *answerer) cancel(ctx context.Context, runs []*gh.WorkflowRun) (reply, error) {
	n := 0
	for _, r := range runs {
		if r.GetStatus() == "completed" {
			continue
		}
		if resp, err := a.client.Actions.CancelWorkflowRunByID(ctx, a.owner, a.repo, r.GetID()); err != nil && (resp == nil || resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusConflict) {
			return reply{}, err
		}
		n++
	}
	if n == 0 {
		return reply{text: "Nothing is running."}, nil
	}
	return reply{done: true}, nil
}

func (a *answerer) rebuild(ctx context.Context, r *gh.WorkflowRun, all bool) (reply, error) {
	if r.GetStatus() != "completed" {
		return reply{text: "The check is still running; `/cancel` stops it."}, nil
	}
	rerun := a.client.Actions.RerunFailedJobsByID
	if all || r.GetConclusion() == "success" {
		rerun = a.client.Actions.RerunWorkflowByID
	}
	if resp, err := rerun(ctx, a.owner, a.repo, r.GetID()); err != nil {
		if resp != nil && resp.StatusCode == http.StatusForbidden {
			return reply{text: "GitHub does not run it again: a run can be repeated 50 times and for 30 days. Push a commit, or close and reopen the pull request."}, nil
		}
		return reply{}, err
	}
	return reply{done: true}, nil
}
