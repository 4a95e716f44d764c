package app

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// The names of artifacts, which the attempt's number follows.
const (
	planArtifact   = "asterbot-plan-"
	reportArtifact = "asterbot-report-"
)

// The limits on an artifact.
const (
	maxZip     = 64 << 20
	maxEntries = 20000
	maxRatio   = 200
)

// evidence is what runs left, checked.
type evidence struct {
	report *checks.Report
	// failure says why there is no report: infrastructure.
	failure string
	// doubts are what a maintainer has to look at.
	doubts []string
	// each is a line for each base.
	each []string
}

// evidence gathers the reports of the scene's runs.
func (a *App) evidence(ctx context.Context, s *scene) (*evidence, error) {
	out := &evidence{}
	for i, r := range s.runs {
		one, err := a.runEvidence(ctx, s, r, true)
		if err != nil {
			return nil, err
		}
		if len(s.runs) > 1 {
			line := one.failure
			if one.report != nil {
				line = report.Headline(one.report)
			}
			base := "run " + strconv.FormatInt(r.GetID(), 10)
			if len(r.PullRequests) == 1 {
				base = fmt.Sprintf("#%d", r.PullRequests[0].GetNumber())
			} else if one.report != nil {
				base = report.Code(one.report.Change.Base[:min(12, len(one.report.Change.Base))])
			}
			out.each = append(out.each, fmt.Sprintf("- %s: %s", base, report.Escape(line)))
		}
		out.doubts = append(out.doubts, one.doubts...)
		switch {
		case one.failure != "":
			out.failure = one.failure
		case i == 0 || out.report == nil:
			out.report = one.report
		default:
			out.report = both(out.report, one.report)
		}
	}
	for _, r := range s.rebuilds {
		one, err := a.runEvidence(ctx, s, r, false)
		if err != nil {
			return nil, err
		}
		switch {
		case one.failure != "":
			out.failure = "the rebuild that was asked for left no report: " + one.failure
		case out.report == nil:
			// A part of the cases does not stand for all of them.
		default:
			out.report = overlay(out.report, one.report)
		}
	}
	if out.report == nil && out.failure == "" {
		out.failure = "the workflow run left no report"
	}
	return out, nil
}

// both joins the reports of two bases: of each case the worse result.
func both(a, b *checks.Report) *checks.Report {
	c := *a
	c.Cases = slices.Clone(a.Cases)
	for _, r := range b.Cases {
		i := slices.IndexFunc(c.Cases, func(o checks.Result) bool { return o.Case == r.Case })
		switch {
		case i < 0:
			c.Cases = append(c.Cases, r)
		case !c.Cases[i].Blocks() && (r.Blocks() || r.Unsettled() && !c.Cases[i].Unsettled()):
			c.Cases[i] = r
		}
	}
	c.Errors = append(slices.Clone(a.Errors), b.Errors...)
	c.Notices = append(slices.Clone(a.Notices), b.Notices...)
	c.Machines = append(slices.Clone(a.Machines), b.Machines...)
	c.Counts, c.Conclusion = checks.Count(c.Cases), worst(a.Conclusion, b.Conclusion)
	return &c
}

// overlay puts newer results over older ones.
func overlay(old, newer *checks.Report) *checks.Report {
	c := *old
	c.Cases = slices.Clone(old.Cases)
	for _, r := range newer.Cases {
		if i := slices.IndexFunc(c.Cases, func(o checks.Result) bool { return o.Case == r.Case }); i >= 0 {
			c.Cases[i] = r
		} else {
			c.Cases = append(c.Cases, r)
		}
	}
	c.Machines = append(slices.Clone(old.Machines), newer.Machines...)
	c.Counts, c.Conclusion = checks.Count(c.Cases), checks.Conclude(c.Cases)
	return &c
}

// runEvidence reads what one run left. untrusted runs were started by the pull
// request, others by the App from the default branch.
func (a *App) runEvidence(ctx context.Context, s *scene, r *gh.WorkflowRun, untrusted bool) (*evidence, error) {
	name := fmt.Sprintf("%d.%d@%s", r.GetID(), r.GetRunAttempt(), s.sha)
	a.mu.Lock()
	known := a.reports[name]
	a.mu.Unlock()
	if known != nil {
		return known, nil
	}
	e := &evidence{}
	rep, refused, err := a.download(ctx, s, r, untrusted)
	if err != nil {
		return nil, err
	}
	e.report, e.failure = rep, refused
	if rep != nil && untrusted && len(s.pulls) > 0 {
		if e.doubts, err = a.doubts(ctx, s, r); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reports[name] == nil {
		a.order = append(a.order, name)
	}
	a.reports[name] = e
	// A few stay in memory; the artifacts have the rest.
	for len(a.order) > 16 {
		delete(a.reports, a.order[0])
		a.order = a.order[1:]
	}
	return e, nil
}

// download finds and decodes a run's report. refused says in one sentence why
// there is none.
func (a *App) download(ctx context.Context, s *scene, r *gh.WorkflowRun, untrusted bool) (rep *checks.Report, refused string, err error) {
	var list []*gh.Artifact
	opt := &gh.ListOptions{PerPage: 100}
	for range 5 { // a run has a few, and one per shard
		l, resp, err := s.c.Actions.ListWorkflowRunArtifacts(ctx, s.key.Owner, s.key.Repo, r.GetID(), opt)
		if err != nil {
			return nil, "", fmt.Errorf("list artifacts of run %d: %w", r.GetID(), err)
		}
		list = append(list, l.Artifacts...)
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	art := newest(list, reportArtifact, r.GetRunAttempt())
	if art != nil && art.GetName() != reportArtifact+strconv.Itoa(max(1, r.GetRunAttempt())) {
		// An earlier attempt's report says nothing of this one; the plan is
		// made once, and holds for those that come after it.
		art = nil
	}
	planned := newest(list, planArtifact, r.GetRunAttempt())
	switch {
	case art == nil:
		return nil, fmt.Sprintf("the workflow run ended (%s) and left no report", orElse(report.Plain(r.GetConclusion()), "without a conclusion")), nil
	case planned == nil && untrusted:
		return nil, "the workflow run left a report and no plan to hold it against", nil
	}
	data, refused, err := a.fetch(ctx, s, art)
	if err != nil || refused != "" {
		return nil, refused, err
	}
	doc, err := unzip(data, "report.json")
	if err != nil {
		return nil, "the report was refused: " + report.Plain(err.Error()), nil
	}
	rep, err = report.DecodeReport(bytes.NewReader(doc))
	if err != nil {
		return nil, "the report was refused: " + report.Plain(err.Error()), nil
	}
	var plan *checks.Plan
	if planned != nil {
		if data, refused, err = a.fetch(ctx, s, planned); err != nil || refused != "" {
			return nil, refused, err
		}
		if doc, err = unzip(data, "plan.json"); err == nil {
			plan, err = report.DecodePlan(bytes.NewReader(doc))
		}
		if err != nil {
			return nil, "the plan was refused: " + report.Plain(err.Error()), nil
		}
	}
	if why := contradicts(rep, plan, s.sha); why != "" {
		return nil, "the report was refused: " + why, nil
	}
	return rep, "", nil
}

// newest is the artifact of the latest attempt up to one.
func newest(list []*gh.Artifact, prefix string, attempt int) *gh.Artifact {
	var best *gh.Artifact
	at := 0
	for _, art := range list {
		n, err := strconv.Atoi(strings.TrimPrefix(art.GetName(), prefix))
		if err != nil || !strings.HasPrefix(art.GetName(), prefix) || n > max(attempt, 1) || n < at || art.GetExpired() {
			continue
		}
		best, at = art, n
	}
	return best
}

// fetch downloads an artifact within its limit.
func (a *App) fetch(ctx context.Context, s *scene, art *gh.Artifact) (data []byte, refused string, err error) {
	if art.GetSizeInBytes() > maxZip {
		return nil, fmt.Sprintf("the artifact has %d bytes, more than %d", art.GetSizeInBytes(), maxZip), nil
	}
	u, _, err := s.c.Actions.DownloadArtifact(ctx, s.key.Owner, s.key.Repo, art.GetID(), 0)
	if err != nil {
		return nil, "", fmt.Errorf("download artifact %d: %w", art.GetID(), err)
	}
	// The address is signed: it gets no token of ours.
	for n := 1; ; n++ {
		data, err = get(ctx, s.c.Plain(), u.String())
		if err == nil || n == 3 || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(n) * 200 * time.Millisecond):
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("download artifact %d: %w", art.GetID(), err)
	}
	if len(data) > maxZip {
		return nil, fmt.Sprintf("the artifact has more than %d bytes", maxZip), nil
	}
	return data, "", nil
}

func get(ctx context.Context, c *http.Client, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxZip+1))
}

// unzip takes one file out of a zip file that hostile code may have made.
// Nothing is written to disk, so names that climb out lead nowhere; they are
// refused all the same, for nobody honest makes them.
func unzip(data []byte, name string) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("not a zip file: %w", err)
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("%d files, more than %d", len(z.File), maxEntries)
	}
	var found *zip.File
	for _, f := range z.File {
		n := f.Name
		if path.IsAbs(n) || strings.Contains(n, `\`) || strings.ContainsRune(n, 0) || slices.Contains(strings.Split(n, "/"), "..") {
			return nil, fmt.Errorf("a file is named %.80q", n)
		}
		if n == name {
			if found != nil {
				return nil, fmt.Errorf("%s is there twice", name)
			}
			found = f
		}
	}
	if found == nil {
		return nil, fmt.Errorf("there is no %s", name)
	}
	if !found.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	limit := min(int64(report.MaxDocument), max(1<<20, maxRatio*int64(found.CompressedSize64)))
	if found.CompressedSize64 > uint64(len(data)) || found.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("%s grows from %d to %d bytes", name, found.CompressedSize64, found.UncompressedSize64)
	}
	r, err := found.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("%s grows beyond %d bytes", name, limit)
	}
	return out, nil
}

// contradicts says what is wrong with a report that decodes: numbers that do
// not follow from its cases, another commit, cases that differ from the plan's.
// What counts is worked out from the cases, never taken from the report.
func contradicts(rep *checks.Report, plan *checks.Plan, sha string) string {
	if rep.Change.Head != sha {
		return fmt.Sprintf("it is about %.12q, not about this commit", rep.Change.Head)
	}
	want := checks.Count(rep.Cases)
	for k, n := range rep.Counts {
		if want[k] != n {
			return fmt.Sprintf("it counts %d %.40q where its cases make %d", n, k, want[k])
		}
	}
	rep.Counts = want
	concluded := checks.Conclude(rep.Cases)
	switch {
	case len(rep.Errors) > 0 && (concluded == checks.Success || concluded == checks.Skipped):
		concluded = checks.Errored
	case rep.Conclusion == checks.Errored && concluded != checks.Failure:
		concluded = checks.Errored
	}
	if rep.Conclusion != concluded {
		return fmt.Sprintf("it concludes %.20q where its cases make %q", rep.Conclusion, concluded)
	}
	if plan == nil {
		return ""
	}
	if plan.Change.Head != sha {
		return fmt.Sprintf("its plan is about %.12q, not about this commit", plan.Change.Head)
	}
	planned := map[checks.Case]bool{}
	for _, c := range plan.Cases {
		planned[c.Case] = true
	}
	open := map[string]bool{}
	for _, s := range plan.Suites {
		open[s.Name] = s.Command && s.Run
	}
	got := map[checks.Case]bool{}
	for _, c := range rep.Cases {
		if !planned[c.Case] && !(c.Kind == checks.KindTest && open[c.Subject]) {
			return fmt.Sprintf("case %.80q is not in the plan", string(c.Kind)+" "+c.Subject+" "+c.Name)
		}
		got[c.Case] = true
	}
	for _, c := range plan.Cases {
		if !got[c.Case] {
			return fmt.Sprintf("case %.80q of the plan has no result", string(c.Kind)+" "+c.Subject+" "+c.Name)
		}
	}
	// What is shown of the plan is the plan's, not the report's copy.
	rep.Plan = plan
	return ""
}

// doubts lists why a run that a pull request started may not be believed: a fork
// can replace the workflow that makes its report.
func (a *App) doubts(ctx context.Context, s *scene, r *gh.WorkflowRun) ([]string, error) {
	var out []string
	if r.GetEvent() != "pull_request" {
		out = append(out, "the run was started by "+report.Code(report.Plain(r.GetEvent())))
	}
	base := s.pulls[0].GetBase().GetRef()
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
	files, all, err := a.changedFiles(ctx, s)
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

func (a *App) changedFiles(ctx context.Context, s *scene) (files []string, all bool, err error) {
	opt := &gh.ListOptions{PerPage: 100}
	for {
		list, resp, err := s.c.PullRequests.ListFiles(ctx, s.key.Owner, s.key.Repo, s.pulls[0].GetNumber(), opt)
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
