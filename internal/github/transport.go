package github

import (
	"bytes"
	"compress/flate"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v66/github"
)

// LimitError says that GitHub has asked to wait.
type LimitError struct {
	Until time.Time
	Why   string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("GitHub's rate limit: %s; wait until %s", e.Why, e.Until.UTC().Format(time.TimeOnly))
}

// Limited reports whether an error says to wait, and until when.
func Limited(err error) (time.Time, bool) {
	var l *LimitError
	if errors.As(err, &l) {
		return l.Until, true
	}
	var r *gh.RateLimitError
	if errors.As(err, &r) {
		return r.Rate.Reset.Time, true
	}
	var a *gh.AbuseRateLimitError
	if errors.As(err, &a) {
		return time.Now().Add(max(a.GetRetryAfter(), time.Minute)), true
	}
	return time.Time{}, false
}

// Status is the HTTP status that an error carries; zero where GitHub did not
// answer.
func Status(err error) int {
	var e *gh.ErrorResponse
	if errors.As(err, &e) && e.Response != nil {
		return e.Response.StatusCode
	}
	return 0
}

// clock is GitHub's time, told by the Date of its answers.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) learn(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	offset := time.Until(date)
	c.mu.Lock()
	defer c.mu.Unlock()
	// Date has seconds only, and answers take time: small differences are none.
	if offset = offset.Round(time.Second); offset > -3*time.Second && offset < 3*time.Second {
		offset = 0
	}
	c.offset = offset
}

// translate turns the time at which a rate budget is filled again into this
// machine's: go-github and the limiter wait by it.
func (c *clock) translate(h http.Header) {
	const reset = "X-RateLimit-Reset"
	s, err := strconv.ParseInt(h.Get(reset), 10, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.Set(reset, strconv.FormatInt(s-int64(c.offset/time.Second), 10))
}

// observer tells of every request, and learns the time.
type observer struct {
	next         http.RoundTripper
	clock        *clock
	observe      func(Call)
	installation int64
}

func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := o.next.RoundTrip(r)
	c := Call{Installation: o.installation, Method: r.Method, Path: r.URL.Path, Err: err, Seconds: time.Since(start).Seconds()}
	if resp != nil {
		o.clock.learn(resp.Header)
		o.clock.translate(resp.Header)
		c.Status = resp.StatusCode
		c.Remaining, _ = strconv.Atoi(resp.Header.Get("X-RateLimit-Remaining"))
		c.Limit, _ = strconv.Atoi(resp.Header.Get("X-RateLimit-Limit"))
	}
	if o.observe != nil {
		o.observe(c)
	}
	return resp, err
}

// retry repeats requests that may be repeated: reads, or all where always is
// set.
type retry struct {
	next   http.RoundTripper
	always bool
}

const tries = 4

func (t *retry) RoundTrip(r *http.Request) (*http.Response, error) {
	safe := t.always || r.Method == http.MethodGet || r.Method == http.MethodHead
	for n := 1; ; n++ {
		c, err := replay(r)
		if err != nil {
			return nil, err
		}
		resp, err := t.next.RoundTrip(c)
		broken := err != nil || resp.StatusCode >= 500
		if !broken || !safe || n == tries || errors.Is(err, ErrNoInstallation) || r.Context().Err() != nil {
			return resp, err
		}
		if _, limited := Limited(err); limited {
			return nil, err
		}
		if resp != nil {
			io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
			resp.Body.Close()
		}
		base := 100 * time.Millisecond << n
		if err := sleep(r.Context(), base/2+rand.N(base)); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// limiter keeps to GitHub's limits: one for each installation or token, so that
// one that must wait stops nobody else.
type limiter struct {
	next      http.RoundTripper
	wait      time.Duration
	perMinute int

	mu      sync.Mutex
	until   time.Time
	why     string
	strikes int
	writes  []time.Time
}

func (l *limiter) RoundTrip(r *http.Request) (*http.Response, error) {
	var slept time.Duration
	for {
		err := l.admit(r)
		if err == nil {
			var resp *http.Response
			c, cerr := replay(r)
			if cerr != nil {
				return nil, cerr
			}
			resp, err = (&retry{next: l.next}).RoundTrip(c)
			if err != nil {
				return nil, err
			}
			if err = l.judge(resp); err == nil {
				return resp, nil
			}
		}
		var limit *LimitError
		if !errors.As(err, &limit) {
			return nil, err
		}
		pause := time.Until(limit.Until) + 100*time.Millisecond
		if slept += pause; slept > l.wait {
			return nil, err
		}
		if err := sleep(r.Context(), pause); err != nil {
			return nil, err
		}
	}
}

// admit refuses a request while GitHub has asked to wait, and counts writes.
func (l *limiter) admit(r *http.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.until) {
		return &LimitError{l.until, l.why}
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	bound := l.perMinute
	if bound == 0 {
		bound = 80
	}
	for len(l.writes) > 0 && now.Sub(l.writes[0]) > time.Minute {
		l.writes = l.writes[1:]
	}
	if len(l.writes) >= bound {
		return &LimitError{l.writes[0].Add(time.Minute), fmt.Sprintf("%d writes a minute", bound)}
	}
	l.writes = append(l.writes, now)
	return nil
}

// judge takes note of limits: 429, and 403 that speaks of one, with headers or
// without.
func (l *limiter) judge(resp *http.Response) error {
	limited := resp.StatusCode == http.StatusTooManyRequests
	why := "too many requests"
	if resp.StatusCode == http.StatusForbidden {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		limited = resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0" || strings.Contains(strings.ToLower(string(body)), "rate limit")
		why = "refused for a while"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !limited {
		if resp.StatusCode < 400 {
			l.strikes = 0
		}
		return nil
	}
	resp.Body.Close()
	l.strikes++
	now := time.Now()
	// Without headers: a minute at least, and growing.
	until := now.Add(min(time.Minute<<min(l.strikes-1, 4), 15*time.Minute))
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		until = now.Add(time.Duration(s) * time.Second)
	} else if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		if s, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			until = time.Unix(s, 0).Add(time.Second)
			why = "the hour's budget is used up"
		}
	}
	if longest := now.Add(time.Hour + time.Minute); until.After(longest) {
		until = longest
	}
	l.until, l.why = until, why
	return &LimitError{until, why}
}

// cache remembers answers with an entity tag, within a bound on their
// compressed size; the least recently used go first.
type cache struct {
	*cacheStore
	prefix string
}

type cacheStore struct {
	mu    sync.Mutex
	bound int
	size  int
	order *list.List
	items map[string]*list.Element
}

type entry struct {
	key    string
	tag    string
	header http.Header
	body   []byte
}

func newCache(bound int) *cache {
	return &cache{&cacheStore{bound: bound, order: list.New(), items: map[string]*list.Element{}}, ""}
}

// part is the same memory for another user of it: answers are never shared.
func (c *cache) part(name string) *cache { return &cache{c.cacheStore, name + " "} }

func (c *cache) get(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[c.prefix+key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry)
}

func (c *cache) put(key string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.key = c.prefix + key
	if old, ok := c.items[e.key]; ok {
		c.size -= len(old.Value.(*entry).body)
		c.order.Remove(old)
	}
	c.items[e.key] = c.order.PushFront(e)
	c.size += len(e.body)
	for c.size > c.bound || len(c.items) > 8192 {
		last := c.order.Back()
		c.size -= len(last.Value.(*entry).body)
		delete(c.items, last.Value.(*entry).key)
		c.order.Remove(last)
	}
}

// conditional asks only for what has changed.
type conditional struct {
	next  http.RoundTripper
	cache *cache
}

func (t *conditional) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || strings.Contains(r.Header.Get("Accept"), "octet-stream") {
		return t.next.RoundTrip(r)
	}
	key := r.URL.String() + " " + r.Header.Get("Accept")
	known := t.cache.get(key)
	if known != nil {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", known.tag)
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if known != nil && resp.StatusCode == http.StatusNotModified {
		resp.Body.Close()
		body, err := unpack(known.body)
		if err != nil {
			return nil, fmt.Errorf("remembered answer: %w", err)
		}
		h := known.header.Clone()
		for k, v := range resp.Header {
			h[k] = v
		}
		h.Set("Content-Type", known.header.Get("Content-Type"))
		if l := known.header.Get("Link"); l != "" {
			h.Set("Link", l)
		}
		resp.StatusCode, resp.Status, resp.Header = http.StatusOK, "200 OK", h
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return resp, nil
	}
	tag := resp.Header.Get("ETag")
	if resp.StatusCode != http.StatusOK || tag == "" || resp.ContentLength > 4<<20 {
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if packed, err := pack(body); err == nil && len(packed) < 1<<20 {
		keep := http.Header{}
		for _, k := range []string{"Content-Type", "Link", "Etag"} {
			if v := resp.Header.Get(k); v != "" {
				keep.Set(k, v)
			}
		}
		t.cache.put(key, &entry{tag: tag, header: keep, body: packed})
	}
	return resp, nil
}

var packers = sync.Pool{New: func() any { w, _ := flate.NewWriter(io.Discard, flate.BestSpeed); return w }}

func pack(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(&b)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

func unpack(packed []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
}
