package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
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
	var missed, pushes []*gh.HookDelivery
	// The log goes back three days; what is older than that is gone anyway.
	for range 50 {
		list, resp, err := a.gh.Client().Apps.ListHookDeliveries(ctx, opt)
		if err != nil {
			return fmt.Errorf("list deliveries: %w", err)
		}
		for _, d := range list {
			tries[d.GetGUID()]++
			if d.GetEvent() == "pull_request" && d.GetAction() == "synchronize" && a.gh.Now().Sub(d.GetDeliveredAt().Time) < time.Hour {
				pushes = append(pushes, d)
			}
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
	a.mu.Lock()
	first := !a.swept
	a.mu.Unlock()
	if first {
		if err := a.recall(ctx, pushes); err != nil {
			return err
		}
		a.mu.Lock()
		a.swept = true
		a.mu.Unlock()
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

// recall reads the pushes of the last hour again, at the start: whoever served
// before may have taken them and died. Which commit a push replaced is told
// nowhere else.
func (a *App) recall(ctx context.Context, pushes []*gh.HookDelivery) error {
	seen := map[string]bool{}
	for _, d := range pushes {
		if seen[d.GetGUID()] {
			continue
		}
		seen[d.GetGUID()] = true
		whole, _, err := a.gh.Client().Apps.GetHookDelivery(ctx, d.GetID())
		if github.Status(err) == http.StatusNotFound {
			continue
		}
		if err != nil {
			return fmt.Errorf("read delivery %d: %w", d.GetID(), err)
		}
		var e event
		if raw := whole.GetRequest().RawPayload; raw == nil || json.Unmarshal(*raw, &e) != nil || len(e.Before) != 40 || e.Installation.ID == 0 {
			continue
		}
		a.q.add(Key{Install: e.Installation.ID, Owner: e.Repository.Owner.Login, Repo: e.Repository.Name, Stale: e.Before}, 0)
	}
	return nil
}
