package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/lint"
	"github.com/asterinas/asterbot/distro/sample"
)

// What a rule found on both sides is a case like any other.
func TestLintResult(t *testing.T) {
	rule := lint.Rules[0]
	good := lint.Result{Rule: rule}
	bad := lint.Result{Rule: rule, Findings: []lint.Finding{{Rule: rule.Name, File: "o/default.nix", Line: 3, Message: "no case"}, {Rule: rule.Name, File: "o/default.nix", Line: 9, Message: "none either"}}}
	for _, tt := range []struct {
		name string
		head lint.Result
		was  checks.Side
		want checks.Verdict
	}{
		{"it held and holds", good, lintSide(good), checks.Passing},
		{"it held and does not", bad, lintSide(good), checks.Regressed},
		{"it did not hold and does", good, lintSide(bad), checks.Fixed},
		{"it never held", bad, lintSide(bad), checks.StillFailing},
		{"the distribution is new", bad, checks.Side{Status: checks.Absent}, checks.New},
		{"base could not be looked at", bad, checks.Side{Status: checks.Unknown}, checks.Undecided},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := lintResult(tt.head, tt.was)
			assert.Equal(t, tt.want, r.Verdict)
			assert.Equal(t, checks.KindLint, r.Kind)
			if len(tt.head.Findings) > 0 {
				assert.Equal(t, "no case; and 1 more", r.Reason)
				assert.Equal(t, []distro.Cause{{File: "o/default.nix", Line: 3, What: "no case"}, {File: "o/default.nix", Line: 9, What: "none either"}}, r.Causes)
			}
		})
	}
}

func TestBuildEnvironmentArgs(t *testing.T) {
	b := buildEnvironment{drv: "/nix/store/x-hello.drv", options: []string{"--option", "sandbox", "true"}}
	assert.Equal(t, []string{"/nix/store/x-hello.drv", "--pure", "--option", "sandbox", "true"}, b.args(nil, true))
	assert.Equal(t, []string{"/nix/store/x-hello.drv", "--run", "runPhase unpackPhase && ls", "--option", "sandbox", "true"},
		b.args([]string{"runPhase unpackPhase && ls"}, false), "one word is a line for the shell")
	assert.Equal(t, "grep 'two words' file", b.args([]string{"grep", "two words", "file"}, true)[3])
}

// Wrong usage is said before anything is looked at.
func TestDistributionCommandsUsage(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "set"), 0o755))
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"drift"}, "say which nixpkgs"},
		{[]string{"drift", "--nixpkgs", "set", "--format", "xml"}, "--format is text, json or markdown"},
		{[]string{"drift", "--nixpkgs", "no/such/folder"}, "no/such/folder is not a folder"},
		{[]string{"drift", "--nixpkgs", "set"}, "there is no default.nix with overlays"},
		{[]string{"lint", "--dir", "nowhere"}, "name the distribution's folder with --dir"},
		{[]string{"shell"}, "requires at least 1 arg"},
		{[]string{"shell", "hello", "--at", "tail"}, "--at is base or head"},
		{[]string{"shell", "hello", "world"}, "one package at a time"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), &env{Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Dir: dir}, tt.args)
		assert.Equal(t, checks.ExitUsage, code, tt.args)
		assert.Contains(t, errs.String(), tt.says)
	}
}

// bot shell really drops into the environment of the package's build, before the change and after it, and reports the command's status.
func TestShell(t *testing.T) {
	needs(t, "nix-shell", "git")
	dir := t.TempDir()
	require.NoError(t, sample.Create(t.Context(), dir))
	c := cli{dir: dir}
	in := func(at, command string) output {
		return c.run(t.Context(), "shell", "sed", "--base", sample.Base, "--head", "stale-patch", "--at", at, "--", "cd $(mktemp -d) && "+command)
	}

	got := in("base", "unpackPhase && cd $sourceRoot && patchPhase && configurePhase > /dev/null && buildPhase > /dev/null && sed/sed --version | head -n 1")
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Contains(t, got.stdout, "sed/sed (GNU sed) ")

	got = in("head", "unpackPhase && cd $sourceRoot && patchPhase")
	assert.NotEqual(t, 0, got.code, "the patch of this change does not apply")
	assert.Contains(t, got.stdout, "0001-say-the-distribution.patch")

	assert.Equal(t, 7, in("base", "exit 7").code)
}
