package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/distro/sample"
	"github.com/asterinas/asterbot/internal/kernel"
)

// demoCommand creates the sample repository and checks one of its pull requests.
func demoCommand(e *env) *cobra.Command {
	var list, asJSON, onlyCreate bool
	var change, dir, out string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Check a pull request of a sample distribution, for real",
		Long: `Create a git repository with a small distribution and a set of pull requests, each a branch, and check one of them
the way 'bot check' does: evaluate, build, install, boot, compare with base and with a control kernel.

Without --change it is a pull request that has something of everything. It needs what 'bot doctor' lists, no network, and takes
some three minutes on two cores without KVM; what is known already is not run again.`,
		Example: `  bot demo
  bot demo --list
  bot demo --change kernel-parameter
  bot demo --only-create --dir sample && cd sample && bot check --base main --head everything`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			changes := sample.Changes()
			if list {
				return listChanges(e, changes, asJSON)
			}
			if !slices.ContainsFunc(changes, func(s sample.Change) bool { return s.Name == change }) {
				return usage("the sample repository has no pull request %q; 'bot demo --list' shows what it has", change)
			}
			switch {
			case dir == "":
				// Beside others of its kind, so that an older version's repository is not in the way.
				dir = filepath.Join(kernel.Cache(e.Getenv), "sample", sample.Digest())
			case !filepath.IsAbs(dir):
				dir = filepath.Join(e.Dir, dir)
			}
			if err := sample.Create(c.Context(), dir); err != nil {
				if errors.Is(err, sample.ErrOccupied) {
					return usage("%w; choose another folder with --dir", err)
				}
				return couldNotLook(err)
			}
			if onlyCreate {
				fmt.Fprintf(e.Stdout, "%s\n", dir)
				fmt.Fprintf(e.Stderr, "branch %s and %d pull requests; check one with: bot check --repo %s --base %s --head %s\n", sample.Base, len(changes), dir, sample.Base, change)
				return nil
			}
			return checkSubject(c.Context(), e, subject{Repo: dir, Base: sample.Base, Head: change}, out, asJSON)
		},
	}
	f := c.Flags()
	f.BoolVar(&list, "list", false, "list the pull requests and what each is for")
	f.BoolVar(&asJSON, "json", false, "print JSON: the list, or the report")
	f.StringVar(&change, "change", sample.Changes()[0].Name, "the pull request to check, by `name`")
	f.StringVar(&dir, "dir", "", "the `folder` where the repository goes (default: in the cache)")
	f.StringVar(&out, "out", "asterbot-out", "the `folder` for the report")
	f.BoolVar(&onlyCreate, "only-create", false, "create the repository, print where it is, and check nothing")
	_ = c.MarkFlagDirname("dir") // only fails for a flag that does not exist
	_ = c.MarkFlagDirname("out")
	_ = c.RegisterFlagCompletionFunc("change", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, s := range sample.Changes() {
			names = append(names, s.Name+"\t"+s.Title)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// listChanges prints the pull requests of the sample repository.
func listChanges(e *env, changes []sample.Change, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(e.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(changes)
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range changes {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Title)
	}
	return w.Flush()
}
