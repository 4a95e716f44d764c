package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
