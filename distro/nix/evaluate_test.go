package nix_test

import (
	"context"
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

func needNix(t *testing.T) *nix.Nix {
	t.Helper()
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Skip("needs nix: apt-get install nix-bin")
	}
	return &nix.Nix{}
}

// lay writes files into a new folder.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	for name, text := range files {
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	return dir
}

// drv makes derivations in a few lines.
const drv = `
let drv = name: extra: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // extra);
in `

func evaluate(t *testing.T, e nix.Evaluation) *nix.Side {
	t.Helper()
	n := needNix(t)
	side, err := n.Evaluate(context.Background(), fresh(t, e))
	require.NoError(t, err)
	return side
}

func TestEachBadAttributeIsIsolatedAndClassified(t *testing.T) {
	dir := lay(t, map[string]string{
		"secret/hidden": "s",
		"default.nix": drv + `{ kernel ? null, system, ... }: { packages = rec {
  a-good = drv "a" { };
  throws = throw "broken on purpose";
  asserts = assert 1 == 2; a-good;
  aborts = abort "no way";
  recurses = let x = x; in x;
  recurses-deep = let f = n: 1 + f (n + 1); in drv "d" { n = f 0; };
  missing = { }.nothing;
  missing-file = drv "f" { src = ./not-there; };
  type = 1 + "a";
  argument = (x: x.y) 1;
  imports = import (drv "ifd" { });
  reads-host = drv "h" { x = builtins.readFile /etc/passwd; };
  fetches = builtins.fetchTarball "https://example.org/x.tar.gz";
  number = 3;
  lacking = { unavailable = "not in this package set"; };
  syntax = import ./syntax.nix;
  meta-fails = drv "m" { } // { meta = { description = abort "meta"; }; };
  environment = drv "e" { x = builtins.getEnv "HOME"; };
  slow = let loop = n: if n == 0 then 0 else builtins.seq (builtins.length (builtins.genList (x: x) 200)) (loop (n - 1)); f = n: builtins.foldl' (a: b: a + loop 400) 0 (builtins.genList (x: x) 1000000); in drv "s" { x = f 1; };
  z-good = drv "z" { dep = a-good; };
}; }`,
		"syntax.nix": "{ a = ; }",
	})
	t.Setenv("HOME", "/home/secret")
	side := evaluate(t, nix.Evaluation{Root: dir, Entry: filepath.Join(dir, "default.nix"), Limits: nix.Limits{Attr: 3 * time.Second}})
	require.Nil(t, side.Set.Failure)
	for name, want := range map[string]distro.FailureReason{
		"throws": distro.FailThrow, "asserts": distro.FailThrow, "aborts": distro.FailAbort, "recurses": distro.FailRecursion,
		"recurses-deep": distro.FailRecursion, "missing": distro.FailMissing, "missing-file": distro.FailMissing, "type": distro.FailType,
		"argument": distro.FailType, "imports": distro.FailImportFrom, "reads-host": distro.FailRestricted, "fetches": distro.FailRestricted,
		"number": distro.FailNotDerivation, "lacking": distro.FailUnavailable, "syntax": distro.FailSyntax, "slow": distro.FailTimeout,
	} {
		a, ok := side.Set.Lookup(distro.KindPackage, name)
		require.True(t, ok, name)
		if assert.NotNil(t, a.Failure, name) {
			assert.Equal(t, want, a.Failure.Reason, "%s: %s", name, a.Failure.Message)
			assert.NotContains(t, a.Failure.Message, dir, "%s names the checkout's place", name)
		}
	}
	for _, name := range []string{"a-good", "meta-fails", "environment", "z-good"} {
		a, _ := side.Set.Lookup(distro.KindPackage, name)
		assert.Nil(t, a.Failure, name)
		assert.NotEmpty(t, a.Drv, name)
		assert.NotEmpty(t, a.Outputs["out"], name)
	}
	syntax, _ := side.Set.Lookup(distro.KindPackage, "syntax")
	assert.Equal(t, "syntax.nix", syntax.Failure.File)
	assert.Equal(t, 1, syntax.Failure.Line)

	t.Run("nothing was written to a store but derivations to their own folder", func(t *testing.T) {
		good, _ := side.Set.Lookup(distro.KindPackage, "a-good")
		assert.NoFileExists(t, good.Drv)
	})
}

func TestTheSameContentInTwoFoldersIsTheSame(t *testing.T) {
	files := map[string]string{
		"default.nix": drv + `{ kernel, system, ... }: {
  packages = { src = drv "p" { src = ./.; }; };
  suites.boot = { system = drv "sys" { k = "${kernel.image}"; }; cases = [ { name = "up"; run = "true"; } ]; };
  kernel = { image = drv "linux" { }; params = [ "quiet" ]; };
}`,
	}
	a, b := lay(t, files), lay(t, files)
	sideA := evaluate(t, nix.Evaluation{Root: a, Entry: a + "/default.nix"})
	sideB := evaluate(t, nix.Evaluation{Root: b, Entry: b + "/default.nix"})
	assert.Equal(t, sideA.Set, sideB.Set)
	suite, ok := sideA.Set.Lookup(distro.KindSuite, "boot")
	require.True(t, ok)
	require.Nil(t, suite.Failure)
	assert.Equal(t, []distro.CaseSpec{{Name: "up", Run: "true"}}, suite.Suite.Cases)
	_, ok = sideA.Set.Lookup(distro.KindKernel, "kernel")
	assert.True(t, ok, "the entry's own kernel is an attribute")
}

func TestHostileNames(t *testing.T) {
	dir := lay(t, map[string]string{"default.nix": drv + `{ system, ... }: { packages = {
  "a\nb" = drv "x" { };
  "\${builtins.abort \"x\"}" = drv "x" { };
  "::set-output name=a::b" = drv "x" { };
  "\"; abort \"" = drv "x" { };
  "trace: x" = builtins.trace "\"forged\"" (drv "x" { });
  ${builtins.concatStringsSep "" (builtins.genList (x: "n") 10000)} = drv "x" { };
}; }`})
	side := evaluate(t, nix.Evaluation{Root: dir, Entry: dir + "/default.nix"})
	names := map[string]bool{}
	for _, a := range side.Set.Attrs {
		assert.Nil(t, a.Failure, "%.40q", a.Name)
		names[a.Name] = true
	}
	for _, want := range []string{"a\nb", `${builtins.abort "x"}`, "::set-output name=a::b", `"; abort "`, "trace: x", strings.Repeat("n", 10000)} {
		assert.True(t, names[want], "%.40q", want)
	}
}

func TestASuiteThatSaysWhatNobodyReadsIsAnError(t *testing.T) {
	dir := lay(t, map[string]string{"default.nix": drv + `{ system, ... }: { suites = {
  typo = { system = drv "s" { }; cases = [ { name = "a"; run = "x"; expct = "y"; } ]; };
  twice = { system = drv "s" { }; cases = [ { name = "a"; run = "x"; } { name = "a"; run = "y"; } ]; };
  idle = { system = drv "s" { }; cases = [ { name = "a"; } ]; };
}; }`})
	side := evaluate(t, nix.Evaluation{Root: dir, Entry: dir + "/default.nix"})
	for name, want := range map[string]string{"typo": "expct", "twice": "two cases", "idle": "runs nothing"} {
		a, _ := side.Set.Lookup(distro.KindSuite, name)
		require.NotNil(t, a.Failure, name)
		assert.Contains(t, a.Failure.Message, want)
	}
}

func TestOnlyWhatIsAllowedCanBeRead(t *testing.T) {
	dir := lay(t, map[string]string{
		"distro/default.nix": drv + `{ system, ... }: { packages = {
  inside = drv "i" { x = builtins.readFile ./data; };
  outside = drv "o" { x = builtins.readFile ../kernel/data; };
  exists = drv "e" { x = toString (builtins.pathExists ../kernel/data); };
}; }`,
		"distro/data": "1", "kernel/data": "2",
	})
	side := evaluate(t, nix.Evaluation{Root: dir, Entry: dir + "/distro/default.nix", Reads: []string{"distro"}})
	inside, _ := side.Set.Lookup(distro.KindPackage, "inside")
	assert.Nil(t, inside.Failure)
	outside, _ := side.Set.Lookup(distro.KindPackage, "outside")
	require.NotNil(t, outside.Failure)
	assert.Equal(t, distro.FailRestricted, outside.Failure.Reason)
}

func TestAListingThatFails(t *testing.T) {
	dir := lay(t, map[string]string{"default.nix": drv + `{ system, ... }: { packages = throw "cannot say"; images.iso = drv "iso" { }; }`})
	side := evaluate(t, nix.Evaluation{Root: dir, Entry: dir + "/default.nix"})
	require.NotNil(t, side.Set.Failure)
	assert.Contains(t, side.Set.Failure.Message, "cannot say")
	_, ok := side.Set.Lookup(distro.KindImage, "iso")
	assert.True(t, ok, "what can be listed is there all the same")
}

func TestWarmIsTheSameAsCold(t *testing.T) {
	dir := lay(t, map[string]string{"default.nix": drv + `{ system, ... }: { packages = {
  good = drv "g" { }; bad = abort "x"; now-bad = abort "y"; meta = drv "m" { } // { meta.description = abort "m"; };
}; }`})
	e := nix.Evaluation{Root: dir, Entry: dir + "/default.nix"}
	cold := evaluate(t, e)
	e.Failing = nix.Failing(cold.Set)
	assert.Equal(t, cold.Set, evaluate(t, e).Set, "everything bad is known")
	e.Failing = e.Failing[:1]
	assert.Equal(t, cold.Set, evaluate(t, e).Set, "something turned bad since")
}

func TestStoppingLeavesNothingBehind(t *testing.T) {
	n := needNix(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir := lay(t, map[string]string{"default.nix": `{ system, ... }: { packages.a = builtins.foldl' (a: b: a + builtins.length (builtins.genList (x: x) 1000)) 0 (builtins.genList (x: x) 50000000); }`})
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	e := fresh(t, nix.Evaluation{Root: dir, Entry: dir + "/default.nix"})
	_, err := n.Evaluate(ctx, e)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	left, err := filepath.Glob(filepath.Join(tmp, "asterbot-eval-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestSourcePathIsWhatNixSays(t *testing.T) {
	n := needNix(t)
	dir := lay(t, map[string]string{"a.patch": "hello\n", "default.nix": `{ system, ... }: { packages.a = derivation { name = "a"; inherit system; builder = "/bin/sh"; src = ./a.patch; }; }`})
	e := fresh(t, nix.Evaluation{Root: dir, Entry: dir + "/default.nix"})
	side, err := n.Evaluate(context.Background(), e)
	require.NoError(t, err)
	text, err := e.Drvs.Drv(side.Set.Attrs[0].Drv)
	require.NoError(t, err)
	parsed, err := distro.ParseDrv(text)
	require.NoError(t, err)
	assert.Equal(t, []string{nix.SourcePath("/nix/store", "a.patch", []byte("hello\n"), false)}, parsed.Sources)
}

// TestAnAttributeThatExhaustsItsMemory is isolated like any other, and what it took is reported.
func TestAnAttributeThatExhaustsItsMemory(t *testing.T) {
	dir := lay(t, map[string]string{"default.nix": drv + `{ system, ... }: { packages = {
  a-good = drv "a" { };
  hungry = let list = builtins.genList (x: { inherit x; y = [ x x ]; }) 8000000; in drv "h" { n = builtins.length (builtins.filter (e: e.x < 0) list); };
  z-good = drv "z" { };
}; }`})
	for _, workers := range []int{1, 2} {
		side := evaluate(t, nix.Evaluation{Root: dir, Entry: dir + "/default.nix", Workers: workers, Heap: 1 << 30, Limits: nix.Limits{Memory: 512 << 20}})
		for name, want := range map[string]distro.FailureReason{"a-good": "", "hungry": distro.FailMemory, "z-good": ""} {
			a, ok := side.Set.Lookup(distro.KindPackage, name)
			require.True(t, ok, name)
			if want == "" {
				assert.Nil(t, a.Failure, name)
			} else if assert.NotNil(t, a.Failure, name) {
				assert.Equal(t, want, a.Failure.Reason, a.Failure.Message)
			}
		}
		assert.Greater(t, side.PeakMiB, 100, "the peak of the process that died counts")
		assert.LessOrEqual(t, side.PeakMiB, 512)
		assert.Positive(t, side.Restarts)
	}
}
