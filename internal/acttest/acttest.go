// Package acttest runs real workflow files on this machine, for tests: with act,
// without Docker and without a network.
//
// Run starts act on a repository for an event. Small composite actions stand in
// for those of GitHub that need its services: checkout, artifacts, caches,
// attestations. act models neither permissions nor concurrency.
package acttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Run says what to run.
type Run struct {
	// Dir is a working tree with .github/workflows; its HEAD is GITHUB_SHA.
	Dir string
	// Origin is what checkouts clone; Dir if empty.
	Origin string
	// Repository is OWNER/NAME, as GitHub calls Dir.
	Repository string
	// Workflow is the file below .github/workflows.
	Workflow string
	// Event is its name, Payload its JSON.
	Event   string
	Payload any
	// Token is GITHUB_TOKEN.
	Token string
	// API is the address of GitHub's API; empty for none.
	API string
	// Bot is the binary that the action is to use.
	Bot string
	// Env are further variables, of all steps.
	Env map[string]string
	// Artifacts and Cache are kept there, and Home is the home folder of all jobs;
	// temporary folders if empty.
	Artifacts, Cache, Home string
	// Attempt is the run's attempt; zero is the first.
	Attempt int
	Inputs  map[string]string
}

// Result is what came of it.
type Result struct {
	// OK reports that act ended well: no job failed.
	OK bool
	// Lines are all lines of the log.
	Lines []Line
	// Artifacts is the folder with a folder for each artifact.
	Artifacts string
	// Summary are the summaries of all steps.
	Summary string
}

// Line is a line of act's log.
type Line struct {
	Time    time.Time         `json:"time"` // in whole seconds
	Level   string            `json:"level"`
	Message string            `json:"msg"`
	Job     string            `json:"job"`
	Step    string            `json:"step"`
	Command string            `json:"command"` // of a workflow command that was acted upon; "ignored" of one that was not
	Props   map[string]string `json:"kvPairs"`
	Arg     string            `json:"arg"`
	Raw     string            `json:"raw"`
	// RawOutput reports that the line is the step's own.
	RawOutput bool   `json:"raw_output"`
	Result    string `json:"jobResult"`
	StepState string `json:"stepResult"`
}

// Act finds act: on PATH, or where the set-up puts tools. It skips the test
// where there is none.
func Act(t *testing.T) string {
	t.Helper()
	for _, p := range []string{filepath.Join(root(), "bin", "tools", "act"), "act"} {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Skip("needs act v0.2.89: go install github.com/nektos/act@v0.2.89")
	return ""
}

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

var pinned = regexp.MustCompile(`uses: *([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)((?:/[A-Za-z0-9_.-]+)*)@([0-9A-Za-z._-]+)`)

// stand are the flags that put stand-ins in the place of the actions that
// workflows use.
func stand(t *testing.T, dirs ...string) []string {
	t.Helper()
	shims := filepath.Join(root(), "internal", "acttest", "shims")
	seen := map[string]bool{}
	var args []string
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, ".github", "workflows", "*.y*ml"))
		require.NoError(t, err)
		for _, f := range append(files, filepath.Join(dir, "action.yml")) {
			text, err := os.ReadFile(f)
			if os.IsNotExist(err) {
				continue
			}
			require.NoError(t, err)
			for _, m := range pinned.FindAllStringSubmatch(string(text), -1) {
				repo, ref := m[1], m[3]
				to := filepath.Join(shims, filepath.Base(repo))
				if repo == "asterinas/asterbot" {
					to = root()
				}
				if key := repo + "@" + ref; !seen[key] {
					seen[key] = true
					args = append(args, "--local-repository", key+"="+to)
				}
			}
		}
	}
	return args
}

// Start runs act and waits for it.
func (r Run) Start(ctx context.Context, t *testing.T) *Result {
	t.Helper()
	act := Act(t)
	tmp := t.TempDir()
	orElse := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	res := &Result{Artifacts: orElse(r.Artifacts, filepath.Join(tmp, "artifacts"))}
	payload, err := json.Marshal(r.Payload)
	require.NoError(t, err)
	event := filepath.Join(tmp, "event.json")
	require.NoError(t, os.WriteFile(event, payload, 0o600))
	home := orElse(r.Home, filepath.Join(tmp, "home"))
	require.NoError(t, os.MkdirAll(home, 0o755))

	env := map[string]string{
		"ACTTEST_ORIGIN": orElse(r.Origin, r.Dir), "ACTTEST_SELF": root(), "ACTTEST_REPOSITORY": r.Repository,
		"ACTTEST_ARTIFACTS": res.Artifacts, "ACTTEST_CACHE": orElse(r.Cache, filepath.Join(tmp, "cache")),
		"ASTERBOT_BINARY": r.Bot, "GITHUB_RUN_ATTEMPT": fmt.Sprint(max(r.Attempt, 1)), "RUNNER_ENVIRONMENT": "self-hosted",
	}
	if r.API != "" {
		env["GITHUB_API_URL"] = r.API
	}
	for k, v := range r.Env {
		env[k] = v
	}
	args := []string{
		r.Event, "-C", r.Dir, "-W", filepath.Join(r.Dir, ".github", "workflows", r.Workflow), "-e", event,
		"-P", "ubuntu-latest=-self-hosted", "-P", "ubuntu-24.04=-self-hosted", "--no-cache-server", "--no-skip-checkout", "--json", "--pull=false",
		"--action-cache-path", filepath.Join(tmp, "act"), "--concurrent-jobs", "2", "-s", "GITHUB_TOKEN=" + orElse(r.Token, "acttest-token"), "--defaultbranch", "main",
	}
	for k, v := range env {
		args = append(args, "--env", k+"="+v)
	}
	for k, v := range r.Inputs {
		args = append(args, "--input", k+"="+v)
	}
	args = append(args, stand(t, r.Dir, root())...)

	cmd := exec.CommandContext(ctx, act, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, ".cache"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	res.OK = cmd.Run() == nil
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var l Line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			l.Message = lines.Text()
		}
		res.Lines = append(res.Lines, l)
	}
	require.NoError(t, lines.Err())
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(res.Log())
		}
	})
	return res
}

// Log is the whole log as text, for a test that failed.
func (r *Result) Log() string {
	var b strings.Builder
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "[%s] %s\n", l.Job, strings.TrimRight(l.Message, "\n"))
	}
	return b.String()
}

// Acted are the workflow commands that the runner acted upon, of a name.
func (r *Result) Acted(command string) []Line {
	var out []Line
	for _, l := range r.Lines {
		if l.Command == command {
			out = append(out, l)
		}
	}
	return out
}

// After is how long it took until a line held a text; -1 where none did.
func (r *Result) After(text string) time.Duration {
	var began time.Time
	for _, l := range r.Lines {
		if began.IsZero() {
			began = l.Time
		}
		if strings.Contains(l.Message, text) {
			return l.Time.Sub(began)
		}
	}
	return -1
}

// Jobs are the results of the jobs, by name.
func (r *Result) Jobs() map[string]string {
	out := map[string]string{}
	for _, l := range r.Lines {
		if l.Result != "" {
			out[l.Job] = l.Result
		}
	}
	return out
}
