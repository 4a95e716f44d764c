package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/release"
)

var storeHash = regexp.MustCompile(`^[0-9a-df-np-sv-z]{32}-`)

func releaseImagesCommand(e *env) *cobra.Command {
	var s subject
	var out string
	c := &cobra.Command{
		Use:   "images",
		Short: "Build the images of a release twice, and compare them byte for byte",
		Long: `Builds the images that the configuration says a release publishes, with the same kernel that a check of --head tests, builds each a second time and compares.
The folder --out gets NAME/FILE.iso, and NAME.again where the second build was the same or NAME.differs with what Nix says of the difference.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runReleaseImages(c.Context(), e, s, out) },
	}
	s.flags(c)
	c.Flags().StringVar(&out, "out", "release-images", "the `folder` for the images")
	return c
}

func runReleaseImages(ctx context.Context, e *env, s subject, out string) error {
	w, err := s.open(ctx, e)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer w.close()
	if err := w.export(ctx); err != nil {
		return interrupted(ctx, err)
	}
	if err := w.setKernels(ctx); err != nil {
		return interrupted(ctx, err)
	}
	var refs []pipeline.Ref
	for _, name := range w.config.Release.Images {
		refs = append(refs, pipeline.Ref{Kind: distro.KindImage, Name: name})
	}
	set, err := distribution{w}.Evaluate(ctx, pipeline.Head, refs)
	if err != nil {
		return couldNotLook(err)
	}
	for _, r := range refs {
		a, ok := set.Lookup(r.Kind, r.Name)
		if !ok {
			return usage("release.images names %s, and the entry has no such image", r.Name)
		}
		if a.Failure != nil {
			return &exitError{code: 1, err: fmt.Errorf("image %s does not evaluate: %s", r.Name, a.Failure.Message)}
		}
		if err := w.releaseImage(ctx, e, a, e.path(out)); err != nil {
			return err
		}
	}
	return nil
}

func (w *workspace) releaseImage(ctx context.Context, e *env, a distro.Attr, out string) error {
	job := nix.Build{Options: w.buildOptions(), Targets: []nix.Target{{Drv: a.Drv, Outputs: slices.Sorted(maps.Values(a.Outputs))}}}
	var built nix.Built
	if err := w.nix.Realise(ctx, job, func(b nix.Built) { built = b }); err != nil {
		return couldNotLook(err)
	}
	if built.Kind != nix.BuildOK {
		return &exitError{code: 1, err: fmt.Errorf("image %s does not build: %s", a.Name, built.Message)}
	}
	file, err := imageFile(a.Outputs["out"])
	if err != nil {
		return err
	}
	// A store path's hash is nothing to put into a file name that people download.
	to := filepath.Join(out, a.Name, storeHash.ReplaceAllString(filepath.Base(file), ""))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return couldNotLook(err)
	}
	if err := copyImage(file, to); err != nil {
		return couldNotLook(err)
	}
	sum, size, err := release.Sum(to)
	if err != nil {
		return couldNotLook(err)
	}
	same, difference, err := w.nix.Again(ctx, a.Drv, nix.Build{Options: w.buildOptions()})
	if err != nil {
		return couldNotLook(err)
	}
	name, text := a.Name+".again", sum+"\n"
	if !same {
		name, text = a.Name+".differs", difference+"\n"
	}
	if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
		return couldNotLook(err)
	}
	if same {
		fmt.Fprintf(e.Stdout, "%s: %d bytes, SHA-256 %s; a second build gave the same\n", to, size, sum)
	} else {
		fmt.Fprintf(e.Stdout, "%s: %d bytes, SHA-256 %s; a second build differs: %s\n", to, size, sum, difference)
	}
	return nil
}

func copyImage(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
