package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Event is what started a run of a workflow, as far as a check is concerned.
// Strings come from the event and may be hostile, but for those documented
// as hashes, which ParseEvent has checked.
type Event struct {
	// Name is GitHub's name of the event: pull_request, push and so on.
	Name string
	// Action is the activity: opened, synchronize, created and so on.
	Action string
	// Repository is OWNER/NAME of the repository the run belongs to.
	Repository string
	// DefaultBranch is the name of its default branch.
	DefaultBranch string
	// Number is the pull request's; zero where there is none.
	Number int
	// Base is the commit that is compared with, Head the one that is judged
	// and that check runs belong on: full hashes. Base is empty where the event
	// has none; a pull request's is the tip of its base branch when the event
	// was made, which may be older than the base that was merged with.
	Base, Head string
	// Merge is the merge of Head into its base that GitHub made for a pull
	// request, a full hash: its first parent is the base to compare with.
	Merge string
	// HeadRepository is OWNER/NAME of where Head comes from; empty when it has
	// been deleted.
	HeadRepository string
	// Fork reports that Head comes from another repository: the token can read
	// only, there are no secrets.
	Fork bool
	// Draft reports that the pull request is a draft.
	Draft bool
	// Untrusted reports that the run is about code that no maintainer has merged.
	Untrusted bool
	// Ref is the branch or tag of a push, without refs/heads/ or refs/tags/.
	Ref string
	// Tag reports that Ref is a tag.
	Tag bool
	// Sender is who caused the event.
	Sender Account
	// Comment is the comment of an issue_comment.
	Comment *Comment
}

// Account is a person or a program on GitHub.
type Account struct {
	Login string
	ID    int64
	Bot   bool
}

// Comment is a comment on a pull request.
type Comment struct {
	ID     int64
	NodeID string
	Body   string
	Author Account
	// PullRequest reports that it is on a pull request, not on an issue.
	PullRequest bool
	// Edited reports that the event is not the comment's creation.
	Edited bool
}

// ErrNotForUs is returned for an event that is nothing to check: the run has
// nothing to do and is right.
var ErrNotForUs = errors.New("nothing to check for this event")

var hash = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// payload are the parts of an event's payload that decide anything. Its
// other fields are many and change: unknown ones are ignored.
type payload struct {
	Action     string `json:"action"`
	Number     int    `json:"number"`
	Repository struct {
		FullName      string `json:"full_name"`
		DefaultBranch string `json:"default_branch"`
	} `json:"repository"`
	Sender      account `json:"sender"`
	PullRequest *struct {
		Number int  `json:"number"`
		Draft  bool `json:"draft"`
		Base   struct {
			SHA string `json:"sha"`
		} `json:"base"`
		Head struct {
			SHA  string `json:"sha"`
			Repo *struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"head"`
	} `json:"pull_request"`
	MergeGroup *struct {
		BaseSHA string `json:"base_sha"`
		HeadSHA string `json:"head_sha"`
	} `json:"merge_group"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Ref     string `json:"ref"`
	Deleted bool   `json:"deleted"`
	Issue   *struct {
		Number      int             `json:"number"`
		PullRequest json.RawMessage `json:"pull_request"`
	} `json:"issue"`
	Comment *struct {
		ID     int64   `json:"id"`
		NodeID string  `json:"node_id"`
		Body   string  `json:"body"`
		User   account `json:"user"`
	} `json:"comment"`
}

type account struct {
	Login string `json:"login"`
	ID    int64  `json:"id"`
	Type  string `json:"type"`
}

func (a account) account() Account {
	return Account{Login: a.Login, ID: a.ID, Bot: a.Type == "Bot" || strings.HasSuffix(a.Login, "[bot]")}
}

// About makes a dispatched run one about a commit that a pull request offers: its
// code is a stranger's, whatever branch the run belongs to.
func (e *Event) About(head string) error {
	if e.Name != "workflow_dispatch" && e.Name != "workflow_call" {
		return fmt.Errorf("input head: a run that %s started says itself what it is about", e.Name)
	}
	if !hash.MatchString(head) {
		return fmt.Errorf("input head: %.60q is no full hash of a commit", head)
	}
	e.Base, e.Head, e.Merge, e.HeadRepository, e.Untrusted = "", head, "", "", true
	return nil
}

// ParseEvent reads an event: its name (GITHUB_EVENT_NAME), its payload (the file
// GITHUB_EVENT_PATH), and the commit the run belongs to (GITHUB_SHA).
// It refuses pull_request_target, which would run a pull request's code
// beside the repository's secrets.
func ParseEvent(name string, data []byte, sha string) (Event, error) {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return Event{}, fmt.Errorf("read the event's payload: %w", err)
	}
	e := Event{
		Name: name, Action: p.Action, Repository: p.Repository.FullName, DefaultBranch: p.Repository.DefaultBranch,
		Sender: p.Sender.account(),
	}
	switch name {
	case "pull_request":
		pr := p.PullRequest
		if pr == nil {
			return Event{}, errors.New("read the event's payload: it has no pull_request")
		}
		e.Number, e.Draft, e.Untrusted = pr.Number, pr.Draft, true
		e.Base, e.Head, e.Merge = pr.Base.SHA, pr.Head.SHA, sha
		if pr.Head.Repo != nil {
			e.HeadRepository = pr.Head.Repo.FullName
		}
		e.Fork = e.HeadRepository != e.Repository
		if p.Action == "closed" {
			return e, ErrNotForUs
		}
	case "merge_group":
		if p.MergeGroup == nil {
			return Event{}, errors.New("read the event's payload: it has no merge_group")
		}
		e.Base, e.Head = p.MergeGroup.BaseSHA, p.MergeGroup.HeadSHA
		e.HeadRepository, e.Untrusted = e.Repository, true
		if p.Action == "destroyed" {
			return e, ErrNotForUs
		}
	case "push":
		e.Base, e.Head, e.HeadRepository = p.Before, p.After, e.Repository
		if strings.Trim(e.Base, "0") == "" {
			e.Base = "" // a new branch or tag
		}
		if e.Ref, e.Tag = strings.CutPrefix(p.Ref, "refs/tags/"); !e.Tag {
			e.Ref = strings.TrimPrefix(p.Ref, "refs/heads/")
		}
		if p.Deleted {
			return e, ErrNotForUs
		}
	case "schedule", "workflow_dispatch", "repository_dispatch", "workflow_call":
		e.Head, e.HeadRepository = sha, e.Repository
	case "issue_comment":
		if p.Comment == nil || p.Issue == nil {
			return Event{}, errors.New("read the event's payload: it has no comment")
		}
		e.Number = p.Issue.Number
		e.Head = sha // of the default branch: the pull request's is GitHub's to say
		e.Comment = &Comment{
			ID: p.Comment.ID, NodeID: p.Comment.NodeID, Body: p.Comment.Body, Author: p.Comment.User.account(),
			PullRequest: len(p.Issue.PullRequest) > 0 && string(p.Issue.PullRequest) != "null", Edited: p.Action != "created",
		}
		if !e.Comment.PullRequest || e.Comment.Edited {
			return e, ErrNotForUs
		}
	case "pull_request_target":
		return Event{}, errors.New("refuse pull_request_target: it would run a pull request's code beside the repository's secrets; use pull_request")
	default:
		return e, fmt.Errorf("%w: %s", ErrNotForUs, name)
	}
	for what, h := range map[string]string{"head": e.Head, "base": e.Base, "merge": e.Merge} {
		if h != "" && !hash.MatchString(h) {
			return Event{}, fmt.Errorf("read the event's payload: its %s commit %q is no hash", what, h)
		}
	}
	if e.Head == "" {
		return Event{}, errors.New("read the event's payload: it names no commit")
	}
	return e, nil
}
