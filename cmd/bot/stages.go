package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/progress"
)

// stageOptions are the flags of the stages between plan and report.
type stageOptions struct {
	subject
	settleOptions
	Plan      string
	Shard     int
	FillCache string
}

func (o *stageOptions) flags(c *cobra.Command) {
	o.subject.flags(c)
	o.settleOptions.flags(c)
	c.Flags().StringVar(&o.Plan, "plan", "plan.json", "the `file` that 'bot plan --json' wrote")
	c.Flags().IntVar(&o.Shard, "shard", -1, "settle this `number` of the plan's shards, counted from 0 (default: all)")
	c.Flags().StringVar(&o.FillCache, "fill-cache", "", "copy what was built into this binary cache, a `URL` of Nix's; the variable ASTERBOT_CACHE_KEY holds the key to sign with")
	_ = c.MarkFlagFilename("plan", "json") // only fails for a flag that does not exist
}

func buildCommand(e *env) *cobra.Command {
	var o stageOptions
	c := &cobra.Command{
		Use:   "build",
		Short: "Build what a plan says, and leave the results",
		Long: `Settles the evaluations and builds of a plan, or of one shard of it, and leaves results.json and logs in the folder --out.
'bot boot' settles the rest and has these results too, remembered; 'bot report' puts results together.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runStage(c.Context(), e, o, true) },
	}
	o.flags(c)
	return c
}

func bootCommand(e *env) *cobra.Command {
	var o stageOptions
	var interactive string
	c := &cobra.Command{
		Use:   "boot",
		Short: "Boot what a plan says and run its tests, and leave the results",
		Long: `Settles all cases of a plan, or of one shard of it: builds what is not built, installs images, boots systems and runs their tests.
Leaves results.json and logs in the folder --out, for 'bot report'.

With --interactive it boots the system of one suite at head instead, and gives its console to you.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if interactive != "" {
				return runInteractive(c.Context(), e, o.subject, interactive)
			}
			return runStage(c.Context(), e, o, false)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&interactive, "interactive", "", "boot the system of this `suite` and hand its console over")
	return c
}

// runStage settles a plan, or a shard of it, and leaves results.json.
func runStage(ctx context.Context, e *env, o stageOptions, buildOnly bool) error {
	if o.FillCache != "" && (o.Untrusted || o.Fresh) {
		return usage("--fill-cache: a change that nobody has merged fills no cache that others read, and neither does a release")
	}
	plan, err := readPlan(e, o.Plan)
	if err != nil {
		return err
	}
	if o.Shard >= 0 {
		if plan, err = pipeline.Part(plan, o.Shard); err != nil {
			return usage("%w", err)
		}
	}
	w, err := o.open(ctx, e)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer w.close()
	if w.change.Base != plan.Change.Base || w.change.Merged != plan.Change.Merged {
		return usage("%s is about %.12s to %.12s, not about %.12s to %.12s: make it anew with 'bot plan', or name its commits with --base and --head",
			o.Plan, plan.Change.Base, plan.Change.Merged, w.change.Base, w.change.Merged)
	}
	if err := w.setKernels(ctx); err != nil {
		return interrupted(ctx, err)
	}
	out, unlock, err := openOut(e, o.Out)
	if err != nil {
		return err
	}
	defer unlock()
	screen := progress.New(e.Stderr, terminalWidth(e.Stderr))
	results, settleErr := w.settle(ctx, e, o.settleOptions, out, plan, screen, buildOnly)
	screen.Close()
	if results == nil {
		return interrupted(ctx, settleErr)
	}
	results.Headline = fmt.Sprintf("%d of %d cases settled", settled(results), len(plan.Cases))
	if err := saveResults(out, results); err != nil {
		return couldNotLook(err)
	}
	if o.FillCache != "" && settleErr == nil {
		if err := w.fillCache(ctx, e, o.FillCache); err != nil {
			// What was found out holds all the same.
			fmt.Fprintln(e.Stderr, "bot: "+err.Error())
		}
	}
	fmt.Fprintf(e.Stdout, "%s; results in %s\n", results.Headline, filepath.Join(out, "results.json"))
	if settleErr != nil {
		return interrupted(ctx, settleErr)
	}
	return conclude(checks.Conclude(results.Cases))
}

func settled(r *checks.Results) (n int) {
	for _, c := range r.Cases {
		if c.Now != checks.Error {
			n++
		}
	}
	return n
}

func readPlan(e *env, name string) (*checks.Plan, error) {
	f, err := os.Open(e.path(name))
	if err != nil {
		return nil, usage("read the plan: %w; 'bot plan --json' makes one", err)
	}
	defer f.Close()
	plan, err := report.DecodePlan(f)
	if err != nil {
		return nil, usage("%w", err)
	}
	return plan, nil
}

func saveResults(dir string, r *checks.Results) error {
	f, err := os.Create(filepath.Join(dir, "results.json"))
	if err != nil {
		return fmt.Errorf("leave the results: %w", err)
	}
	return errors.Join(report.Encode(f, r), f.Close())
}
