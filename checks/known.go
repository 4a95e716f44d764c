package checks

import (
	"fmt"
	"time"

	"github.com/asterinas/asterbot/distro"
)

// Known is a failure that has a tracker: an entry of the list of known failures
// that both base and head have, so that a change cannot excuse itself.
type Known struct {
	// Pattern is how the list writes it; Match reports whether it is about a
	// case.
	Pattern string
	Match   func(Case) bool
	// Tracker is the address of the issue, Until the last day on which the
	// entry counts. An entry has both.
	Tracker string
	Until   time.Time
}

// expired reports whether the whole last day is over, in UTC.
func (k Known) expired(now time.Time) bool { return !now.UTC().Before(k.Until.UTC().AddDate(0, 0, 1)) }

// Expired splits a list of known failures: those that count, and a failure for
// each entry that has expired, so that it is renewed or fixed.
func Expired(list []Known, now time.Time) (valid []Known, failures []Result) {
	for _, k := range list {
		if !k.expired(now) {
			valid = append(valid, k)
			continue
		}
		failures = append(failures, Result{
			Case: Case{Kind: KindLint, Of: distro.KindSuite, Subject: "known-failures", Name: k.Pattern},
			Was:  Unknown, Now: Fail, Verdict: Regressed, Blame: BlameNone, Stage: "lint",
			Reason: fmt.Sprintf("the known failure expired on %s: fix it, or renew it with a reason in %s", k.Until.Format(time.DateOnly), k.Tracker),
			Known:  k.Tracker, Attempts: 1,
		})
	}
	return valid, failures
}

// ApplyKnown judges results by known failures that have not expired, in place.
//
//   - A failure that is known is still failing, whatever base did: it may be
//     one that shows now and then.
//   - A known failure that passes is told in a notice: the entry can go.
//
// What could not be looked at stays so.
func ApplyKnown(results []Result, list []Known) (notices []string) {
	for i := range results {
		r := &results[i]
		for _, k := range list {
			if r.Kind == KindLint && r.Subject == "known-failures" || !k.Match(r.Case) {
				continue
			}
			switch {
			case r.Now == Fail:
				r.Verdict, r.Known = StillFailing, k.Tracker
			case r.Now == Pass:
				notices = append(notices, fmt.Sprintf("%s %s/%s passes, though %s is a known failure: remove the entry (%s)", r.Kind, r.Subject, r.Name, k.Pattern, k.Tracker))
			}
		}
	}
	return notices
}
