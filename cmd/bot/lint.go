package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro/lint"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/proc"
)

// lintCommand applies the distribution's own rules to a checkout.
func lintCommand(e *env) *cobra.Command {
	var dir, nixpkgs, system, image string
	var lastSize int64
	var noEval, asJSON bool
	c := &cobra.Command{
		Use:   "lint [--dir DIR]",
		Short: "The distribution's own rules: packages, patches, pins, reasons",
		Long: `Check the rules a distribution's files must keep: every package of an overlay is
promised and has a case, every patch is used, every disabled service has a
reason, pins agree, nothing is imported from a derivation.

The current folder is the checkout. Exit status: 0 all rules hold, 1 some do not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in, err := lint.Read(os.DirFS(e.Dir), dir)
			if err != nil {
				return usage("%w; name the distribution's folder with --dir", err)
			}
			if !noEval {
				set := nixpkgs
				if set != "" {
					set = e.path(set)
				} else if set, err = tinypkgs.Extract(kernel.Cache(e.Getenv)); err != nil {
					return couldNotLook(fmt.Errorf("%w; or leave out the rules that need an evaluation with --no-eval", err))
				}
				drvs, err := nix.NewDrvs()
				if err != nil {
					return couldNotLook(err)
				}
				defer drvs.Remove()
				side, err := (&nix.Nix{}).Evaluate(c.Context(), nix.Evaluation{Root: e.Dir, Entry: e.path(dir + "/default.nix"), Nixpkgs: set, Drvs: drvs})
				if err != nil {
					return couldNotLook(err)
				}
				in.Set = side.Set
			}
			if system != "" {
				if in.Closure, err = closureFiles(c.Context(), e.path(system)); err != nil {
					return couldNotLook(err)
				}
			}
			if image != "" {
				if in.Size, err = closureSize(c.Context(), e.path(image)); err != nil {
					return couldNotLook(err)
				}
				in.LastSize = lastSize
			}
			found := []lint.Finding{}
			for _, r := range lint.Run(in) {
				found = append(found, r.Findings...)
				if !asJSON && r.Skipped != "" {
					fmt.Fprintf(e.Stderr, "not looked at: %s: %s\n", r.Rule.Name, r.Skipped)
				}
			}
			if asJSON {
				enc := json.NewEncoder(e.Stdout)
				enc.SetIndent("", "  ")
				err = enc.Encode(found)
			} else {
				for _, f := range found {
					if _, err = fmt.Fprintln(e.Stdout, f); err != nil {
						break
					}
				}
			}
			if err != nil {
				return couldNotLook(err)
			}
			if len(found) > 0 {
				return &exitError{code: checks.Failure.ExitCode()}
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "distro/asternixos", "the distribution's `folder`")
	c.Flags().StringVar(&nixpkgs, "nixpkgs", "", "the `folder` of the package set (default: the embedded one)")
	c.Flags().StringVar(&system, "system", "", "the store `path` of the installed system, whose closure is searched for Linux modules")
	c.Flags().StringVar(&image, "image", "", "the store `path` of the image, whose closure is measured")
	c.Flags().Int64Var(&lastSize, "last-size", 0, "the `bytes` of the image's closure at the last release")
	c.Flags().BoolVar(&noEval, "no-eval", false, "only the rules that need no evaluation")
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return c
}

// closure is everything a store path refers to, itself included.
func closure(ctx context.Context, path string) ([]string, error) {
	out, err := (&proc.Cmd{Path: "nix-store", Args: []string{"--query", "--requisites", path}, Env: os.Environ()}).Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the closure of %s: %w", path, err)
	}
	return strings.Fields(string(out)), nil
}

// closureFiles are all files of a closure. It is never nil.
func closureFiles(ctx context.Context, path string) ([]string, error) {
	paths, err := closure(ctx, path)
	if err != nil {
		return nil, err
	}
	files := []string{}
	for _, p := range paths {
		err := filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", p, err)
		}
	}
	return files, nil
}

// closureSize is the size of a closure in bytes, as Nix counts.
func closureSize(ctx context.Context, path string) (int64, error) {
	paths, err := closure(ctx, path)
	if err != nil {
		return 0, err
	}
	out, err := (&proc.Cmd{Path: "nix-store", Args: append([]string{"--query", "--size"}, paths...), Env: os.Environ()}).Output(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure the closure of %s: %w", path, err)
	}
	var total int64
	for _, field := range strings.Fields(string(out)) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("measure the closure of %s: %w", path, err)
		}
		total += n
	}
	return total, nil
}
