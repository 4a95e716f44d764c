package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// runInteractive builds the system of a suite at head and hands the console of a
// machine that runs it over.
func runInteractive(ctx context.Context, e *env, s subject, name string) error {
	w, err := s.open(ctx, e)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer w.close()
	if err := w.setKernels(ctx); err != nil {
		return interrupted(ctx, err)
	}
	ref := pipeline.Ref{Kind: distro.KindSuite, Name: name}
	set, err := distribution{w}.Evaluate(ctx, pipeline.Head, []pipeline.Ref{ref})
	if err != nil {
		return interrupted(ctx, err)
	}
	attr, ok := set.Lookup(ref.Kind, ref.Name)
	switch {
	case !ok:
		return usage("there is no suite %q at head; 'bot plan --all' lists them", name)
	case attr.Failure != nil:
		return couldNotLook(fmt.Errorf("suite %s does not evaluate: %s", name, attr.Failure.Message))
	}
	fmt.Fprintf(e.Stderr, "building the system of %s\n", name)
	var built checks.Outcome
	b := builder{w: w, out: w.scratch, progress: pipeline.NoProgress{}}
	if err := b.Build(ctx, []pipeline.Want{{Side: pipeline.Head, Attr: attr}}, func(_ pipeline.Want, o checks.Outcome) { built = o }); err != nil {
		return interrupted(ctx, err)
	}
	if built.Status != checks.Pass {
		return couldNotLook(fmt.Errorf("the system of %s was not built: %s", name, built.Reason))
	}
	job := pipeline.Job{Side: pipeline.Head, Of: ref.Kind, Name: name, Output: attr.Outputs["out"]}
	if attr.Suite != nil {
		job.Suite = *attr.Suite
	}
	m := newMachines(w, settleOptions{}, w.scratch)
	machine, err := m.machine(job)
	if err != nil {
		return couldNotLook(err)
	}
	if machine.Accel, err = m.accel(); err != nil {
		return couldNotLook(err)
	}
	if in, ok := e.Stdin.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		// What is typed is for the guest alone, Ctrl-C included.
		old, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return couldNotLook(fmt.Errorf("use this terminal: %w", err))
		}
		defer func() { _ = term.Restore(int(in.Fd()), old) }()
		fmt.Fprint(e.Stderr, "power the guest off to leave: poweroff -f\r\n")
	}
	return interrupted(ctx, suite.Interactive(ctx, machine, e.Stdin, e.Stdout))
}
