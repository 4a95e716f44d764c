package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

// planned runs bot plan and returns the document and the text.
func planned(t *testing.T, c cli, args ...string) (*checks.Plan, string) {
	t.Helper()
	args = append([]string{"plan"}, args...)
	got := c.run(t.Context(), append(args, "--json")...)
	require.Equal(t, 0, got.code, got.stderr)
	plan, err := report.DecodePlan(strings.NewReader(got.stdout))
	require.NoError(t, err)
	text := c.run(t.Context(), args...)
	require.Equal(t, 0, text.code, text.stderr)
	return plan, text.stdout
}

// said is what a plan says of packages and images, one a line.
func said(p *checks.Plan) (out []string) {
	for _, list := range [][]distro.AttrDiff{p.Packages, p.Images} {
		for _, a := range list {
			line := fmt.Sprintf("%s %s", a.Attr, a.Status)
			if a.From != "" {
				line += " from " + a.From
			}
			if len(a.Via) > 0 {
				line += " <- " + strings.Join(a.Via, " <- ")
			}
			for _, r := range a.Referrers {
				line += " used by " + r
			}
			for _, c := range a.Causes {
				line += fmt.Sprintf("; %s:%d %s", c.File, c.Line, c.What)
			}
			out = append(out, line)
		}
	}
	return out
}

func TestPlan(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	const entry = `{ system, ... }:
let
  make = name: extra: derivation ({ inherit name system; builder = "/bin/sh"; } // extra);
  fetched = make "zlib.tar.gz" {
    outputHash = "1111111111111111111111111111111111111111111111111111111111111111";
    outputHashAlgo = "sha256";
    url = "https://a.example/zlib.tar.gz";
  };
  runc = make "runc-1.0" {
    patches = [ ./patches/0001-a.patch ];
    flags = import ./flags.nix;
  };
  zlib = make "zlib-1.3" { src = fetched; };
in
{
  packages = {
    inherit runc zlib;
    podman = make "podman-5.0" { buildInputs = [ runc ]; };
    other = make "other-1" { } // { meta.description = "something"; };
  };
}
`
	base := map[string]string{
		".github/asterbot.yml": "entry: default.nix\nscopes: {overlay: ['*.nix', 'patches/**']}\n", "default.nix": entry,
		"flags.nix": "[ \"--fast\" ]\n", "unread.nix": "{ runc = 1; }\n", "patches/0001-a.patch": "a\n", "README.md": "read me\n",
	}
	edit := func(pairs ...string) map[string]string {
		return map[string]string{"default.nix": strings.NewReplacer(pairs...).Replace(entry)}
	}
	for _, tc := range []struct {
		name   string
		head   map[string]string // "" removes
		want   []string
		answer string
	}{
		{"documentation only", map[string]string{"README.md": "read it\n"}, nil, "nothing is affected"},
		{"a comment", edit("let\n", "let # here\n\n"), nil, "nothing is affected"},
		{"only formatted", edit("  runc = make \"runc-1.0\" {\n", "  runc =\n    make \"runc-1.0\" {\n"), nil, "nothing is affected"},
		{"a patch moves: name and content are what they were", map[string]string{
			"patches/0001-a.patch": "", "overlays/0001-a.patch": "a\n", "default.nix": strings.ReplaceAll(entry, "./patches/", "./overlays/"),
		}, nil, "nothing is affected"},
		{"a patch changes in place: no Nix code did it, though it changed too", map[string]string{
			"patches/0001-a.patch": "b\n", "default.nix": strings.Replace(entry, "let\n", "let # here\n", 1),
		}, []string{
			"podman rebuilt <- runc; patches/0001-a.patch:1 runc: patches ~0001-a.patch",
			"runc rebuilt; patches/0001-a.patch:1 patches ~0001-a.patch",
		}, "affects 2 packages (podman, runc)"},
		{"a patch is added: the file, and the line that lists it", map[string]string{
			"patches/0002-b.patch": "b\n", "default.nix": strings.Replace(entry, "0001-a.patch ]", "0001-a.patch ./patches/0002-b.patch ]", 1),
		}, []string{
			"podman rebuilt <- runc; patches/0002-b.patch:1 runc: patches +0002-b.patch; default.nix:10 runc: patches +0002-b.patch",
			"runc rebuilt; patches/0002-b.patch:1 patches +0002-b.patch; default.nix:10 patches +0002-b.patch",
		}, "affects 2 packages (podman, runc)"},
		{"of two files that changed the one that was read, though the other speaks of it", map[string]string{
			"flags.nix": "# faster\n[ \"--fast\" \"--faster\" ]\n", "unread.nix": "{ runc = 2; }\n",
		}, []string{
			"podman rebuilt <- runc; flags.nix:1 runc: flags +--faster",
			"runc rebuilt; flags.nix:1 flags +--faster",
		}, "affects 2 packages (podman, runc)"},
		{"only the address of something fetched", edit("a.example", "mirror.example"), []string{
			"zlib refetch <- zlib.tar.gz; default.nix:7 zlib.tar.gz: url https://a.example/zlib.tar.gz -> https://mirror.example/zlib.tar.gz",
		}, "1 package (zlib) is fetched anew and comes out the same"},
		{"an attribute is renamed", edit("    other = ", "    another = "), []string{"another renamed from other; default.nix:19 was called other"}, "1 package (another) is renamed"},
		{"only what it says of itself", edit("something", "something else"), []string{"other meta; default.nix:19 meta"}, "1 package (other) only says something else of itself"},
		{"one is removed that another is built from", edit("inherit runc zlib", "inherit zlib"), []string{
			"runc removed used by podman; default.nix:17 removed",
		}, "1 package (runc) is removed"},
		{"one stops evaluating: the others are what they were", edit("make \"other-1\" { }", "abort \"no way\""), []string{
			"other eval-failed; default.nix:19 stops evaluating",
		}, "1 package (other) does not evaluate"},
		{"a new one does not evaluate", edit("    other =", "    fresh = { }.missing;\n    other ="), []string{
			"fresh eval-failed; default.nix:19 is new and does not evaluate",
		}, "1 package (fresh) does not evaluate"},
		{"the listing itself breaks", edit("  packages = {", "  packages = throw \"cannot\" {"), []string{
			"other eval-failed; default.nix:16 stops evaluating", "podman eval-failed; default.nix:16 stops evaluating",
			"runc eval-failed; default.nix:16 stops evaluating", "zlib eval-failed; default.nix:16 stops evaluating",
		}, "4 packages do not evaluate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRepository(t)
			r.commit("main", base)
			r.commit("change", tc.head)
			plan, text := planned(t, cli{dir: r.dir}, "--base", "main", "--head", "change")
			assert.Equal(t, tc.want, said(plan))
			answer, _, _ := strings.Cut(text, "\n")
			assert.Equal(t, tc.answer, answer, text)
		})
	}
}

// TestABaseThatCannotBeListed: what head has is unknown, not new.
func TestABaseThatCannotBeListed(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	r := newRepository(t)
	const entry = `{ system, ... }: { packages = { a = derivation { name = "a"; inherit system; builder = "/bin/sh"; }; }; }`
	r.commit("main", map[string]string{".github/asterbot.yml": "entry: default.nix\n", "default.nix": strings.Replace(entry, "packages = ", "packages = throw \"cannot\" ", 1)})
	r.commit("change", map[string]string{"default.nix": entry})
	plan, _ := planned(t, cli{dir: r.dir}, "--base", "main", "--head", "change")
	assert.Equal(t, []string{"a unknown"}, said(plan))
	assert.Contains(t, strings.Join(plan.Notes, "\n"), "nothing is known to be new")
}

// TestASideIsEvaluatedOnce: what the evaluation may read is what counts, whether it reads it or
// not, and nothing else.
func TestASideIsEvaluatedOnce(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	outside, set, cache := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write(filepath.Join(outside, "asterbot.yml"), "entry: entry.nix\nreads: distro\n")
	write(filepath.Join(outside, "entry.nix"), `{ repo, nixpkgs, system, ... }: { packages.a = derivation {
  name = import (nixpkgs + "/name.nix"); inherit system; builder = "/bin/sh"; there = builtins.toJSON (builtins.pathExists (repo + "/distro/there"));
}; }`)
	write(filepath.Join(set, "name.nix"), `"a"`)
	write(filepath.Join(set, "lib/unread.nix"), `{ }`)
	r := newRepository(t)
	r.commit("main", map[string]string{"distro/x": "1\n", "kernel/y": "1\n"})
	c := cli{dir: r.dir, env: map[string]string{"ASTERBOT_CACHE": cache}}
	n := 0
	// remembered commits files, and reports whether the side was known and whether a changed.
	remembered := func(files map[string]string) (known, changed bool) {
		n++
		branch := fmt.Sprint("change", n)
		r.git("checkout", "-q", "main")
		all := map[string]string{fmt.Sprint("docs/", n): "text\n"}
		maps.Copy(all, files)
		r.commit(branch, all)
		got := c.run(t.Context(), "plan", "--config", filepath.Join(outside, "asterbot.yml"), "--nixpkgs", set, "--base", "main", "--head", branch, "--json", "--all")
		require.Equal(t, 0, got.code, got.stderr)
		plan, err := report.DecodePlan(strings.NewReader(got.stdout))
		require.NoError(t, err)
		return plan.Stats.Remembered, len(plan.Packages) > 0
	}
	known, _ := remembered(nil)
	assert.False(t, known, "the first")
	known, _ = remembered(nil)
	assert.True(t, known, "documentation")
	known, _ = remembered(map[string]string{"kernel/y": "2\n"})
	assert.True(t, known, "a kernel file, which may not be read")
	known, changed := remembered(map[string]string{"distro/there": "1\n"})
	assert.False(t, known, "a new file, of which Nix is only asked whether it exists")
	assert.True(t, changed)
	known, changed = remembered(map[string]string{"distro/unread": "1\n"})
	assert.False(t, known, "a file that may be read and is not")
	assert.False(t, changed)
	known, _ = remembered(nil)
	assert.True(t, known, "back to what was evaluated before")
	for name, touch := range map[string]func(){
		"a file of the package set that is not read": func() { write(filepath.Join(set, "lib/unread.nix"), `{ a = 1; }`) },
		"a new file in the package set":              func() { write(filepath.Join(set, "lib/new.nix"), `{ }`) },
		"the entry":                                  func() { write(filepath.Join(outside, "entry.nix"), `{ ... }: { packages = { }; }`) },
	} {
		touch()
		known, _ = remembered(nil)
		assert.False(t, known, name)
		known, _ = remembered(nil)
		assert.True(t, known, name+", the second time")
	}
	write(filepath.Join(r.dir, "distro/untracked"), "in the working tree, in no commit\n")
	plan, _ := planned(t, c, "--config", filepath.Join(outside, "asterbot.yml"), "--nixpkgs", set, "--base", "main", "--head", fmt.Sprint("change", n))
	assert.True(t, plan.Stats.Remembered, "a file that is in no commit")
}

// TestAnOwnKernelIsComparedByItsImage: made from other sources it is built on both sides before anything is planned.
func TestAnOwnKernelIsComparedByItsImage(t *testing.T) {
	needs(t, "git", "nix-store", "busybox")
	const entry = `{ nixpkgs, kernel ? null, system ? "x86_64-linux", ... }:
let
  pkgs = import nixpkgs { inherit system; };
  own = { image = pkgs.runCommand "linux" { } (builtins.readFile ./kernel/build.sh); params = [ "quiet" ]; };
  under = if kernel == null then own else kernel;
in
{
  kernel = own;
  suites.boot = { system = pkgs.runCommand "system" { image = "${under.image}"; } "echo > $out"; cases = [ { name = "up"; run = "true"; } ]; };
}
`
	files := map[string]string{".github/asterbot.yml": tinyConfig, "default.nix": entry, "kernel/build.sh": "echo image > $out\n"}
	for _, tc := range []struct {
		name, file, text string
		planned, checked string // the kernel's status
		boots            bool
	}{
		{name: "a comment: the same image, nothing to boot", file: "kernel/build.sh", text: "# better\necho image > $out\n", planned: "unknown", checked: "identical"},
		{name: "another image", file: "kernel/build.sh", text: "echo other > $out\n", planned: "unknown", checked: "changed", boots: true},
		{name: "the same image with other parameters", file: "default.nix", text: strings.Replace(entry, `"quiet"`, `"loud"`, 1), planned: "changed", checked: "changed", boots: true},
		{name: "documentation", file: "README.md", text: "read me\n", planned: "unchanged", checked: "unchanged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRepository(t)
			r.commit("main", files)
			r.commit("change", map[string]string{tc.file: tc.text})
			plan, _ := planned(t, cli{dir: r.dir}, "--base", "main", "--head", "change")
			assert.Equal(t, tc.planned, plan.Kernel.Status, "bot plan builds nothing")

			e := &env{Dir: r.dir, Getenv: os.Getenv}
			w, err := subject{Repo: r.dir, Base: "main", Head: "change"}.open(t.Context(), e)
			require.NoError(t, err)
			defer w.close()
			plan, err = w.plan(t.Context(), false)
			require.NoError(t, err)
			assert.Equal(t, tc.checked, plan.Kernel.Status, plan.Kernel.Why)
			boots := false
			for _, c := range plan.Cases {
				boots = boots || c.Kind == checks.KindBoot
			}
			assert.Equal(t, tc.boots, boots)
		})
	}
}

// TestKernelsHandedInAreCompared: bot plan says what their hashes say.
func TestKernelsHandedInAreCompared(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	r := newRepository(t)
	r.commit("main", map[string]string{".github/asterbot.yml": tinyConfig, "default.nix": `{ ... }: { }`, "kernel/a.c": "1\n"})
	r.commit("change", map[string]string{"kernel/a.c": "2\n"})
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for path, text := range map[string]string{a: "image", b: "image"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	args := []string{"--base", "main", "--head", "change", "--kernel", a, "--base-kernel", b}
	plan, _ := planned(t, cli{dir: r.dir}, args...)
	assert.Equal(t, "identical", plan.Kernel.Status, plan.Kernel.Why)
	require.NoError(t, os.WriteFile(b, []byte("another"), 0o644))
	plan, _ = planned(t, cli{dir: r.dir}, args...)
	assert.Equal(t, "changed", plan.Kernel.Status, plan.Kernel.Why)
}

// TestAPackageSetInTheRepository: what it evaluates to counts, though 'reads' does not name it.
func TestAPackageSetInTheRepository(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	r := newRepository(t)
	r.commit("main", map[string]string{
		".github/asterbot.yml": "entry: distro/entry.nix\nreads: distro\nnixpkgs: {path: set}\n", "set/name.nix": `"one"`,
		"distro/entry.nix": `{ nixpkgs, system, ... }: { packages.a = derivation { name = import (nixpkgs + "/name.nix"); inherit system; builder = "/bin/sh"; }; }`,
	})
	r.commit("change", map[string]string{"set/name.nix": `"two"`})
	plan, _ := planned(t, cli{dir: r.dir}, "--base", "main", "--head", "change")
	assert.Equal(t, []string{"a rebuilt; set/name.nix:1 name one -> two"}, said(plan))
}

// TestLayouts: a plain repository of overlays, and a NixOS configuration without a flake, both
// planned from outside with a configuration and an entry that they do not have.
func TestLayouts(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	overlays := map[string]string{
		"README.md": "overlays\n", "overlays/hello.nix": `final: prev: { hello = prev.hello.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./a.patch ]; }); }`,
		"overlays/a.patch": "a\n", "overlays/tool.nix": `final: prev: { tool = final.runCommand "tool" { inherit (final) hello; } "echo > $out"; }`,
	}
	nixos := map[string]string{
		"configuration.nix": "{ pkgs, ... }: {\n  imports = [ ./network.nix ];\n  environment.systemPackages = [ pkgs.hello ];\n}\n",
		"network.nix":       "{ ... }: { networking.hostName = \"one\"; }\n",
	}
	for _, tc := range []struct {
		name, entry string
		base, head  map[string]string
		packages    []string
		suites      []string
	}{
		{"an overlay gets another patch: the package, and what another overlay makes of it", overlayEntry, overlays,
			map[string]string{"overlays/b.patch": "b\n", "overlays/hello.nix": strings.Replace(overlays["overlays/hello.nix"], "./a.patch", "./a.patch ./b.patch", 1)},
			[]string{
				"hello rebuilt; overlays/b.patch:1 patches +b.patch; overlays/hello.nix:1 patches +b.patch",
				"tool rebuilt <- hello; overlays/b.patch:1 hello: patches +b.patch; overlays/hello.nix:1 hello: patches +b.patch",
			}, nil},
		{"an overlay is only formatted", overlayEntry, overlays, map[string]string{"overlays/hello.nix": "# greets\n" + overlays["overlays/hello.nix"]}, nil, nil},
		{"an overlay is added", overlayEntry, overlays, map[string]string{"overlays/more.nix": "final: prev: {\n  more = final.runCommand \"more\" { } \"\";\n}\n"},
			[]string{"more added; overlays/more.nix:2 new"}, nil},
		{"a module that the configuration imports changes", nixosEntry, nixos, map[string]string{"network.nix": "{ ... }: { networking.hostName = \"two\"; }\n"},
			nil, []string{"system runs: its system changed"}},
		{"a comment in the configuration", nixosEntry, nixos, map[string]string{"configuration.nix": "# mine\n" + nixos["configuration.nix"]},
			nil, []string{"system does not run: its system, its cases and the kernel are what they were"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			outside := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(outside, "asterbot.yml"), []byte("entry: entry.nix\n"), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(outside, "entry.nix"), []byte(tc.entry), 0o644))
			r := newRepository(t)
			r.commit("main", tc.base)
			r.commit("change", tc.head)
			plan, _ := planned(t, cli{dir: r.dir}, "--config", filepath.Join(outside, "asterbot.yml"), "--base", "main", "--head", "change")
			assert.Equal(t, tc.packages, said(plan))
			var suites []string
			for _, s := range plan.Suites {
				why, _, _ := strings.Cut(s.Why, ": ")
				if s.Run {
					suites = append(suites, s.Name+" runs: "+why)
				} else {
					suites = append(suites, s.Name+" does not run: "+s.Why)
				}
			}
			assert.Equal(t, tc.suites, suites)
		})
	}
}

const overlayEntry = `{ repo, nixpkgs, system, ... }:
let
  overlays = map (n: import (repo + "/overlays/${n}")) (builtins.filter (n: builtins.match ".*\\.nix" n != null) (builtins.attrNames (builtins.readDir (repo + "/overlays"))));
  pkgs = import nixpkgs { inherit system overlays; };
in
{
  inherit pkgs;
  packages = builtins.intersectAttrs (builtins.foldl' (all: o: all // o pkgs pkgs) { } overlays) pkgs;
}
`

const nixosEntry = `{ repo, nixpkgs, system, kernel ? null, ... }:
let
  pkgs = import nixpkgs { inherit system; };
in
{
  suites.system = {
    system = (pkgs.nixos (repo + "/configuration.nix")).config.system.build.toplevel;
    cases = [ { name = "up"; run = "true"; } ];
  };
}
`

// TestHostileNamesInPlans: names of attributes and files go harmlessly through every form of a plan.
func TestHostileNamesInPlans(t *testing.T) {
	needs(t, "git", "nix-instantiate")
	r := newRepository(t)
	entry := func(flag string) string {
		return `{ system, ... }: let make = name: derivation { inherit name system; builder = "/bin/sh"; flag = "` + flag + `"; extra = ./extra; }; in { packages = {
  "a\nb" = make "x";
  "\n::error file=x::forged" = make "y";
  "\${builtins.abort \"x\"}" = make "z";
  "\"; rm -rf / #" = make "q";
  "esc` + "\x1b" + `[31m" = make "e";
  "bytes` + "\xff\xfe" + `" = make "b";
  "fails\n::error::" = throw "\n::error::said\n` + "\x1b" + `]0;title";
  ${builtins.concatStringsSep "" (builtins.genList (x: "n") 10000)} = make "n";
}; }`
	}
	r.commit("main", map[string]string{".github/asterbot.yml": "entry: default.nix\n", "default.nix": entry("1"), "extra/x": "1"})
	r.commit("change", map[string]string{
		"default.nix": entry("2"), "extra/new\n::error::line": "1", "extra/bytes\xff\xfe": "1", "extra/" + strings.Repeat("f", 250): "1", "extra/${x}": "1",
	})
	plan, text := planned(t, cli{dir: r.dir}, "--base", "main", "--head", "change")
	assert.Len(t, plan.Packages, 8)
	matrix := cli{dir: r.dir}.run(t.Context(), "plan", "--base", "main", "--head", "change", "--format", "matrix")
	require.Equal(t, 0, matrix.code, matrix.stderr)
	for form, out := range map[string]string{"text": text, "matrix": matrix.stdout} {
		for line := range strings.Lines(out) {
			assert.False(t, strings.HasPrefix(strings.TrimSpace(line), "::"), "%s: a line that Actions obeys: %.100s", form, line)
			assert.Less(t, len(line), 4000, form)
		}
		assert.NotContains(t, out, "\x1b", form)
		assert.True(t, utf8.ValidString(out), form)
	}
	assert.NotContains(t, matrix.stdout, "forged", "no name from the change")
}
