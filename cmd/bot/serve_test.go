package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// shared is a writer that may be read meanwhile.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *shared) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *shared) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

func botWith(ctx context.Context, vars map[string]string, args ...string) (code int, out, err *shared) {
	out, err = &shared{}, &shared{}
	e := &env{strings.NewReader(""), out, err, func(k string) string { return vars[k] }, "."}
	return run(ctx, e, args), out, err
}

func TestServeRefusesToStartUnsafely(t *testing.T) {
	gh := githubtest.New(t, githubtest.Options{})
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, data, 0o600))
		return p
	}
	key, empty := file("key", gh.PrivateKey()), file("empty", []byte("\n"))
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"no App", nil, "the App's id and private key are needed"},
		{"no secret", []string{"--app-id", "1", "--private-key-file", key}, "a webhook secret is needed"},
		{"an empty secret", []string{"--app-id", "1", "--private-key-file", key, "--webhook-secret-file", empty}, "empty secret anybody could send events"},
		{"a key that is none", []string{"--app-id", "1", "--private-key-file", empty, "--webhook-secret-file", key}, "private key of the App"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, _, err := botWith(t.Context(), nil, append([]string{"serve"}, tc.args...)...)
			assert.Equal(t, 2, code)
			assert.Contains(t, err.String(), tc.says)
		})
	}
}

func TestServeReplayAndDrain(t *testing.T) {
	const secret = "a secret of a webhook"
	gh := githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Secret: secret})
	repo := gh.AddRepo("asterinas", "asterinas")
	repo.Commit("main", map[string]string{".github/asterbot.yml": "publish: app\ncommands: app\n"})
	p, opened := repo.OpenPull(githubtest.NewPull{})
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	ctx, stop := context.WithCancel(t.Context())
	vars := map[string]string{"ASTERBOT_PRIVATE_KEY": string(gh.PrivateKey()), "ASTERBOT_WEBHOOK_SECRET": secret, "ASTERBOT_APP_ID": fmt.Sprint(gh.AppID()), "ASTERBOT_API_URL": gh.URL, "ASTERBOT_LISTEN": address}
	done := make(chan int, 1)
	go func() {
		code, _, log := botWith(ctx, vars, "serve")
		t.Log(log.String())
		done <- code
	}()
	require.Eventually(t, func() bool {
		r, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == 200
	}, 20*time.Second, 20*time.Millisecond)
	file := filepath.Join(dir, "delivery.json")
	require.NoError(t, os.WriteFile(file, opened.Payload, 0o600))
	code, out, _ := botWith(t.Context(), vars, "replay", file, "--event", "pull_request", "--to", "http://"+address+"/webhook")
	assert.Equal(t, 0, code)
	assert.Contains(t, out.String(), "202")
	require.Eventually(t, func() bool { return len(repo.CheckRuns(p.Head())) == 5 }, 20*time.Second, 20*time.Millisecond)
	vars["ASTERBOT_WEBHOOK_SECRET"] = "another secret of another hook"
	code, _, _ = botWith(t.Context(), vars, "replay", file, "--event", "pull_request", "--to", "http://"+address+"/webhook")
	assert.Equal(t, 3, code, "the wrong secret")
	stop()
	assert.Equal(t, 0, <-done, "a signal is no failure")
}

func TestSetupWalksTheManifestFlow(t *testing.T) {
	gh := githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Events: github.Events})
	out := filepath.Join(t.TempDir(), "app")
	stdout := &shared{}
	e := &env{strings.NewReader(""), stdout, io.Discard, func(string) string { return "" }, "."}
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), e, []string{"setup", "--webhook-url", "https://example.test/webhook", "--out", out, "--api-url", gh.URL, "--web-url", "https://github.test", "--org", "asterinas"})
	}()
	page := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	require.Eventually(t, func() bool { return page.MatchString(stdout.String()) }, 10*time.Second, 10*time.Millisecond)
	here := page.FindString(stdout.String())
	resp, err := http.Get(here + "/")
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	assert.Contains(t, string(body), "https://github.test/organizations/asterinas/settings/apps/new?state=")
	state := regexp.MustCompile(`state=([A-Z2-7]+)`).FindStringSubmatch(string(body))[1]
	forged, err := http.Get(here + "/created?state=forged&code=x")
	require.NoError(t, err)
	forged.Body.Close()
	assert.Equal(t, 400, forged.StatusCode, "only the browser that came from here")
	code := gh.RegisterManifest(map[string]any{"default_permissions": github.Permissions, "default_events": github.Events})
	resp, err = http.Get(here + "/created?state=" + state + "&code=" + code)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 0, <-done)
	info, err := os.Stat(filepath.Join(out, "private-key.pem"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	id, err := os.ReadFile(filepath.Join(out, "app-id"))
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintln(gh.AppID()), string(id))

	repo := gh.AddRepo("asterinas", "asterinas")
	repo.SetRole("owner", "admin")
	vars := map[string]string{"GH_TOKEN": gh.UserToken("owner")}
	exit, said, _ := botWith(t.Context(), vars, "setup", "--ruleset", "asterinas/asterinas", "--out", out, "--api-url", gh.URL)
	assert.Equal(t, 0, exit)
	assert.Contains(t, said.String(), "requires the check")
	exit, said, _ = botWith(t.Context(), vars, "doctor", "--github", "asterinas/asterinas", "--api-url", gh.URL, "--app", out)
	assert.Equal(t, 1, exit, "there is no workflow")
	assert.Contains(t, said.String(), "ok       the App has the permissions and events that it needs, and no more")
	assert.Contains(t, said.String(), `ok       the check "asterbot" is required, from one App`)
}
