// Package githubtest is a working GitHub for tests, held in memory and checked
// against GitHub's own OpenAPI description.
//
//	gh := githubtest.New(t, githubtest.Options{Permissions: github.Permissions})
//	repo := gh.AddRepo("asterinas", "asterinas")
//	pull := repo.OpenPull(githubtest.NewPull{Files: map[string]string{"kernel/a.rs": ""}})
//
// A client is pointed at Server.URL, as it would be at a GitHub Enterprise
// Server. Every request and response is validated; what the description cannot
// say (permissions, expiry, byte limits, appending, rate limits) the server
// enforces. Tests change the world through the methods of Repo and Pull, which
// return the webhook deliveries that GitHub would send.
package githubtest

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:embed testdata/openapi.json
var description []byte

// Options are what a Server starts with.
type Options struct {
	// AppID is the App's id; 1001 where it is zero.
	AppID int64
	// Permissions are those of the App's installations; nil grants all.
	Permissions map[string]string
	// Events are what the App's installations are told of.
	Events []string
	// Skew is added to the server's clock.
	Skew time.Duration
	// WritesPerMinute is the secondary limit on content writes; zero is none.
	WritesPerMinute int
	// TokenLife is how long installation tokens hold; an hour where it is zero.
	TokenLife time.Duration
	// Hook is where deliveries go, and Secret signs them.
	Hook, Secret string
}

// Server is a GitHub.
type Server struct {
	// URL is the base of the REST API, without a slash at the end.
	URL string

	http   *httptest.Server
	router routers.Router
	ops    map[string]operation
	key    *rsa.PrivateKey

	mu         sync.Mutex
	opt        Options
	nextID     int64
	repos      []*Repo
	installs   map[int64]*Installation
	tokens     map[string]*token
	deliveries []*Delivery
	writes     map[string][]time.Time
	manifests  map[string]map[string]any
	calls      []Call
	violations []string
	fault      func(*http.Request) *Fault
	signed     map[string][]byte
	offset     time.Duration // of the clock, moved by tests
}

// Call is a request that was answered.
type Call struct {
	Operation string
	Method    string
	Path      string
	Status    int
	// Conditional reports whether the request carried an entity tag.
	Conditional bool
}

// Fault is what goes wrong with a request.
type Fault struct {
	// Status answers with this status instead, with Header and Body.
	Status int
	Header map[string]string
	Body   string
	// After lets the request take effect first, so that only the answer is lost.
	After bool
	// Reset closes the connection without an answer.
	Reset bool
	// Delay waits before anything else, SlowBody between the bytes of the answer.
	Delay, SlowBody time.Duration
}

// New starts a server that ends with the test, and fails it if a request or a
// response broke GitHub's description.
func New(t testing.TB, opt Options) *Server {
	t.Helper()
	s, err := Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		for _, v := range s.Violations() {
			t.Errorf("GitHub's OpenAPI description: %s", v)
		}
	})
	return s
}

// Start starts a server on a free port of the loopback interface.
func Start(opt Options) (*Server, error) {
	if opt.AppID == 0 {
		opt.AppID = 1001
	}
	if opt.TokenLife == 0 {
		opt.TokenLife = time.Hour
	}
	router, err := described()
	if err != nil {
		return nil, err
	}
	s := &Server{
		router: router,
		opt:    opt, nextID: 5000, ops: map[string]operation{}, installs: map[int64]*Installation{}, tokens: map[string]*token{},
		writes: map[string][]time.Time{}, manifests: map[string]map[string]any{}, signed: map[string][]byte{}, key: appKey(),
	}
	for _, o := range operations {
		s.ops[o.id] = o
	}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s, nil
}

// described loads GitHub's description: once, and nothing changes it afterwards.
var described = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, fmt.Errorf("load GitHub's description: %w", err)
	}
	nullHeads(doc)
	r, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route GitHub's description: %w", err)
	}
	return r, nil
})

// nullHeads mends the description: the head repository of a pull request, and of
// its runs, is null once its fork was deleted, which the description does not say.
func nullHeads(doc *openapi3.T) {
	for _, name := range []string{"pull-request", "pull-request-simple"} {
		ref := doc.Components.Schemas[name]
		if ref == nil {
			continue
		}
		head := ref.Value.Properties["head"]
		if head == nil || head.Value.Properties["repo"] == nil {
			continue
		}
		for _, field := range []string{"repo", "user"} {
			f := *head.Value.Properties[field].Value
			f.Nullable = true
			head.Value.Properties[field] = &openapi3.SchemaRef{Value: &f}
		}
	}
	if run := doc.Components.Schemas["workflow-run"]; run != nil {
		f := *run.Value.Properties["head_repository"].Value
		f.Nullable = true
		run.Value.Properties["head_repository"] = &openapi3.SchemaRef{Value: &f}
	}
}

// Close stops the server.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Violations are the requests and responses that GitHub's description forbids.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.violations...)
}

// Calls are the requests answered since the last call of Calls.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls
	s.calls = nil
	return c
}

// Inject sets what goes wrong; f is asked for every request and nil means
// nothing.
func (s *Server) Inject(f func(*http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetHook says where deliveries go.
func (s *Server) SetHook(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Hook = url
}

// Advance moves the server's clock.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

func (s *Server) now() time.Time {
	return time.Now().Add(s.opt.Skew + s.offset).UTC().Truncate(time.Second)
}

func (s *Server) id() int64 {
	s.nextID++
	return s.nextID
}

// call is a request on its way.
type call struct {
	s      *Server
	r      *http.Request
	op     operation
	params map[string]string
	query  url.Values
	raw    []byte
	body   map[string]any
	token  *token
	header http.Header
	file   []byte // answered as it is
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	inject := s.fault
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	s.mu.Unlock()
	var fault *Fault
	if inject != nil {
		fault = inject(r)
	}
	if fault != nil {
		if fault.Delay > 0 {
			select {
			case <-time.After(fault.Delay):
			case <-r.Context().Done():
				return
			}
		}
		if !fault.After && (fault.Reset || fault.Status != 0) {
			io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
			s.break_(w, fault)
			return
		}
	}
	rec := httptest.NewRecorder()
	s.answer(rec, r)
	if fault != nil && (fault.Reset || fault.Status != 0) {
		s.break_(w, fault)
		return
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	if fault == nil || fault.SlowBody == 0 {
		w.Write(rec.Body.Bytes())
		return
	}
	for _, b := range rec.Body.Bytes() {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		time.Sleep(fault.SlowBody)
	}
}

func (s *Server) break_(w http.ResponseWriter, f *Fault) {
	if f.Reset {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			conn.Close()
		}
		return
	}
	for k, v := range f.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(f.Status)
	io.WriteString(w, f.Body)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	// GitHub Enterprise Server's bases.
	if p, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v3"); ok {
		r.URL.RawPath = p
		r.URL.Path, _ = url.PathUnescape(p)
	} else if p, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/uploads"); ok {
		r.URL.RawPath = p
		r.URL.Path, _ = url.PathUnescape(p)
	}
	if strings.HasPrefix(r.URL.Path, "/_signed/") {
		s.mu.Lock()
		data, ok := s.signed[strings.TrimPrefix(r.URL.Path, "/_signed/")]
		s.mu.Unlock()
		if !ok || r.Header.Get("Authorization") != "" {
			// As blob storage does when it is sent GitHub's token.
			http.Error(w, "authorization is not expected here", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/zip")
		w.Write(data)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		reply(w, http.StatusRequestEntityTooLarge, message("too large"))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	// The description has no server: match the path alone.
	probe := r.Clone(context.Background())
	probe.URL.Scheme, probe.URL.Host, probe.Host = "", "", ""
	route, params, err := s.router.FindRoute(probe)
	if err != nil {
		s.violate("%s %s: no such operation in the excerpt (%v)", r.Method, r.URL.Path, err)
		reply(w, http.StatusNotFound, message("Not Found"))
		return
	}
	for k, v := range params {
		if u, err := url.PathUnescape(v); err == nil {
			params[k] = u
		}
	}
	op := s.ops[route.Operation.OperationID]
	c := &call{s: s, r: r, op: op, params: params, query: r.URL.Query(), raw: body, header: http.Header{}}
	input := &openapi3filter.RequestValidationInput{
		Request: probe, PathParams: params, QueryParams: c.query, Route: route,
		Options: &openapi3filter.Options{
			MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			ExcludeRequestBody: op.id == "repos/upload-release-asset" || len(body) == 0 && !bodyRequired(route.Operation),
		},
	}
	probe.Body = io.NopCloser(bytes.NewReader(body))
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		s.violate("request %s %s (%s): %s", r.Method, r.URL.Path, op.id, short(err))
		reply(w, http.StatusUnprocessableEntity, message("%s", short(err)))
		return
	}
	if len(body) > 0 && op.id != "repos/upload-release-asset" {
		if err := json.Unmarshal(body, &c.body); err != nil {
			reply(w, http.StatusBadRequest, message("Problems parsing JSON"))
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status, out := c.serve()
	for k, v := range c.header {
		w.Header()[k] = v
	}
	s.calls = append(s.calls, Call{op.id, r.Method, r.URL.RequestURI(), status, r.Header.Get("If-None-Match") != ""})
	if c.file != nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(status)
		w.Write(c.file)
		return
	}
	var data []byte
	if out != nil {
		plain, err := normal(out)
		if err != nil {
			panic(err)
		}
		if resp := route.Operation.Responses.Status(status); resp != nil && resp.Value != nil {
			if mt := resp.Value.Content.Get("application/json"); mt != nil && mt.Schema != nil {
				plain = fill(mt.Schema, plain)
				re, err := normal(plain)
				if err != nil {
					panic(err)
				}
				if err := mt.Schema.Value.VisitJSON(re, openapi3.MultiErrors(), openapi3.EnableFormatValidation()); err != nil {
					s.violations = append(s.violations, fmt.Sprintf("response of %s (%d): %s", op.id, status, short(err)))
				}
			}
		} else if route.Operation.Responses.Status(status) == nil && status < 400 {
			s.violations = append(s.violations, fmt.Sprintf("response of %s: status %d is not described", op.id, status))
		}
		if data, err = json.Marshal(plain); err != nil {
			panic(err)
		}
	}
	if r.Method == http.MethodGet && status == http.StatusOK {
		sum := sha256.Sum256(append([]byte(w.Header().Get("Link")), data...))
		tag := `W/"` + hex.EncodeToString(sum[:16]) + `"`
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, max-age=60, s-maxage=60")
		if r.Header.Get("If-None-Match") == tag {
			s.calls[len(s.calls)-1].Status = http.StatusNotModified
			c.refund(w.Header())
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if data == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(data)
}

func bodyRequired(op *openapi3.Operation) bool {
	return op.RequestBody != nil && op.RequestBody.Value != nil && op.RequestBody.Value.Required
}

func (s *Server) violate(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// serve authorises, limits and handles, under the lock.
func (c *call) serve() (int, any) {
	if status, out := c.authorise(); status != 0 {
		return status, out
	}
	if status, out := c.limit(); status != 0 {
		return status, out
	}
	if c.params["owner"] != "" {
		repo := c.s.repo(c.params["owner"], c.params["repo"])
		if repo == nil || !c.sees(repo) {
			return http.StatusNotFound, message("Not Found")
		}
	}
	return c.op.handle(c)
}

func (c *call) repo() *Repo { return c.s.repo(c.params["owner"], c.params["repo"]) }

func (c *call) num(name string) int64 {
	n, _ := strconv.ParseInt(c.params[name], 10, 64)
	return n
}

// str and the like read the request's body.
func (c *call) str(name string) string { v, _ := c.body[name].(string); return v }

// page cuts a list as GitHub does, and links to its neighbours.
func page[T any](c *call, list []T) []T {
	per, n := 30, 1
	if v, err := strconv.Atoi(c.query.Get("per_page")); err == nil && v > 0 {
		per = min(v, 100)
	}
	if v, err := strconv.Atoi(c.query.Get("page")); err == nil && v > 0 {
		n = v
	}
	last := max(1, (len(list)+per-1)/per)
	link := func(p int, rel string) string {
		u := *c.r.URL
		q := u.Query()
		q.Set("page", strconv.Itoa(p))
		u.RawQuery = q.Encode()
		return fmt.Sprintf("<%s%s>; rel=%q", c.s.URL, u.RequestURI(), rel)
	}
	var links []string
	if n > 1 {
		links = append(links, link(n-1, "prev"), link(1, "first"))
	}
	if n < last {
		links = append(links, link(n+1, "next"), link(last, "last"))
	}
	if len(links) > 0 {
		c.header.Set("Link", strings.Join(links, ", "))
	}
	from := min(len(list), (n-1)*per)
	return list[from:min(len(list), from+per)]
}

func each[T any](list []T, f func(T) any) []any {
	out := make([]any, 0, len(list))
	for _, e := range list {
		out = append(out, f(e))
	}
	return out
}

type obj = map[string]any

func message(format string, args ...any) obj {
	return obj{"message": fmt.Sprintf(format, args...), "documentation_url": "https://docs.github.com/rest", "status": "400"}
}

func notFound() (int, any) { return http.StatusNotFound, message("Not Found") }

func unprocessable(format string, args ...any) (int, any) {
	return http.StatusUnprocessableEntity, obj{"message": fmt.Sprintf(format, args...), "documentation_url": "https://docs.github.com/rest"}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func normal(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(b, &out)
}

func short(err error) string {
	s := err.Error()
	return s[:min(len(s), 600)]
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
