package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/github"
)

// Finding is one thing that a repository's settings do or do not do.
type Finding struct {
	// Level is "ok", "unsafe" (somebody could get past a check, or at a secret),
	// "broken" (it will not work), or "unknown" (the token may not look).
	Level string
	What  string
	// Do says what to do about it.
	Do string
}

// Examination is a look at a repository's live settings.
type Examination struct {
	// Client has an administrator's token; what it may not read is unknown.
	Client      *github.Client
	Owner, Repo string
	// AppID is the App that the required check must come from; zero is any.
	AppID int64
	// App, if set, reads what the App may do in the repository: only the App
	// itself is told.
	App *github.App
	// ParsePolicy, Workflow and Rebuild are as in Options.
	ParsePolicy       func([]byte) (Policy, error)
	Workflow, Rebuild string
}

// Findings say what is unsafe, what will not work, and what is well.
func (x Examination) Findings(ctx context.Context) ([]Finding, error) {
	c, owner, repo, appID, parse, workflow, rebuild := x.Client, x.Owner, x.Repo, x.AppID, x.ParsePolicy, x.Workflow, x.Rebuild
	var out []Finding
	add := func(level, what, do string) { out = append(out, Finding{level, what, do}) }
	r, _, err := c.Repositories.Get(ctx, owner, repo)
	if err != nil {
		return nil, fmt.Errorf("read repository %s/%s: %w", owner, repo, err)
	}
	read := func(path string, into any) bool {
		req, err := c.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/%s", owner, repo, path), nil)
		if err == nil {
			_, err = c.Do(ctx, req, into)
		}
		if err != nil {
			add("unknown", fmt.Sprintf("cannot read %s: %v", path, err), "use the token of an administrator")
			return false
		}
		return true
	}
	file := func(path string) (string, bool) {
		f, _, resp, err := c.Repositories.GetContents(ctx, owner, repo, path, &gh.RepositoryContentGetOptions{Ref: r.GetDefaultBranch()})
		if err != nil {
			if resp == nil || resp.StatusCode != http.StatusNotFound {
				add("unknown", fmt.Sprintf("cannot read %s: %v", path, err), "")
			}
			return "", false
		}
		s, err := f.GetContent()
		return s, err == nil
	}

	var p Policy
	text, found := file(".github/asterbot.yml")
	if p, err = parse([]byte(text)); err != nil {
		add("broken", fmt.Sprintf(".github/asterbot.yml cannot be read: %v", err), "mend it: until then the App is silent")
	} else if !found || !p.Publish {
		add("broken", "the App publishes nothing here: .github/asterbot.yml does not say `publish: app`", "add it on "+r.GetDefaultBranch())
	} else {
		add("ok", "the App is the one publisher", "")
	}

	out = append(out, x.installed(ctx)...)

	required, err := requiredBy(ctx, c, owner, repo)
	switch i := slices.IndexFunc(required, func(q requirement) bool { return q.context == checkrun.Verdict }); {
	case err != nil:
		add("unknown", err.Error(), "use the token of an administrator")
	case i < 0:
		add("unsafe", "no rule requires the check \"asterbot\": a pull request can be merged without it", fmt.Sprintf("run `bot setup --ruleset %s/%s`", owner, repo))
	case required[i].app == 0:
		add("unsafe", "the required check \"asterbot\" may come from anybody: any workflow with a token that writes checks can forge it", fmt.Sprintf("run `bot setup --ruleset %s/%s`, which pins the App", owner, repo))
	case appID != 0 && required[i].app != appID:
		add("broken", fmt.Sprintf("the required check \"asterbot\" must come from App %d, and ours is %d", required[i].app, appID), fmt.Sprintf("run `bot setup --ruleset %s/%s`", owner, repo))
	default:
		add("ok", "the check \"asterbot\" is required, from one App", "")
	}
	for _, q := range required {
		if strings.HasPrefix(q.context, checkrun.Verdict+" / ") {
			add("broken", fmt.Sprintf("%q is required too: it is missing where nothing was to be done", q.context), "require \"asterbot\" alone")
		}
	}

	var perms struct {
		Enabled bool   `json:"enabled"`
		Allowed string `json:"allowed_actions"`
	}
	if read("actions/permissions", &perms) {
		if !perms.Enabled {
			add("broken", "Actions are disabled", "enable them in the repository's settings")
		} else {
			add("ok", "Actions are enabled", "")
		}
	}
	var defaults struct {
		Token   string `json:"default_workflow_permissions"`
		Approve bool   `json:"can_approve_pull_request_reviews"`
	}
	if read("actions/permissions/workflow", &defaults) {
		if defaults.Token == "write" {
			add("unsafe", "GITHUB_TOKEN may write by default", "set the default workflow permissions to read")
		} else {
			add("ok", "GITHUB_TOKEN may only read by default", "")
		}
		if defaults.Approve {
			add("unsafe", "workflows may approve pull requests", "take that permission away")
		}
	}
	var fork struct {
		Policy string `json:"approval_policy"`
	}
	if !r.GetPrivate() && read("actions/permissions/fork-pr-contributor-approval", &fork) {
		if fork.Policy == "first_time_contributors_new_to_github" {
			add("unsafe", "workflows of forks run unless their author is new to GitHub", "ask for approval of all first-time contributors, or of all external ones")
		} else {
			add("ok", "workflows of forks need approval: "+strings.ReplaceAll(fork.Policy, "_", " "), "")
		}
	}

	w, ok := file(workflow)
	if !ok {
		add("broken", "there is no "+workflow+" on "+r.GetDefaultBranch(), "run `bot init`")
	} else {
		out = append(out, examineWorkflow(workflow, w)...)
	}
	if p.Answer {
		if w, ok := file(rebuild); !ok {
			add("broken", "there is no "+rebuild+": /rebuild with arguments cannot work", "run `bot init`")
		} else if missing := lacks(w); missing != "" {
			add("broken", rebuild+" "+missing, "take the file that `bot init --app` writes")
		} else {
			out = append(out, examineWorkflow(rebuild, w)...)
		}
	}
	return out, nil
}

// installed reads what the App may do in the repository.
func (x Examination) installed(ctx context.Context) (out []Finding) {
	if x.App == nil {
		return []Finding{{"unknown", "what the App may do here: only the App itself is told", "say --app, the folder that `bot setup` wrote"}}
	}
	i, _, err := x.App.Client().Apps.FindRepositoryInstallation(ctx, x.Owner, x.Repo)
	switch {
	case github.Status(err) == http.StatusNotFound:
		return []Finding{{"broken", "the App is not installed here", "install it on the repository"}}
	case err != nil:
		return []Finding{{"unknown", fmt.Sprintf("cannot read the App's installation: %v", err), "look at its id and key"}}
	case i.SuspendedAt != nil:
		return []Finding{{"broken", "the App's installation is suspended", "end that in its settings"}}
	}
	has := map[string]string{}
	if data, err := json.Marshal(i.Permissions); err == nil {
		err = json.Unmarshal(data, &has)
		if err != nil {
			return []Finding{{"unknown", fmt.Sprintf("cannot read the App's permissions: %v", err), "report this"}}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(github.Permissions)) {
		want := github.Permissions[name]
		// go-github v66 has no field for the merge queue's.
		if name == "merge_queues" || has[name] == want || has[name] == "write" {
			continue
		}
		out = append(out, Finding{"broken", fmt.Sprintf("the App has the permission %s: %s, and needs %s", name, orElse(has[name], "none"), want), "change it in the App's settings, and accept it for the installation"})
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if _, ok := github.Permissions[name]; !ok {
			out = append(out, Finding{"unsafe", fmt.Sprintf("the App has the permission %s: %s, and needs none", name, has[name]), "take it away in the App's settings"})
		}
	}
	for _, event := range github.Events {
		if !slices.Contains(i.Events, event) {
			out = append(out, Finding{"broken", "the App is not told of the event " + event, "subscribe to it in the App's settings"})
		}
	}
	if len(out) == 0 {
		out = append(out, Finding{"ok", "the App has the permissions and events that it needs, and no more", ""})
	}
	return out
}

// lacks says what the workflow that is dispatched lacks; nothing if it has all.
func lacks(text string) string {
	var w struct {
		RunName string `yaml:"run-name"`
		On      struct {
			Dispatch *struct {
				Inputs map[string]any `yaml:"inputs"`
			} `yaml:"workflow_dispatch"`
		} `yaml:"on"`
	}
	if err := yaml.Unmarshal([]byte(text), &w); err != nil || w.On.Dispatch == nil {
		return "cannot be dispatched"
	}
	for _, name := range rebuildInputs {
		if _, ok := w.On.Dispatch.Inputs[name]; !ok {
			return fmt.Sprintf("has no input %q", name)
		}
	}
	if !strings.Contains(w.RunName, "inputs.token") {
		return "does not name its runs by the token, by which the App finds them again"
	}
	return ""
}

var mutable = regexp.MustCompile(`uses:\s*["']?([A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+)@([A-Za-z0-9_./-]+)`)

// examineWorkflow looks for what makes a workflow unsafe with code of forks.
func examineWorkflow(name, text string) (out []Finding) {
	var w struct {
		On          any            `yaml:"on"`
		Permissions any            `yaml:"permissions"`
		Jobs        map[string]any `yaml:"jobs"`
	}
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		return []Finding{{"broken", name + " is not YAML", "mend it"}}
	}
	on := fmt.Sprint(w.On)
	if strings.Contains(on, "pull_request_target") {
		out = append(out, Finding{"unsafe", name + " runs on pull_request_target: code of forks would run with secrets", "use pull_request"})
	}
	if strings.Contains(on, "pull_request") && !strings.Contains(on, "pull_request_target") {
		for _, typ := range []string{"ready_for_review", "edited"} {
			if !strings.Contains(on, typ) {
				out = append(out, Finding{"broken", fmt.Sprintf("%s does not run on pull requests' %s", name, typ), "add it to the types of pull_request"})
			}
		}
		if !strings.Contains(on, "merge_group") {
			out = append(out, Finding{"broken", name + " does not run for merge queues", "add merge_group, if the repository has one"})
		}
	}
	if strings.Contains(text, "secrets: inherit") {
		out = append(out, Finding{"unsafe", name + " hands all secrets on", "remove `secrets: inherit`"})
	}
	for job := range w.Jobs {
		if job == checkrun.Verdict || strings.HasPrefix(job, checkrun.Verdict+" /") {
			out = append(out, Finding{"unsafe", fmt.Sprintf("%s has a job named %q, whose check can be taken for ours", name, job), "give it another name"})
		}
	}
	loose := 0
	for _, m := range mutable.FindAllStringSubmatch(text, -1) {
		if len(m[2]) != 40 {
			loose++
		}
	}
	if loose > 0 {
		out = append(out, Finding{"ok", fmt.Sprintf("%s uses %d actions or workflows by a name that can move", name, loose), "pin them to a commit, if their owners are not trusted as this repository is"})
	}
	if len(out) == 0 {
		out = append(out, Finding{"ok", name + " is well", ""})
	}
	return out
}
