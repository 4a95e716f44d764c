package app

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Key names what is to be looked at: a pull request, a merge group's commit, a
// commit that no pull request offers any more, one that some may offer, or all of
// an installation.
type Key struct {
	Install     int64
	Owner, Repo string
	Pull        int
	// Group is the head commit of a merge group, Stale one that was replaced,
	// Commit one whose pull requests are still to be found.
	Group, Stale, Commit string
	// All looks at every pull request of the repository, or without one, of the
	// installation.
	All bool
}

// queue holds each key at most once, lets one worker at a time have it, and puts
// off what failed. A key that is added while it is worked on is worked on once
// more.
type queue struct {
	mu     sync.Mutex
	wake   chan struct{}
	due    map[Key]time.Time
	active map[Key]bool
	again  map[Key]time.Time
	fails  map[Key]int
	parked map[int64]time.Time
	turn   map[int64]time.Time // when an installation was last served
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), due: map[Key]time.Time{}, active: map[Key]bool{}, again: map[Key]time.Time{}, fails: map[Key]int{}, parked: map[int64]time.Time{}, turn: map[int64]time.Time{}}
}

// add asks for a key to be looked at, after a while.
func (q *queue) add(k Key, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := time.Now().Add(after)
	into := q.due
	if q.active[k] {
		into = q.again
	}
	if old, ok := into[k]; !ok || at.Before(old) {
		into[k] = at
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// park lets an installation wait.
func (q *queue) park(install int64, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parked[install] = until
}

// take returns the next key; false when the context has ended.
func (q *queue) take(ctx context.Context) (Key, bool) {
	for {
		q.mu.Lock()
		now := time.Now()
		var best Key
		found := false
		next := now.Add(time.Hour)
		for k, at := range q.due {
			if p := q.parked[k.Install]; p.After(at) {
				at = p
			}
			if at.After(now) {
				if at.Before(next) {
					next = at
				}
				continue
			}
			// The installation that was served longest ago comes first, then what
			// has waited longest.
			if !found || q.turn[k.Install].Before(q.turn[best.Install]) || q.turn[k.Install].Equal(q.turn[best.Install]) && q.due[k].Before(q.due[best]) {
				best, found = k, true
			}
		}
		if found {
			delete(q.due, best)
			q.active[best] = true
			q.turn[best.Install] = now
			if len(q.due) > 0 {
				q.signal()
			}
			q.mu.Unlock()
			return best, ctx.Err() == nil
		}
		q.mu.Unlock()
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			return Key{}, false
		case <-q.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// done returns a key. A failure puts it off, longer each time.
func (q *queue) done(k Key, err error) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.active, k)
	var wait time.Duration
	if err != nil {
		q.fails[k]++
		base := min(250*time.Millisecond<<min(q.fails[k]-1, 12), 5*time.Minute)
		wait = base/2 + rand.N(base)
		q.due[k] = time.Now().Add(wait)
	} else {
		delete(q.fails, k)
	}
	if at, ok := q.again[k]; ok {
		delete(q.again, k)
		if old, ok := q.due[k]; !ok || at.Before(old) && err == nil {
			q.due[k] = at
		}
	}
	q.signal()
	return wait
}

// idle reports whether nothing is due or worked on within d.
func (q *queue) idle(d time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.active) > 0 {
		return false
	}
	for _, at := range q.due {
		if time.Until(at) < d {
			return false
		}
	}
	return true
}

func (q *queue) len() (waiting, active int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.due), len(q.active)
}
