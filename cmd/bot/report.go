package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/site"
)

// reportCommand is the last stage: it puts a plan and the results that came
// back for it together, or makes the compatibility site of reports.
func reportCommand(e *env) *cobra.Command {
	var planFile, out, siteDir string
	var baselines []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "report [--plan plan.json] --out DIR RESULTS...",
		Short: "Put results together and write the report; or make a site of reports",
		Long: `Put the results of a plan together, judge them and write the report.

RESULTS are results.json files, or folders with them anywhere below. A case of
the plan without a result is an error, so that nothing is green because nobody
looked. What the results refer to, logs and screenshots, is copied into the
report's folder.

With --site, the arguments are report.json files, or folders that hold one:
they become a static compatibility site that says for every package whether it
works, since when, and what holds it back.`,
		Example: "  bot report --plan plan.json --out out shards/\n  bot report --site public reports/*/report.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if siteDir != "" {
				return makeSite(e, e.path(siteDir), e.paths(args))
			}
			if planFile == "" || out == "" {
				return usage("say which plan the results belong to and where the report goes: --plan plan.json --out DIR (or --site DIR)")
			}
			r, err := assemble(e.path(planFile), e.path(out), e.paths(baselines), e.paths(args))
			if err != nil {
				return err
			}
			if err := report.Write(e.path(out), r); err != nil {
				return couldNotLook(err)
			}
			if err := show(e, r, out, asJSON); err != nil {
				return err
			}
			return conclude(r.Conclusion)
		},
	}
	c.Flags().StringVar(&planFile, "plan", "", "the `file` that 'bot plan --json' wrote")
	c.Flags().StringVar(&out, "out", "", "the `folder` for report.html, report.md, report.json, junit.xml and logs")
	c.Flags().StringArrayVar(&baselines, "baseline", nil, "a results.json or report.json `file` of an earlier run, which says how things were where base is not known (repeatable)")
	c.Flags().BoolVar(&asJSON, "json", false, "print report.json instead of the report")
	c.Flags().StringVar(&siteDir, "site", "", "make a compatibility site in this `folder` of the reports given")
	return c
}

// path makes a path of the command line absolute.
func (e *env) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(e.Dir, p)
}

func (e *env) paths(list []string) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = e.path(p)
	}
	return out
}

// assemble reads the documents and puts them together.
func assemble(planFile, out string, baselines, args []string) (*checks.Report, error) {
	plan, err := readDocument(planFile, report.DecodePlan)
	if err != nil {
		return nil, err
	}
	files, err := documents(args, "results.json")
	if err != nil {
		return nil, err
	}
	var earlier []checks.Result
	for _, file := range baselines {
		cases, err := readCases(file)
		if err != nil {
			return nil, err
		}
		earlier = append(earlier, cases...)
	}
	var results []*checks.Results
	for i, file := range files {
		rs, err := readDocument(file, report.DecodeResults)
		if err != nil {
			return nil, err
		}
		if err := adopt(rs, filepath.Dir(file), out, fmt.Sprintf("logs/part-%d", i+1)); err != nil {
			return nil, couldNotLook(err)
		}
		checks.Against(rs.Cases, earlier)
		results = append(results, rs)
	}
	r, err := checks.Assemble(plan, results)
	if err != nil {
		return nil, usage("%w", err)
	}
	applyKnown(r)
	return r, nil
}

// readDocument decodes a file; one that is not as it should be is wrong usage.
func readDocument[D any](file string, decode func(io.Reader) (D, error)) (doc D, err error) {
	f, err := os.Open(file)
	if err != nil {
		return doc, usage("read document: %w", err)
	}
	defer f.Close()
	if doc, err = decode(f); err != nil {
		return doc, usage("%s: %w", file, err)
	}
	return doc, nil
}

// readCases reads the cases of results or of a whole report.
func readCases(file string) ([]checks.Result, error) {
	rs, err := readDocument(file, report.DecodeResults)
	if err == nil {
		return rs.Cases, nil
	}
	var decode *report.DecodeError
	if !errors.As(err, &decode) || decode.Path != "schema" {
		return nil, err
	}
	r, err := readDocument(file, report.DecodeReport)
	if err != nil {
		return nil, err
	}
	return r.Cases, nil
}

// documents finds the files named, and those of a name in the folders named.
func documents(args []string, name string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, usage("read documents: %w", err)
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && d.Name() == name {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return nil, usage("read documents: %w", err)
		}
		if len(files) == before {
			return nil, usage("there is no %s in %s", name, arg)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// maxAdopted bounds a file that is copied into the report.
const maxAdopted = 64 << 20

// adopt copies the files that results refer to from their folder into the
// report's, below a prefix, and makes them refer to the copies. What is not
// there, is not a plain file or is too large is no longer referred to.
func adopt(rs *checks.Results, from, out, prefix string) error {
	if from == out {
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	source, err := os.OpenRoot(from) // nothing leads out of it: results are artifacts
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenRoot(out)
	if err != nil {
		return err
	}
	defer target.Close()
	var failed error
	move := func(p *string) {
		if *p == "" || failed != nil {
			return
		}
		to := path.Join(prefix, *p)
		ok, err := copyFile(source, *p, target, to)
		if failed = err; !ok {
			to = ""
		}
		*p = to
	}
	for i := range rs.Cases {
		move(&rs.Cases[i].Log)
		move(&rs.Cases[i].Image)
	}
	for i := range rs.Machines {
		m := &rs.Machines[i]
		for device, p := range m.Consoles {
			move(&p)
			m.Consoles[device] = p
		}
		for j := range m.Screenshots {
			move(&m.Screenshots[j])
		}
		m.Screenshots = slices.DeleteFunc(m.Screenshots, func(p string) bool { return p == "" })
	}
	return failed
}

func copyFile(source *os.Root, name string, target *os.Root, to string) (bool, error) {
	info, err := source.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxAdopted {
		return false, nil
	}
	in, err := source.Open(name)
	if err != nil {
		return false, nil
	}
	defer in.Close()
	if err := target.MkdirAll(path.Dir(to), 0o755); err != nil {
		return false, fmt.Errorf("copy %s into the report: %w", name, err)
	}
	f, err := target.Create(to)
	if err != nil {
		return false, fmt.Errorf("copy %s into the report: %w", name, err)
	}
	_, err = io.Copy(f, io.LimitReader(in, maxAdopted))
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("copy %s into the report: %w", name, err)
	}
	return true, nil
}

// makeSite reads reports and writes the site.
func makeSite(e *env, dir string, args []string) error {
	files, err := documents(args, "report.json")
	if err != nil {
		return err
	}
	var sources []site.Source
	for _, file := range files {
		r, err := readDocument(file, report.DecodeReport)
		if err != nil {
			return err
		}
		root, err := os.OpenRoot(filepath.Dir(file))
		if err != nil {
			return couldNotLook(err)
		}
		defer root.Close()
		sources = append(sources, site.Source{Report: r, Files: root.FS()})
	}
	s := site.Build(sources)
	if err := s.Write(dir); err != nil {
		return couldNotLook(err)
	}
	fmt.Fprintf(e.Stdout, "%s, in %s\n", s.Summary(), strings.TrimSuffix(dir, "/")+"/index.html")
	return nil
}
