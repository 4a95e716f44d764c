package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro/drift"
)

// driftCommand checks overlays against another package set.
func driftCommand(e *env) *cobra.Command {
	var nixpkgs, overlays, format string
	var sources []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "drift --nixpkgs REV|PATH",
		Short: "What of the overlays another nixpkgs makes stale",
		Long: `Look at every package the overlays change, on another nixpkgs: which patches still
apply, which overridden version is behind, which override changes nothing any
more and can go.

PATH is a folder with nixpkgs; REV is a commit, branch or tag of it, which is fetched. Sources of
patched packages are fetched and unpacked, nothing is built. Where a source
cannot be had, --source names a folder or an archive to take instead.

Exit status: 0 nothing to do, 1 something to do, 3 something could not be looked at.`,
		Example: "  bot drift --nixpkgs nixos-25.05\n  bot drift --nixpkgs ~/nixpkgs --source runc=~/runc-1.2.6.tar.gz --format markdown",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if nixpkgs == "" {
				return usage("say which nixpkgs: --nixpkgs REV or --nixpkgs PATH")
			}
			if asJSON {
				format = "json"
			}
			render, ok := driftFormats[format]
			if !ok {
				return usage("--format is text, json or markdown, not %q", format)
			}
			check := drift.Check{Nixpkgs: nixpkgs, Root: e.Dir, Overlays: e.path(overlays), Sources: map[string]string{},
				// A machine without the build users' group, of a single root, builds all the same.
				Options: []string{"--option", "build-users-group", ""}}
			// A folder of that name goes before a revision.
			if info, err := os.Stat(e.path(nixpkgs)); err == nil && info.IsDir() {
				check.Nixpkgs = e.path(nixpkgs)
			} else if strings.ContainsRune(nixpkgs, filepath.Separator) {
				return usage("read package set: %s is not a folder", nixpkgs)
			}
			if !isFile(filepath.Join(check.Overlays, "default.nix")) {
				return usage("there is no default.nix with overlays in %s; name the folder with --overlays", overlays)
			}
			for _, s := range sources {
				name, file, ok := strings.Cut(s, "=")
				if !ok || name == "" || file == "" {
					return usage("--source is PACKAGE=FILE, not %q", s)
				}
				check.Sources[name] = e.path(file)
			}
			r, err := check.Run(c.Context())
			if err != nil {
				return couldNotLook(err)
			}
			r.Nixpkgs = nixpkgs
			if err := render(e.Stdout, r); err != nil {
				return couldNotLook(fmt.Errorf("write the report: %w", err))
			}
			switch {
			case r.Drifted():
				return &exitError{code: checks.Failure.ExitCode()}
			case !r.Looked():
				return &exitError{code: checks.Errored.ExitCode()}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&nixpkgs, "nixpkgs", "", "the package set: a `folder`, or a revision that is fetched")
	f.StringVar(&overlays, "overlays", "distro/asternixos/overlays", "the `folder` whose default.nix lists the overlays")
	f.StringArrayVar(&sources, "source", nil, "take `PACKAGE=FILE` as a package's source (repeatable)")
	f.StringVar(&format, "format", "text", "text, json or markdown")
	f.BoolVar(&asJSON, "json", false, "the same as --format json")
	_ = c.RegisterFlagCompletionFunc("format", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return slices.Sorted(func(yield func(string) bool) {
			for name := range driftFormats {
				if !yield(name) {
					return
				}
			}
		}), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// driftFormats are the ways to write a drift report.
var driftFormats = map[string]func(io.Writer, drift.Report) error{
	"json":     drift.JSON,
	"markdown": drift.Markdown,
	"text":     drift.Text,
}
