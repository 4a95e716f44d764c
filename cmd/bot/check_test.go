package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/sample"
	"github.com/asterinas/asterbot/internal/config"
)

// cli runs a command line in this process.
type cli struct {
	dir string
	env map[string]string
}

// output is what a command line left.
type output struct {
	code           int
	stdout, stderr string
}

func (c cli) run(ctx context.Context, args ...string) output {
	var stdout, stderr bytes.Buffer
	e := &env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Dir: c.dir, Getenv: func(name string) string {
		if v, ok := c.env[name]; ok {
			return v
		}
		return os.Getenv(name)
	}}
	code := run(ctx, e, args)
	return output{code, stdout.String(), stderr.String()}
}

// repository is a git repository in a temporary folder.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@t", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@t", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// commit writes files (an empty text removes one) and commits them on a branch made
// from where HEAD is.
func (r repository) commit(branch string, files map[string]string) string {
	r.t.Helper()
	if branch != r.git("branch", "--show-current") {
		r.git("checkout", "-q", "-B", branch)
	}
	for name, text := range files {
		path := filepath.Join(r.dir, name)
		if text == "" {
			require.NoError(r.t, os.Remove(path))
			continue
		}
		require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(r.t, os.WriteFile(path, []byte(text), 0o644))
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", branch)
	return r.git("rev-parse", "HEAD")
}

// needs skips where the set-up has not run.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: run 'make setup'", p)
		}
	}
}

const tinyConfig = "entry: default.nix\nkernel: {inputs: [kernel/**], profile: linux}\nscopes: {overlay: [default.nix]}\n"

// entryOf is a Nix entry on tinypkgs with the given packages.
func entryOf(packages string) string {
	return "{ nixpkgs, kernel ? null, system ? \"x86_64-linux\", ... }:\nlet pkgs = import nixpkgs { inherit system; };\nin {\n  packages = {\n" +
		packages + "\n  };\n}\n"
}

const good = `    good = pkgs.runCommand "good" { } "echo good > $out";`

// TestBadInput: each gets a message that says what to do, and the documented exit code.
func TestBadInput(t *testing.T) {
	needs(t, "git", "nix-store")
	base := map[string]string{".github/asterbot.yml": tinyConfig, "default.nix": entryOf(good), "README.md": "read me\n"}
	for _, tc := range []struct {
		name   string
		make   func(repository) []string // returns further arguments
		code   int
		stderr []string
	}{
		{"an unknown revision", func(r repository) []string { return []string{"--head", "no-such-branch"} }, 2,
			[]string{`"no-such-branch"`, "not in this repository", "fetch"}},
		{"unrelated histories", func(r repository) []string {
			r.git("checkout", "-q", "--orphan", "other")
			r.commit("other", map[string]string{"x": "x"})
			return []string{"--head", "other"}
		}, 2, []string{"no common ancestor"}},
		{"a merge conflict", func(r repository) []string {
			r.commit("change", map[string]string{"README.md": "mine\n"})
			r.git("checkout", "-q", "main")
			r.commit("main", map[string]string{"README.md": "theirs\n"})
			return []string{"--head", "change"}
		}, 3, []string{"conflicts in README.md", "merge or rebase"}},
		{"a configuration that is not there", func(r repository) []string {
			r.commit("main", map[string]string{".github/asterbot.yml": ""})
			r.commit("change", map[string]string{"x": "x"})
			return []string{"--head", "change"}
		}, 2, []string{".github/asterbot.yml", "bot init", "--config"}},
		{"a misspelt key", func(r repository) []string {
			r.commit("main", map[string]string{".github/asterbot.yml": "entry: default.nix\nkernl:\n  inputs: [a]\n"})
			r.commit("change", map[string]string{"x": "x"})
			return []string{"--head", "change"}
		}, 2, []string{".github/asterbot.yml:2:1", "kernl", "kernel", "^"}},
		{"a configuration that is no YAML", func(r repository) []string {
			r.commit("main", map[string]string{".github/asterbot.yml": "entry: [\n"})
			return []string{"--head", "main"}
		}, 2, []string{".github/asterbot.yml:"}},
		{"a kernel image that is not there", func(r repository) []string { return []string{"--head", "main", "--kernel", "no-such-image"} }, 2,
			[]string{"no-such-image"}},
		{"a package set that is not there", func(r repository) []string { return []string{"--head", "main", "--nixpkgs", "nowhere"} }, 2, []string{"nowhere"}},
		{"an unknown flag", func(r repository) []string { return []string{"--frobnicate"} }, 2, []string{"--frobnicate", "--help"}},
		{"an unknown value of --again", func(r repository) []string {
			r.commit("change", map[string]string{"default.nix": entryOf(strings.ReplaceAll(good, "echo good", "echo better"))})
			return []string{"--head", "change", "--again", "sometimes"}
		}, 2, []string{"--again", "failures or all"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRepository(t)
			r.commit("main", base)
			args := append([]string{"check", "--base", "main"}, tc.make(r)...)
			got := cli{dir: r.dir}.run(t.Context(), args...)
			assert.Equal(t, tc.code, got.code, got.stderr)
			for _, want := range tc.stderr {
				assert.Contains(t, got.stderr, want)
			}
			assertNothingLeft(t, r)
		})
	}
	t.Run("not a git repository", func(t *testing.T) {
		got := cli{dir: t.TempDir()}.run(t.Context(), "check", "--base", "a")
		assert.Equal(t, 2, got.code)
		assert.Contains(t, got.stderr, "not a git repository")
		assert.Contains(t, got.stderr, "--repo")
	})
}

// TestAnEntryThatIsBroken: what one attribute does to the evaluator never hides the
// others.
func TestAnEntryThatIsBroken(t *testing.T) {
	needs(t, "git", "nix-store", "busybox")
	for _, tc := range []struct {
		name, broken string
		reason       string
	}{
		{"throws", `    broken = throw "not today";`, "not today"},
		{"aborts", `    broken = builtins.abort "enough";`, "enough"},
		{"recurses for ever", `    broken = let x = x; in x;`, "infinite recursion"},
		{"runs out of stack", `    broken = let f = n: 1 + f n; in f 1;`, "stack"},
		{"misses an attribute", `    broken = pkgs.no-such-package;`, "no-such-package"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRepository(t)
			r.commit("main", map[string]string{".github/asterbot.yml": tinyConfig, "default.nix": entryOf(good + "\n    broken = pkgs.hello;")})
			r.commit("change", map[string]string{"default.nix": entryOf(strings.ReplaceAll(good, "echo good", "echo better") + "\n" + tc.broken)})
			got := cli{dir: r.dir}.run(t.Context(), "check", "--base", "main", "--head", "change")
			assert.Equal(t, 1, got.code, got.stdout+got.stderr)
			rep := readReport(t, r.dir)
			assert.Equal(t, checks.Regressed, verdict(t, rep, checks.KindEval, "broken").Verdict)
			assert.Contains(t, verdict(t, rep, checks.KindEval, "broken").Reason, tc.reason)
			assert.Equal(t, checks.Passing, verdict(t, rep, checks.KindBuild, "good").Verdict)
			assertNothingLeft(t, r)
		})
	}
}

// TestNeedsImportFromDerivation is not broken, but nobody looked: never green, never blamed.
func TestNeedsImportFromDerivation(t *testing.T) {
	needs(t, "git", "nix-store", "busybox")
	r := newRepository(t)
	r.commit("main", map[string]string{".github/asterbot.yml": tinyConfig, "default.nix": entryOf(good + "\n    imports = pkgs.hello;")})
	r.commit("change", map[string]string{"default.nix": entryOf(good + "\n    imports = import (pkgs.writeText \"e.nix\" \"{ }\");")})
	got := cli{dir: r.dir}.run(t.Context(), "check", "--base", "main", "--head", "change")
	assert.Equal(t, 3, got.code, got.stdout+got.stderr)
	res := verdict(t, readReport(t, r.dir), checks.KindEval, "imports")
	assert.Equal(t, checks.Skip, res.Now)
	assert.Contains(t, res.Reason, "import-from-derivation")
}

func TestNothingAffected(t *testing.T) {
	needs(t, "git", "nix-store")
	r := newRepository(t)
	r.commit("main", map[string]string{".github/asterbot.yml": tinyConfig, "default.nix": entryOf(good)})
	r.commit("change", map[string]string{"docs/page.md": "text\n"})
	got := cli{dir: r.dir}.run(t.Context(), "check", "--base", "main", "--head", "change")
	assert.Equal(t, 0, got.code, got.stderr)
	rep := readReport(t, r.dir)
	assert.Equal(t, checks.Skipped, rep.Conclusion)
	assert.Empty(t, rep.Cases)
	assert.Contains(t, strings.ToLower(rep.Headline), "nothing")
}

func TestTwoChecksDoNotWriteIntoOneFolder(t *testing.T) {
	e := &env{Dir: t.TempDir()}
	_, unlock, err := openOut(e, "out")
	require.NoError(t, err)
	_, _, err = openOut(e, "out")
	require.ErrorContains(t, err, "--out")
	unlock()
	_, unlock, err = openOut(e, "out")
	require.NoError(t, err)
	unlock()
}

func TestNoDiskSpaceIsSaidBeforeAnythingRuns(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs root, to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	err := enoughDisk(dir)
	require.ErrorContains(t, err, "no disk space: "+dir)
	assert.ErrorContains(t, err, "nix-store --gc")
}

// TestCtrlC stops a check at many moments: it says so, and leaves nothing.
func TestCtrlC(t *testing.T) {
	needs(t, "git", "nix-store", "qemu-system-x86_64")
	dir := filepath.Join(t.TempDir(), "sample")
	require.NoError(t, sample.Create(t.Context(), dir))
	r := repository{t, dir}
	cache := t.TempDir() // outcomes are not to be remembered from elsewhere
	linkCache(t, cache)
	for _, after := range []time.Duration{0, 30, 200, 1000, 4000} {
		t.Run(fmt.Sprintf("after %d ms", after), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
			defer cancel()
			c := cli{dir: t.TempDir(), env: map[string]string{"ASTERBOT_CACHE": cache}}
			began := time.Now()
			got := c.run(ctx, "check", "--repo", dir, "--base", sample.Base, "--head", sample.Changes()[0].Name)
			assert.Contains(t, []int{1, 3}, got.code, got.stderr)
			assert.Contains(t, got.stdout+got.stderr, "interrupted")
			assert.Less(t, time.Since(began)-after*time.Millisecond, 20*time.Second)
			assertNothingLeft(t, r)
		})
	}
}

// linkCache makes a cache that has what the set-up made and remembers nothing.
func linkCache(t *testing.T, dir string) {
	t.Helper()
	real := os.Getenv("ASTERBOT_CACHE")
	if real == "" {
		base, err := os.UserCacheDir()
		require.NoError(t, err)
		real = filepath.Join(base, "asterbot")
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		t.Skipf("needs the set-up's cache: run 'make setup': %v", err)
	}
	for _, e := range entries {
		if e.Name() == "memo" || e.Name() == "sets" {
			continue
		}
		require.NoError(t, os.Symlink(filepath.Join(real, e.Name()), filepath.Join(dir, e.Name())))
	}
}

// assertNothingLeft looks for what a check must take back: temporary folders,
// working trees, processes.
func assertNothingLeft(t *testing.T, r repository) {
	t.Helper()
	entries, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	mine := fmt.Sprintf("asterbot-%d-", os.Getpid())
	for _, e := range entries {
		assert.False(t, strings.HasPrefix(e.Name(), mine), "left behind: %s", e.Name())
	}
	assert.Len(t, strings.Split(r.git("worktree", "list"), "\n"), 1, "a working tree was left behind")
	assert.Eventually(t, func() bool { return len(children(t)) == 0 }, 10*time.Second, 50*time.Millisecond, "processes left behind: %v", children(t))
}

// children are the living processes that this one started.
func children(t *testing.T) []string {
	t.Helper()
	var out []string
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) > 1 && f[0] != "Z" && f[1] == fmt.Sprint(os.Getpid()) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
			out = append(out, strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return out
}

func readReport(t *testing.T, dir string) *checks.Report {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "asterbot-out", "report.json"))
	require.NoError(t, err)
	defer f.Close()
	rep, err := report.DecodeReport(f)
	require.NoError(t, err)
	return rep
}

func verdict(t *testing.T, rep *checks.Report, kind checks.Kind, subject string) checks.Result {
	t.Helper()
	i := slices.IndexFunc(rep.Cases, func(r checks.Result) bool { return r.Kind == kind && r.Subject == subject })
	if i < 0 {
		text, _ := json.MarshalIndent(rep.Cases, "", " ")
		require.Fail(t, "no such case", "%s %s in %s", kind, subject, text)
	}
	return rep.Cases[i]
}

// TestWhatMayImport: an attribute of the allow list builds while it is evaluated, of code
// that is trusted; another one does not, and nothing does of code that is not.
func TestWhatMayImport(t *testing.T) {
	needs(t, "git", "nix-store", "busybox")
	r := newRepository(t)
	imports := func(name, text string) string {
		return "\n    " + name + ` = pkgs.runCommand (import (pkgs.runCommand "name" { } "echo '\"` + text + `\"' > $out")) { } "echo x > $out";`
	}
	allow := tinyConfig + "trust: {import-from-derivation: [allowed-*]}\n"
	r.commit("main", map[string]string{".github/asterbot.yml": allow, "default.nix": entryOf(good + imports("allowed-one", "first") + imports("other", "first"))})
	r.commit("change", map[string]string{"default.nix": entryOf(good + imports("allowed-one", "second") + imports("other", "second"))})
	got := cli{dir: r.dir}.run(t.Context(), "plan", "--base", "main", "--head", "change", "--json")
	require.Equal(t, 0, got.code, got.stderr)
	plan, err := report.DecodePlan(strings.NewReader(got.stdout))
	require.NoError(t, err)
	require.Len(t, plan.Packages, 2)
	assert.Equal(t, distro.StatusRebuilt, plan.Packages[0].Status, "allowed-one: %+v", plan.Packages[0])
	assert.True(t, plan.Packages[0].Root)
	assert.Equal(t, distro.StatusEvalStillFailing, plan.Packages[1].Status)
	assert.Equal(t, distro.FailImportFrom, plan.Packages[1].Failure.Reason)

	got = cli{dir: r.dir}.run(t.Context(), "check", "--base", "main", "--head", "change", "--only", "allowed-one")
	require.Equal(t, 0, got.code, got.stdout+got.stderr)
	assert.Equal(t, checks.Passing, verdict(t, readReport(t, r.dir), checks.KindBuild, "allowed-one").Verdict)

	policy, err := config.Parse("asterbot.yml", []byte(allow))
	require.NoError(t, err)
	assert.False(t, (&workspace{subject: subject{Untrusted: true}, config: policy}).importing(), "code that nobody has reviewed")
}
