package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/memo"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/progress"
)

// checkOptions are the flags of bot check.
type checkOptions struct {
	subject
	settleOptions
	JSON bool
	All  bool
}

// settleOptions say how cases are settled; check, build and boot share them.
type settleOptions struct {
	Out           string
	Again         string
	BaseOnDemand  bool
	AllowCommands bool
	Parallel      int
}

func (o *settleOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Out, "out", "asterbot-out", "the `folder` for report and logs")
	f.StringVar(&o.Again, "again", "", "look past remembered `outcomes`: failures, or all")
	f.BoolVar(&o.BaseOnDemand, "base-on-demand", false, "look at base only for what fails at head")
	f.BoolVar(&o.AllowCommands, "allow-commands", false, "run suites that run through a command; it runs the change's own code outside any sandbox")
	f.IntVar(&o.Parallel, "parallel", 0, "how many `suites` run at once (default: 4, within the machine's memory)")
	_ = c.MarkFlagDirname("out")
}

func (o settleOptions) again() (pipeline.Again, error) {
	switch o.Again {
	case "":
		return pipeline.AgainNothing, nil
	case "failures":
		return pipeline.AgainFailures, nil
	case "all":
		return pipeline.AgainAll, nil
	}
	return 0, usage("--again is %q: it can be failures or all", o.Again)
}

func checkCommand(e *env) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what a change affects, build and boot it, and compare with before",
		Long: `Says which packages, images and suites a change affects, builds them, boots them on the kernel under test, and compares each with base.
Failures are run on a control kernel too, which tells the kernel's from the package's.

The report is in the folder --out: report.html for people, report.json for programs, report.md, junit.xml and logs/.

Exit codes: 0 nothing regressed, 1 regressions, 2 usage or configuration, 3 could not look.`,
		Example: `  bot check                              # HEAD against the main branch
  bot check --base main --head my-branch
  bot check --only lua --again failures  # this one, and look again`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCheck(c.Context(), e, o) },
	}
	o.subject.flags(c)
	o.settleOptions.flags(c)
	c.Flags().BoolVar(&o.JSON, "json", false, "print report.json instead of the report for people")
	c.Flags().BoolVar(&o.All, "all", false, "check what did not change as well, and mass rebuilds in full: for a release")
	return c
}

// runCheck runs the whole pipeline on this machine.
func runCheck(ctx context.Context, e *env, o checkOptions) error {
	started := time.Now()
	w, err := o.open(ctx, e)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer w.close()
	out, unlock, err := openOut(e, o.Out)
	if err != nil {
		return err
	}
	defer unlock()

	screen := progress.New(e.Stderr, terminalWidth(e.Stderr))
	plan, err := w.plan(ctx, o.All)
	if err != nil {
		screen.Close()
		return interrupted(ctx, err)
	}
	settled, settleErr := w.settle(ctx, e, o.settleOptions, out, plan, screen, false)
	screen.Close()
	if settled == nil {
		return interrupted(ctx, settleErr)
	}
	rep, err := checks.Assemble(plan, []*checks.Results{settled})
	if err != nil {
		return couldNotLook(err)
	}
	if settleErr != nil {
		rep.Errors = append(rep.Errors, "the check was interrupted: what was settled until then is below")
	}
	for _, n := range w.notes {
		if !slices.Contains(rep.Notices, n) {
			rep.Notices = append(rep.Notices, n)
		}
	}
	applyKnown(rep)
	rep.Versions = w.versions(ctx)
	rep.Started, rep.Seconds = started.UTC().Truncate(time.Second), time.Since(started).Seconds()
	rep.Headline = report.Headline(rep)
	if err := report.Write(out, rep); err != nil {
		return couldNotLook(err)
	}
	if err := savePlan(out, plan); err != nil {
		return couldNotLook(err)
	}
	if err := show(e, rep, out, o.JSON); err != nil {
		return err
	}
	return conclude(rep.Conclusion)
}

// checkSubject is runCheck for those who have a subject and nothing else to say.
func checkSubject(ctx context.Context, e *env, s subject, out string, asJSON bool) error {
	return runCheck(ctx, e, checkOptions{subject: s, settleOptions: settleOptions{Out: out}, JSON: asJSON})
}

// What is remembered is kept for as long as a pull request may reasonably take, and
// small enough for a cache of GitHub Actions.
const (
	memoAge   = 90 * 24 * time.Hour
	memoBytes = 256 << 20
)

// settle settles a plan's cases on this machine.
func (w *workspace) settle(ctx context.Context, e *env, o settleOptions, out string, plan *checks.Plan, p pipeline.Progress, buildOnly bool) (*checks.Results, error) {
	again, err := o.again()
	if err != nil {
		return nil, err
	}
	if w.Fresh {
		again = pipeline.AgainAll
	}
	if err := enoughDisk(out); err != nil {
		return nil, couldNotLook(err)
	}
	remembered := &memo.Store{
		Dir:  filepath.Join(w.cache, "memo"),
		Warn: func(err error) { p.Note(err.Error()) },
	}
	defer func() {
		if _, err := remembered.Prune(memoAge, memoBytes); err != nil {
			p.Note("remembered outcomes could not be pruned: " + err.Error())
		}
	}()
	c := &pipeline.Check{
		Distribution: distribution{w},
		Builder:      builder{w: w, out: out, progress: p},
		Machines:     newMachines(w, o, out),
		Memo:         remembered,
		Progress:     p,
		BuildOnly:    buildOnly,
		BaseOnDemand: o.BaseOnDemand,
		Again:        again,
		HasControl:   w.kernels[pipeline.Control] != nil,
		Jobs:         o.Parallel,
		Repro:        w.repro(out),
	}
	if !w.lacks(pipeline.Head) {
		return c.Settle(ctx, plan)
	}
	part, rest := withoutKernel(plan)
	results, err := c.Settle(ctx, part)
	if results != nil {
		results.Cases = append(results.Cases, rest...)
	}
	return results, err
}

// openOut makes the folder for a report and takes it: two checks must not write
// into each other's.
func openOut(e *env, dir string) (string, func(), error) {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(e.Dir, dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, usage("make the folder for the report: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", nil, usage("use the folder for the report: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return "", nil, usage("another bot is writing to %s; name another folder with --out", dir)
	}
	// What an earlier check left there is not of this one.
	for _, name := range []string{"logs", "repro", "screens"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			lock.Close()
			return "", nil, couldNotLook(fmt.Errorf("clear the folder for the report: %w", err))
		}
	}
	return dir, func() {
		_ = os.Remove(lock.Name())
		lock.Close()
	}, nil
}

// diskNeeded is what a check of a small distribution takes at the most, in bytes:
// an installed disk, its overlay, and consoles.
const diskNeeded = 1 << 30

// enoughDisk says so before an hour of work ends for want of a byte.
func enoughDisk(dirs ...string) error {
	for _, dir := range append(dirs, os.TempDir(), "/nix/store") {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) != nil {
			continue
		}
		if free := int64(st.Bavail) * st.Bsize; free < diskNeeded {
			return fmt.Errorf("no disk space: %s has %d MiB free, %d are needed; 'nix-store --gc' frees what no check uses", dir, free>>20, diskNeeded>>20)
		}
	}
	return nil
}

// show prints a report: the document for programs, else what a person reads.
func show(e *env, rep *checks.Report, dir string, asJSON bool) error {
	if asJSON {
		return report.Encode(e.Stdout, rep)
	}
	width := terminalWidth(e.Stdout)
	return report.Terminal(e.Stdout, rep, report.TerminalOptions{
		Colour: width > 0 && e.Getenv("NO_COLOR") == "", Width: width, Dir: dir,
	})
}

// conclude ends the process with a conclusion's exit code.
func conclude(c checks.Conclusion) error {
	if code := c.ExitCode(); code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// terminalWidth is the width of a terminal, zero for anything else.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// interrupted says in a word that the user stopped it, instead of whatever error
// that led to.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return couldNotLook(errors.New("interrupted; nothing was left behind"))
	}
	var exit *exitError
	if err != nil && !errors.As(err, &exit) {
		return couldNotLook(err)
	}
	return err
}

// savePlan keeps the plan beside the report.
func savePlan(dir string, plan *checks.Plan) error {
	return writePlan(filepath.Join(dir, "plan.json"), plan)
}

func writePlan(file string, plan *checks.Plan) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(report.Encode(f, plan), f.Close())
}

// versions are those of the tools that were used.
func (w *workspace) versions(ctx context.Context) map[string]string {
	out := map[string]string{"asterbot": version, "qemu": qemuVersion(ctx)}
	if v, err := w.nix.Version(ctx); err == nil {
		out["nix"] = v.String()
	}
	if sum := w.images[pipeline.Head].SHA256; sum != "" {
		out["kernel"] = sum
	}
	return out
}

// repro makes the commands that reproduce a failure: with Nix, and without where
// a system was built that can be booted by itself.
func (w *workspace) repro(out string) func(r *checks.Result, system string) []string {
	return func(r *checks.Result, system string) []string {
		with := fmt.Sprintf("bot check --base %.12s --head %.12s --only %s --again all", w.change.Base, w.change.Head, suite.Quote([]string{r.Subject}))
		if w.Kernel != "" {
			with += " --kernel " + suite.Quote([]string{w.Kernel})
		}
		if w.Profile != "" {
			with += " --profile " + suite.Quote([]string{w.Profile})
		}
		cmds := []string{with}
		if r.Kind == checks.KindBuild && r.Of == distro.KindPackage {
			cmds = append(cmds, fmt.Sprintf("bot shell %s --at head --base %.12s --head %.12s", suite.Quote([]string{r.Subject}), w.change.Base, w.change.Head))
		}
		if r.Of == distro.KindSuite && system != "" && (r.Kind == checks.KindTest || r.Kind == checks.KindBoot) {
			cmds = append(cmds, w.vmCommand(out, r, system))
		}
		return cmds
	}
}
