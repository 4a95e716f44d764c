package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/lint"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// lintCases are the distribution's own rules as cases, judged against base. They are asked
// of a distribution that is laid out as AsterNixOS is: with a pin.json beside its entry. A rule
// that could not look at either side is left out: it says nothing of the change.
func (w *workspace) lintCases(ctx context.Context) ([]checks.Result, error) {
	found := map[pipeline.Side]map[string]lint.Result{}
	for _, side := range sides {
		entry, err := w.entry(side)
		if err != nil {
			continue // the evaluation says so already
		}
		dir, err := filepath.Rel(w.trees[side], filepath.Dir(entry))
		if err != nil || !filepath.IsLocal(dir) || !isFile(filepath.Join(filepath.Dir(entry), "pin.json")) {
			continue
		}
		root, err := os.OpenRoot(w.trees[side])
		if err != nil {
			return nil, fmt.Errorf("apply the distribution's rules at %s: %w", side, err)
		}
		// Through a Root: a link in a hostile tree leads nowhere.
		in, err := lint.Read(root.FS(), filepath.ToSlash(dir))
		_ = root.Close()
		if err != nil {
			return nil, fmt.Errorf("apply the distribution's rules at %s: %w", side, err)
		}
		in.Set = w.sets[side]
		found[side] = map[string]lint.Result{}
		for _, r := range lint.Run(in) {
			if r.Skipped == "" {
				found[side][r.Rule.Name] = r
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	var out []checks.Result
	for _, rule := range lint.Rules {
		head, ok := found[pipeline.Head][rule.Name]
		if !ok {
			continue
		}
		was := checks.Side{Status: checks.Absent}
		if base, ok := found[pipeline.Base][rule.Name]; ok {
			was = lintSide(base)
		} else if found[pipeline.Base] != nil {
			was.Status = checks.Unknown
		}
		out = append(out, lintResult(head, was))
	}
	return out, nil
}

func lintSide(r lint.Result) checks.Side {
	if len(r.Findings) > 0 {
		return checks.Side{Status: checks.Fail, Attempts: 1}
	}
	return checks.Side{Status: checks.Pass, Attempts: 1, Passes: 1}
}

func lintResult(head lint.Result, was checks.Side) checks.Result {
	now := lintSide(head)
	r := checks.Result{
		Case: checks.Case{Kind: checks.KindLint, Of: distro.KindSuite, Subject: "distribution", Name: head.Rule.Name},
		Was:  was.Status, Now: now.Status, Verdict: checks.Judge(was, now), Stage: "lint",
		Attempts: 1, Passes: now.Passes, WasAttempts: was.Attempts, WasPasses: was.Passes,
	}
	for i, f := range head.Findings {
		if i == 0 {
			r.Reason = f.Message
		}
		r.Causes = append(r.Causes, distro.Cause{File: path.Clean(f.File), Line: f.Line, What: f.Message})
		r.Tail = append(r.Tail, f.String())
	}
	if n := len(head.Findings); n > 1 {
		r.Reason += fmt.Sprintf("; and %d more", n-1)
	}
	return r
}
