package main

import (
	"context"
	"fmt"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// ownKernels builds the kernels that the entry itself makes, where what they are made from
// changed: two that come out alike, byte for byte, are one kernel, and there is nothing to
// boot. What cannot be built is left to the cases that boot it, which say why.
func (w *workspace) ownKernels(ctx context.Context, diff *distro.Diff) error {
	if diff == nil || diff.Kernel == nil || diff.Kernel.Status != distro.StatusRebuilt || len(w.hashes) > 0 || w.images[pipeline.Head].SHA256 != "" {
		return nil
	}
	hashes := map[pipeline.Side]string{}
	for _, s := range sides {
		sum, err := w.ownKernel(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.notes = append(w.notes, fmt.Sprintf("the kernel of %s could not be compared: %v", s, err))
			return nil
		}
		hashes[s] = sum
	}
	w.hashes = hashes
	return nil
}

// ownKernel builds the kernel that a side's entry makes, and returns the hash of the image.
func (w *workspace) ownKernel(ctx context.Context, s pipeline.Side) (string, error) {
	e, err := w.evaluation(s)
	if err != nil {
		return "", err
	}
	ref := nix.Ref{Kind: distro.KindKernel, Name: "kernel"}
	e.OwnKernel, e.Only = true, []nix.Ref{ref}
	w.allowImports(&e)
	got, err := w.nix.Evaluate(ctx, e)
	if err != nil {
		return "", err
	}
	a, ok := got.Set.Lookup(ref.Kind, ref.Name)
	switch {
	case !ok:
		return "", fmt.Errorf("it has none")
	case a.Failure != nil:
		return "", fmt.Errorf("it does not evaluate: %s", a.Failure.Message)
	case a.Drv != "":
		job := w.buildJob()
		job.Targets = []nix.Target{{Drv: a.Drv, Outputs: []string{a.Outputs["out"]}}}
		var built nix.Built
		if err := w.nix.Realise(ctx, job, func(r nix.Built) { built = r }); err != nil {
			return "", err
		}
		if built.Kind != nix.BuildOK {
			return "", fmt.Errorf("it does not build: %s", built.Message)
		}
	}
	image, err := kernel.Open(a.Outputs["out"], "")
	return image.SHA256, err
}
