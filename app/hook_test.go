package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// deaf is an App that takes deliveries and never works.
func deaf(t testing.TB, secrets ...string) *app.App {
	t.Helper()
	s, err := githubtest.Start(githubtest.Options{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	client, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL}})
	require.NoError(t, err)
	a, err := app.New(app.Options{GitHub: client, Secrets: secrets, ParsePolicy: policy})
	require.NoError(t, err)
	return a
}

func TestWithoutASecretItRefusesToStart(t *testing.T) {
	s := githubtest.New(t, githubtest.Options{})
	client, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL}})
	require.NoError(t, err)
	for name, secrets := range map[string][]string{"none": nil, "an empty one": {""}, "blanks": {" \n"}, "a short one": {"hunter2"}} {
		_, err := app.New(app.Options{GitHub: client, Secrets: secrets})
		assert.ErrorContains(t, err, "webhook secret", name)
	}
}

func TestSignatures(t *testing.T) {
	const old = "the secret of before"
	h := deaf(t, secret, old).Hook()
	body := []byte(`{"action":"opened"}`)
	post := func(event string, body []byte, set map[string]string) int {
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
		r.Header.Set("X-GitHub-Event", event)
		r.Header.Set("Content-Type", "application/json")
		for k, v := range set {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	const head = "X-Hub-Signature-256"
	for _, tc := range []struct {
		name string
		body []byte
		set  map[string]string
		want int
	}{
		{"right", body, map[string]string{head: githubtest.Sign(secret, body)}, 202},
		{"right, by the secret that is being replaced", body, map[string]string{head: githubtest.Sign(old, body)}, 202},
		{"none", body, nil, 401},
		{"empty", body, map[string]string{head: ""}, 401},
		{"of an empty secret", body, map[string]string{head: githubtest.Sign("", body)}, 401},
		{"of another secret", body, map[string]string{head: githubtest.Sign("another secret here", body)}, 401},
		{"of another body", []byte(`{}`), map[string]string{head: githubtest.Sign(secret, body)}, 401},
		{"SHA-1 only", body, map[string]string{"X-Hub-Signature": "sha1=0123456789012345678901234567890123456789"}, 401},
		{"cut short", body, map[string]string{head: githubtest.Sign(secret, body)[:40]}, 401},
		{"not hexadecimal", body, map[string]string{head: "sha256=" + strings.Repeat("zz", 32)}, 401},
		{"JSON that is none, and no signature: nothing is parsed", []byte("{"), nil, 401},
		{"JSON that is none, signed", []byte("{"), map[string]string{head: githubtest.Sign(secret, []byte("{"))}, 400},
		{"a form", body, map[string]string{head: githubtest.Sign(secret, body), "Content-Type": "application/x-www-form-urlencoded"}, 415},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, post("pull_request", tc.body, tc.set)) })
	}
	t.Run("an event that is not known is taken and left alone", func(t *testing.T) {
		assert.Equal(t, 202, post("brand_new_event", body, map[string]string{head: githubtest.Sign(secret, body)}))
	})
	t.Run("GET", func(t *testing.T) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/webhook", nil))
		assert.Equal(t, 405, w.Code)
	})
	t.Run("a body of 26 MB", func(t *testing.T) {
		big := bytes.Repeat([]byte("x"), 26<<20)
		assert.Equal(t, 413, post("push", big, map[string]string{head: githubtest.Sign(secret, big)}))
	})
}

// A body that trickles in, or grows without an announced length, ends.
func TestSlowAndEndlessBodies(t *testing.T) {
	s := httptest.NewServer(deaf(t, secret).Hook())
	defer s.Close()
	send := func(head string, write func(net.Conn)) string {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer c.Close()
		fmt.Fprintf(c, "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256=%s\r\n%s\r\n", strings.Repeat("00", 32), head)
		go write(c)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		line, _ := io.ReadAll(io.LimitReader(c, 12))
		return string(line)
	}
	t.Run("too long, in chunks", func(t *testing.T) {
		chunk := fmt.Sprintf("100000\r\n%s\r\n", strings.Repeat("x", 1<<20))
		assert.Equal(t, "HTTP/1.1 413", send("Transfer-Encoding: chunked\r\n", func(c net.Conn) {
			for range 30 {
				if _, err := io.WriteString(c, chunk); err != nil {
					return
				}
			}
		}))
	})
	t.Run("too slow", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 8 seconds")
		}
		assert.Equal(t, "HTTP/1.1 408", send("Content-Length: 100\r\n", func(c net.Conn) { io.WriteString(c, "{") }))
	})
}

// Many that send large bodies, signed by nobody, do not fill the memory; who comes
// afterwards is served.
func TestManyLargeBodiesAtOnce(t *testing.T) {
	h := deaf(t, secret).Hook()
	s := httptest.NewServer(h)
	defer s.Close()
	var conns []net.Conn
	megabyte := []byte(strings.Repeat("x", 1<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 30 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer c.Close()
		conns = append(conns, c)
		fmt.Fprintf(c, "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n", strings.Repeat("00", 32), 20<<20)
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			for range 10 { // 300 MB in all
				if _, err := c.Write(megabyte); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapInuse)-int64(before.HeapInuse), int64(160<<20))
	refused := 0
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		line, _ := io.ReadAll(io.LimitReader(c, 12))
		if string(line) == "HTTP/1.1 503" {
			refused++
		}
		c.Close()
	}
	assert.Positive(t, refused)
	body := []byte(`{"action":"opened"}`)
	require.Eventually(t, func() bool {
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
		r.Header.Set("X-GitHub-Event", "pull_request")
		r.Header.Set("X-Hub-Signature-256", githubtest.Sign(secret, body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code == 202
	}, 10*time.Second, 10*time.Millisecond)
}

// webhookExamples reads the payload examples of GitHub's SDK, and fetches them into
// the cache the first time.
func webhookExamples(t *testing.T) []byte {
	t.Helper()
	const version = "7.6.1"
	home, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(home, "asterbot", "webhooks-examples-"+version)
	file := filepath.Join(dir, "package", "api.github.com", "index.json")
	if _, err := os.Stat(file); err != nil {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, "sh", "-c", "npm pack --silent @octokit/webhooks-examples@"+version+" && tar xzf *.tgz && rm -f *.tgz")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Skipf("needs @octokit/webhooks-examples through npm: %v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return data
}

// Every example of every event is taken.
func TestWebhookExamples(t *testing.T) {
	data := webhookExamples(t)
	var list []struct {
		Name     string            `json:"name"`
		Examples []json.RawMessage `json:"examples"`
	}
	require.NoError(t, json.Unmarshal(data, &list))
	s := githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Secret: secret})
	client, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL}})
	require.NoError(t, err)
	a, err := app.New(app.Options{GitHub: client, Secrets: []string{secret}, ParsePolicy: policy})
	require.NoError(t, err)
	h := a.Hook()
	n := 0
	for _, event := range list {
		for i, body := range event.Examples {
			r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
			r.Header.Set("X-GitHub-Event", event.Name)
			r.Header.Set("X-Hub-Signature-256", githubtest.Sign(secret, body))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Less(t, w.Code, 300, "%s %d: %s", event.Name, i, w.Body)
			n++
		}
	}
	assert.Greater(t, n, 200)
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	hidden := w.gh.AddRepo("asterinas", "secret-project")
	hidden.Private = true
	hidden.Commit("main", baseFiles)
	p, opened := w.repo.OpenPull(githubtest.NewPull{Title: "<script>alert(1)</script>"})
	_, opened2 := hidden.OpenPull(githubtest.NewPull{Title: "hidden"})
	w.send(opened, opened2)
	run, _ := p.RunFor(workflow)
	w.finish(run, good(), broken())
	get := func(h http.Handler, path string) (int, string) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec.Code, rec.Body.String()
	}
	code, page := get(w.app.Public(), "/")
	assert.Equal(t, 200, code)
	assert.Contains(t, page, "asterinas/asterinas#1")
	assert.Contains(t, page, "1 regression in 2 cases")
	assert.NotContains(t, page, "<script")
	assert.NotContains(t, page, "secret-project")
	_, page = get(w.app.Admin(), "/")
	assert.Contains(t, page, "secret-project")
	code, metrics := get(w.app.Admin(), "/metrics")
	assert.Equal(t, 200, code)
	for _, m := range []string{"asterbot_deliveries_total", "asterbot_reconcile_seconds", "asterbot_queue_waiting", "asterbot_api_calls_total", "asterbot_rate_remaining"} {
		assert.Contains(t, metrics, m)
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404, "/nothing": 404} {
		code, _ := get(w.app.Public(), path)
		assert.Equal(t, want, code, path)
	}
	t.Run("a verdict is as old as its check run, also for a process that has just started", func(t *testing.T) {
		w.gh.Advance(3*time.Hour + 30*time.Minute)
		w.stop()
		w.start()
		w.settle()
		_, page := get(w.app.Public(), "/")
		assert.Contains(t, page, "<td>3 h</td><td>3 h</td>")
	})
}

func FuzzHook(f *testing.F) {
	f.Add("pull_request", []byte(`{"action":"opened","number":1,"installation":{"id":1},"repository":{"name":"a","owner":{"login":"b"}}}`))
	f.Add("check_run", []byte(`{"action":"requested_action","check_run":{"external_id":"asterbot1 run=1.1"}}`))
	f.Add("push", []byte("null"))
	a := deaf(f, secret)
	h := a.Hook()
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		if strings.ContainsAny(event, "\r\n\x00") {
			return
		}
		for _, sign := range []bool{true, false} {
			r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
			r.Header.Set("X-GitHub-Event", event)
			if sign {
				r.Header.Set("X-Hub-Signature-256", githubtest.Sign(secret, body))
			}
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(ctx))
			cancel()
			if !sign && w.Code != 401 {
				t.Fatalf("unsigned: %d", w.Code)
			}
			if sign && w.Code != 202 && w.Code != 400 && w.Code != 503 {
				t.Fatalf("signed: %d", w.Code)
			}
		}
	})
}

// Signature to 202, beside a bare handler that reads and answers the same bodies:
// in turns, so that a busy host disturbs both; the median of the turns counts.
func BenchmarkHook(b *testing.B) {
	body := []byte(`{"action":"synchronize","number":7,"before":"x","pull_request":{"number":7,"body":"` + strings.Repeat("lorem ipsum ", 1500) + `"},"installation":{"id":1},"repository":{"name":"a","owner":{"login":"b"}}}`)
	sign := githubtest.Sign(secret, body)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer bare.Close()
	ours := httptest.NewServer(deaf(b, secret).Hook())
	defer ours.Close()
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	turn := func(address string) float64 {
		const requests, at = 200, 8
		start := time.Now()
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				for range requests / at {
					r, _ := http.NewRequest(http.MethodPost, address, bytes.NewReader(body))
					r.Header.Set("X-GitHub-Event", "pull_request")
					r.Header.Set("X-Hub-Signature-256", sign)
					resp, err := c.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 202 {
						b.Error(resp.Status)
					}
				}
			})
		}
		wg.Wait()
		return requests / time.Since(start).Seconds()
	}
	turn(bare.URL)
	turn(ours.URL)
	var bares, apps []float64
	for b.Loop() {
		bares, apps = append(bares, turn(bare.URL)), append(apps, turn(ours.URL))
	}
	slices.Sort(bares)
	slices.Sort(apps)
	b.ReportMetric(bares[len(bares)/2], "bare/s")
	b.ReportMetric(apps[len(apps)/2], "app/s")
	b.ReportMetric(apps[len(apps)/2]/bares[len(bares)/2], "ratio")
}
