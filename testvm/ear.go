package testvm

import (
	"bytes"
	"sync"
	"time"
)

// earBytes bounds what a session remembers of a console: an output that is
// longer is fetched from the guest's own copy.
const earBytes = 2 << 20

// ear is what a session hears of one console since it last forgot.
type ear struct {
	mu      sync.Mutex
	said    []byte
	missed  bool // the beginning did not fit
	needle  []byte
	looked  int           // said[:looked] does not hold the needle
	hit     chan struct{} // closed when the needle was heard
	changed chan struct{}
	last    time.Time
	query   int // how many bytes of a cursor query have come
}

func newEar() *ear { return &ear{changed: make(chan struct{}), last: time.Now()} }

// cursorQuery is what a line editor asks the terminal: where is the cursor?
const cursorQuery = "\x1b[6n"

// queriesAtOnce bounds the answers to one read: a guest that floods us with
// questions must not fill its own input.
const queriesAtOnce = 2

// hear takes new bytes and returns how many cursor queries to answer.
func (e *ear) hear(p []byte) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	queries := 0
	for _, c := range p {
		switch {
		case c == cursorQuery[e.query]:
			e.query++
		case c == cursorQuery[0]:
			e.query = 1
		default:
			e.query = 0
		}
		if e.query == len(cursorQuery) {
			e.query = 0
			queries++
		}
	}
	e.said = append(e.said, p...)
	e.look()
	if len(e.said) > earBytes {
		e.said = append(e.said[:0], e.said[len(e.said)-earBytes/2:]...)
		e.missed, e.looked = true, 0
	}
	e.last = time.Now()
	close(e.changed)
	e.changed = make(chan struct{})
	return min(queries, queriesAtOnce)
}

// look looks for the needle in what is new.
func (e *ear) look() {
	if e.hit == nil {
		return
	}
	if bytes.Contains(e.said[e.looked:], e.needle) {
		close(e.hit)
		e.hit = nil
		return
	}
	e.looked = max(0, len(e.said)-len(e.needle)+1)
}

// expect returns a channel that is closed when needle has been said. There is
// one needle at a time.
func (e *ear) expect(needle string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	hit := make(chan struct{})
	e.needle, e.looked, e.hit = []byte(needle), 0, hit
	e.look()
	return hit
}

// text is what was said, and whether that is all of it.
func (e *ear) text() ([]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.said), !e.missed
}

// end is the last part of what was said, long enough for a prompt in colours,
// and a channel that is closed when more comes.
func (e *ear) end() ([]byte, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.said[max(0, len(e.said)-1024):]), e.changed
}

func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said, e.missed, e.looked = nil, false, 0
}

// still is how long nothing was said.
func (e *ear) still() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Since(e.last)
}
