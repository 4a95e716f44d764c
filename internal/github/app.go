package github

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v4"
	gh "github.com/google/go-github/v66/github"
)

// Permissions are what the App asks for: the one table, for its manifest, its
// doctor and its tests.
var Permissions = map[string]string{
	"actions":       "write", // re-run, cancel, dispatch; read runs and artifacts
	"checks":        "write", // the check runs
	"contents":      "read",  // the configuration and the workflow of base
	"issues":        "read",  // comments reach the App
	"merge_queues":  "read",  // merge groups
	"metadata":      "read",  // collaborators, rulesets
	"pull_requests": "write", // read pull requests; reactions, answers
}

// Events are what the App subscribes to. installation reaches every App.
var Events = []string{
	"check_run", "check_suite", "create", "issue_comment", "merge_group", "pull_request", "push", "release", "workflow_job", "workflow_run",
}

// AppOptions say who the App is and how to reach GitHub.
type AppOptions struct {
	ID int64
	// Key is the App's private key, in PEM.
	Key []byte
	Options
}

// App is the client of a GitHub App.
type App struct {
	id    int64
	key   *rsa.PrivateKey
	opt   Options
	clock *clock
	base  http.RoundTripper
	cache *cache
	jwt   *Client

	mu            sync.Mutex
	installations map[int64]*Client
	limiters      map[int64]*limiter
}

// NewApp makes the client of an App.
func NewApp(opt AppOptions) (*App, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM(opt.Key)
	if err != nil {
		return nil, fmt.Errorf("private key of the App: %w", err)
	}
	if opt.ID <= 0 {
		return nil, errors.New("id of the App: want a positive number")
	}
	a := &App{id: opt.ID, key: key, opt: opt.Options, clock: &clock{}, base: opt.Transport, cache: newCache(16 << 20), installations: map[int64]*Client{}, limiters: map[int64]*limiter{}}
	if a.base == nil {
		a.base = defaultTransport()
	}
	rt := &appAuth{app: a, next: &observer{next: a.base, clock: a.clock, observe: opt.Observe}}
	a.jwt, err = newClient(a.opt, &limiter{next: rt, wait: opt.Wait, perMinute: opt.WritesPerMinute}, a.cache.part("app"), a.base)
	return a, err
}

// ID is the App's id.
func (a *App) ID() int64 { return a.id }

// Client is the client that acts as the App itself: installations, deliveries.
func (a *App) Client() *Client { return a.jwt }

// Installation is the client that acts as an installation.
func (a *App) Installation(id int64) *Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.installations[id]; c != nil {
		return c
	}
	l := &limiter{next: &installationAuth{app: a, id: id}, wait: a.opt.Wait, perMinute: a.opt.WritesPerMinute}
	// The address was parsed by NewApp already.
	c, err := newClient(a.opt, l, a.cache.part(strconv.FormatInt(id, 10)), a.base)
	if err != nil {
		panic(err)
	}
	a.installations[id], a.limiters[id] = c, l
	return c
}

// Forget drops what is remembered of an installation.
func (a *App) Forget(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.installations, id)
	delete(a.limiters, id)
}

// Now is GitHub's time, as its answers tell it.
func (a *App) Now() time.Time { return a.clock.now() }

func (a *App) token() (string, error) {
	// iat a minute back, as GitHub advises, and well within the ten minutes.
	now := a.clock.now()
	claims := jwt.RegisteredClaims{
		IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(8 * time.Minute)), Issuer: strconv.FormatInt(a.id, 10),
	}
	return jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(a.key)
}

// Sign implements ghinstallation.Signer: with GitHub's clock, not this
// machine's.
func (a *App) Sign(jwt.Claims) (string, error) { return a.token() }

// appAuth sends JWTs. A 401 may mean that our clock is off: the answer's Date
// has mended it, so it is tried once more.
type appAuth struct {
	app  *App
	next http.RoundTripper
}

func (t *appAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	for again := false; ; again = true {
		token, err := t.app.token()
		if err != nil {
			return nil, fmt.Errorf("sign JSON web token: %w", err)
		}
		c, err := replay(r)
		if err != nil {
			return nil, err
		}
		c.Header.Set("Authorization", "Bearer "+token)
		resp, err := t.next.RoundTrip(c)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || again {
			return resp, err
		}
		resp.Body.Close()
	}
}

// installationAuth sends installation tokens. ghinstallation keeps a token that
// answered 401: it is dropped here, and the request tried once more.
type installationAuth struct {
	app *App
	id  int64

	mu      sync.Mutex
	token   string
	expires time.Time // by GitHub's clock
}

// ErrNoInstallation says that the App's installation is suspended or gone.
var ErrNoInstallation = errors.New("the App's installation is suspended or was removed")

// fresh is a token that holds. drop is one that GitHub did not take. Whether
// one has expired GitHub's clock says: ghinstallation goes by this machine's, and
// would make a new one for each request where that is ahead.
func (t *installationAuth) fresh(ctx context.Context, drop string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && t.token != drop && t.app.clock.now().Before(t.expires.Add(-time.Minute)) {
		return t.token, nil
	}
	inst, err := t.transport()
	if err != nil {
		return "", err
	}
	token, err := inst.Token(ctx)
	if err != nil {
		return "", tokenError(err)
	}
	if t.expires, _, err = inst.Expiry(); err != nil {
		return "", err
	}
	t.token = token
	return token, nil
}

func (t *installationAuth) transport() (*ghinstallation.Transport, error) {
	// Making a token is a POST that may be repeated.
	patient := &retry{next: &observer{next: t.app.base, clock: t.app.clock, observe: t.app.opt.Observe, installation: t.id}, always: true}
	apps, err := ghinstallation.NewAppsTransportWithOptions(&appAuth{t.app, patient}, t.app.id, ghinstallation.WithSigner(t.app))
	if err != nil {
		return nil, err
	}
	inst := ghinstallation.NewFromAppsTransport(apps, t.id)
	// Without options it sends the body null, which GitHub's description forbids.
	inst.InstallationTokenOptions = &gh.InstallationTokenOptions{}
	inst.BaseURL = "https://api.github.com"
	if t.app.opt.BaseURL != "" {
		inst.BaseURL = strings.TrimSuffix(t.app.opt.BaseURL, "/")
	}
	return inst, nil
}

func (t *installationAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	next := &observer{next: t.app.base, clock: t.app.clock, observe: t.app.opt.Observe, installation: t.id}
	drop := ""
	for again := false; ; again = true {
		token, err := t.fresh(r.Context(), drop)
		if err != nil {
			return nil, err
		}
		c, err := replay(r)
		if err != nil {
			return nil, err
		}
		c.Header.Set("Authorization", "Bearer "+token)
		resp, err := next.RoundTrip(c)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || again {
			return resp, err
		}
		resp.Body.Close()
		drop = token
	}
}

func tokenError(err error) error {
	var h *ghinstallation.HTTPError
	if errors.As(err, &h) && h.Response != nil {
		switch h.Response.StatusCode {
		case http.StatusForbidden, http.StatusNotFound:
			if h.Response.Header.Get("Retry-After") == "" && h.Response.Header.Get("X-RateLimit-Remaining") != "0" {
				return fmt.Errorf("make installation token: %w (%d)", ErrNoInstallation, h.Response.StatusCode)
			}
		}
	}
	return fmt.Errorf("make installation token: %w", err)
}

// replay copies a request so that it can be sent more than once.
func replay(r *http.Request) (*http.Request, error) {
	c := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			return c, nil
		}
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		c.Body = body
	}
	return c, nil
}

// Verify asks GitHub who the App is, and what it may do.
func (a *App) Verify(ctx context.Context) (slug string, permissions map[string]string, err error) {
	req, err := a.jwt.NewRequest(http.MethodGet, "app", nil)
	if err != nil {
		return "", nil, err
	}
	var out struct {
		Slug        string            `json:"slug"`
		Permissions map[string]string `json:"permissions"`
	}
	if _, err := a.jwt.Do(ctx, req, &out); err != nil {
		return "", nil, fmt.Errorf("ask GitHub who the App is: %w", err)
	}
	return out.Slug, out.Permissions, nil
}
