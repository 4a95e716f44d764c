package githubtest

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Run is a run of a workflow.
type Run struct {
	ID         int64
	Attempt    int
	Path       string
	Title      string
	Event      string
	HeadSHA    string
	HeadBranch string
	HeadRepo   *Repo
	Actor      string
	Triggering string
	Status     string // queued, in_progress, completed, waiting
	Conclusion string
	Referenced []Referenced
	Inputs     map[string]any
	Created    time.Time
	Started    time.Time
	Updated    time.Time
	Jobs       []Job
	// Reruns and Cancels count what was asked of it.
	Reruns, Cancels int

	repo *Repo
}

// Referenced is a reusable workflow that a run used.
type Referenced struct{ Path, SHA, Ref string }

// Job is a job of a run's last attempt.
type Job struct {
	Name, Status, Conclusion string
	Steps                    []Step
	// Attempt is the run's attempt that it belongs to; the last one where zero.
	Attempt int
}

// Step is a step of a job.
type Step struct{ Name, Conclusion string }

// Artifact is a zip file that a run left.
type Artifact struct {
	ID      int64
	Run     int64
	Name    string
	Data    []byte
	Size    int64 // claimed; the length of Data where zero
	Expired bool
	Created time.Time
}

// NewRun is a run to start.
type NewRun struct {
	Path       string
	Event      string
	HeadSHA    string
	HeadBranch string
	HeadRepo   *Repo
	Actor      string
	Status     string
	Referenced []Referenced
	Jobs       []Job
	Title      string
}

// StartRun starts a run of a workflow.
func (r *Repo) StartRun(n NewRun) (*Run, *Delivery) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	run := r.startRun(n)
	return run, run.delivery("requested")
}

func (r *Repo) startRun(n NewRun) *Run {
	run := &Run{
		ID: r.s.id(), Attempt: 1, Path: n.Path, Event: n.Event, HeadSHA: n.HeadSHA, HeadBranch: n.HeadBranch, HeadRepo: n.HeadRepo, Actor: n.Actor, Triggering: n.Actor, Status: n.Status,
		Referenced: n.Referenced, Jobs: n.Jobs, Title: n.Title, Created: r.s.now(), Started: r.s.now(), Updated: r.s.now(), repo: r,
	}
	if run.Event == "" {
		run.Event = "pull_request"
	}
	if run.HeadRepo == nil {
		run.HeadRepo = r
	}
	if run.Actor == "" {
		run.Actor, run.Triggering = "contributor", "contributor"
	}
	if run.Status == "" {
		run.Status = "in_progress"
	}
	if run.Title == "" {
		run.Title = "a title"
	}
	r.workflow(run.Path)
	r.runs = append(r.runs, run)
	return run
}

// RunFor starts the run that a pull request starts.
func (p *Pull) RunFor(workflow string) (*Run, *Delivery) {
	p.repo.s.mu.Lock()
	n := NewRun{Path: workflow, HeadSHA: p.HeadSHA, HeadBranch: p.HeadRef, HeadRepo: p.HeadRepo, Actor: p.Author}
	p.repo.s.mu.Unlock()
	return p.repo.StartRun(n)
}

// Finish completes the run's attempt with artifacts by name.
func (run *Run) Finish(conclusion string, artifacts map[string][]byte) *Delivery {
	run.repo.s.mu.Lock()
	defer run.repo.s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(artifacts)) {
		run.repo.artifacts = append(run.repo.artifacts, &Artifact{ID: run.repo.s.id(), Run: run.ID, Name: name, Data: artifacts[name], Created: run.repo.s.now()})
	}
	run.Status, run.Conclusion, run.Updated = "completed", conclusion, run.repo.s.now()
	for i := range run.Jobs {
		run.Jobs[i].Status, run.Jobs[i].Conclusion = "completed", conclusion
	}
	return run.delivery("completed")
}

// Set changes the run under the server's lock.
func (run *Run) Set(f func(*Run)) *Delivery {
	run.repo.s.mu.Lock()
	defer run.repo.s.mu.Unlock()
	f(run)
	run.Updated = run.repo.s.now()
	return run.delivery("in_progress")
}

// Get is a copy of the run.
func (run *Run) Get() Run {
	run.repo.s.mu.Lock()
	defer run.repo.s.mu.Unlock()
	return *run
}

// Runs are the repository's runs.
func (r *Repo) Runs() []*Run {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.runs)
}

// JobDelivery is the delivery of a change of a job.
func (run *Run) JobDelivery(action string, job Job) *Delivery {
	run.repo.s.mu.Lock()
	defer run.repo.s.mu.Unlock()
	return run.repo.s.delivery(run.repo, "workflow_job", action, run.Actor, obj{"workflow_job": obj{"id": run.repo.s.id(), "run_id": run.ID, "head_sha": run.HeadSHA, "head_branch": run.HeadBranch, "name": job.Name, "status": job.Status, "conclusion": null(job.Conclusion)}})
}

func (run *Run) delivery(action string) *Delivery {
	return run.repo.s.delivery(run.repo, "workflow_run", action, run.Actor, obj{"workflow_run": run.object(), "workflow": obj{"id": run.repo.workflow(run.Path), "path": run.Path, "name": path.Base(run.Path), "state": "active"}})
}

func (r *Repo) workflow(p string) int64 {
	if r.workflows[p] == 0 {
		r.workflows[p] = r.s.id()
	}
	return r.workflows[p]
}

func (run *Run) object() obj {
	r := run.repo
	u := fmt.Sprintf("%s/repos/%s/actions/runs/%d", r.s.URL, r.Full(), run.ID)
	o := obj{
		"id": run.ID, "name": path.Base(run.Path), "node_id": "WR", "head_branch": run.HeadBranch, "head_sha": run.HeadSHA, "path": run.Path, "run_number": 1, "run_attempt": run.Attempt,
		"event": run.Event, "status": run.Status, "conclusion": null(run.Conclusion), "workflow_id": r.workflow(run.Path), "url": u, "html_url": fmt.Sprintf("https://github.test/%s/actions/runs/%d", r.Full(), run.ID),
		"display_title": run.Title, "actor": user(run.Actor, "User"), "triggering_actor": user(run.Triggering, "User"), "created_at": stamp(run.Created), "updated_at": stamp(run.Updated), "run_started_at": stamp(run.Started),
		"pull_requests": []any{}, "repository": r.object(), "head_repository": nil, "referenced_workflows": each(run.Referenced, func(w Referenced) any { return obj{"path": w.Path, "sha": w.SHA, "ref": w.Ref} }),
		"head_commit": obj{"id": run.HeadSHA, "tree_id": run.HeadSHA, "message": "x", "timestamp": stamp(run.Created), "author": obj{"name": "x", "email": "x@x.test"}, "committer": obj{"name": "x", "email": "x@x.test"}},
		"jobs_url":    u, "logs_url": u, "check_suite_url": u, "artifacts_url": u, "cancel_url": u, "rerun_url": u, "previous_attempt_url": nil, "workflow_url": u, "check_suite_id": 1,
	}
	if run.HeadRepo != nil {
		o["head_repository"] = run.HeadRepo.object()
	}
	return o
}

func (c *call) findRun() *Run {
	for _, run := range c.repo().runs {
		if run.ID == c.num("run_id") {
			return run
		}
	}
	return nil
}

func (c *call) filterRuns(keep func(*Run) bool) (int, any) {
	var list []*Run
	for i := len(c.repo().runs) - 1; i >= 0; i-- {
		run := c.repo().runs[i]
		q := c.query
		if (q.Get("head_sha") == "" || q.Get("head_sha") == run.HeadSHA) && (q.Get("event") == "" || q.Get("event") == run.Event) && (q.Get("branch") == "" || q.Get("branch") == run.HeadBranch) &&
			(q.Get("status") == "" || q.Get("status") == run.Status || q.Get("status") == run.Conclusion) && keep(run) {
			list = append(list, run)
		}
	}
	return 200, obj{"total_count": len(list), "workflow_runs": each(page(c, list), func(r *Run) any { return r.object() })}
}

func (c *call) listRuns() (int, any) { return c.filterRuns(func(*Run) bool { return true }) }

func (c *call) named(run string) bool {
	id := c.params["workflow_id"]
	return id == path.Base(run) || id == strconv.FormatInt(c.repo().workflow(run), 10)
}

func (c *call) listWorkflowRuns() (int, any) {
	return c.filterRuns(func(r *Run) bool { return c.named(r.Path) })
}

func (c *call) listWorkflows() (int, any) {
	r := c.repo()
	var list []string
	for p := range r.trees[r.branches[r.DefaultBranch]] {
		if path.Dir(p) == ".github/workflows" {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return 200, obj{"total_count": len(list), "workflows": each(page(c, list), func(p string) any {
		return obj{"id": r.workflow(p), "node_id": "W", "name": path.Base(p), "path": p, "state": "active", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "url": c.s.URL, "html_url": c.s.URL, "badge_url": c.s.URL}
	})}
}

func (c *call) getRun() (int, any) {
	if run := c.findRun(); run != nil {
		return 200, run.object()
	}
	return notFound()
}

func (c *call) listJobs() (int, any) {
	run := c.findRun()
	if run == nil {
		return notFound()
	}
	return 200, obj{"total_count": len(run.Jobs), "jobs": each(page(c, run.Jobs), func(j Job) any {
		attempt := j.Attempt
		if attempt == 0 {
			attempt = run.Attempt
		}
		steps := []any{}
		for i, s := range j.Steps {
			steps = append(steps, obj{"name": s.Name, "status": "completed", "conclusion": null(s.Conclusion), "number": i + 1, "started_at": nil, "completed_at": nil})
		}
		return obj{"id": 1, "run_id": run.ID, "run_url": c.s.URL, "run_attempt": attempt, "node_id": "J", "head_sha": run.HeadSHA, "head_branch": run.HeadBranch, "url": c.s.URL, "html_url": c.s.URL + "/job", "status": j.Status,
			"conclusion": null(j.Conclusion), "created_at": stamp(run.Created), "started_at": stamp(run.Started), "completed_at": nil, "name": j.Name, "check_run_url": c.s.URL, "steps": steps, "labels": []string{}, "runner_id": nil, "runner_name": nil, "runner_group_id": nil, "runner_group_name": nil, "workflow_name": "x"}
	})}
}

func (c *call) listArtifacts() (int, any) {
	run := c.findRun()
	if run == nil {
		return notFound()
	}
	var list []*Artifact
	for _, a := range c.repo().artifacts {
		if n := c.query.Get("name"); a.Run == run.ID && (n == "" || n == a.Name) {
			list = append(list, a)
		}
	}
	return 200, obj{"total_count": len(list), "artifacts": each(page(c, list), func(a *Artifact) any {
		size := a.Size
		if size == 0 {
			size = int64(len(a.Data))
		}
		return obj{"id": a.ID, "node_id": "AR", "name": a.Name, "size_in_bytes": size, "url": c.s.URL, "archive_download_url": fmt.Sprintf("%s/repos/%s/actions/artifacts/%d/zip", c.s.URL, c.repo().Full(), a.ID), "expired": a.Expired,
			"created_at": stamp(a.Created), "expires_at": stamp(a.Created.Add(90 * 24 * time.Hour)), "updated_at": stamp(a.Created), "workflow_run": obj{"id": run.ID, "head_sha": run.HeadSHA, "head_branch": run.HeadBranch, "repository_id": c.repo().ID, "head_repository_id": 0}}
	})}
}

func (c *call) downloadArtifact() (int, any) {
	for _, a := range c.repo().artifacts {
		if a.ID == c.num("artifact_id") {
			if a.Expired {
				return http.StatusGone, message("Artifact has expired")
			}
			name := fmt.Sprintf("%d-%d", a.ID, c.s.id())
			c.s.signed[name] = a.Data
			c.header.Set("Location", c.s.URL+"/_signed/"+name)
			return http.StatusFound, nil
		}
	}
	return notFound()
}

func (c *call) rerun() (int, any)       { return c.again() }
func (c *call) rerunFailed() (int, any) { return c.again() }

func (c *call) again() (int, any) {
	run := c.findRun()
	if run == nil {
		return notFound()
	}
	if run.Status != "completed" {
		return http.StatusForbidden, message("This workflow is already running")
	}
	if run.Attempt >= 51 {
		return http.StatusForbidden, message("Unable to retry this workflow run because it has been retried too many times")
	}
	if c.s.now().Sub(run.Created) > 30*24*time.Hour {
		return http.StatusForbidden, message("Unable to retry this workflow run because it was created over a month ago")
	}
	login, _, _ := c.bot()
	run.Attempt++
	run.Reruns++
	run.Triggering = login
	run.Status, run.Conclusion, run.Started, run.Updated = "queued", "", c.s.now(), c.s.now()
	for i := range run.Jobs {
		run.Jobs[i].Status, run.Jobs[i].Conclusion = "queued", ""
	}
	return http.StatusCreated, obj{}
}

func (c *call) cancelRun() (int, any) {
	run := c.findRun()
	if run == nil {
		return notFound()
	}
	if run.Status == "completed" {
		return http.StatusConflict, message("Cannot cancel a workflow run that is completed.")
	}
	run.Cancels++
	run.Status, run.Conclusion, run.Updated = "completed", "cancelled", c.s.now()
	return http.StatusAccepted, obj{}
}

func (c *call) dispatch() (int, any) {
	r := c.repo()
	inputs, _ := c.body["inputs"].(map[string]any)
	sha := r.resolve(c.str("ref"))
	tree := r.trees[sha]
	var file string
	for p := range tree {
		if path.Dir(p) == ".github/workflows" && c.named(p) {
			file = p
		}
	}
	if file == "" {
		return notFound()
	}
	title, wrong := dispatched(tree[file], inputs)
	if wrong != "" {
		return unprocessable("%s", wrong)
	}
	login, _, _ := c.bot()
	run := r.startRun(NewRun{Path: file, Event: "workflow_dispatch", HeadSHA: sha, HeadBranch: c.str("ref"), Actor: login, Status: "queued", Title: title})
	run.Inputs = inputs
	if v, _ := c.body["return_run_details"].(bool); v {
		return 200, obj{"workflow_run_id": run.ID, "run_url": run.object()["url"], "html_url": run.object()["html_url"]}
	}
	return http.StatusNoContent, nil
}

// dispatched holds inputs against a workflow's own, as GitHub does, and works
// out the run's name.
func dispatched(text string, inputs map[string]any) (title, wrong string) {
	var w struct {
		Name    string `yaml:"name"`
		RunName string `yaml:"run-name"`
		On      struct {
			Dispatch *struct {
				Inputs map[string]struct {
					Required bool `yaml:"required"`
				} `yaml:"inputs"`
			} `yaml:"workflow_dispatch"`
		} `yaml:"on"`
	}
	if err := yaml.Unmarshal([]byte(text), &w); err != nil || w.On.Dispatch == nil {
		return "", "Workflow does not have 'workflow_dispatch' trigger"
	}
	title = w.RunName
	for name, v := range inputs {
		if _, ok := w.On.Dispatch.Inputs[name]; !ok {
			return "", fmt.Sprintf("Unexpected inputs provided: [%q]", name)
		}
		title = strings.ReplaceAll(title, "${{ inputs."+name+" }}", fmt.Sprint(v))
	}
	for name, in := range w.On.Dispatch.Inputs {
		if v, _ := inputs[name].(string); in.Required && v == "" {
			return "", fmt.Sprintf("Required input '%s' not provided", name)
		}
	}
	if len(inputs) > 25 {
		return "", "you may only define up to 25 `inputs` for a `workflow_dispatch` event"
	}
	if title == "" {
		title = w.Name
	}
	return title, ""
}

// SetActions sets what a repository's settings say: "permissions", "workflow"
// or "fork-approval".
func (r *Repo) SetActions(what string, v map[string]any) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.settings[what] = v
}

func (c *call) setting(what string, otherwise obj) (int, any) {
	if v := c.repo().settings[what]; v != nil {
		return 200, v
	}
	return 200, otherwise
}

func (c *call) getActionsPermissions() (int, any) {
	return c.setting("permissions", obj{"enabled": true, "allowed_actions": "all"})
}

func (c *call) getWorkflowPermissions() (int, any) {
	return c.setting("workflow", obj{"default_workflow_permissions": "read", "can_approve_pull_request_reviews": false})
}

func (c *call) getForkApproval() (int, any) {
	return c.setting("fork-approval", obj{"approval_policy": "first_time_contributors"})
}
