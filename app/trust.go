package app

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/report"
)

// doubts lists why a run that a pull request started may not be believed: a fork
// can replace the workflow that makes its report. A run does not say reliably
// which pull request of its commit it is of, so that none of them may be in doubt:
// what is no change against one base may be one against another.
func (a *App) doubts(ctx context.Context, s *scene, r *gh.WorkflowRun) ([]string, error) {
	var out []string
	if r.GetEvent() != "pull_request" {
		out = append(out, "the run was started by "+report.Code(report.Plain(r.GetEvent())))
	}
	more, err := a.offeredElsewhere(ctx, s)
	if err != nil {
		return nil, err
	}
	out = append(out, more...)
	for _, p := range s.pulls {
		more, err := a.doubtsOf(ctx, s, p, r)
		if err != nil {
			return nil, err
		}
		for _, d := range more {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out, nil
}

// offeredElsewhere lists pull requests that offered the commit to another base and
// are closed now: what a run compared with may be that one, where the change broke
// nothing that worked.
func (a *App) offeredElsewhere(ctx context.Context, s *scene) (out []string, err error) {
	opt := &gh.PullRequestListOptions{State: "all", Sort: "updated", Direction: "desc", ListOptions: gh.ListOptions{PerPage: 100}}
	// The head of a deleted fork cannot be asked for.
	if head := s.pulls[0].GetHead(); head.GetRepo().GetOwner().GetLogin() != "" {
		opt.Head = head.GetRepo().GetOwner().GetLogin() + ":" + head.GetRef()
	}
	list, _, err := s.c.PullRequests.List(ctx, s.key.Owner, s.key.Repo, opt)
	if err != nil {
		return nil, fmt.Errorf("list pull requests of the same head: %w", err)
	}
	for _, p := range list {
		ref := p.GetBase().GetRef()
		same := slices.ContainsFunc(s.pulls, func(o *gh.PullRequest) bool { return o.GetBase().GetRef() == ref })
		if p.GetHead().GetSHA() == s.sha && !same {
			out = append(out, fmt.Sprintf("pull request %d offered the same commit to %s, and a run does not say which of them it is of; a new commit ends that", p.GetNumber(), report.Code(report.Plain(ref))))
		}
	}
	return out, nil
}

func (a *App) doubtsOf(ctx context.Context, s *scene, pull *gh.PullRequest, r *gh.WorkflowRun) ([]string, error) {
	var out []string
	base := pull.GetBase().GetRef()
	uses, local, missing, err := a.baseUses(ctx, s, base)
	if err != nil {
		return nil, err
	}
	if missing {
		out = append(out, "the base branch has no "+report.Code(a.opt.Workflow))
	}
	accepted := map[string]bool{} // repository@commit
	refs := slices.Clone(r.ReferencedWorkflows)
	for range 4 { // workflows that call workflows
		refs = slices.DeleteFunc(refs, func(w *gh.ReferencedWorkflow) bool {
			repo, _, _ := strings.Cut(w.GetPath(), "/.github/")
			at := repo + "@" + w.GetSHA()
			name, ref, _ := strings.Cut(w.GetPath(), "@")
			for _, u := range uses {
				un, uref, _ := strings.Cut(u, "@")
				same := un == name && uref == ref
				if rel, ok := strings.CutPrefix(u, "./"); ok {
					// A workflow of the repository itself, at the merge commit; that
					// .github/ was left alone is looked at below.
					same = name == s.key.Owner+"/"+s.key.Repo+"/"+rel
				}
				if same && (len(uref) != 40 || uref == w.GetSHA()) {
					accepted[at] = true
					return true
				}
			}
			return accepted[at]
		})
	}
	for _, w := range refs {
		out = append(out, "the run used "+report.Code(report.Plain(w.GetPath()))+", which the base branch's workflow does not")
	}
	protected := append([]string{".github/"}, local...)
	files, all, err := a.changedFiles(ctx, s, pull.GetNumber())
	if err != nil {
		return nil, err
	}
	if !all {
		out = append(out, "the change touches more files than GitHub lists")
	}
	touched := 0
	for _, f := range files {
		if slices.ContainsFunc(protected, func(p string) bool {
			return p == "./" || strings.HasPrefix(f, p) || strings.EqualFold(f[:min(len(f), len(p))], p)
		}) {
			if touched++; touched <= 10 {
				out = append(out, "the change touches "+report.Code(report.Plain(f)))
			}
		}
	}
	if touched > 10 {
		out = append(out, fmt.Sprintf("and %d more such files", touched-10))
	}
	return out, nil
}

func (a *App) changedFiles(ctx context.Context, s *scene, number int) (files []string, all bool, err error) {
	opt := &gh.ListOptions{PerPage: 100}
	for {
		list, resp, err := s.c.PullRequests.ListFiles(ctx, s.key.Owner, s.key.Repo, number, opt)
		if err != nil {
			return nil, false, fmt.Errorf("list changed files: %w", err)
		}
		for _, f := range list {
			files = append(files, f.GetFilename())
			if f.GetPreviousFilename() != "" {
				files = append(files, f.GetPreviousFilename())
			}
		}
		if resp.NextPage == 0 {
			return files, len(files) < 3000, nil
		}
		opt.Page = resp.NextPage
	}
}

// baseUses reads the base branch's workflow: the reusable workflows that it
// calls, and the folders of the repository whose actions it runs.
func (a *App) baseUses(ctx context.Context, s *scene, base string) (uses, local []string, missing bool, err error) {
	file, _, resp, err := s.c.Repositories.GetContents(ctx, s.key.Owner, s.key.Repo, a.opt.Workflow, &gh.RepositoryContentGetOptions{Ref: base})
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusNotFound {
			return nil, nil, true, nil
		}
		return nil, nil, false, fmt.Errorf("read %s of %s: %w", a.opt.Workflow, base, err)
	}
	if file == nil {
		return nil, nil, true, nil
	}
	text, err := file.GetContent()
	if err != nil {
		return nil, nil, false, fmt.Errorf("read %s of %s: %w", a.opt.Workflow, base, err)
	}
	var w struct {
		Jobs map[string]struct {
			Uses  string `yaml:"uses"`
			Steps []struct {
				Uses string `yaml:"uses"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		return nil, nil, true, nil
	}
	for _, j := range w.Jobs {
		if j.Uses != "" {
			uses = append(uses, j.Uses)
		}
		for _, st := range j.Steps {
			if rel, ok := strings.CutPrefix(st.Uses, "./"); ok {
				local = append(local, strings.TrimSuffix("./"+strings.Trim(path.Clean("/"+rel), "/"), "/")+"/")
			}
		}
	}
	for i, l := range local {
		if l != "./" {
			local[i] = strings.TrimPrefix(l, "./")
		}
	}
	return uses, local, false, nil
}

// jobs lists a run's jobs: those of the "latest" attempt, or of "all".
func (a *App) jobs(ctx context.Context, s *scene, r *gh.WorkflowRun, which string) (jobs []*gh.WorkflowJob, err error) {
	opt := &gh.ListWorkflowJobsOptions{Filter: which, ListOptions: gh.ListOptions{PerPage: 100}}
	for range 20 {
		list, resp, err := s.c.Actions.ListWorkflowJobs(ctx, s.key.Owner, s.key.Repo, r.GetID(), opt)
		if err != nil {
			return nil, fmt.Errorf("list jobs of run %d: %w", r.GetID(), err)
		}
		jobs = append(jobs, list.Jobs...)
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	return jobs, nil
}

// keepers are the steps of asterbot's workflows that leave what the App reads.
var keepers = []struct{ job, step, what string }{
	{"workflow plan", "Keep the plan", "plan"},
	{"workflow report", "Keep the report", "report"},
}

// squatted lists which of a run's artifacts may not be those of the jobs that
// run none of the change's code. A name belongs to whoever uses it first, any job
// can, and GitHub does not tell which did: but then the step that was to use it
// failed. Workflows without these jobs are their owners' own.
func (a *App) squatted(ctx context.Context, s *scene, r *gh.WorkflowRun, planned int) ([]string, error) {
	jobs, err := a.jobs(ctx, s, r, "all")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, k := range keepers {
		attempt := max(1, r.GetRunAttempt())
		if k.what == "plan" {
			attempt = planned
		}
		known, kept := false, false
		for _, j := range jobs {
			if j.GetName() != k.job && !strings.HasSuffix(j.GetName(), " / "+k.job) {
				continue
			}
			for _, step := range j.Steps {
				if step.GetName() == k.step {
					known = true
					kept = kept || step.GetConclusion() == "success" && max(1, j.GetRunAttempt()) == int64(attempt)
				}
			}
		}
		if known && !kept {
			out = append(out, fmt.Sprintf("the job %s could not leave its %s: what bears its name is another job's", report.Code(k.job), k.what))
		}
	}
	return out, nil
}
