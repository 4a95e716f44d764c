package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro/git"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// step is one run of the action: what it was given, and where its words go.
type step struct {
	*env
	event action.Event
	log   *action.Log
	files *action.Files
}

// stepCommand is something that the action can do.
type stepCommand struct {
	name string
	run  func(*step, context.Context) error
}

// stepCommands are all of them; a function, since they run subcommands and are
// one.
func stepCommands() []stepCommand {
	return []stepCommand{
		{"plan", (*step).plan},
		{"kernel", (*step).kernel},
		{"build", func(s *step, ctx context.Context) error { return s.shard(ctx, "build") }},
		{"boot", func(s *step, ctx context.Context) error { return s.shard(ctx, "boot") }},
		{"report", (*step).report},
		{"check", (*step).check},
		{"publish", (*step).publish},
		{"comment", (*step).comment},
		{"history", (*step).history},
		{"track", (*step).track},
		{"release", (*step).release},
		{"doctor", func(s *step, ctx context.Context) error { return s.bot(ctx, s.foreign(), "doctor") }},
	}
}

func actionCommand(e *env) *cobra.Command {
	var names []string
	for _, c := range stepCommands() {
		names = append(names, c.name)
	}
	return &cobra.Command{
		Use:   "action COMMAND",
		Short: "What action.yml runs: a stage of a check inside GitHub Actions",
		Long: `Runs a stage of a check as a step of a workflow: it takes what to compare from the event, its inputs from ASTERBOT_ variables (see action.yml),
and leaves outputs, annotations and the job's summary. COMMAND is one of ` + strings.Join(names, ", ") + `.`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			log := action.NewLog(e.Stdout)
			s := &step{env: e, log: log, files: &action.Files{Getenv: e.Getenv}}
			err := s.open()
			if errors.Is(err, action.ErrNotForUs) {
				log.Annotate(action.Annotation{Level: action.Notice, Message: err.Error()})
				return errors.Join(s.files.Output("conclusion", string(checks.Skipped)), log.Close())
			}
			if err == nil {
				i := slices.Index(names, args[0])
				err = stepCommands()[i].run(s, c.Context())
			}
			var exit *exitError
			if err != nil && (!errors.As(err, &exit) || exit.err != nil) {
				log.Annotate(action.Annotation{Level: action.Failure, Title: "asterbot " + args[0], Message: report.Plain(err.Error())})
				err = &exitError{code: exitCode(err)} // it has been said
			}
			return errors.Join(err, log.Close())
		},
	}
}

func exitCode(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return checks.Errored.ExitCode()
}

// open reads the event. Without one (a local run of the action's command) HEAD is
// compared with the main branch.
func (s *step) open() error {
	path := s.Getenv("GITHUB_EVENT_PATH")
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	s.event, err = action.ParseEvent(s.Getenv("GITHUB_EVENT_NAME"), data, s.Getenv("GITHUB_SHA"))
	if head := s.input("head"); err == nil && head != "" {
		err = s.event.About(head)
	}
	return err
}

// input is an input of the action; action.yml hands them over as ASTERBOT_ variables.
func (s *step) input(name string) string {
	return s.Getenv("ASTERBOT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}

func (s *step) path(name string) string {
	p := s.input(name)
	if p != "" && !filepath.IsAbs(p) {
		p = filepath.Join(s.Dir, p)
	}
	return p
}

func (s *step) foreign() io.Writer { return s.log.Foreign() }

// bot runs a subcommand in this process. All it prints may hold what others wrote.
func (s *step) bot(ctx context.Context, stdout io.Writer, args ...string) error {
	var said bytes.Buffer
	e := &env{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: io.MultiWriter(s.foreign(), &lastLine{&said}), Getenv: s.Getenv, Dir: s.Dir}
	if code := run(ctx, e, args); code != 0 {
		return &exitError{code: code, err: errors.New(strings.TrimPrefix(strings.TrimSpace(said.String()), "bot: "))}
	}
	return nil
}

// lastLine keeps the last line that was written: what a failed command says of
// why.
type lastLine struct{ b *bytes.Buffer }

func (l *lastLine) Write(p []byte) (int, error) {
	text := strings.TrimRight(string(p), "\n")
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	if text = strings.TrimSpace(text); text != "" {
		l.b.Reset()
		l.b.WriteString(text)
	}
	return len(p), nil
}

// revisions are the commits to compare. The base of a pull request is the
// first parent of the merge that GitHub made, since the event's own may be old.
func (s *step) revisions(ctx context.Context) (base, head string, err error) {
	repo := git.Repo{Dir: s.path("path")}
	e := s.event
	head = e.Head
	if head == "" {
		head = "HEAD"
	}
	switch {
	case s.input("base") != "":
		base = s.input("base")
	case e.Merge != "":
		if base, err = repo.FirstParent(ctx, e.Merge); err != nil {
			return "", "", fmt.Errorf("find the base of the pull request: check it out with 'fetch-depth: 0' and no 'ref' (%w)", err)
		}
	case e.Base != "" && e.Name != "push":
		base = e.Base
	case e.Base != "":
		base = e.Base
		if _, err := repo.Resolve(ctx, base); err != nil {
			base = head // a push by force: what was before is gone
		}
	case e.DefaultBranch != "" && s.input("all") != "true":
		base = "origin/" + e.DefaultBranch
	default:
		base = head
	}
	if base, err = repo.Resolve(ctx, base); err != nil {
		return "", "", fmt.Errorf("find the base: %w", err)
	}
	if head, err = repo.Resolve(ctx, head); err != nil {
		return "", "", fmt.Errorf("find the head: check it out with 'fetch-depth: 0' (%w)", err)
	}
	return base, head, nil
}

// subject are the flags that plan, build, boot and check have in common.
func (s *step) subject(ctx context.Context) ([]string, error) {
	base, head, err := s.revisions(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{"--repo", s.path("path"), "--base", base, "--head", head}
	// ASTERBOT_TRUST is not an input: it is for a machine whose owner decides
	// what runs there.
	if s.event.Untrusted && s.Getenv("ASTERBOT_TRUST") != "all" {
		args = append(args, "--untrusted")
	}
	return args, nil
}

// plan finds what the change affects, and leaves the jobs that settle it.
func (s *step) plan(ctx context.Context) error {
	args, err := s.subject(ctx)
	if err != nil {
		return err
	}
	if s.input("all") == "true" {
		args = append(args, "--all")
	}
	for _, name := range strings.Fields(s.input("only")) {
		args = append(args, "--only="+name)
	}
	var doc bytes.Buffer
	if err := s.bot(ctx, &doc, append([]string{"plan", "--json"}, args...)...); err != nil {
		return err
	}
	plan, err := report.DecodePlan(bytes.NewReader(doc.Bytes()))
	if err != nil {
		return err
	}
	c, err := s.policy(ctx, plan)
	if err != nil {
		return err
	}
	shards := pipeline.Shards(plan)
	var minutes float64
	first, rest := []pipeline.Shard{}, []pipeline.Shard{}
	for _, sh := range shards {
		minutes += sh.Minutes
		if sh.First {
			first = append(first, sh)
		} else {
			rest = append(rest, sh)
		}
	}
	kernels, err := s.kernels(ctx, plan, c)
	if err != nil {
		return err
	}
	if err := s.announceKernels(plan, c, kernels); err != nil {
		return err
	}
	path := s.path("plan")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := writePlan(path, plan); err != nil {
		return err
	}
	over := int(minutes) > c.Budget.Minutes && s.event.Untrusted
	for name, value := range map[string]any{"first": first, "rest": rest, "matrix": shards, "kernel": kernels} {
		if err := s.matrix(name, value); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"first-jobs": strconv.Itoa(len(first)), "rest-jobs": strconv.Itoa(len(rest)), "jobs": strconv.Itoa(len(shards)), "kernel-jobs": strconv.Itoa(len(kernels)),
		"plan": path, "minutes": strconv.Itoa(int(minutes)), "over-budget": strconv.FormatBool(over), "max-parallel": strconv.Itoa(c.Budget.MaxParallel),
	} {
		if err := s.files.Output(name, value); err != nil {
			return err
		}
	}
	// What is known already is said already: an attribute that does not evaluate
	// needs no machine.
	s.log.Annotate(action.Annotation{Level: action.Notice, Title: "asterbot plan", Message: fmt.Sprintf("%d cases in %d jobs, about %d minutes", len(plan.Cases), len(shards), int(minutes))})
	for _, d := range slices.Concat(plan.Packages, plan.Images) {
		if d.Failure == nil {
			continue
		}
		a := action.Annotation{Level: action.Warning, Title: report.Plain(d.Attr) + " does not evaluate", File: d.Failure.File, Line: d.Failure.Line, Message: report.Plain(d.Failure.Message)}
		s.log.Annotate(a)
	}
	if over {
		s.log.Annotate(action.Annotation{Level: action.Warning, Title: "over budget",
			Message: fmt.Sprintf("the plan takes about %d minutes, and the budget is %d: the first wave runs, the rest waits for a maintainer", int(minutes), c.Budget.Minutes)})
	}
	return s.files.Summary(planSummary(plan, shards, int(minutes)))
}

func planSummary(plan *checks.Plan, shards []pipeline.Shard, minutes int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### What this change affects\n\n%d packages, %d images; %d cases in %d jobs, about %d minutes of machine time.\n\n",
		len(plan.Packages), len(plan.Images), len(plan.Cases), len(shards), minutes)
	for _, s := range plan.Why {
		fmt.Fprintf(&b, "- %s: %s\n", report.Code(string(s.Scope)), report.Escape(report.Plain(s.Why)))
	}
	for _, n := range plan.Notes {
		fmt.Fprintf(&b, "- %s\n", report.Escape(report.Plain(n)))
	}
	return b.String()
}

// matrix sets an output for strategy.matrix, held to what Actions can run.
func (s *step) matrix(name string, list any) error {
	doc, err := json.Marshal(map[string]any{"include": list})
	if err != nil {
		return err
	}
	if _, err := action.ParseMatrix(doc); err != nil {
		return fmt.Errorf("output %s: %w", name, err)
	}
	return s.files.Output(name, string(doc))
}

// policy is the configuration that judges a plan's change.
func (s *step) policy(ctx context.Context, plan *checks.Plan) (*config.Config, error) {
	w := &workspace{subject: subject{Repo: s.path("path")}, repo: git.Repo{Dir: s.path("path")}, change: &plan.Change}
	return w.policy(ctx)
}

// shard settles a shard of the plan; stage is build or boot.
func (s *step) shard(ctx context.Context, stage string) error {
	args, err := s.subject(ctx)
	if err != nil {
		return err
	}
	doc, err := os.Open(s.path("plan"))
	if err != nil {
		return usage("read the plan: %w", err)
	}
	plan, err := report.DecodePlan(doc)
	if err = errors.Join(err, doc.Close()); err != nil {
		return err
	}
	n, err := strconv.Atoi(s.input("shard"))
	if err != nil {
		return usage("input shard: %q is no number", s.input("shard"))
	}
	shards := pipeline.Shards(plan)
	if n < 0 || n >= len(shards) {
		return usage("input shard: the plan has %d shards, counted from 0", len(shards))
	}
	s.makeRoom(ctx, shards[n])
	// Where the configuration has a kernel built by a command, its absence is an
	// error of what boots it: nothing is tested with another one.
	c, err := s.policy(ctx, plan)
	if err != nil {
		return err
	}
	wanted, err := s.kernels(ctx, plan, c)
	if err != nil {
		return err
	}
	args = append(args, s.takeKernels(wanted)...)
	if s.input("flavour") == "release" {
		args = append(args, "--fresh")
	}
	if url := s.input("binary-cache"); url != "" {
		args = append(args, "--fill-cache", url)
	}
	args = append([]string{stage, "--plan", s.path("plan"), "--shard", strconv.Itoa(n), "--out", s.path("results"), "--base-on-demand"}, append(args, s.again()...)...)
	return s.early(ctx, s.bot(ctx, s.foreign(), args...))
}

// again looks past remembered failures where somebody asked to look once more: a
// run's further attempts are such, whoever presses GitHub's button or says
// /rebuild.
func (s *step) again() []string {
	again := s.input("again")
	if n, err := strconv.Atoi(s.Getenv("GITHUB_RUN_ATTEMPT")); again == "" && err == nil && n > 1 {
		again = "failures"
	}
	if again == "" {
		return nil
	}
	return []string{"--again", again}
}

// early shows what a shard found in its own summary, before the others are done.
// Annotations are the report's, so that each stands there once.
func (s *step) early(ctx context.Context, ran error) error {
	f, err := os.Open(filepath.Join(s.path("results"), "results.json"))
	if err != nil {
		return ran // it says why there are none
	}
	results, err := report.DecodeResults(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(ran, err)
	}
	if err := s.keepRepros(ctx, results); err != nil {
		s.note("failures are not kept for 'bot repro': " + report.Plain(err.Error())) // the verdicts hold all the same
	} else if err := saveResults(s.path("results"), results); err != nil {
		return err
	}
	part := &checks.Report{
		Schema: checks.SchemaReport, Cases: results.Cases, Machines: results.Machines,
		Counts: checks.Count(results.Cases), Conclusion: checks.Conclude(results.Cases),
	}
	if err := s.files.Summary(report.Markdown(part, report.MarkdownOptions{Limit: action.MaxSummary - 1024})); err != nil {
		return err
	}
	if ran == nil {
		return nil
	}
	return &exitError{code: exitCode(ran)}
}

// check runs everything in this one job.
func (s *step) check(ctx context.Context) error {
	args, err := s.subject(ctx)
	if err != nil {
		return err
	}
	args = append(args, s.again()...)
	out := s.path("out")
	args = append(args, s.takeKernels(nil)...)
	if s.input("all") == "true" {
		args = append(args, "--all")
	}
	err = s.bot(ctx, s.foreign(), append([]string{"check", "--out", out}, args...)...)
	return s.show(out, err)
}

// report assembles what the shards left.
func (s *step) report(ctx context.Context) error {
	plan, err := readDocument(s.path("plan"), report.DecodePlan)
	if err != nil {
		return err
	}
	results, notes, err := newestResults(s.path("results"), s.Getenv("GITHUB_RUN_ATTEMPT"), plan)
	if err != nil {
		return err
	}
	for _, n := range notes {
		s.log.Annotate(action.Annotation{Level: action.Warning, Message: n})
	}
	out := s.path("out")
	err = s.bot(ctx, s.foreign(), "report", "--plan", s.path("plan"), "--out", out, results)
	return s.show(out, err)
}

// resultsName is the folder that an artifact of a shard becomes when it is downloaded.
var resultsName = regexp.MustCompile(`^asterbot-results-([0-9]{1,3}|kernel-head|kernel-base)-([0-9]{1,3})$`)

// newestResults keeps of each shard what its last attempt left: a shard that ran
// again because its first runner died must not be judged by the first. It returns
// a folder with nothing else in it. Attempts that this run has not made yet are
// not believed.
func newestResults(dir, attempt string, plan *checks.Plan) (string, []string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return dir, nil, noResults(dir)
	}
	if err != nil {
		return "", nil, err
	}
	limit, err := strconv.Atoi(attempt)
	if err != nil {
		limit = 999
	}
	var notes []string
	newest := map[string]int{}
	for _, e := range entries {
		m := resultsName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[2]) // at most three digits
		if n > limit {
			notes = append(notes, fmt.Sprintf("the results %s claim an attempt that has not been made, and were not used", e.Name()))
			continue
		}
		newest[m[1]] = max(newest[m[1]], n)
	}
	if len(entries) == 0 {
		return dir, notes, noResults(dir)
	}
	if len(newest) == 0 {
		return dir, notes, nil // the results of one machine, not of a workflow
	}
	kept := filepath.Join(filepath.Dir(dir), filepath.Base(dir)+"-newest")
	if err := os.RemoveAll(kept); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return "", nil, err
	}
	for shard, n := range newest {
		name := fmt.Sprintf("asterbot-results-%s-%d", shard, n)
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(kept, name)); err != nil {
			return "", nil, err
		}
		if n, err := strconv.Atoi(shard); err == nil {
			if err := onlyItsOwn(filepath.Join(kept, name), plan, n); err != nil {
				notes = append(notes, report.Plain(err.Error())+"; they were not used")
				if err := os.RemoveAll(filepath.Join(kept, name)); err != nil {
					return "", nil, err
				}
			}
		}
	}
	of := func(side string) string {
		if n, ok := newest["kernel-"+side]; ok {
			return fmt.Sprintf("asterbot-results-kernel-%s-%d", side, n)
		}
		return ""
	}
	if err := mergeKernels(kept, of("base"), of("head"), plan); err != nil {
		return "", nil, err
	}
	if found, _ := filepath.Glob(filepath.Join(kept, "*", "results.json")); len(found) == 0 { // the pattern is well-formed
		return kept, notes, noResults(kept)
	}
	return kept, notes, nil
}

// onlyItsOwn holds the results of a shard against its part of the plan: a shard
// runs the change's code, and settles nothing of another's.
func onlyItsOwn(dir string, plan *checks.Plan, shard int) error {
	part, err := pipeline.Part(plan, shard)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "results.json")
	if !isFile(file) {
		return nil
	}
	rs, err := readDocument(file, report.DecodeResults)
	if err != nil {
		return fmt.Errorf("the results of shard %d cannot be read: %w", shard, err)
	}
	subjects := map[checks.Case]bool{}
	for _, p := range part.Cases {
		subjects[checks.Case{Of: p.Of, Subject: p.Subject}] = true
	}
	for _, r := range rs.Cases {
		if !subjects[checks.Case{Of: r.Of, Subject: r.Subject}] {
			return fmt.Errorf("the results of shard %d are about %s %s, which is not its own", shard, r.Of, r.Subject)
		}
	}
	return nil
}

// noResults says that no shard left anything, so that there is a report all the
// same: every case of it is an error.
func noResults(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return saveResults(dir, &checks.Results{Schema: checks.SchemaResults, Machines: []checks.Machine{}, Cases: []checks.Result{}})
}

// show makes a report visible where a reviewer looks: annotations, the job's
// summary, outputs. The step ends with the report's exit code.
func (s *step) show(out string, ran error) error {
	f, err := os.Open(filepath.Join(out, "report.json"))
	if err != nil {
		return errors.Join(ran, err) // nothing came of it; ran says why
	}
	rep, err := report.DecodeReport(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(ran, err)
	}
	for _, a := range action.Annotations(rep) {
		s.log.Annotate(a)
	}
	if err := errors.Join(
		s.files.Summary(report.Markdown(rep, report.MarkdownOptions{Limit: action.MaxSummary - 1024})),
		s.files.Output("conclusion", string(rep.Conclusion)), s.files.Output("report", out),
	); err != nil {
		return err
	}
	return conclude(rep.Conclusion)
}
