package action

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/github"
)

// HistoryBranch is the orphan branch that the history of the default branch is
// kept on.
const HistoryBranch = "asterbot-history"

// History is what became of each case of the default branch, over time: an
// orphan branch with a file for each run and in it a line for each case. Files
// are only added, so that runs never wait for each other.
type History struct {
	Client      *github.Client
	Owner, Repo string
	// Branch is HistoryBranch if empty.
	Branch string
}

// HistoryLine is one case of one run, as JSON.
type HistoryLine struct {
	At     time.Time `json:"at"`     // when the run was recorded, UTC
	Commit string    `json:"commit"` // the commit that was looked at
	Run    int64     `json:"run"`    // the number of the workflow's run
	checks.Case
	Status checks.Status `json:"status"`
	// Verdict compares with the commit before; Blame says whose a failure is.
	Verdict checks.Verdict `json:"verdict"`
	Blame   checks.Blame   `json:"blame,omitempty"`
	// Title is the normalised reason of what does not pass.
	Title   string  `json:"title,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	// Remembered is when the outcome was established, if not in this run.
	Remembered string `json:"remembered,omitempty"`
	Known      string `json:"known,omitempty"` // the tracker of a known failure
}

const historyReadme = `# History

What became of each case on the default branch: a file for each run of asterbot, ` + "`YEAR-MONTH/RUN-ATTEMPT.jsonl`" + `, and in it a line of JSON for each case.
The fields are those of report.json, which docs/formats.md of asterbot describes. This branch shares no commit with any other.

    git fetch origin ` + HistoryBranch + `
    git archive FETCH_HEAD | tar xO --wildcards '*.jsonl' | jq -r 'select(.subject == "network") | [.at, .commit[:12], .name, .status] | @tsv'
`

// Append adds the cases of a report. It reports false where the run is recorded
// already.
func (h *History) Append(ctx context.Context, rep *checks.Report, run int64, attempt int, now time.Time) (bool, error) {
	if len(rep.Cases) == 0 {
		return false, nil
	}
	commit := rep.Change.Merged
	if commit == "" {
		commit = rep.Change.Head
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, r := range rep.Cases {
		line := HistoryLine{At: now.UTC().Truncate(time.Second), Commit: commit, Run: run, Case: r.Case, Status: r.Now, Verdict: r.Verdict, Blame: r.Blame, Seconds: r.Seconds, Remembered: r.Remembered, Known: r.Known}
		if r.Now != checks.Pass {
			if line.Title = r.Title; line.Title == "" {
				line.Title = r.Reason
			}
		}
		if err := enc.Encode(line); err != nil {
			return false, fmt.Errorf("record a case: %w", err)
		}
	}
	path := fmt.Sprintf("%s/%d-%d.jsonl", now.UTC().Format("2006-01"), run, attempt)
	message := fmt.Sprintf("Record %d cases of %.12s", len(rep.Cases), commit)
	// Somebody else's run may be recorded in between: then their commit is built upon.
	var err error
	for range 5 {
		var done, raced bool
		if done, raced, err = h.add(ctx, path, lines.String(), message); err == nil || !raced {
			return done, err
		}
	}
	return false, err
}

// add makes one commit with one more file. raced reports that the branch moved
// in the meantime.
func (h *History) add(ctx context.Context, path, text, message string) (done, raced bool, err error) {
	branch := h.Branch
	if branch == "" {
		branch = HistoryBranch
	}
	file := func(path, text string) *gh.TreeEntry {
		return &gh.TreeEntry{Path: &path, Mode: gh.String("100644"), Type: gh.String("blob"), Content: &text}
	}
	entries := []*gh.TreeEntry{file(path, text)}
	var base string
	var parents []*gh.Commit
	ref, _, err := h.Client.Git.GetRef(ctx, h.Owner, h.Repo, "heads/"+branch)
	switch {
	case github.Status(err) == http.StatusNotFound:
		entries = append(entries, file("README.md", historyReadme))
	case err != nil:
		return false, false, fmt.Errorf("find branch %s: %w", branch, err)
	default:
		_, _, _, err := h.Client.Repositories.GetContents(ctx, h.Owner, h.Repo, path, &gh.RepositoryContentGetOptions{Ref: branch})
		if err == nil {
			return false, false, nil
		}
		if github.Status(err) != http.StatusNotFound {
			return false, false, fmt.Errorf("look for %s on branch %s: %w", path, branch, err)
		}
		parent, _, err := h.Client.Git.GetCommit(ctx, h.Owner, h.Repo, ref.GetObject().GetSHA())
		if err != nil {
			return false, false, fmt.Errorf("read branch %s: %w", branch, err)
		}
		base, parents = parent.GetTree().GetSHA(), []*gh.Commit{{SHA: parent.SHA}}
	}
	tree, _, err := h.Client.Git.CreateTree(ctx, h.Owner, h.Repo, base, entries)
	if err != nil {
		return false, false, fmt.Errorf("write %s: %w", path, err)
	}
	commit, _, err := h.Client.Git.CreateCommit(ctx, h.Owner, h.Repo, &gh.Commit{Message: &message, Tree: tree, Parents: parents}, nil)
	if err != nil {
		return false, false, fmt.Errorf("commit %s: %w", path, err)
	}
	to := &gh.Reference{Ref: gh.String("refs/heads/" + branch), Object: &gh.GitObject{SHA: commit.SHA}}
	if len(parents) == 0 {
		_, _, err = h.Client.Git.CreateRef(ctx, h.Owner, h.Repo, to)
	} else {
		_, _, err = h.Client.Git.UpdateRef(ctx, h.Owner, h.Repo, to, false)
	}
	if err != nil {
		return false, github.Status(err) == http.StatusUnprocessableEntity, fmt.Errorf("move branch %s: %w", branch, err)
	}
	return true, false, nil
}
