package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/config"
)

// settleRules settles in the plan what needs no machine: the distribution's own
// rules, and known failures that have expired. It leaves the known failures that
// count in it, for whoever writes the report. rules is false where no file that
// the rules are about has changed.
func (w *workspace) settleRules(ctx context.Context, plan *checks.Plan, rules bool) error {
	valid, failures := checks.Expired(w.known(ctx, plan), time.Now())
	for _, k := range valid {
		plan.Known = append(plan.Known, checks.KnownFailure{Pattern: k.Pattern, Tracker: k.Tracker})
	}
	settle := func(list []checks.Result, why string) {
		for _, r := range list {
			plan.Cases = append(plan.Cases, checks.PlannedCase{Case: r.Case, Why: why})
			plan.Settled = append(plan.Settled, r)
		}
	}
	settle(failures, "the list of known failures has it")
	if !rules || len(w.Only) > 0 {
		return nil
	}
	if err := w.export(ctx); err != nil {
		return err
	}
	found, err := w.lintCases(ctx)
	if err != nil {
		return couldNotLook(err)
	}
	settle(found, "a rule of the distribution")
	return nil
}

// known is the list of known failures that both base and head have, so that a
// change cannot excuse itself.
func (w *workspace) known(ctx context.Context, plan *checks.Plan) []checks.Known {
	list := w.config.KnownFailures
	if file := w.config.KnownFailuresFile; file != "" {
		at := func(rev string) []config.KnownFailure {
			data, err := w.repo.Show(ctx, rev, file, config.MaxSize+1)
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err == nil {
				var more []config.KnownFailure
				if more, err = config.ParseKnownFailures(file, data); err == nil {
					return more
				}
			}
			plan.Notes = append(plan.Notes, fmt.Sprintf("the known failures in %s are not used: %v", file, err))
			return nil
		}
		head := map[string]bool{}
		for _, k := range at(w.change.Merged) {
			head[k.Pattern] = true
		}
		for _, k := range at(w.change.Base) {
			if head[k.Pattern] {
				list = append(list, k)
			}
		}
	}
	out := make([]checks.Known, len(list))
	for i, k := range list {
		out[i] = checks.Known{Pattern: k.Pattern, Tracker: k.Tracker, Until: k.Expires.Time, Match: matches(k.Pattern)}
	}
	return out
}

func matches(pattern string) func(checks.Case) bool {
	k := config.KnownFailure{Pattern: pattern}
	return func(c checks.Case) bool { return k.Matches(string(c.Kind), c.Subject, c.Name) }
}

// applyKnown judges a report by the known failures of its plan.
func applyKnown(rep *checks.Report) {
	if rep.Plan == nil || len(rep.Plan.Known) == 0 {
		return
	}
	list := make([]checks.Known, len(rep.Plan.Known))
	for i, k := range rep.Plan.Known {
		list[i] = checks.Known{Pattern: k.Pattern, Tracker: k.Tracker, Match: matches(k.Pattern)}
	}
	rep.Notices = append(rep.Notices, checks.ApplyKnown(rep.Cases, list)...)
	rep.Counts, rep.Conclusion = checks.Count(rep.Cases), checks.Conclude(rep.Cases)
}
