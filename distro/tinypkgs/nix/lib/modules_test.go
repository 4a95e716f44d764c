// Package lib_test runs the Nix library's own tests.
package lib_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// own is the library under test. Only the module system is asked of it, so that
// a fault elsewhere does not hide one here.
func own(t *testing.T) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	return "(import " + dir + "/properties.nix // import " + dir + "/modules.nix // { types = import " + dir + "/types.nix; })"
}

func eval(t *testing.T, expr string) (stdout []byte, stderr string, err error) {
	t.Helper()
	nix, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("needs nix-instantiate: install Nix (Debian: nix-bin)")
	}
	cmd := exec.Command(nix, "--eval", "--strict", "--json", "--show-trace", "--expr", expr)
	// The store is not touched: any user may run this.
	cmd.Env = append(os.Environ(), "NIX_REMOTE=dummy://")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

func table(t *testing.T) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	return dir + "/modules-test.nix"
}

func values(t *testing.T, lib string) {
	out, stderr, err := eval(t, `
		let lib = `+lib+`; tests = (import `+table(t)+` lib).values; in
		builtins.mapAttrs (_: t:
		  let c = (lib.evalModules { inherit (t) modules; specialArgs.lib = lib; }).config; in
		  { inherit (t) expect; got = if t.whole or false then c else c.a; }) tests`)
	require.NoError(t, err, stderr)
	var results map[string]struct{ Expect, Got any }
	require.NoError(t, json.Unmarshal(out, &results))
	require.NotEmpty(t, results)
	for name, r := range results {
		t.Run(name, func(t *testing.T) { assert.Equal(t, r.Expect, r.Got) })
	}
}

func TestModules(t *testing.T) { values(t, own(t)) }

func messages(t *testing.T, lib string, check func(t *testing.T, says []string, stderr string)) {
	out, stderr, err := eval(t, `builtins.mapAttrs (_: t: t.says) (import `+table(t)+` `+lib+`).errors`)
	require.NoError(t, err, stderr)
	var errors map[string][]string
	require.NoError(t, json.Unmarshal(out, &errors))
	require.NotEmpty(t, errors)
	for name, says := range errors {
		t.Run(name, func(t *testing.T) {
			out, stderr, err := eval(t, `let lib = `+lib+`; in builtins.removeAttrs (lib.evalModules {
			  inherit ((import `+table(t)+` lib).errors.`+quote(t, name)+`) modules; specialArgs.lib = lib; }).config [ ]`)
			require.Error(t, err, "it evaluates: %s", out)
			check(t, says, stderr)
		})
	}
}

func quote(t *testing.T, s string) string {
	b, err := json.Marshal(s)
	require.NoError(t, err)
	return string(b)
}

// A message names the option, the file and both definitions.
func TestMessages(t *testing.T) {
	messages(t, own(t), func(t *testing.T, says []string, stderr string) {
		for _, s := range says {
			assert.Regexp(t, regexp.MustCompile(s), stderr)
		}
	})
}
