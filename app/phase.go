package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
)

// id says what the check runs of the scene show, as far as it is known without
// a report.
func (s *scene) id(state string) checkrun.ID {
	id := checkrun.ID{State: state}
	h := sha256.New()
	plain := true
	note := func(format string, args ...any) { plain = false; fmt.Fprintf(h, format+"\x00", args...) }
	for _, p := range s.pulls {
		id.Pulls = append(id.Pulls, strconv.Itoa(p.GetNumber())+"@"+p.GetBase().GetRef())
		if p.GetDraft() {
			note("draft %d", p.GetNumber())
		}
		id.Base, id.Merge = p.GetBase().GetSHA(), p.GetMergeCommitSHA()
	}
	for i, r := range s.runs {
		if i == 0 {
			id.Run, id.Attempt = r.GetID(), r.GetRunAttempt()
			continue
		}
		note("run %d.%d", r.GetID(), r.GetRunAttempt())
	}
	for _, r := range s.rebuilds {
		id.Dispatched = append(id.Dispatched, checkrun.Dispatch{Run: r.GetID(), Token: s.tokens[r.GetID()]})
		if r.GetRunAttempt() > 1 {
			note("rebuild %d.%d", r.GetID(), r.GetRunAttempt())
		}
	}
	for _, w := range s.waivers {
		note("waiver %s %s %s", w.Case, w.Reason, w.By)
	}
	if !plain {
		id.Policy = hex.EncodeToString(h.Sum(nil))[:12]
	}
	return id
}

// phase is where the work on a commit stands.
type phase struct {
	state      string // for the ID; empty where runs decide
	status     string
	conclusion string
	title      string
	summary    string
	details    string
	// live asks for counts of jobs, results for the artifacts.
	live, results bool
	// after asks to look again.
	after time.Duration
}

// decide says what to show; it looks at nothing but the scene.
func decide(s *scene, workflow string, patience time.Duration, now time.Time) phase {
	for _, p := range s.pulls {
		if p.Mergeable != nil && !p.GetMergeable() {
			return phase{state: "conflict", status: "completed", conclusion: "action_required",
				title:   fmt.Sprintf("Cannot be judged: conflicts with %s", report.Plain(p.GetBase().GetRef())),
				summary: fmt.Sprintf("Pull request #%d conflicts with its base, so there is no merge to look at. Rebase it, or merge the base into it.", p.GetNumber())}
		}
	}
	if base, ok := otherBase(s); ok {
		return phase{state: "base", status: "queued", title: "Waiting for a run against " + report.Plain(base),
			summary: "The base was changed, and what is known is about the old one. The workflow has to run for `pull_request` events of the type `edited`; or close and reopen the pull request."}
	}
	draft := slices.ContainsFunc(s.pulls, func(p *gh.PullRequest) bool { return p.GetDraft() })
	expected := max(1, len(s.pulls))
	var details string
	done := 0
	for _, r := range s.runs {
		details = r.GetHTMLURL()
		switch {
		case r.GetStatus() == "waiting":
			return phase{state: "approval", status: "completed", conclusion: "action_required", details: details,
				title:   "A maintainer has to let the rest of the workflow run go on",
				summary: fmt.Sprintf("Jobs of the [workflow run](%s) wait for somebody who may approve their environment: `asterbot-budget`, where the plan is over its budget.", details)}
		case r.GetConclusion() == "action_required" || r.GetStatus() == "action_required":
			return phase{state: "approval", status: "completed", conclusion: "action_required", details: details,
				title:   "A maintainer has to approve the workflow run",
				summary: fmt.Sprintf("GitHub holds the [workflow run](%s) back until somebody who may write to the repository has looked at the change, above all at `.github/`, and approved it.", details)}
		case r.GetStatus() == "completed":
			done++
		}
	}
	for _, r := range s.rebuilds {
		if r.GetStatus() != "completed" {
			return phase{status: "in_progress", title: "Rebuilding", live: true, details: r.GetHTMLURL(), summary: fmt.Sprintf("A [rebuild](%s) that was asked for is running.", r.GetHTMLURL())}
		}
	}
	switch {
	case draft && len(s.runs) == 0 && len(s.rebuilds) == 0:
		return phase{state: "draft", status: "completed", conclusion: "action_required", title: "Draft: not tested until it is ready for review",
			summary: "A draft is not tested, and asks for action so that it is not merged untested. Mark it ready for review, or comment `/rebuild all` once it has a run."}
	case len(s.runs) == 0 && len(s.rebuilds) == 0:
		ph := phase{state: "queued", status: "queued", title: "Waiting for the workflow to start", summary: fmt.Sprintf("No run of `%s` has been seen for this commit yet.", workflow)}
		if v := s.have[checkrun.Verdict]; v != nil {
			age := now.Sub(v.GetStartedAt().Time)
			if age > patience || v.GetStatus() == "completed" && v.GetConclusion() == "failure" {
				ph.state, ph.status, ph.conclusion = "no-run", "completed", "failure"
				ph.title = "Infrastructure: no workflow run has started"
				ph.summary = fmt.Sprintf("No run of `%s` has started for this commit. It has to be on the base branch, run on `pull_request` with the types opened, synchronize, reopened, ready_for_review and edited, and Actions have to be enabled. This says nothing about the change.", workflow)
				return ph
			}
			ph.after = patience - age + time.Second
		} else {
			ph.after = patience + time.Second
		}
		return ph
	case done < len(s.runs):
		return phase{status: "in_progress", title: "Running", live: true, details: details}
	case len(s.runs) > 0 && s.runs[0].GetConclusion() == "cancelled":
		return phase{status: "completed", conclusion: "cancelled", details: details, title: "The run was cancelled", summary: fmt.Sprintf("The [workflow run](%s) was cancelled. `/rebuild all` starts it again.", details)}
	case done < expected && len(s.runs) > 0:
		return phase{status: "in_progress", details: details, title: fmt.Sprintf("%d of %d bases done", done, expected), summary: "This commit is open against more than one base; the workflow has not run for each of them yet.", after: patience}
	}
	return phase{status: "completed", results: true, details: details}
}

// otherBase reports whether the newest run was made for a base that a pull
// request has no more. A run does not say which base it is of; the check runs
// that show it do.
func otherBase(s *scene) (base string, changed bool) {
	if len(s.runs) == 0 || s.have[checkrun.Verdict] == nil {
		return "", false
	}
	old, ok := checkrun.ParseID(s.have[checkrun.Verdict].GetExternalID())
	if !ok || old.Run != s.runs[0].GetID() {
		return "", false
	}
	now, _ := checkrun.ParseID(s.id("").String()) // with names as an ID writes them
	for i, p := range now.Pulls {
		number, _, _ := strings.Cut(p, "@")
		for _, o := range old.Pulls {
			if n, _, _ := strings.Cut(o, "@"); n == number && (o != p || old.State == "base") {
				return strings.TrimPrefix(now.Pulls[i], number+"@"), true
			}
		}
	}
	return "", false
}
