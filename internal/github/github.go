// Package github is the one client of GitHub's REST API: authentication as an
// App or with a token, rate limits, back-off and conditional requests.
//
//	c, err := github.New(github.Options{Token: token})           // a workflow, a person
//	app, err := github.NewApp(github.AppOptions{ID: id, Key: pem}) // the App
//	c = app.Installation(installation)
//
// A Client is go-github's client with a transport that
//   - repeats reads after a server error or a broken connection, and nothing else:
//     whoever writes looks first, and looks again,
//   - answers LimitError at once while GitHub has asked to wait, so that others
//     are served in the meantime (Options.Wait sleeps instead),
//   - sends entity tags and answers from memory what has not changed, which
//     costs nothing of the rate budget.
package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"
)

// Options say how to reach GitHub.
type Options struct {
	// BaseURL is the REST API's address: empty for github.com, or that of a
	// GitHub Enterprise Server ("https://HOST/api/v3").
	BaseURL string
	// UploadURL takes release assets; it is derived where it is empty.
	UploadURL string
	// Token authorises.
	Token string
	// Transport makes the requests; nil is a copy of the default one.
	Transport http.RoundTripper
	// Wait sleeps while GitHub has asked to wait, up to this long; zero answers
	// LimitError at once.
	Wait time.Duration
	// Timeout bounds a request with its body; zero is two minutes. Uploads of
	// release assets take longer.
	Timeout time.Duration
	// WritesPerMinute bounds content writes; zero is GitHub's own bound, 80.
	WritesPerMinute int
	// Observe is told of every request; it must not block.
	Observe func(Call)
}

// Call is one request that was made, for metrics.
type Call struct {
	Installation int64
	Method       string
	Path         string
	// Status is zero where there was no answer; Err says why.
	Status int
	Err    error
	// Remaining and Limit are the rate budget; a Limit of zero is unknown.
	Remaining, Limit int
	Seconds          float64
}

// Client is go-github's client, and what that lacks.
type Client struct {
	*gh.Client
	plain *http.Client // without authorisation
}

// New makes a client with a token.
func New(opt Options) (*Client, error) {
	base, observe := opt.Transport, opt.Observe
	if base == nil {
		base = defaultTransport()
	}
	clk := &clock{}
	var rt http.RoundTripper = &observer{next: base, clock: clk, observe: observe}
	if opt.Token != "" {
		rt = &bearer{next: rt, token: opt.Token}
	}
	return newClient(opt, &limiter{next: rt, wait: opt.Wait, perMinute: opt.WritesPerMinute}, newCache(8<<20), base)
}

func newClient(opt Options, rt http.RoundTripper, cache *cache, plain http.RoundTripper) (*Client, error) {
	timeout := opt.Timeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	c := gh.NewClient(&http.Client{Transport: &conditional{next: rt, cache: cache}, Timeout: timeout})
	c.UserAgent = "asterbot"
	if opt.BaseURL != "" {
		base, err := url.Parse(strings.TrimSuffix(opt.BaseURL, "/") + "/")
		if err != nil || base.Host == "" {
			return nil, fmt.Errorf("GitHub's address %q: want a URL such as https://HOST/api/v3", opt.BaseURL)
		}
		c.BaseURL = base
		up := opt.UploadURL
		if up == "" {
			up = strings.TrimSuffix(strings.TrimSuffix(base.String(), "/"), "/api/v3")
			if strings.HasSuffix(base.Path, "/api/v3/") {
				up += "/api/uploads"
			}
		}
		if c.UploadURL, err = url.Parse(strings.TrimSuffix(up, "/") + "/"); err != nil {
			return nil, fmt.Errorf("GitHub's upload address %q: %w", up, err)
		}
	}
	return &Client{c, &http.Client{Transport: plain, Timeout: 5 * time.Minute}}, nil
}

// Dispatch starts a workflow with inputs, and returns the run's id.
//
// go-github v66 does not know return_run_details (2026-02-19). A server without
// it answers 204, and the id is zero: find the run by what its name carries.
func (c *Client) Dispatch(ctx context.Context, owner, repo, workflow, ref string, inputs map[string]string) (int64, error) {
	body := map[string]any{"ref": ref, "inputs": inputs, "return_run_details": true}
	req, err := c.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/%s/actions/workflows/%s/dispatches", owner, repo, url.PathEscape(workflow)), body)
	if err != nil {
		return 0, err
	}
	var out struct {
		ID int64 `json:"workflow_run_id"`
	}
	resp, err := c.Do(ctx, req, &out)
	if err != nil && (resp == nil || resp.StatusCode >= 300) {
		return 0, fmt.Errorf("dispatch %s: %w", workflow, err)
	}
	return out.ID, nil
}

// UpdateCheckRun updates a check run. Unlike go-github's it can set started_at,
// and sends an empty list of actions, which takes buttons away.
func (c *Client) UpdateCheckRun(ctx context.Context, owner, repo string, id int64, u CheckRunUpdate) (*gh.CheckRun, error) {
	req, err := c.NewRequest(http.MethodPatch, fmt.Sprintf("repos/%s/%s/check-runs/%d", owner, repo, id), u)
	if err != nil {
		return nil, err
	}
	var out gh.CheckRun
	if _, err := c.Do(ctx, req, &out); err != nil {
		return nil, fmt.Errorf("update check run %d: %w", id, err)
	}
	return &out, nil
}

// CheckRunUpdate is the body of an update of a check run, and with Name and
// HeadSHA of its creation.
type CheckRunUpdate struct {
	Name        string               `json:"name,omitempty"`
	HeadSHA     string               `json:"head_sha,omitempty"`
	DetailsURL  string               `json:"details_url,omitempty"`
	ExternalID  string               `json:"external_id,omitempty"`
	Status      string               `json:"status,omitempty"`
	Conclusion  string               `json:"conclusion,omitempty"`
	StartedAt   *gh.Timestamp        `json:"started_at,omitempty"`
	CompletedAt *gh.Timestamp        `json:"completed_at,omitempty"`
	Output      *gh.CheckRunOutput   `json:"output,omitempty"`
	Actions     []*gh.CheckRunAction `json:"actions"`
}

// CreateCheckRun creates a check run.
func (c *Client) CreateCheckRun(ctx context.Context, owner, repo string, u CheckRunUpdate) (*gh.CheckRun, error) {
	req, err := c.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/%s/check-runs", owner, repo), u)
	if err != nil {
		return nil, err
	}
	var out gh.CheckRun
	if _, err := c.Do(ctx, req, &out); err != nil {
		return nil, fmt.Errorf("create check run %s: %w", u.Name, err)
	}
	return &out, nil
}

// Plain is a client that does not send the token, for addresses that GitHub
// redirects to.
func (c *Client) Plain() *http.Client { return c.plain }

// All gathers the pages of a list.
func All[T any](ctx context.Context, list func(context.Context, gh.ListOptions) ([]T, *gh.Response, error)) ([]T, error) {
	var out []T
	opt := gh.ListOptions{PerPage: 100}
	for {
		part, resp, err := list(ctx, opt)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
		if resp == nil || resp.NextPage == 0 {
			return out, nil
		}
		opt.Page = resp.NextPage
	}
}

type bearer struct {
	next  http.RoundTripper
	token string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

func defaultTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	t.ResponseHeaderTimeout = 30 * time.Second
	return t
}
