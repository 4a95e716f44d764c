package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro/nix"
)

func TestParsePin(t *testing.T) {
	rev := strings.Repeat("c", 40)
	want := pin{Owner: "NixOS", Repo: "nixpkgs", Rev: rev, SHA256: "x"}
	for _, tc := range []struct {
		name, text string
		want       pin
	}{
		{"the object itself", `{"owner":"NixOS","repo":"nixpkgs","branch":"nixos-25.05","rev":"` + rev + `","sha256":"x"}`, want},
		{"niv's sources.json", `{"niv":{"rev":"other"},"nixpkgs":{"owner":"NixOS","repo":"nixpkgs","rev":"` + rev + `","sha256":"x","url":"https://evil.test"}}`, want},
		{"a flake.lock", `{"nodes":{"nixpkgs":{"locked":{"type":"github","owner":"NixOS","repo":"nixpkgs","rev":"` + rev + `","narHash":"x","lastModified":1}},"root":{}},"version":7}`, want},
		{"a revision alone", rev + "\n", pin{}},
		{"nothing of the kind", `{"a":1}`, pin{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := parsePin([]byte(tc.text))
			got.NarHash = ""
			assert.Equal(t, tc.want, got)
			assert.Equal(t, tc.want.Rev != "", ok)
		})
	}
	hash := strings.Repeat("0", 52)
	for _, bad := range []pin{
		{Owner: "../x", Repo: "r", Rev: rev, SHA256: hash}, {Owner: "o", Repo: "r/../../y", Rev: rev, SHA256: hash},
		{Owner: "o", Repo: "r", Rev: "main", SHA256: hash}, {Owner: "o", Repo: "r", Rev: rev, SHA256: "--option"},
	} {
		_, err := bad.fetch(t.Context(), &nix.Nix{})
		assert.ErrorContains(t, err, "as they should be", bad)
	}
}

// A repository's own package set: what it pins is what its entry is evaluated with, at
// base and at head. It is in the store already, so nothing is fetched.
func TestThePackageSetThatARepositoryPins(t *testing.T) {
	if _, err := exec.LookPath("nix-prefetch-url"); err != nil {
		t.Skip("needs Nix")
	}
	dir := t.TempDir()
	put := func(name, text string) {
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err, "%s %s", name, args)
		return strings.TrimSpace(string(out))
	}
	pinned := func(rev, version string) string {
		put("set/nixpkgs-"+rev+"/default.nix", `{ ... }: { tool = derivation { name = "tool-`+version+`"; system = "x86_64-linux"; builder = "/bin/sh"; }; }`)
		run("tar", "-czf", "set.tar.gz", "-C", "set", "nixpkgs-"+rev)
		hash := run("nix-prefetch-url", "--unpack", "--name", "nixpkgs-"+rev, "file://"+filepath.Join(dir, "set.tar.gz"))
		return `{"owner":"NixOS","repo":"nixpkgs","rev":"` + rev + `","sha256":"` + hash + `"}`
	}
	repo := filepath.Join(dir, "repo")
	git := func(args ...string) {
		run("git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	}
	put("repo/entry.nix", `{ nixpkgs ? null, ... }: { packages = { inherit (import nixpkgs { }) tool; }; }`)
	put("repo/.github/asterbot.yml", "entry: entry.nix\nnixpkgs: {pin: pin.json}\n")
	put("repo/pin.json", pinned(strings.Repeat("a", 40), "1.0"))
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-qm", "one")
	put("repo/pin.json", pinned(strings.Repeat("b", 40), "2.0"))
	git("commit", "-qam", "two")

	code, out, errs := bot(t, repo, "plan", "--base", "HEAD^", "--json")
	require.Zero(t, code, errs)
	plan, err := report.DecodePlan(strings.NewReader(out))
	require.NoError(t, err)
	require.Len(t, plan.Packages, 1)
	assert.Equal(t, "tool", plan.Packages[0].Attr)
	assert.Equal(t, "rebuilt", string(plan.Packages[0].Status))
}

// The distribution's own rules are settled by planning, so that the jobs of a workflow
// have them too; and so is a known failure that has expired.
func TestRulesAreSettledInThePlan(t *testing.T) {
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Skip("needs Nix")
	}
	repo := t.TempDir()
	put := func(name, text string) {
		p := filepath.Join(repo, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	git := func(args ...string) {
		out, err := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	put("dist/default.nix", `{ nixpkgs ? null, ... }: { packages = { }; images = { }; suites = { }; }`)
	put("dist/pin.json", "{}")
	put(".github/asterbot.yml", "entry: dist/default.nix\nnixpkgs: {path: dist}\nknown-failures:\n- {pattern: test/a/b, tracker: https://tracker.example/1, expires: 2020-01-01}\n- {pattern: test/c/d, tracker: https://tracker.example/2, expires: 2999-01-01}\n")
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-qm", "one")
	put("dist/default.nix", "# another\n"+`{ nixpkgs ? null, ... }: { packages = { }; images = { }; suites = { }; }`)
	git("commit", "-qam", "two")
	code, out, errs := bot(t, repo, "plan", "--base", "HEAD^", "--json")
	require.Zero(t, code, errs)
	plan, err := report.DecodePlan(strings.NewReader(out))
	require.NoError(t, err)
	subjects := map[string]int{}
	for _, r := range plan.Settled {
		subjects[r.Subject]++
	}
	assert.Equal(t, 1, subjects["known-failures"], "the one that has expired")
	assert.NotZero(t, subjects["distribution"], "rules")
	assert.Len(t, plan.Cases, len(plan.Settled))
	assert.Equal(t, []checks.KnownFailure{{Pattern: "test/c/d", Tracker: "https://tracker.example/2"}}, plan.Known)

	require.NoError(t, os.WriteFile(filepath.Join(repo, "plan.json"), []byte(out), 0o644))
	putDocument(t, filepath.Join(repo, "none/results.json"), &checks.Results{})
	code, _, errs = bot(t, repo, "report", "--plan", "plan.json", "--out", "out", "none")
	assert.Equal(t, 1, code, "an expired entry is a failure: %s", errs)
}
