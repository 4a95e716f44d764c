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
	maxZip      = 32 << 20
	maxDocument = 32 << 20
	maxEntries  = 20000
	maxRatio    = 200
	// maxRemembered bounds the reports that stay in memory.
	maxRemembered = 16 << 20
)

// download finds and decodes a run's report: one at a time, for hostile ones take
// a hundred megabytes while they are looked at.
func (a *App) download(ctx context.Context, s *scene, r *gh.WorkflowRun) (*evidence, error) {
	if err := a.reading.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait to read a report: %w", err)
	}
	defer a.reading.Release(1)
	refuse := func(format string, args ...any) (*evidence, error) {
		return &evidence{failure: fmt.Sprintf(format, args...)}, nil
	}
	var list []*gh.Artifact
	opt := &gh.ListOptions{PerPage: 100}
	for range 5 { // a run has a few, and one per shard
		l, resp, err := s.c.Actions.ListWorkflowRunArtifacts(ctx, s.key.Owner, s.key.Repo, r.GetID(), opt)
		if err != nil {
			return nil, fmt.Errorf("list artifacts of run %d: %w", r.GetID(), err)
		}
		list = append(list, l.Artifacts...)
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	// An earlier attempt's report says nothing of this one; the plan is made
	// once, and holds for the attempts that come after it.
	art, attempt := newest(list, reportArtifact, r.GetRunAttempt())
	planned, plannedAt := newest(list, planArtifact, r.GetRunAttempt())
	switch {
	case art == nil || attempt != max(1, r.GetRunAttempt()):
		e := &evidence{failure: fmt.Sprintf("the workflow run ended (%s) and left no report", orElse(report.Plain(r.GetConclusion()), "without a conclusion"))}
		jobs, err := a.jobs(ctx, s, r, "latest")
		e.detail = broken(jobs)
		return e, err
	case planned == nil:
		return refuse("the workflow run left a report and no plan to hold it against")
	}
	doc, refused, err := a.document(ctx, s, art, "report.json")
	if err != nil || refused != "" {
		return &evidence{failure: refused}, err
	}
	size := len(doc)
	rep, err := report.DecodeReport(bytes.NewReader(doc))
	if err != nil {
		return refuse("the report was refused: %s", report.Plain(err.Error()))
	}
	if doc, refused, err = a.document(ctx, s, planned, "plan.json"); err != nil || refused != "" {
		return &evidence{failure: refused}, err
	}
	plan, err := report.DecodePlan(bytes.NewReader(doc))
	if err != nil {
		return refuse("the plan was refused: %s", report.Plain(err.Error()))
	}
	if why := contradicts(rep, plan, s.sha); why != "" {
		return refuse("the report was refused: %s", why)
	}
	return &evidence{report: rep, size: size + len(doc), planned: plannedAt}, nil
}

// broken says which jobs failed, and at which step: where a reader goes on.
func broken(jobs []*gh.WorkflowJob) string {
	var lines []string
	for _, j := range jobs {
		if c := j.GetConclusion(); c == "" || c == "success" || c == "skipped" || len(lines) == 10 {
			continue
		}
		line := fmt.Sprintf("- the job [%s](%s) ended (%s)", report.Escape(report.Plain(j.GetName())), j.GetHTMLURL(), report.Escape(report.Plain(j.GetConclusion())))
		for _, step := range j.Steps {
			if c := step.GetConclusion(); c == "failure" || c == "cancelled" || c == "timed_out" {
				line += " at its step " + report.Code(report.Plain(step.GetName()))
				break
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// document takes one file out of an artifact. refused says in one sentence why
// there is none.
func (a *App) document(ctx context.Context, s *scene, art *gh.Artifact, name string) (doc []byte, refused string, err error) {
	data, refused, err := a.fetch(ctx, s, art)
	if err != nil || refused != "" {
		return nil, refused, err
	}
	if doc, err = unzip(data, name); err != nil {
		return nil, fmt.Sprintf("the %s was refused: %s", strings.TrimSuffix(name, ".json"), report.Plain(err.Error())), nil
	}
	return doc, "", nil
}

// newest is the artifact of the latest attempt up to one, and that attempt.
func newest(list []*gh.Artifact, prefix string, attempt int) (best *gh.Artifact, at int) {
	for _, art := range list {
		n, err := strconv.Atoi(strings.TrimPrefix(art.GetName(), prefix))
		if err != nil || !strings.HasPrefix(art.GetName(), prefix) || n > max(attempt, 1) || n < at || art.GetExpired() {
			continue
		}
		best, at = art, n
	}
	return best, at
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
	limit := min(int64(maxDocument), max(1<<20, maxRatio*int64(found.CompressedSize64)))
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
