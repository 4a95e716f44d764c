package pipeline

import (
	"context"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// commandCase is the one case that a plan has of a suite that runs through a
// command: that it runs at all. Its tests show only then.
func commandCase(suite string) checks.Case {
	return checks.Case{Kind: checks.KindBoot, Of: distro.KindSuite, Subject: suite, Name: "runs"}
}

func isCommand(p checks.PlannedCase) bool { return p.Case == commandCase(p.Subject) }

// commands runs the suites that run through a command. Base is run when head
// has a failure that base may share, or whenever base is not on demand.
func (r *run) commands(ctx context.Context, s Side) {
	var jobs []*job
	for _, p := range r.plan.Cases {
		if !isCommand(p) || s == Base && r.BaseOnDemand && !r.failsAtHead(p.Subject) {
			continue
		}
		jobs = append(jobs, &job{
			Job:   Job{Side: s, Of: distro.KindSuite, Name: p.Subject, Command: true},
			cases: []checks.PlannedCase{p},
		})
	}
	r.boot(ctx, s, jobs)
}

func (r *run) failsAtHead(suite string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, o := range r.sides[Head].outcomes {
		if c.Of == distro.KindSuite && c.Subject == suite && o.Status == checks.Fail {
			return true
		}
	}
	return false
}

// found are the tests that suites run through a command turned out to have, on
// either side, in no plan.
func (r *run) found() []checks.PlannedCase {
	planned := map[checks.Case]bool{}
	suites := map[string]bool{}
	for _, p := range r.plan.Cases {
		planned[p.Case] = true
		suites[p.Subject] = suites[p.Subject] || isCommand(p)
	}
	var out []checks.PlannedCase
	for _, s := range []Side{Head, Base} {
		for _, c := range sortedCases(r.sides[s].outcomes) {
			if c.Kind == checks.KindTest && c.Of == distro.KindSuite && suites[c.Subject] && !planned[c] {
				planned[c] = true
				out = append(out, checks.PlannedCase{Case: c})
			}
		}
	}
	return out
}
