package nix_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
)

// builds is an entry whose packages build in every way a package can. The builder is
// busybox, put into the store; busybox is all they need.
const builds = `{ kernel ? null, system ? "x86_64-linux", ... }:
let
  sh = builtins.path { path = ./bin; name = "busybox"; };
  mk = name: script: derivation { inherit name system script; stamp = STAMP; builder = "${sh}/busybox"; args = [ "sh" "-c" script ]; };
in {
  packages = rec {
    good = mk "good" "echo fine; echo hi > $out";
    bad = mk "bad" "echo about to break; echo it broke >&2; exit 3";
    above = mk "above" "echo ${bad} > $out";
    slow = mk "slow" "while :; do :; done";
    silent = mk "nothing" "true";
    full = mk "full" "echo 'cp: No space left on device'; exit 1";
    fetched = derivation { name = "fetched"; inherit system; builder = "${sh}/busybox"; args = [ "sh" "-c" "echo other > $out" ];
      outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000000"; };
  };
}`

func busybox(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static: run 'make setup'")
	}
	return path
}

func TestRealise(t *testing.T) {
	if _, err := exec.LookPath("nix-store"); err != nil {
		t.Skip("needs nix-bin: run 'make setup'")
	}
	dir := t.TempDir()
	program, err := os.ReadFile(busybox(t))
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", "busybox"), program, 0o755))
	// Nix remembers what it built: each run of the test has names of its own.
	entry := strings.ReplaceAll(builds, "STAMP", `"`+time.Now().Format(time.RFC3339Nano)+`"`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "entry.nix"), []byte(entry), 0o644))

	n := &nix.Nix{Options: []string{"substituters=", "build-users-group="}}
	side, err := n.Evaluate(t.Context(), nix.Evaluation{Root: dir, Entry: filepath.Join(dir, "entry.nix"), Write: true})
	require.NoError(t, err)
	b := nix.Build{LogDir: filepath.Join(dir, "logs"), Timeout: 2 * time.Second}
	name := map[string]string{}
	for _, a := range side.Set.Attrs {
		if a.Kind == distro.KindPackage {
			require.Nil(t, a.Failure)
			b.Targets = append(b.Targets, nix.Target{Drv: a.Drv, Outputs: []string{a.Outputs["out"]}})
			name[a.Drv] = a.Name
		}
	}
	got := map[string]nix.Built{}
	require.NoError(t, n.Realise(t.Context(), b, func(r nix.Built) { got[name[r.Drv]] = r }))
	require.Len(t, got, len(b.Targets), "each target is settled")

	kinds := map[string]nix.BuildKind{}
	for name, r := range got {
		kinds[name] = r.Kind
		if r.Kind != nix.BuildOK {
			assert.NotEmpty(t, r.Message, name)
		}
	}
	assert.Equal(t, map[string]nix.BuildKind{
		"good": nix.BuildOK, "bad": nix.BuildFailed, "above": nix.BuildDependency, "slow": nix.BuildTimeout,
		"silent": nix.BuildFailed, "full": nix.BuildInfra, "fetched": nix.BuildHashMismatch,
	}, kinds)
	assert.Equal(t, []string{"about to break", "it broke"}, got["bad"].Tail)
	assert.Contains(t, got["bad"].Message, "exit code 3")
	assert.Contains(t, got["above"].Of, "-bad.drv", "what it needs is named")
	assert.Equal(t, nix.BuildFailed, got["above"].Cause)
	assert.Equal(t, got["bad"].Log, got["above"].Log)
	log, err := os.ReadFile(got["good"].Log)
	require.NoError(t, err)
	assert.Equal(t, "fine\n", string(log))
}
