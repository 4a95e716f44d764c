package config_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/config"
)

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing yet\n", "---\n", "{}\n"} {
		got, err := config.Parse("a.yml", []byte(text))
		require.NoError(t, err, "%q", text)
		assert.Equal(t, config.Default(), got, "%q", text)
	}
}

func TestAMissingFileIsSaidAsSuch(t *testing.T) {
	_, err := config.Load(fstest.MapFS{}, config.Path)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestWhatIsGivenReplacesTheDefaultAndNothingElseDoes(t *testing.T) {
	got, err := config.Parse("a.yml", []byte(`
entry: nix/entry.nix
kernel:
  inputs: [src/**]
  build: {command: make, image: out/bzImage}
  params: [ipv6.disable=1]
scopes:
  docs: "*.txt"
profiles:
  asterinas: {memory: 2048, panic: ["^my panic"], exit-success: [33], boot-timeout: 1m30s}
  tiny: {base: asterinas, processors: 1, exit-success: []}
suites:
  - {name: upstream, command: make test, format: nixos-test, paths: test/**}
known-failures:
  - {pattern: "test/network/ip*", tracker: "https://example.org/1", expires: 2027-01-31}
publish: app
commands: app
permissions: {rebuild: write}
budget: {minutes: 30}
limits: {eval-time: 5m}
`))
	require.NoError(t, err)
	want := config.Default()
	want.Entry = config.Places{"nix/entry.nix"}
	want.Kernel.Inputs = config.Globs{"src/**"}
	want.Kernel.Build = &config.KernelBuild{Command: "make", Image: "out/bzImage", Runner: "ubuntu-latest", Timeout: config.Duration(time.Hour), MaxSize: 256}
	want.Kernel.Params = []string{"ipv6.disable=1"}
	want.Scopes["docs"] = config.Globs{"*.txt"}
	want.Profiles = map[string]config.Profile{
		"asterinas": {Memory: 2048, Panic: []string{"^my panic"}, ExitSuccess: &[]int{33}, BootTimeout: config.Duration(90 * time.Second)},
		"tiny":      {Base: "asterinas", Processors: 1, ExitSuccess: &[]int{}},
	}
	want.Suites = []config.CommandSuite{{Name: "upstream", Command: "make test", Format: config.FormatNixOSTest, Paths: config.Globs{"test/**"}, Timeout: config.Duration(30 * time.Minute)}}
	want.KnownFailures = []config.KnownFailure{{Pattern: "test/network/ip*", Tracker: "https://example.org/1", Expires: config.Date{Time: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}}}
	want.Publish, want.Commands = config.PublishApp, config.HandleApp
	want.Permissions["rebuild"] = config.PermissionWrite
	want.Budget.Minutes = 30
	want.Limits.EvalTime = config.Duration(5 * time.Minute)
	assert.Equal(t, want, got)

	builtin, overrides := got.Profile("tiny")
	assert.Equal(t, "asterinas", builtin)
	assert.Equal(t, []config.Profile{got.Profiles["asterinas"], got.Profiles["tiny"]}, overrides)
	builtin, overrides = got.Profile("linux")
	assert.Equal(t, "linux", builtin)
	assert.Empty(t, overrides)
}

func TestAMistakeIsSaidWithItsPlace(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		line, col  int
		want       string
	}{
		{"a misspelt key names its neighbour", "entry: a.nix\nkernle:\n  inputs: [a]\n", 2, 1, `unknown field "kernle"; did you mean "kernel"?`},
		{"a misspelt key deep inside", "kernel:\n  build:\n    comand: make\n    image: a\n", 3, 5, `unknown field "comand"; did you mean "command"?`},
		{"a misspelt key in a list", "suites:\n  - name: a\n    cmd: b\n", 3, 5, `unknown field "cmd"`},
		{"a key twice", "publish: app\npublish: token\n", 2, 1, `mapping key "publish" already defined`},
		{"a number where a list should be", "kernel:\n  params: 3\n", 2, 11, "expected a sequence here, found a"},
		{"a list where a string should be", "publish: [app]\n", 1, 10, "expected text here, found a list"},
		{"text where a number should be", "budget:\n  minutes: many\n", 2, 12, "expected a whole number here, found text"},
		{"a word that is none of the choices", "publish: nobody\n", 1, 10, `"nobody" is not one of app, token, summary`},
		{"a duration without unit", "limits:\n  eval-time: 20\n", 2, 14, `"20" is not a duration such as 90s`},
		{"a negative duration", "limits:\n  eval-time: -20s\n", 2, 14, `"-20s" is not a duration`},
		{"a date that is none", "known-failures:\n  - {pattern: a/b/c, tracker: 'https://a/', expires: soon}\n", 2, 54, `"soon" is not a date`},
		{"a known failure without tracker", "known-failures:\n  - pattern: a/b/c\n    expires: 2027-01-01\n", 2, 12, "needs a tracker"},
		{"a known failure without expiry", "known-failures:\n  - pattern: a/b/c\n    tracker: https://a/b\n", 2, 12, "needs the day on which it expires"},
		{"a tracker that is no address", "known-failures:\n  - pattern: a/b/c\n    tracker: 'javascript:alert(1)'\n    expires: 2027-01-01\n", 3, 14, "a tracker is an address"},
		{"a key without a value", "limits:\nbudget:\n  minutes: 3\n", 1, 1, "limits has no value"},
		{"a path out of the repository", "entry: ../secret.nix\n", 1, 8, "not a path inside the repository"},
		{"an absolute path", "release:\n  waivers: /etc/passwd\n", 2, 12, "not a path inside the repository"},
		{"a malformed pattern", "kernel:\n  inputs:\n    - good/**\n    - bad[\n", 4, 7, `"bad[" is not a pattern`},
		{"a malformed regular expression", "profiles:\n  asterinas:\n    panic: ['(']\n", 3, 13, "missing closing"},
		{"an unknown base profile", "profiles:\n  a: {base: nobody}\n", 2, 13, `unknown machine profile "nobody"; known are linux, asterinas, a`},
		{"profiles in a circle", "profiles:\n  a: {base: b}\n  b: {base: a}\n", 2, 13, "circle"},
		{"an unknown profile of the kernel", "kernel:\n  profile: bsd\n", 2, 12, "unknown machine profile"},
		{"two kernel parameters in one", "kernel:\n  params: [a b]\n", 2, 12, "is not one kernel parameter"},
		{"a container without digest", "kernel:\n  build: {command: a, image: b, container: 'debian:12'}\n", 2, 44, "by digest"},
		{"an unknown scope", "scopes:\n  kernels: [a]\n", 2, 12, `"kernels" is not one of docs`},
		{"an unknown command", "permissions:\n  deploy: admin\n", 2, 11, `"deploy" is not one of cancel, explain`},
		{"an unknown permission", "permissions:\n  rebuild: everyone\n", 2, 12, `"everyone" is not one of none, read`},
		{"two suites of a name", "suites:\n  - {name: a, command: b, format: tap}\n  - {name: a, command: b, format: tap}\n", 3, 12, `a second suite called "a"`},
		{"a tag without version", "release: {tag: v1}\n", 1, 16, "names {version} once"},
		{"an alias", "entry: &a x.nix\nkernel: {inputs: *a}\n", 1, 8, "anchors and aliases"},
		{"a merge key", "budget: {<<: {minutes: 3}}\n", 1, 10, "anchors and aliases"},
		{"a tag", "entry: !!binary aGVsbG8=\n", 1, 8, "tags are not allowed"},
		{"two documents", "publish: app\n---\npublish: token\n", 3, 8, "a second YAML document"},
		{"broken syntax", "entry: [a\npublish: app\n", 2, 1, "must be specified"},
		{"a tab as indentation", "kernel:\n\tinputs: a\n", 2, 1, "that cannot start any token"},
		{"a list as the whole", "- a\n- b\n", 1, 1, ""},
		{"text as the whole", "hello\n", 1, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse(".github/asterbot.yml", []byte(tc.text))
			var e *config.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, ".github/asterbot.yml", e.File)
			assert.Contains(t, e.Message, tc.want)
			assert.Equal(t, [2]int{tc.line, tc.col}, [2]int{e.Line, e.Column}, "%v", e)
			assert.Contains(t, e.Snippet, strings.Split(strings.ReplaceAll(tc.text, "\t", " "), "\n")[tc.line-1][:3])
		})
	}
}

func TestAnErrorShowsTheLineAndACaret(t *testing.T) {
	_, err := config.Parse("x.yml", []byte("entry: a.nix\npublish: \u202enobody\n"))
	require.Error(t, err)
	assert.Equal(t, "read configuration: x.yml:2:10: \"\\u202enobody\" is not one of app, token, summary\n"+
		"    1 | entry: a.nix\n"+
		"    2 | publish: �nobody\n"+
		"      |          ^", err.Error())
}

func TestAHostileFileIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"too large":       "entry: " + strings.Repeat("a", config.MaxSize),
		"not UTF-8":       "entry: \xff\n",
		"deep nesting":    strings.Repeat("[", 20000),
		"deep flow map":   strings.Repeat("{a: ", 20000),
		"many anchors":    strings.Repeat("- &a x\n", 9000),
		"many lists":      strings.Repeat("- ", 30000),
		"many keys":       strings.Repeat("? a\n", 15000),
		"many documents":  strings.Repeat("---\na: b\n", 6000),
		"many comments":   strings.Repeat("# a\n", 15000) + "x",
		"many quotes":     "a: " + strings.Repeat("''", 30000),
		"deep blocks":     deepBlocks(),
		"escape sequence": "entry: \x1b[31m\n",
	} {
		_, err := config.Parse("x.yml", []byte(text))
		if name == "escape sequence" {
			continue // a strange file name, but one
		}
		var e *config.Error
		require.True(t, errors.As(err, &e), name)
		assert.NotContains(t, e.Error(), "\x1b", name)
		assert.Less(t, len(e.Error()), 2000, name)
	}
}

// deepBlocks is as deep as indentation allows within the limit.
func deepBlocks() string {
	var b strings.Builder
	for i := 0; b.Len() < config.MaxSize-1000; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("entry: a.nix\nprofiles: {a: {base: linux}}\n"))
	f.Add([]byte("known-failures:\n  - {pattern: a/b/*, tracker: 'https://x/', expires: 2027-01-01}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("x.yml", data)
		if err != nil {
			var e *config.Error
			require.ErrorAs(t, err, &e)
			require.NotContains(t, e.Snippet, "\x1b")
			return
		}
		require.NotEmpty(t, c.Entry)
		for name := range c.Profiles {
			c.Profile(name) // must end
		}
		c.ScopeOf("kernel/src/lib.rs")
	})
}

func TestFilesFallIntoTheScopesOfAsterNixOS(t *testing.T) {
	c := config.Default()
	for file, want := range map[string]distro.Scope{
		"kernel/src/syscall/mod.rs":                               distro.ScopeKernel,
		"ostd/src/lib.rs":                                         distro.ScopeKernel,
		"Cargo.lock":                                              distro.ScopeKernel,
		"kernel/README.md":                                        distro.ScopeDocs,
		"book/src/a/b.html":                                       distro.ScopeDocs,
		".github/workflows/a.yml":                                 distro.ScopeCI,
		"VERSION":                                                 distro.ScopeRelease,
		"test/nixos/tests/hello/main.rs":                          distro.ScopeTests,
		"distro/etc_nixos/overlays/podman/default.nix":            distro.ScopeOverlay,
		"distro/asternixos/overlays/init/0001-a.patch":            distro.ScopeOverlay,
		"distro/etc_nixos/modules/core.nix":                       distro.ScopeModules,
		"distro/aster_nixos_installer/default.nix":                distro.ScopeInstaller,
		"distro/iso_image/default.nix":                            distro.ScopeImage,
		"distro/asternixos/default.nix":                           distro.ScopeOther,
		"distro/asternixos/overlays/\n::set-output name=x::y.nix": distro.ScopeOverlay,
	} {
		assert.Equal(t, want, c.ScopeOf(file), file)
	}
}

func TestTheLastPatternThatMatchesDecides(t *testing.T) {
	g := config.Globs{"src/**", "!src/doc/**", "src/doc/build.rs"}
	assert.True(t, g.Match("src/a/b.rs"))
	assert.False(t, g.Match("src/doc/a.md"))
	assert.True(t, g.Match("src/doc/build.rs"))
	assert.False(t, g.Match("other"))
}

func TestAKnownFailureMatchesItsCases(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		want    bool
	}{
		{"test/network/ip addr", true},
		{"test/network/ip*", true},
		{"*/network/*", true},
		{"test/*addr", true},
		{"*/*/*", true},
		{"test/network/ip", false},
		{"build/network/ip*", false},
		{"test/network/ip addr*addr", false},
	} {
		assert.Equal(t, tc.want, config.KnownFailure{Pattern: tc.pattern}.Matches("test", "network", "ip addr"), tc.pattern)
	}
}

func TestAnEntryExpiresWhenItsDayIsOver(t *testing.T) {
	list, err := config.ParseKnownFailures("k.yml", []byte("- {pattern: a/b/c, tracker: 'https://x/', expires: 2027-01-31}\n"))
	require.NoError(t, err)
	assert.False(t, list[0].Expires.Past(time.Date(2027, 1, 31, 23, 59, 0, 0, time.UTC)))
	assert.True(t, list[0].Expires.Past(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)))

	_, err = config.ParseKnownFailures("k.yml", []byte("- {pattern: a/b/c, tracker: 'https://x/', expires: 2027-01-31}\n- {pattern: a}\n"))
	var e *config.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 2, e.Line)
}

func TestPermissionsAreOrdered(t *testing.T) {
	assert.True(t, config.PermissionTriage.Allows(config.PermissionAdmin))
	assert.True(t, config.PermissionTriage.Allows(config.PermissionTriage))
	assert.False(t, config.PermissionTriage.Allows(config.PermissionRead))
	assert.False(t, config.PermissionTriage.Allows("owner"))
	assert.False(t, config.Permission("").Allows(config.PermissionAdmin))
}
