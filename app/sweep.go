package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/internal/github"
)

func asError[T error](err error, into *T) bool { return errors.As(err, into) }

// sweep asks for deliveries again that nobody took: GitHub does not do so by
// itself. It looks at all of them, for GitHub's own filter leaves those out that
// got no answer.
func (a *App) sweep(ctx context.Context) error {
	opt := &gh.ListCursorOptions{PerPage: 100}
	taken := map[string]bool{}
	tries := map[string]int{}
	var missed []*gh.HookDelivery
	// The log goes back three days; what is older than that is gone anyway.
	for range 50 {
		list, resp, err := a.gh.Client().Apps.ListHookDeliveries(ctx, opt)
		if err != nil {
			return fmt.Errorf("list deliveries: %w", err)
		}
		for _, d := range list {
			tries[d.GetGUID()]++
			if code := d.GetStatusCode(); code >= 200 && code < 300 {
				taken[d.GetGUID()] = true
			} else if events[d.GetEvent()] {
				missed = append(missed, d)
			}
		}
		if resp.Cursor == "" || len(list) == 0 {
			break
		}
		opt.Cursor = resp.Cursor
	}
	asked := map[string]bool{}
	slices.Reverse(missed) // oldest first
	for _, d := range missed {
		guid := d.GetGUID()
		// Fresh ones may be on their way. Those that failed again and again
		// would fail once more: everything but buttons is found by looking.
		if taken[guid] || asked[guid] || tries[guid] > 5 || a.gh.Now().Sub(d.GetDeliveredAt().Time) < time.Second {
			continue
		}
		asked[guid] = true
		_, _, err := a.gh.Client().Apps.RedeliverHookDelivery(ctx, d.GetID())
		var accepted *gh.AcceptedError
		if err != nil && !errors.As(err, &accepted) {
			if _, limited := github.Limited(err); limited {
				return err
			}
			a.log.Warn("cannot ask for a delivery again", "delivery", guid, "error", err)
			continue
		}
		a.log.Info("asked for a delivery again", "delivery", guid, "event", d.GetEvent())
		a.m.swept()
	}
	return nil
}
