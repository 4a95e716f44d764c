package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/asterinas/asterbot/checks/checkrun"
)

// MaxBody is the largest webhook that GitHub sends.
const MaxBody = 25 << 20

// bodyTime is how long a body may take to arrive.
const bodyTime = 8 * time.Second

// event is what the App takes from a webhook: only where to look.
type event struct {
	Action       string `json:"action"`
	Before       string `json:"before"`
	Reason       string `json:"reason"`
	Ref          string `json:"ref"`
	Number       int    `json:"number"`
	Installation struct {
		ID int64 `json:"id"`
	} `json:"installation"`
	Repository struct {
		Name          string `json:"name"`
		DefaultBranch string `json:"default_branch"`
		Owner         struct {
			Login string `json:"login"`
		} `json:"owner"`
	} `json:"repository"`
	Sender struct {
		Login string `json:"login"`
		Type  string `json:"type"`
	} `json:"sender"`
	Issue struct {
		Number      int       `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	PullRequest struct {
		Number int `json:"number"`
	} `json:"pull_request"`
	CheckRun struct {
		ID           int64      `json:"id"`
		HeadSHA      string     `json:"head_sha"`
		ExternalID   string     `json:"external_id"`
		CompletedAt  string     `json:"completed_at"`
		Name         string     `json:"name"`
		PullRequests []pullStub `json:"pull_requests"`
		App          struct {
			ID int64 `json:"id"`
		} `json:"app"`
	} `json:"check_run"`
	RequestedAction struct {
		Identifier string `json:"identifier"`
	} `json:"requested_action"`
	CheckSuite struct {
		HeadSHA      string     `json:"head_sha"`
		UpdatedAt    string     `json:"updated_at"`
		PullRequests []pullStub `json:"pull_requests"`
		App          struct {
			ID int64 `json:"id"`
		} `json:"app"`
	} `json:"check_suite"`
	WorkflowRun struct {
		ID           int64      `json:"id"`
		HeadSHA      string     `json:"head_sha"`
		Event        string     `json:"event"`
		PullRequests []pullStub `json:"pull_requests"`
	} `json:"workflow_run"`
	WorkflowJob struct {
		RunID   int64  `json:"run_id"`
		HeadSHA string `json:"head_sha"`
	} `json:"workflow_job"`
	MergeGroup struct {
		HeadSHA string `json:"head_sha"`
	} `json:"merge_group"`
}

type pullStub struct {
	Number int `json:"number"`
}

// Hook takes webhooks. Nothing of a body is looked at before its signature
// holds.
func (a *App) Hook() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		status, name, log := a.deliver(w, r)
		a.m.delivered(name, status, time.Since(start))
		if status >= 400 {
			log.Warn("refused a delivery", "status", status)
		} else {
			log.Debug("took a delivery", "status", status)
		}
	})
}

func (a *App) deliver(w http.ResponseWriter, r *http.Request) (int, string, *slog.Logger) {
	log := a.log.With("delivery", clean(r.Header.Get("X-GitHub-Delivery")), "event", clean(r.Header.Get("X-GitHub-Event")))
	refuse := func(status int, why string) (int, string, *slog.Logger) {
		http.Error(w, why, status)
		return status, "refused", log
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "webhooks are sent with POST")
	}
	signature, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	want, err := hex.DecodeString(signature)
	if !ok || err != nil || len(want) != sha256.Size {
		return refuse(http.StatusUnauthorized, "no signature in X-Hub-Signature-256")
	}
	if r.ContentLength > MaxBody {
		w.Header().Set("Connection", "close")
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than any webhook")
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, free, err := a.readBody(http.MaxBytesReader(w, r.Body, MaxBody), r.ContentLength)
	defer free()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than any webhook")
	case errors.Is(err, errNoRoom):
		// GitHub keeps it as failed, and it is asked for again.
		return refuse(http.StatusServiceUnavailable, "too much at once, try again")
	case err != nil:
		return refuse(http.StatusRequestTimeout, "the body did not arrive")
	}
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	if !a.signed(body, want) {
		return refuse(http.StatusUnauthorized, "the signature does not match")
	}
	name := r.Header.Get("X-GitHub-Event")
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); ct != "" && ct != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "set the webhook's content type to application/json")
	}
	var e event
	if !known(name) {
		w.WriteHeader(http.StatusAccepted)
		return http.StatusAccepted, "other", log
	}
	if err := json.Unmarshal(body, &e, json.MatchCaseInsensitiveNames(false)); err != nil {
		return refuse(http.StatusBadRequest, "the body is not the JSON of a webhook")
	}
	// GitHub waits ten seconds.
	ctx, cancel := context.WithTimeout(r.Context(), 8*time.Second)
	defer cancel()
	if err := a.handle(ctx, name, &e, log); err != nil {
		log.Error("cannot act on a delivery", "error", err)
		// GitHub keeps it as failed, and it is asked for again.
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return http.StatusServiceUnavailable, name, log
	}
	w.WriteHeader(http.StatusAccepted)
	return http.StatusAccepted, name, log
}

// maxBodies bounds the bodies that are held at once, in bytes: anybody may send
// them, and only when one is whole can its signature be checked.
const maxBodies = 64 << 20

var errNoRoom = errors.New("no room for another body")

// readBody reads a body; what it takes in memory grows with what has arrived,
// not with what was announced. free gives the room back.
func (a *App) readBody(r io.Reader, announced int64) (body []byte, free func(), err error) {
	const step = 32 << 10
	var held int64
	free = func() { a.bodies.Release(held) }
	size := int64(step)
	if announced >= 0 && announced < step {
		size = announced + 1 // the end is found without another step
	}
	for {
		if !a.bodies.TryAcquire(size - held) {
			return nil, free, errNoRoom
		}
		held = size
		grown := make([]byte, len(body), size)
		copy(grown, body)
		body = grown
		for len(body) < cap(body) {
			n, err := r.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			if err == io.EOF {
				return body, free, nil
			}
			if err != nil {
				return nil, free, err
			}
		}
		size = min(2*size, MaxBody+step)
	}
}

func (a *App) signed(body, want []byte) bool {
	for _, s := range a.opt.Secrets {
		m := hmac.New(sha256.New, []byte(s))
		m.Write(body)
		if hmac.Equal(m.Sum(nil), want) {
			return true
		}
	}
	return false
}

// clean makes a header fit for a log.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 127 {
			return r
		}
		return -1
	}, s[:min(len(s), 64)])
}

var events = map[string]bool{
	"ping": true, "pull_request": true, "merge_group": true, "check_suite": true, "check_run": true, "issue_comment": true, "workflow_run": true, "workflow_job": true,
	"push": true, "create": true, "release": true, "installation": true, "installation_repositories": true,
}

func known(name string) bool { return events[name] }

// handle turns an event into keys. Only a button that was pressed is acted on
// here: GitHub remembers it nowhere else.
func (a *App) handle(ctx context.Context, name string, e *event, log *slog.Logger) error {
	if e.Installation.ID == 0 {
		// Webhooks of a repository, not of the App: not ours to act on.
		log.Debug("no installation")
		return nil
	}
	k := Key{Install: e.Installation.ID, Owner: e.Repository.Owner.Login, Repo: e.Repository.Name}
	pull := func(n int) {
		if n > 0 && k.Repo != "" {
			p := k
			p.Pull = n
			a.q.add(p, a.opt.Settle)
		}
	}
	pulls := func(list []pullStub) {
		for _, p := range list {
			pull(p.Number)
		}
	}
	switch name {
	case "installation", "installation_repositories":
		switch e.Action {
		case "deleted", "suspend":
			a.gh.Forget(k.Install)
			a.forgetRepos(k.Install, nil)
			a.q.park(k.Install, time.Now().Add(24*time.Hour))
		default:
			a.gh.Forget(k.Install)
			a.q.park(k.Install, time.Time{})
			a.q.add(Key{Install: k.Install, All: true}, a.opt.Settle)
		}
	case "pull_request":
		a.changedHeads(k)
		pull(max(e.PullRequest.Number, e.Number))
		if e.Action == "synchronize" && len(e.Before) == 40 {
			s := k
			s.Stale = e.Before
			a.q.add(s, a.opt.Settle)
		}
	case "merge_group":
		switch {
		case e.Action == "checks_requested":
			k.Group = e.MergeGroup.HeadSHA
			a.q.add(k, a.opt.Settle)
		case e.Action == "destroyed" && e.Reason != "merged":
			k.Stale = e.MergeGroup.HeadSHA
			a.q.add(k, a.opt.Settle)
		}
	case "issue_comment":
		if e.Issue.PullRequest != nil && e.Action == "created" {
			pull(e.Issue.Number)
		}
	case "workflow_run":
		a.mu.Lock()
		delete(a.ended, e.WorkflowRun.ID)
		a.mu.Unlock()
		switch {
		case e.WorkflowRun.Event == "merge_group":
			k.Group = e.WorkflowRun.HeadSHA
			a.q.add(k, a.opt.Settle)
		case len(e.WorkflowRun.PullRequests) > 0:
			pulls(e.WorkflowRun.PullRequests)
		default:
			// Runs of forks, and dispatched ones, name no pull request.
			a.addCommit(k, e.WorkflowRun.HeadSHA, e.WorkflowRun.Event == "workflow_dispatch")
		}
	case "workflow_job":
		a.addCommit(k, e.WorkflowJob.HeadSHA, false)
	case "check_suite":
		if e.Action == "rerequested" && e.CheckSuite.App.ID == a.gh.ID() {
			return a.press(ctx, k, button{sha: e.CheckSuite.HeadSHA, action: checkrun.RerunAll, sender: e.Sender.Login, since: when(e.CheckSuite.UpdatedAt)})
		}
		pulls(e.CheckSuite.PullRequests)
		if len(e.CheckSuite.PullRequests) == 0 && e.Action != "completed" {
			a.addCommit(k, e.CheckSuite.HeadSHA, false)
		}
	case "check_run":
		if e.CheckRun.App.ID != a.gh.ID() {
			return nil
		}
		b := button{sha: e.CheckRun.HeadSHA, shown: e.CheckRun.ExternalID, action: checkrun.RerunFailed, sender: e.Sender.Login, since: when(e.CheckRun.CompletedAt)}
		switch e.Action {
		case "rerequested":
			return a.press(ctx, k, b)
		case "requested_action":
			b.action = e.RequestedAction.Identifier
			return a.press(ctx, k, b)
		}
	case "push":
		if branch, ok := strings.CutPrefix(e.Ref, "refs/heads/"); ok {
			a.forgetPolicies(k.Owner, k.Repo)
			// Where a base has moved, conflicts come and go.
			if branch == e.Repository.DefaultBranch {
				k.All = true
				a.q.add(k, 10*a.opt.Settle)
			} else {
				a.addPages(k, func(p pageEntry) bool { return p.Base == branch })
			}
		}
	case "create", "release":
		// Rare, and what a repository does around them (version branches, backports,
		// closing what was shipped) often loses an event: one look at everything.
		k.All = k.Repo != ""
		if k.All {
			a.q.add(k, 10*a.opt.Settle)
		}
	}
	return nil
}

// addCommit asks to look at the pull requests that offer a commit. Those that
// were looked at before are known; for others the list of open ones is read.
// dispatched runs belong to no commit of a pull request: whoever waits for one
// is looked at.
func (a *App) addCommit(k Key, sha string, dispatched bool) {
	if k.Repo == "" {
		return
	}
	found := a.addPages(k, func(p pageEntry) bool { return p.SHA == sha || dispatched && len(p.Rebuilds) > 0 })
	if !found && !dispatched && sha != "" {
		k.Commit = sha
		a.q.add(k, a.opt.Settle)
	}
}

// addPages asks to look at pull requests that were looked at before.
func (a *App) addPages(k Key, which func(pageEntry) bool) (found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pages {
		if p.Key.Owner == k.Owner && p.Key.Repo == k.Repo && which(p) {
			found = true
			a.q.add(p.Key, a.opt.Settle)
		}
	}
	return found
}

// when reads a time of a payload; zero is one that is not there.
func when(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
