package suite

import (
	"fmt"
	"sync"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
)

// A hang has to be waited for, so it is what costs most: minutes without KVM.
// What hangs is therefore looked at twice, and not more often.

// maxWaits is how often what was waited for in vain is waited for again.
const maxWaits = 1

// maxHungCases is how many cases may hang, none passing, until the others are
// given up.
const maxHungCases = 3

// Hangs are the ways in which the machines of one kernel hung while they booted,
// shared by the jobs of all its systems: what hung in one system and then in
// another has been seen twice.
type Hangs struct {
	mu   sync.Mutex
	seen map[string]bool
}

// again notes a hang, and reports whether one like it was noted before.
func (h *Hangs) again(title string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	seen := h.seen[title]
	h.seen[title] = true
	return seen
}

func timedOut(e testvm.Ending) bool {
	return e.Outcome == testvm.Hang || e.Outcome == testvm.Timeout
}

// hopeless reports whether so many cases hung, and none did anything else,
// that it would only cost hours to see the others hang too.
func (r *run) hopeless() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	hung := 0
	for _, tries := range r.tries {
		for _, o := range tries {
			switch {
			case o.TimedOut:
			case o.Status == checks.Pass || o.Status == checks.Fail:
				return false
			}
		}
		if len(tries) > 0 && tries[0].TimedOut {
			hung++
		}
	}
	return hung >= maxHungCases
}

// givenUp makes errors of the cases that are not run because all others hung.
func (r *run) givenUp(specs []distro.CaseSpec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range specs {
		if len(r.tries[c.Name]) == 0 {
			r.tries[c.Name] = append(r.tries[c.Name], checks.Outcome{
				Status: checks.Error, Stage: "test", Machine: r.Machine,
				Reason: fmt.Sprintf("not run: each of the %d cases before it hung or ran out of time", maxHungCases),
			})
		}
	}
}
