package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// distribution is pipeline.Distribution on a workspace: what is to be built and
// booted, evaluated with the kernel of its side.
type distribution struct{ w *workspace }

func (d distribution) Evaluate(ctx context.Context, side pipeline.Side, refs []pipeline.Ref) (*distro.Set, error) {
	e, err := d.w.evaluation(side)
	if missing := (*noEntryError)(nil); errors.As(err, &missing) && side == pipeline.Base {
		return &distro.Set{}, nil // there was no distribution yet
	}
	if err != nil {
		return nil, err
	}
	if side == pipeline.Base && d.w.lacks(side) {
		return nil, errors.New("its kernel was not built")
	}
	d.w.allowImports(&e)
	if k := d.w.kernels[side]; k != nil {
		e.Kernel = k
	} else if !d.w.lacks(side) { // of what lacks its kernel, only packages are evaluated
		e.OwnKernel = true
	}
	for _, r := range refs {
		e.Only = append(e.Only, nix.Ref{Kind: r.Kind, Name: r.Name})
	}
	got, err := d.w.nix.Evaluate(ctx, e)
	if err != nil {
		return nil, err
	}
	if side == pipeline.Head {
		for _, a := range got.Set.Attrs {
			if a.Suite == nil {
				continue
			}
			for _, c := range a.Suite.Cases {
				d.w.specs[checks.Case{Kind: checks.KindTest, Of: a.Kind, Subject: a.Name, Name: c.Name}] = c
			}
		}
	}
	return got.Set, nil
}

// allowImports has an evaluation write to the store, and build what the attributes import
// that the configuration allows it, of code that is trusted.
func (w *workspace) allowImports(e *nix.Evaluation) {
	e.Write = true
	if w.importing() {
		e.MayImport = func(r nix.Ref) bool { return w.config.Trust.MayImport(r.Name) }
		e.Imports = w.buildJob()
	}
}

// buildJob is what all builds have in common.
func (w *workspace) buildJob() nix.Build {
	l := w.config.Limits
	return nix.Build{
		Timeout: time.Duration(l.BuildTime), Silence: time.Duration(l.BuildSilence), LogBytes: int64(l.BuildLog) << 20,
		Untrusted: w.Untrusted, Options: w.buildOptions(),
	}
}

// importing reports whether anything may build while it is evaluated.
func (w *workspace) importing() bool {
	return !w.Untrusted && len(w.config.Trust.ImportFromDerivation) > 0
}

// evaluation is what the evaluations of a side have in common.
func (w *workspace) evaluation(side pipeline.Side) (nix.Evaluation, error) {
	entry, err := w.entry(side)
	if err != nil {
		return nix.Evaluation{}, err
	}
	e := nix.Evaluation{
		Root: w.trees[side], Entry: entry, Nixpkgs: w.nixpkgs, Profile: w.profileName(), Reads: w.config.Reads,
		Limits: nix.Limits{Time: time.Duration(w.config.Limits.EvalTime), Memory: uint64(w.config.Limits.EvalMemory) << 20},
	}
	if e.Nixpkgs != "" {
		e.Allowed = append(e.Allowed, nix.References(e.Nixpkgs)...)
	}
	if e.Nixpkgs == "" {
		e.Nixpkgs = w.pinned[side]
	}
	if p := w.config.Nixpkgs.Path; e.Nixpkgs == "" && p != "" {
		e.Nixpkgs = filepath.Join(w.trees[side], p)
	}
	return e, nil
}

// buildOptions are Nix's settings for the package set in use, "name=value".
func (w *workspace) buildOptions() []string {
	var out []string
	args := tinypkgs.NixOptions(w.nixpkgs)
	for i := 0; i+2 < len(args); i++ {
		if args[i] == "--option" {
			out = append(out, args[i+1]+"="+args[i+2])
		}
	}
	if s := w.config.Trust.Substituters; len(s) > 0 && !w.Fresh {
		out = append(out, "substituters="+strings.Join(s, " "), "trusted-public-keys="+strings.Join(w.config.Trust.PublicKeys, " "))
	}
	return out
}

// builder is pipeline.Builder with Nix.
type builder struct {
	w *workspace
	// out is the report's folder: logs go to logs/build/SIDE below it.
	out      string
	progress pipeline.Progress
}

func (b builder) Build(ctx context.Context, wants []pipeline.Want, done func(pipeline.Want, checks.Outcome)) error {
	if len(wants) == 0 {
		return nil
	}
	job := b.w.buildJob()
	job.LogDir = filepath.Join(b.out, "logs", "build", string(wants[0].Side))
	job.Building = func(drv string) { b.progress.Note("building " + derivationName(drv)) }
	// Two attributes may be the same derivation.
	byDrv := map[string][]pipeline.Want{}
	for _, want := range wants {
		drv := want.Attr.Drv
		if drv == "" {
			continue
		}
		if byDrv[drv] == nil {
			t := nix.Target{Drv: drv}
			for _, p := range want.Attr.Outputs {
				t.Outputs = append(t.Outputs, p)
			}
			job.Targets = append(job.Targets, t)
		}
		byDrv[drv] = append(byDrv[drv], want)
	}
	return b.w.nix.Realise(ctx, job, func(r nix.Built) {
		o := b.outcome(r)
		if o.Status == checks.Pass && wants[0].Side == pipeline.Head {
			for _, want := range byDrv[r.Drv] {
				for _, p := range want.Attr.Outputs {
					b.w.keep(p)
				}
			}
		}
		for _, want := range byDrv[r.Drv] {
			done(want, o)
		}
	})
}

// outcome says what a build means: whose failure it is, and in one sentence why.
func (b builder) outcome(r nix.Built) checks.Outcome {
	o := checks.Outcome{Status: checks.Pass, Stage: "build", Seconds: r.Seconds, Attempts: 1, Passes: 1, Tail: r.Tail}
	if rel, err := filepath.Rel(b.out, r.Log); err == nil && r.Log != "" {
		o.Log = filepath.ToSlash(rel)
	}
	if r.Kind == nix.BuildOK {
		o.Tail = nil
		return o
	}
	o.Passes = 0
	o.Status = checks.Fail
	kind, of := r.Kind, ""
	if kind == nix.BuildDependency {
		kind, of = r.Cause, derivationName(r.Of)
	}
	switch kind {
	case nix.BuildTimeout:
		o.Reason = "its build ran out of time"
		o.TimedOut = true
	case nix.BuildHashMismatch:
		o.Reason = "what it fetches does not have the hash it names"
	case nix.BuildNotDeterministic:
		o.Reason = "built twice it is not the same"
	case nix.BuildInfra:
		o.Status, o.Infra = checks.Error, true
		o.Reason = "it could not be built here: " + shortMessage(r.Message)
	default:
		o.Reason = "its builder failed"
		if line := lastSaid(r.Tail); line != "" {
			o.Reason += ": " + line
		}
	}
	if of != "" {
		o.Reason = fmt.Sprintf("%s, which it needs, was not built: %s", of, o.Reason)
	}
	o.Title = o.Reason
	return o
}

// lastSaid is the line of a failed build's log that says most: the last one that
// is about an error, else the last one.
func lastSaid(tail []string) string {
	var last string
	for _, line := range tail {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
	}
	for i := len(tail) - 1; i >= 0; i-- {
		l := strings.ToLower(tail[i])
		if strings.Contains(l, "error") || strings.Contains(l, "fatal") || strings.Contains(l, "failed") || strings.Contains(l, "not found") {
			return shortMessage(strings.TrimSpace(tail[i]))
		}
	}
	return shortMessage(last)
}

func shortMessage(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// derivationName is what a person calls a derivation: its store path without folder,
// hash and suffix.
func derivationName(drv string) string {
	_, name, ok := strings.Cut(filepath.Base(drv), "-")
	if !ok {
		return drv
	}
	return strings.TrimSuffix(name, ".drv")
}
