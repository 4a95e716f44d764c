package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// kernelRepository is a repository whose kernel a command builds. It is laid out
// unlike the sample: one file with everything, in a folder of its own.
func kernelRepository(t *testing.T) string {
	t.Helper()
	shared := cache(t)
	image, err := filepath.EvalSymlinks(filepath.Join(shared, "kernel", "vmlinuz"))
	if err != nil {
		t.Skip("needs the set-up (make setup): there is no kernel")
	}
	dir := filepath.Join(t.TempDir(), "repository")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, "distro/own.nix", `{ nixpkgs ? null, kernel ? null, system ? "x86_64-linux", ... }:
let
  pkgs = import (if nixpkgs != null then nixpkgs else <nixpkgs>) {
    inherit system;
    overlays = [ (final: prev: { greeting = final.runCommand "greeting-1" { } "mkdir -p $out/bin; printf '#!/bin/sh\necho hello\n' >$out/bin/greeting; chmod +x $out/bin/greeting"; }) ];
  };
in {
  packages = { inherit (pkgs) greeting; };
  images = { };
  suites.first = {
    system = pkgs.makeSystem { name = "first"; packages = [ pkgs.greeting ]; kernel = { modules = pkgs.linux; } // kernel; };
    cases = [ { name = "greets"; run = "greeting"; expect = "^hello$"; smoke = true; } ];
  };
}
`)
	write(t, dir, ".github/asterbot.yml", `entry: distro/own.nix
reads: distro
kernel:
  inputs: src/**
  profile: linux
  build: {command: sh src/build.sh, image: out/vmlinuz}
smoke: [first]
`)
	write(t, dir, "src/build.sh", "grep -q 'fn main' src/main.rs || { echo 'error: expected one of \"fn\"' >&2; exit 101; }\nmkdir -p out\ncp '"+image+"' out/vmlinuz\nprintf ok >>out/vmlinuz\n")
	write(t, dir, "src/main.rs", "fn main() {}\n")
	write(t, dir, ".github/workflows/compat.yml", caller)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "A kernel and its distribution")
	git(t, dir, "remote", "add", "origin", "https://github.com/o/r")
	return dir
}

func caseOf(t *testing.T, r *checks.Report, kind checks.Kind, subject string) checks.Result {
	t.Helper()
	for _, c := range r.Cases {
		if c.Kind == kind && c.Subject == subject {
			return c
		}
	}
	t.Fatalf("no case %s %s", kind, subject)
	return checks.Result{}
}

func TestAWorkflowRunBuildsTheKernel(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := kernelRepository(t)
	change := func(branch, text string) pull {
		git(t, dir, "checkout", "-q", "-b", branch, "main")
		write(t, dir, "src/main.rs", text)
		write(t, dir, "distro/own.nix", textOf(t, dir, "distro/own.nix")+"# no change to what is built\n")
		git(t, dir, "commit", "-qam", branch)
		return open(t, dir, branch, "")
	}

	p := change("works", "fn main() { boot() }\n")
	res := p.run(t, bot).Start(ctx, t)
	r := theReport(t, res)
	assert.True(t, res.OK)
	assert.Equal(t, checks.Success, r.Conclusion, r.Headline)
	built := caseOf(t, r, checks.KindBuild, "kernel")
	assert.Equal(t, distro.KindKernel, built.Of)
	assert.Equal(t, checks.Passing, built.Verdict)
	assert.Equal(t, checks.Pass, caseOf(t, r, checks.KindTest, "first").Now)
	for _, side := range []string{"head", "base"} {
		assert.FileExists(t, filepath.Join(res.Artifacts, "asterbot-kernel-"+side+"-1", "image"))
	}

	p = change("broken", "fun main() {}\n")
	res = p.run(t, bot).Start(ctx, t)
	r = theReport(t, res)
	assert.Equal(t, checks.Failure, r.Conclusion, "a kernel that does not build is a failure, and not our surroundings'")
	built = caseOf(t, r, checks.KindBuild, "kernel")
	assert.Equal(t, checks.Regressed, built.Verdict)
	assert.Equal(t, checks.BlameKernel, built.Blame)
	assert.Contains(t, built.Reason, `expected one of "fn"`)
	assert.NotEmpty(t, built.Log)
	boot := caseOf(t, r, checks.KindBoot, "first")
	assert.Equal(t, checks.Error, boot.Now, "nothing is booted with another kernel")
	assert.Equal(t, "the kernel under test was not built", boot.Reason)
}

func textOf(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(data)
}
