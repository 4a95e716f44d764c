package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Suite is a check suite: an App's checks of a commit.
type Suite struct {
	ID      int64
	App     int64
	SHA     string
	Created time.Time
}

// CheckRun is a check run as GitHub keeps it.
type CheckRun struct {
	ID                 int64
	App                int64
	Suite              int64
	SHA                string
	Name               string
	Status             string
	Conclusion         string
	ExternalID         string
	DetailsURL         string
	Title              string
	Summary            string
	Text               string
	Annotations        []map[string]any
	Actions            []any
	Started, Completed any
	Updates            int
}

func (r *Repo) suite(sha string, app int64) *Suite {
	for _, s := range r.suites {
		if s.SHA == sha && s.App == app {
			return s
		}
	}
	s := &Suite{r.s.id(), app, sha, r.s.now()}
	r.suites = append(r.suites, s)
	return s
}

// CheckRuns are the check runs of a commit, oldest first.
func (r *Repo) CheckRuns(sha string) []CheckRun {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []CheckRun
	for _, c := range r.checks {
		if c.SHA == sha {
			cc := *c
			cc.Annotations = slices.Clone(c.Annotations)
			out = append(out, cc)
		}
	}
	return out
}

// Press presses a button of a check run, and Rerequest asks for it again.
func (r *Repo) Press(c CheckRun, identifier, sender string) *Delivery {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.delivery(r, "check_run", "requested_action", sender, obj{"check_run": c.object(r), "requested_action": obj{"identifier": identifier}})
}

// Rerequest asks for a check run again.
func (r *Repo) Rerequest(c CheckRun, sender string) *Delivery {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.delivery(r, "check_run", "rerequested", sender, obj{"check_run": c.object(r)})
}

// RerequestSuite asks for all of the App's check runs of a commit again.
func (r *Repo) RerequestSuite(sha, sender string) *Delivery {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	s := r.suite(sha, r.s.opt.AppID)
	return r.s.delivery(r, "check_suite", "rerequested", sender, obj{"check_suite": obj{
		"id": s.ID, "head_sha": sha, "status": "queued", "conclusion": nil, "created_at": stamp(s.Created), "updated_at": stamp(r.s.now()), "pull_requests": []any{}, "app": r.s.appObject(s.App),
	}})
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (c *CheckRun) object(r *Repo) obj {
	u := fmt.Sprintf("%s/repos/%s/check-runs/%d", r.s.URL, r.Full(), c.ID)
	pulls := []any{}
	for _, p := range r.pulls {
		if p.HeadSHA == c.SHA && p.HeadRepo == r && p.State == "open" {
			side := func(ref, sha string) obj {
				return obj{"ref": ref, "sha": sha, "repo": obj{"id": r.ID, "url": r.s.URL + "/repos/" + r.Full(), "name": r.Name}}
			}
			pulls = append(pulls, obj{"id": p.ID, "number": p.Number, "url": u, "head": side(p.HeadRef, p.HeadSHA), "base": side(p.BaseRef, r.branches[p.BaseRef])})
		}
	}
	return obj{
		"id": c.ID, "head_sha": c.SHA, "node_id": "CR", "name": c.Name, "external_id": c.ExternalID, "url": u, "html_url": fmt.Sprintf("https://github.test/%s/runs/%d", r.Full(), c.ID),
		"details_url": null(c.DetailsURL), "status": c.Status, "conclusion": null(c.Conclusion), "started_at": c.Started, "completed_at": c.Completed,
		"output":      obj{"title": null(c.Title), "summary": null(c.Summary), "text": null(c.Text), "annotations_count": len(c.Annotations), "annotations_url": u + "/annotations"},
		"check_suite": obj{"id": c.Suite}, "app": r.s.appObject(c.App), "pull_requests": pulls,
	}
}

func (c *call) createCheckRun() (int, any) {
	r := c.repo()
	if c.token.app == 0 {
		return http.StatusForbidden, message("You must authenticate via a GitHub App.")
	}
	if r.trees[c.str("head_sha")] == nil {
		return unprocessable("No commit found for SHA: %s", c.str("head_sha"))
	}
	cr := &CheckRun{ID: c.s.id(), App: c.token.app, SHA: c.str("head_sha"), Name: c.str("name"), Status: "queued", Started: stamp(c.s.now())}
	if status, out := c.apply(cr); status != 0 {
		return status, out
	}
	cr.Updates = 0
	cr.Suite = r.suite(cr.SHA, cr.App).ID
	r.checks = append(r.checks, cr)
	return 201, cr.object(r)
}

func (c *call) checkRun() *CheckRun {
	for _, cr := range c.repo().checks {
		if cr.ID == c.num("check_run_id") {
			return cr
		}
	}
	return nil
}

func (c *call) updateCheckRun() (int, any) {
	cr := c.checkRun()
	if cr == nil {
		return notFound()
	}
	if cr.App != c.token.app {
		return http.StatusForbidden, message("Invalid app_id `%d` - check run can only be modified by the GitHub App that created it.", c.token.app)
	}
	if status, out := c.apply(cr); status != 0 {
		return status, out
	}
	return 200, cr.object(c.repo())
}

// apply checks and takes over a request's fields; what the OpenAPI description
// cannot say is here.
func (c *call) apply(into *CheckRun) (int, any) {
	cr := *into
	cr.Annotations = slices.Clone(into.Annotations)
	if v := c.str("name"); v != "" {
		cr.Name = v
	}
	if v := c.str("status"); v != "" {
		cr.Status = v
		if v != "completed" {
			cr.Conclusion, cr.Completed = "", nil
		}
	}
	if v := c.str("conclusion"); v != "" {
		cr.Conclusion, cr.Status, cr.Completed = v, "completed", stamp(c.s.now())
	}
	if cr.Status == "completed" && cr.Conclusion == "" {
		return unprocessable("Validation Failed: conclusion is required when status is completed")
	}
	if cr.Conclusion == "stale" {
		return unprocessable("Validation Failed: only GitHub can set stale")
	}
	if v, ok := c.body["external_id"].(string); ok {
		cr.ExternalID = v
	}
	if v, ok := c.body["details_url"].(string); ok {
		if !strings.HasPrefix(v, "http://") && !strings.HasPrefix(v, "https://") {
			return unprocessable("Validation Failed: details_url must use http or https scheme")
		}
		cr.DetailsURL = v
	}
	if v, ok := c.body["started_at"]; ok {
		cr.Started = v
	}
	if v, ok := c.body["completed_at"]; ok {
		cr.Completed = v
	}
	if out, ok := c.body["output"].(map[string]any); ok {
		title, _ := out["title"].(string)
		summary, hasSummary := out["summary"].(string)
		text, hasText := out["text"].(string)
		if title == "" && cr.Title == "" || !hasSummary {
			return unprocessable("Validation Failed: output needs title and summary")
		}
		if len(summary) > 65535 || len(text) > 65535 {
			return unprocessable("Validation Failed: summary or text exceeds a maximum bytesize of 65535")
		}
		if len([]rune(title)) > 255 {
			return unprocessable("Validation Failed: title is too long (maximum is 255 characters)")
		}
		if title != "" {
			cr.Title = title
		}
		cr.Summary = summary
		if hasText {
			cr.Text = text
		}
		list, _ := out["annotations"].([]any)
		if len(list) > 50 {
			return unprocessable("Validation Failed: more than 50 annotations")
		}
		for _, a := range list {
			a := a.(map[string]any)
			for _, k := range []string{"message", "raw_details"} {
				if s, _ := a[k].(string); len(s) > 64<<10 {
					return unprocessable("Validation Failed: %s exceeds 64 KB", k)
				}
			}
			if s, _ := a["title"].(string); len([]rune(s)) > 255 {
				return unprocessable("Validation Failed: annotation title is too long")
			}
			if s, _ := a["message"].(string); s == "" {
				return unprocessable("Validation Failed: annotation message is blank")
			}
			start, _ := a["start_line"].(float64)
			end, _ := a["end_line"].(float64)
			if a["start_column"] != nil && start != end {
				return unprocessable("Validation Failed: columns need start_line and end_line to be equal")
			}
			if p, _ := a["path"].(string); p == "" || strings.HasPrefix(p, "/") || start < 0 || end < start {
				return unprocessable("Validation Failed: annotation path or lines are invalid")
			}
			cr.Annotations = append(cr.Annotations, a)
		}
	}
	if list, ok := c.body["actions"].([]any); ok {
		for _, a := range list {
			a := a.(map[string]any)
			for k, limit := range map[string]int{"label": 20, "description": 40, "identifier": 20} {
				if s, _ := a[k].(string); len([]rune(s)) > limit || s == "" {
					return unprocessable("Validation Failed: action %s %q", k, s)
				}
			}
		}
		cr.Actions = list
	}
	cr.Updates++
	*into = cr
	return 0, nil
}

func (c *call) getCheckRun() (int, any) {
	if cr := c.checkRun(); cr != nil {
		return 200, cr.object(c.repo())
	}
	return notFound()
}

func (c *call) listAnnotations() (int, any) {
	cr := c.checkRun()
	if cr == nil {
		return notFound()
	}
	return 200, each(page(c, cr.Annotations), func(a map[string]any) any {
		return obj{"path": a["path"], "start_line": a["start_line"], "end_line": a["end_line"], "start_column": a["start_column"], "end_column": a["end_column"],
			"annotation_level": a["annotation_level"], "title": a["title"], "message": a["message"], "raw_details": a["raw_details"], "blob_href": "https://github.test/b"}
	})
}

// resolve makes a commit of a branch, tag or SHA.
func (r *Repo) resolve(ref string) string {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "refs/"), "heads/")
	if sha, ok := r.branches[ref]; ok {
		return sha
	}
	if sha, ok := r.tags[strings.TrimPrefix(ref, "tags/")]; ok {
		if o := r.tagObj[sha]; o != nil {
			return o["object"].(obj)["sha"].(string)
		}
		return sha
	}
	return ref
}

func (c *call) listCheckRuns() (int, any) {
	r := c.repo()
	sha := r.resolve(c.params["ref"])
	var list []*CheckRun
	for i := len(r.checks) - 1; i >= 0; i-- {
		cr := r.checks[i]
		if cr.SHA != sha || c.query.Get("check_name") != "" && c.query.Get("check_name") != cr.Name || c.query.Get("status") != "" && c.query.Get("status") != cr.Status {
			continue
		}
		if app := c.query.Get("app_id"); app != "" && app != fmt.Sprint(cr.App) {
			continue
		}
		if c.query.Get("filter") != "all" && slices.ContainsFunc(list, func(o *CheckRun) bool { return o.Name == cr.Name && o.Suite == cr.Suite }) {
			continue
		}
		list = append(list, cr)
	}
	return 200, obj{"total_count": len(list), "check_runs": each(page(c, list), func(cr *CheckRun) any { return cr.object(r) })}
}

func (c *call) listCheckSuites() (int, any) {
	r := c.repo()
	sha := r.resolve(c.params["ref"])
	var list []*Suite
	for _, s := range r.suites {
		if app := c.query.Get("app_id"); s.SHA == sha && (app == "" || app == fmt.Sprint(s.App)) {
			list = append(list, s)
		}
	}
	return 200, obj{"total_count": len(list), "check_suites": each(page(c, list), func(s *Suite) any {
		return obj{"id": s.ID, "node_id": "CS", "head_branch": nil, "head_sha": s.SHA, "status": "queued", "conclusion": nil, "url": r.s.URL, "before": nil, "after": nil, "pull_requests": []any{},
			"app": r.s.appObject(s.App), "repository": r.object(), "created_at": stamp(s.Created), "updated_at": stamp(s.Created), "check_runs_url": r.s.URL, "latest_check_runs_count": 0, "head_commit": obj{"id": s.SHA, "tree_id": s.SHA, "message": "", "timestamp": stamp(s.Created), "author": nil, "committer": nil}}
	})}
}
