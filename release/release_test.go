package release_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/release"
)

var update = flag.Bool("update", false, "write the goldens")

const sha = "0123456789abcdef0123456789abcdef01234567"

func TestVersions(t *testing.T) {
	for _, tc := range []struct {
		scheme release.Scheme
		v      string
		ok     bool
	}{
		{release.Shared, "0.18.1", true}, {release.Shared, "1.0.0-rc.1", true}, {release.Shared, "v1.0.0", false}, {release.Shared, "1.0", false}, {release.Shared, "1.0.0\n", false},
		{release.CalVer, "26.03", true}, {release.CalVer, "26.11.2", true}, {release.CalVer, "26.3", false}, {release.CalVer, "26.13", false}, {release.CalVer, "26.03.0", false},
		{"dates", "1", false},
	} {
		assert.Equal(t, tc.ok, tc.scheme.Valid(tc.v) == nil, "%s %q", tc.scheme, tc.v)
	}
	assert.Negative(t, release.CalVer.Compare("26.09", "26.10"))
	assert.Positive(t, release.CalVer.Compare("26.09.1", "26.09"))
	assert.Positive(t, release.CalVer.Compare("27.01", "26.12.3"))
	assert.Negative(t, release.Shared.Compare("0.18.1", "0.100.0"))
	assert.Negative(t, release.Shared.Compare("1.0.0-rc.2", "1.0.0"))
	v, ok := release.Untag("v{version}", "v1.2.3")
	assert.True(t, ok)
	assert.Equal(t, "1.2.3", v)
	_, ok = release.Untag("v{version}", "nightly")
	assert.False(t, ok)
}

func result(kind checks.Kind, of distro.Kind, subject, name string, now checks.Status) checks.Result {
	r := checks.Result{Case: checks.Case{Kind: kind, Of: of, Subject: subject, Name: name}, Now: now, Attempts: 1}
	if now == checks.Pass {
		r.Passes = 1
	} else {
		r.Reason = "it said no"
	}
	return r
}

// good is a candidate that nothing stands against.
func good() release.Candidate {
	image := []checks.Result{
		result(checks.KindBuild, distro.KindImage, "iso", "builds", checks.Pass),
		result(checks.KindInstall, distro.KindImage, "iso", "installs", checks.Pass),
		result(checks.KindBoot, distro.KindImage, "iso", "boots", checks.Pass),
	}
	rest := func(lua, net checks.Status) []checks.Result {
		return []checks.Result{
			result(checks.KindBuild, distro.KindPackage, "lua", "builds", lua), result(checks.KindTest, distro.KindSuite, "net", "ping", net),
			result(checks.KindTest, distro.KindSuite, "net", "quic", checks.Fail),
		}
	}
	return release.Candidate{
		Rules:   release.Rules{Scheme: release.Shared, TagPattern: "v{version}", Images: []string{"iso"}},
		Version: "0.19.0", KernelVersion: "0.19.0", Commit: sha,
		Report: &checks.Report{Change: distro.Change{Head: sha}, Cases: append(rest(checks.Pass, checks.Pass), image...), Plan: &checks.Plan{Packages: []distro.AttrDiff{
			{Attr: "htop", Status: distro.StatusAdded},
			{Attr: "podman", Status: distro.StatusRebuilt, Causes: []distro.Cause{{What: "patches -0001-no-seccomp.patch +0002-x.patch"}}},
		}}},
		Previous: &release.Previous{Version: "0.18.1", Tag: "v0.18.1", Report: &checks.Report{Cases: append(rest(checks.Fail, checks.Pass), image...)}},
		Images:   []release.Image{{Name: "iso", File: "asternixos-0.19.0.iso", Size: 700 << 20, SHA256: strings.Repeat("ab", 32), Again: strings.Repeat("ab", 32)}},
		Changes:  []string{"Teach the kernel IPv6 (#12)", "Stop @everyone from `<b>`"},
	}
}

func TestGate(t *testing.T) {
	waiver := release.Waiver{Pattern: "test/net/p*", Version: "0.19.0", Reason: "the mirror is down", Tracker: "https://example.org/1", By: "ann"}
	fails := func(c *release.Candidate) {
		c.Report.Cases[1] = result(checks.KindTest, distro.KindSuite, "net", "ping", checks.Fail)
	}
	for _, tc := range []struct {
		name string
		do   func(*release.Candidate)
		want []string // a part of each objection
	}{
		{"nothing stands against a good one", func(*release.Candidate) {}, nil},
		{"a failure that the last release had too does not stop it", func(c *release.Candidate) {}, nil},
		{"the kernel has another version", func(c *release.Candidate) { c.KernelVersion = "0.18.9" }, []string{"the distribution is 0.19.0, the kernel 0.18.9"}},
		{"under calver the kernel's version is its own", func(c *release.Candidate) {
			c.Rules.Scheme, c.Version, c.KernelVersion, c.Previous.Version = release.CalVer, "26.11", "0.18.9", "26.10"
		}, nil},
		{"under calver it must be recorded", func(c *release.Candidate) {
			c.Rules.Scheme, c.Version, c.KernelVersion, c.Previous.Version = release.CalVer, "26.11", "", "26.10"
		}, []string{"not recorded"}},
		{"no version at all", func(c *release.Candidate) { c.Version = "" }, []string{"missing or empty"}},
		{"a version that is none", func(c *release.Candidate) { c.Version = "next" }, []string{"no version of the form"}},
		{"a suite was not run", func(c *release.Candidate) {
			c.Report.Plan.Suites = []checks.SuitePlan{{Name: "net", Run: true}, {Name: "lua", Why: "its system is what it was"}}
		}, []string{"suite lua was not run"}},
		{"a person tagged something else", func(c *release.Candidate) { c.Tag = "v0.20.0" }, []string{"the tag is v0.20.0, but the version file says 0.19.0"}},
		{"the version is an old one", func(c *release.Candidate) { c.Previous.Version = "0.19.0" }, []string{"not newer than 0.19.0"}},
		{"nobody has looked", func(c *release.Candidate) { c.Report = nil }, []string{"no report"}},
		{"the report is about something else", func(c *release.Candidate) { c.Report.Change.Head = strings.Repeat("f", 40) }, []string{"is about commit ffffffffffff"}},
		{"a case regressed since the last release", fails, []string{"test/net/ping: it said no"}},
		{"a regression that is waived", func(c *release.Candidate) { fails(c); c.Waivers = []release.Waiver{waiver} }, nil},
		{"a waiver for another release", func(c *release.Candidate) {
			fails(c)
			w := waiver
			w.Version = "0.18.0"
			c.Waivers = []release.Waiver{w}
		}, []string{"test/net/ping"}},
		{"a waiver without a reason", func(c *release.Candidate) { fails(c); w := waiver; w.Reason = ""; c.Waivers = []release.Waiver{w} }, []string{"test/net/ping", "gives no reason"}},
		{"a waiver of everything", func(c *release.Candidate) {
			fails(c)
			w := waiver
			w.Pattern = "*/*/*"
			c.Waivers = []release.Waiver{w}
		}, []string{"test/net/ping", "waive everything"}},
		{"a case could not be looked at", func(c *release.Candidate) { c.Report.Cases[1].Now = checks.Error }, []string{"could not be established"}},
		{"a case that passed is skipped now", func(c *release.Candidate) { c.Report.Cases[1].Now = checks.Skip }, []string{"could not be established"}},
		{"the image was not installed", func(c *release.Candidate) { c.Report.Cases = append(c.Report.Cases[:4], c.Report.Cases[5]) }, []string{"image iso was not installed"}},
		{"the installed disk does not boot, and no waiver opens that", func(c *release.Candidate) {
			c.Report.Cases[5] = result(checks.KindBoot, distro.KindImage, "iso", "boots", checks.Fail)
			w := waiver
			w.Pattern = "boot/iso/*"
			c.Waivers = []release.Waiver{w}
		}, []string{"not booted from the installed disk"}},
		{"the image was built once", func(c *release.Candidate) { c.Images[0].Again = "" }, []string{"built only once"}},
		{"two builds differ", func(c *release.Candidate) { c.Images[0].Again = strings.Repeat("cd", 32) }, []string{"two builds of image iso differ"}},
		{"two builds differ, and somebody knows why", func(c *release.Candidate) { c.Images[0].Again, c.Images[0].Difference = "x", "a time stamp" }, nil},
		{"the image is too large for GitHub", func(c *release.Candidate) { c.Images[0].Size = 2 << 30 }, []string{"has 2147483648 bytes"}},
		{"there is no image", func(c *release.Candidate) { c.Images = nil }, []string{"not at hand"}},
		{"a part was left out", func(c *release.Candidate) {
			c.Report.Plan.Omitted = []checks.Omission{{Count: 3, What: "packages", Why: "the budget"}}
		}, []string{"3 packages were left out"}},
		{"the last release kept no report", func(c *release.Candidate) { c.Previous.Report = nil }, []string{"v0.18.1 has no report", "test/net/quic"}},
		{"the first release of all may not have a failing case either", func(c *release.Candidate) { c.Previous = nil }, []string{"test/net/quic"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := good()
			tc.do(&c)
			got := release.Gate(c)
			require.Len(t, got, len(tc.want), "%+v", got)
			for i, want := range tc.want {
				assert.Contains(t, got[i].What, want)
				assert.NotEmpty(t, got[i].How)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	c := good()
	c.Report.Cases[1] = result(checks.KindTest, distro.KindSuite, "net", "ping", checks.Fail)
	c.Waivers = []release.Waiver{{Pattern: "test/net/ping", Version: "0.19.0", Reason: "the mirror is down", Tracker: "https://example.org/1", By: "ann"}}
	got := release.Notes(c, "o/r")
	golden := filepath.Join("testdata", "notes.md")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestNotesAlwaysFit(t *testing.T) {
	c := good()
	c.Changes = nil
	for range 150 {
		c.Changes = append(c.Changes, strings.Repeat("long ", 300))
	}
	got := release.Notes(c, "o/r")
	assert.Less(t, len(got), 125_000)
	assert.Contains(t, got, "the rest is in report.json")
}

func TestParseWaivers(t *testing.T) {
	ws, err := release.ParseWaivers(strings.NewReader("- case: test/net/ping\n  version: 0.19.0\n  reason: r\n  tracker: t\n  by: ann\n"))
	require.NoError(t, err)
	assert.True(t, ws[0].Match(checks.Case{Kind: checks.KindTest, Subject: "net", Name: "ping"}))
	assert.False(t, ws[0].Match(checks.Case{Kind: checks.KindTest, Subject: "net", Name: "ping6"}))
	_, err = release.ParseWaivers(strings.NewReader("- case: a/b/c\n  versoin: 1\n"))
	require.ErrorContains(t, err, "versoin")
	ws, err = release.ParseWaivers(strings.NewReader(""))
	require.NoError(t, err)
	assert.Empty(t, ws)
}

func TestSums(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.iso", "a.json", release.SumsFile} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	sums, err := release.SumDir(dir)
	require.NoError(t, err)
	text := release.Sums(sums)
	assert.Equal(t, 2, strings.Count(text, "\n"))
	back, err := release.ParseSums(strings.NewReader(text))
	require.NoError(t, err)
	assert.Equal(t, sums, back)
	for _, bad := range []string{"xyz  a\n", strings.Repeat("a", 64) + "  ../a\n", strings.Repeat("a", 64) + "  a\n" + strings.Repeat("b", 64) + "  a\n"} {
		_, err := release.ParseSums(strings.NewReader(bad))
		assert.Error(t, err)
	}
}
