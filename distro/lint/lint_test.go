package lint_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/lint"
)

const overlay = `final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    patches = [ ./fix.patch ];
  });
}
`

// good is an input in which every rule can look and nothing is found.
func good() lint.Input {
	return lint.Input{
		Dir: "d",
		Files: map[string]string{
			"d/overlays/x/default.nix":  overlay,
			"d/overlays/x/fix.patch":    "--- a\n+++ b\n",
			"d/pin.json":                `{ "rev": "1111111111111111111111111111111111111111" }`,
			".github/workflows/e2e.yml": "# nixpkgs\nrev: 1111111111111111111111111111111111111111\n",
			"d/modules/services.nix":    "{\n  # there is no clock to set\n  services.timesyncd.enable = false;\n  asternixos.services.disabled = {\n    udev = \"no uevents\";\n  };\n}\n",
		},
		Set: &distro.Set{Attrs: []distro.Attr{
			{Kind: distro.KindPackage, Name: "hello"},
			{Kind: distro.KindSuite, Name: "s", Suite: &distro.Suite{Cases: []distro.CaseSpec{{Name: "c", Package: "hello"}}}},
		}},
		Closure: []string{"/nix/store/x/bin/hello"},
		Size:    100 << 20, LastSize: 100 << 20,
	}
}

func TestNothingIsFoundWhereAllIsWell(t *testing.T) {
	for _, r := range lint.Run(good()) {
		assert.Empty(t, r.Skipped, r.Rule.Name)
		assert.Empty(t, r.Findings, r.Rule.Name)
	}
}

// Each rule fails, at its place, when one thing is made wrong.
func TestEachRuleFails(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*lint.Input)
		expect lint.Finding
	}{
		{"an overlay's package that the entry does not promise",
			func(in *lint.Input) { in.Set.Attrs = in.Set.Attrs[1:] },
			lint.Finding{Rule: "overlay-packages", File: "d/overlays/x/default.nix", Line: 2, Message: "the overlay changes hello, which is not among the entry's packages: add it, or nobody notices when it breaks"}},
		{"an overlay's package without a case",
			func(in *lint.Input) { in.Set.Attrs[1].Suite.Cases[0].Package = "other" },
			lint.Finding{Rule: "overlay-packages", File: "d/overlays/x/default.nix", Line: 2, Message: "the overlay changes hello, and no case of a suite is about it: add one that names it as its package"}},
		{"a patch that nothing applies",
			func(in *lint.Input) { in.Files["d/overlays/x/left.patch"] = "--- a\n" },
			lint.Finding{Rule: "patches-used", File: "d/overlays/x/left.patch", Line: 1, Message: "no Nix file applies this patch: list it in patches, or delete it"}},
		{"a patch that only a comment names",
			func(in *lint.Input) {
				in.Files["d/overlays/x/left.patch"] = "--- a\n"
				in.Files["d/overlays/x/default.nix"] += "# ./left.patch\n"
			},
			lint.Finding{Rule: "patches-used", File: "d/overlays/x/left.patch", Line: 1, Message: "no Nix file applies this patch: list it in patches, or delete it"}},
		{"a service that is off for no reason",
			func(in *lint.Input) {
				in.Files["d/modules/m.nix"] = "{\n\n  services.cron.enable = lib.mkForce false;\n}\n"
			},
			lint.Finding{Rule: "disabled-services", File: "d/modules/m.nix", Line: 3, Message: "services.cron is disabled without a comment above that says why"}},
		{"an empty reason in the list",
			func(in *lint.Input) {
				in.Files["d/modules/m.nix"] = "asternixos.services.disabled = {\n  cron = \"\";\n}\n"
			},
			lint.Finding{Rule: "disabled-services", File: "d/modules/m.nix", Line: 2, Message: "cron is disabled for no reason: write down what of the kernel is missing, so that it can come back"}},
		{"a workflow with another pin",
			func(in *lint.Input) {
				in.Files["Dockerfile"] = "FROM x\nRUN fetch nixpkgs 2222222222222222222222222222222222222222\n"
			},
			lint.Finding{Rule: "pins-agree", File: "Dockerfile", Line: 2, Message: "nixpkgs is 222222222222 here and 111111111111 in d/pin.json"}},
		{"an image that grew by half",
			func(in *lint.Input) { in.Size = 150 << 20 },
			lint.Finding{Rule: "closure-size", File: "d/default.nix", Line: 1, Message: "the image's closure has 150 MiB, 50 % more than the last release's 100 MiB: see what came in with nix-store -qR, or raise the limit"}},
		{"a compressed kernel module in the closure",
			func(in *lint.Input) {
				in.Closure = append(in.Closure, "/nix/store/x/lib/modules/6.1/kernel/fs/fat.ko.xz")
			},
			lint.Finding{Rule: "no-linux-modules", File: "d/modules/core.nix", Line: 1, Message: "the installed system holds 1 Linux kernel modules, which Asterinas does not load, as /nix/store/x/lib/modules/6.1/kernel/fs/fat.ko.xz: find who refers to it with nix why-depends"}},
		{"a package that needs import-from-derivation",
			func(in *lint.Input) {
				in.Set.Attrs[0].Failure = &distro.Failure{Reason: distro.FailImportFrom, File: "d/overlays/x/default.nix", Line: 3}
			},
			lint.Finding{Rule: "no-import-from-derivation", File: "d/overlays/x/default.nix", Line: 3, Message: "package hello imports what has to be built first: read it from a file of the repository instead"}},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := good()
			tt.spoil(&in)
			assert.Equal(t, []lint.Finding{tt.expect}, lint.Check(in))
		})
		seen[tt.expect.Rule] = true
	}
	for _, r := range lint.Rules {
		assert.True(t, seen[r.Name], "no test shows %s failing", r.Name)
	}
}

// A rule that cannot look does not pass.
func TestRulesThatCannotLookSaySo(t *testing.T) {
	skipped := map[string]string{}
	for _, r := range lint.Run(lint.Input{Dir: "d"}) {
		if r.Skipped != "" {
			skipped[r.Rule.Name] = r.Skipped
		}
	}
	assert.Equal(t, map[string]string{
		"overlay-packages":          "the entry was not evaluated",
		"pins-agree":                "there is no d/pin.json",
		"closure-size":              "the image was not built",
		"no-linux-modules":          "the installed system was not built",
		"no-import-from-derivation": "the entry was not evaluated",
	}, skipped)
}

func TestReadLeavesOutWhatIsNotText(t *testing.T) {
	in, err := lint.Read(fstest.MapFS{
		"d/default.nix": {Data: []byte("{ }")},
		"d/logo.png":    {Data: []byte{0x89, 0, 1}},
		"Dockerfile":    {Data: []byte("FROM x")},
		"other/x":       {Data: []byte("x")},
	}, "d")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"d/default.nix": "{ }", "Dockerfile": "FROM x"}, in.Files)
}

func TestReadWithoutTheFolder(t *testing.T) {
	_, err := lint.Read(fstest.MapFS{}, "d")
	assert.ErrorContains(t, err, "read the distribution")
}

// AsterNixOS keeps the rules that need no evaluation.
func TestAsterNixOS(t *testing.T) {
	in, err := lint.Read(os.DirFS("../.."), "distro/asternixos")
	require.NoError(t, err)
	require.NotEmpty(t, in.Files)
	for _, r := range lint.Run(in) {
		for _, f := range r.Findings {
			t.Error(f)
		}
	}
}
