package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/memo"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/progress"
)

// planOptions are the flags of bot plan.
type planOptions struct {
	subject
	Format string
	JSON   bool
	All    bool
}

func planCommand(e *env) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a change affects, and why",
		Long: `Evaluates the distribution before and after a change and says which packages, images and suites differ, which file and line did it, and what there is to run.
Nothing is built or booted, and nothing is written to the Nix store, but for what trust.import-from-derivation allows.

Exit codes: 0 the plan is complete, 2 usage or configuration, 3 could not look.`,
		Example: `  bot plan                          # HEAD against the main branch
  bot plan --base v1 --head main --json
  bot plan --repo ~/asterinas --config examples/asterinas/asterbot.yml --nixpkgs ~/nixpkgs`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPlan(c.Context(), e, o) },
	}
	o.subject.flags(c)
	c.Flags().StringVar(&o.Format, "format", "text", "what to print: `text`, json, or matrix (shards for GitHub Actions)")
	c.Flags().BoolVar(&o.JSON, "json", false, "the same as --format json")
	c.Flags().BoolVar(&o.All, "all", false, "plan what did not change as well, and mass rebuilds in full")
	return c
}

func runPlan(ctx context.Context, e *env, o planOptions) error {
	if o.JSON {
		o.Format = "json"
	}
	if !slices.Contains([]string{"text", "json", "matrix"}, o.Format) {
		return usage("--format is %q: it can be text, json or matrix", o.Format)
	}
	w, err := o.subject.look(ctx, e)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer w.close()
	if o.Kernel != "" || o.BuildKernel {
		if err := w.setTested(ctx); err != nil {
			return interrupted(ctx, err)
		}
	}
	screen := progress.New(e.Stderr, terminalWidth(e.Stderr))
	plan, err := w.affected(ctx, o.All, false)
	screen.Close()
	if err != nil {
		return interrupted(ctx, err)
	}
	switch o.Format {
	case "json":
		return report.Encode(e.Stdout, plan)
	case "matrix":
		return json.NewEncoder(e.Stdout).Encode(map[string]any{"include": pipeline.Shards(plan)})
	}
	width := terminalWidth(e.Stdout)
	return report.PlanTerminal(e.Stdout, plan, report.TerminalOptions{Colour: width > 0 && e.Getenv("NO_COLOR") == "", Width: width})
}

// plan is the plan of a check, which knows its kernels.
func (w *workspace) plan(ctx context.Context, all bool) (*checks.Plan, error) {
	if err := w.setKernels(ctx); err != nil {
		return nil, err
	}
	plan, err := w.affected(ctx, all, true)
	if err == nil {
		w.settleKernel(plan)
	}
	return plan, err
}

// affected finds out what the change affects, and plans it. With build it may
// build the kernels that the entry makes.
func (w *workspace) affected(ctx context.Context, all, build bool) (*checks.Plan, error) {
	began := time.Now()
	in := pipeline.Affected{
		Change: w.change, ScopeOf: w.config.ScopeOf, Smoke: w.config.Smoke, MaxRebuilds: w.config.Budget.MaxRebuilds,
		All: all, Only: w.Only, Notes: w.notes, Base: &distro.Set{}, Head: &distro.Set{}, Stats: &checks.Stats{},
	}
	for _, s := range w.config.Suites {
		c := pipeline.CommandSuite{Name: s.Name, Owner: s.Owner}
		if len(s.Paths) > 0 {
			c.Match = s.Paths.Match
		}
		in.Commands = append(in.Commands, c)
	}
	c := &comparison{w: w, stats: in.Stats}
	defer c.close()
	if err := c.run(ctx, all || w.kernelInputs() != nil); err != nil {
		return nil, err
	}
	in.Diff, in.Notes = c.diff, append(in.Notes, c.notes...)
	w.sets = map[pipeline.Side]*distro.Set{pipeline.Base: c.base, pipeline.Head: c.head}
	if c.base != nil {
		in.Base = c.base
	}
	if c.head != nil {
		in.Head = c.head
	}
	if build {
		if err := w.ownKernels(ctx, c.diff); err != nil {
			return nil, err
		}
	}
	in.Kernel = w.kernelPlan(c.diff, sameParameters(in.Base, in.Head))
	took := &memo.Store{Dir: filepath.Join(w.cache, "memo")}
	in.Took = func(c checks.Case) float64 {
		o, _ := took.Load(pipeline.DurationKey(c))
		return o.Seconds
	}
	in.Stats.Seconds = time.Since(began).Seconds()
	plan := pipeline.MakePlan(in)
	if err := w.settleRules(ctx, plan, c.diff != nil || all); err != nil {
		return nil, err
	}
	return plan, nil
}

// kernelInputs are the changed files that the kernel is made of.
func (w *workspace) kernelInputs() []string {
	var out []string
	for _, f := range w.change.Files {
		if w.config.ScopeOf(f) == distro.ScopeKernel {
			out = append(out, f)
		}
	}
	return out
}

// sameParameters reports whether the entries' own kernels are used alike: parameters, initial RAM
// disk and the like.
func sameParameters(base, head *distro.Set) bool {
	was, _ := base.Lookup(distro.KindKernel, "kernel")
	is, _ := head.Lookup(distro.KindKernel, "kernel")
	return was.Meta.Hash == is.Meta.Hash
}

// kernelPlan says what the change does to the kernel under test. alike: the
// entries' own kernels have the same parameters.
func (w *workspace) kernelPlan(diff *distro.Diff, alike bool) checks.KernelPlan {
	inputs := w.kernelInputs()
	base, head := w.images[pipeline.Base], w.images[pipeline.Head]
	k := checks.KernelPlan{Base: base.SHA256, Head: head.SHA256}
	which := ""
	if len(inputs) > 0 {
		which = fmt.Sprintf("%d of its inputs changed (%s)", len(inputs), someOf(inputs, 3))
	}
	own := diff != nil && diff.Kernel != nil
	switch {
	case w.Kernel != "" && w.BaseKernel == "":
		// One image was handed in for both sides: nobody knows base's.
		k.Base = ""
		k.Status, k.Why = pipeline.KernelUnchanged, "an image was handed in, and both sides boot it"
		if len(inputs) > 0 {
			k.Status, k.Why = pipeline.KernelChanged, which+"; the image that was handed in is booted"
		}
	case head.SHA256 != "" && base.SHA256 == head.SHA256:
		k.Status, k.Why = pipeline.KernelUnchanged, "the image is what it was"
		if len(inputs) > 0 {
			k.Status, k.Why = pipeline.KernelIdentical, which+", and the image is the same, byte for byte"
		}
	case head.SHA256 != "":
		k.Status, k.Why = pipeline.KernelChanged, "its image is another one"
		if which != "" {
			k.Why = which + ", and its image is another one"
		}
	case own && diff.Kernel.Failure != nil:
		k.Status, k.Why = pipeline.KernelUnknown, "it does not evaluate"
	case own && len(w.hashes) > 0:
		k.Base, k.Head = w.hashes[pipeline.Base], w.hashes[pipeline.Head]
		switch {
		case k.Base != k.Head:
			k.Status, k.Why = pipeline.KernelChanged, "what it is made from changed, and its image is another one"
		case !alike:
			k.Status, k.Why = pipeline.KernelChanged, "its image is the same, and its parameters changed"
		default:
			k.Status, k.Why = pipeline.KernelIdentical, "what it is made from changed, and the image is the same, byte for byte"
		}
	case own:
		k.Status, k.Why = pipeline.KernelUnknown, "what it is made from changed; it is not built yet"
		if diff.Kernel.Status == distro.StatusMeta {
			k.Status, k.Why = pipeline.KernelChanged, "its parameters changed"
		}
		if len(inputs) > 0 {
			k.Why += " (" + someOf(inputs, 3) + ")"
		}
	case len(inputs) > 0 && w.config.Kernel.Build != nil:
		k.Status, k.Why = pipeline.KernelUnknown, which+"; it is not built yet"
	case len(inputs) > 0:
		k.Status, k.Why = pipeline.KernelIdentical, which+", and its derivation is what it was"
	default:
		k.Status, k.Why = pipeline.KernelUnchanged, "none of its inputs changed"
	}
	return k
}

func someOf(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], ", "), len(words)-n)
}
