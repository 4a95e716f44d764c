package site_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/site"
	"github.com/asterinas/asterbot/distro"
)

var update = flag.Bool("update", false, "rewrite golden files")

var day = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func aReport(days int, kernel string, cases ...checks.Result) *checks.Report {
	r := &checks.Report{
		Schema: checks.SchemaReport, Started: day.AddDate(0, 0, days), Versions: map[string]string{"kernel": kernel},
		Change: distro.Change{Merged: strings.Repeat(string(rune('a'+days%6)), 40)}, Cases: cases,
	}
	r.Counts, r.Conclusion = checks.Count(cases), checks.Conclude(cases)
	return r
}

func built(pkg string, now checks.Status) checks.Result {
	return checks.Result{Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: pkg, Name: "builds"}, Version: "1.0", Now: now, Was: now, Reason: "builder failed"}
}

func tested(pkg, name string, now checks.Status, blame checks.Blame, likely ...string) checks.Result {
	return checks.Result{
		Case: checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: "base", Name: name}, Package: pkg, Now: now, Was: now, Blame: blame,
		Reason: "exit status 1", Likely: likely, Tail: []string{"EOF on netlink"}, Machine: "base",
	}
}

const pass, fail = checks.Pass, checks.Fail

// sample is two kernels, three weeks apart: the later one mended ip.
func sample() []site.Source {
	july1 := aReport(0, "0.18.0",
		built("iproute2", pass), tested("iproute2", "ip", fail, checks.BlameKernel, "unsupported flags: MSG_PEEK | MSG_TRUNC"),
		built("lua", pass), tested("lua", "lua", pass, ""),
		built("redis", pass), tested("redis", "redis", fail, checks.BlameKernel, "Unimplemented syscall number: 437 (openat2)"),
		built("socat", pass), tested("socat", "socat", fail, checks.BlameKernel, "Unimplemented syscall number: 437 (openat2)", "unsupported option: SO_LINGER"),
		built("nginx", pass), tested("nginx", "nginx", fail, checks.BlamePackage, "unsupported flags: nobody cares"),
		tested("unshare", "userns", fail, checks.BlameUnknown),
		built("sed", pass), built("podman", fail),
		checks.Result{Case: checks.Case{Kind: checks.KindEval, Of: distro.KindPackage, Subject: "xfdesktop", Name: "evaluates"}, Now: checks.Skip, Was: checks.Skip, Reason: "unavailable in this package set"},
	)
	july1.Machines = []checks.Machine{{Name: "base", Consoles: map[string]string{"hvc0": "logs/hvc0"}}}
	july20 := aReport(19, "0.18.1", tested("iproute2", "ip", pass, ""), tested("lua", "lua", pass, ""), tested("redis", "redis", checks.Error, checks.BlameInfra))
	return []site.Source{{Report: july20}, {Report: july1, Files: fstest.MapFS{"logs/hvc0": {Data: []byte("\x1b[31mpanic\x1b[0m here")}}}}
}

func entry(t *testing.T, s *site.Site, name string) site.Entry {
	t.Helper()
	for _, p := range s.Packages {
		if p.Name == name {
			return p
		}
	}
	require.Fail(t, "no package", name)
	return site.Entry{}
}

func TestEachPackageHasItsState(t *testing.T) {
	s := site.Build(sample())
	for name, want := range map[string]site.State{
		"iproute2": site.Works, "lua": site.Works, "redis": site.Kernel, "socat": site.Kernel, "nginx": site.Package,
		"unshare": site.Unclear, "sed": site.Untried, "podman": site.Broken, "xfdesktop": site.Untried,
	} {
		assert.Equal(t, want, entry(t, s, name).State, name)
	}
	assert.Equal(t, "2 of 9 packages work, 2 fail because of the kernel, 1 fails on Linux too, 1 does not build, 1 fails for an unknown reason, 2 not tried", s.Summary())
	assert.Equal(t, "it builds, but no test runs it", entry(t, s, "sed").Reason)
	assert.Equal(t, "unavailable in this package set", entry(t, s, "xfdesktop").Reason)

	ip := entry(t, s, "iproute2")
	assert.Equal(t, "1.0", ip.Version)
	assert.Equal(t, day.AddDate(0, 0, 19), ip.Since.Time, "it works since the later kernel")
	require.Len(t, ip.Kernels, 2)
	assert.Equal(t, []site.State{site.Works, site.Kernel}, []site.State{ip.Kernels[0].State, ip.Kernels[1].State})
	assert.Equal(t, day, entry(t, s, "lua").Since.Time, "it works since the first report")

	redis := entry(t, s, "redis")
	assert.Equal(t, site.Kernel, redis.State, "what could not be looked at leaves the older answer standing")
	assert.Len(t, redis.History, 1)
	assert.Contains(t, string(redis.Cases[0].Console), "panic")
}

func TestWhatTheKernelLacksIsRankedByPackages(t *testing.T) {
	s := site.Build(sample())
	require.Len(t, s.Missing, 2, "what fails on Linux too, and what passes by now, is not held back by the kernel")
	assert.Equal(t, site.Missing{Line: "Unimplemented syscall number: 437 (openat2)", Packages: []string{"redis", "socat"}, Cases: 2}, s.Missing[0])
	assert.Equal(t, "unsupported option: SO_LINGER", s.Missing[1].Line)
}

func TestAReportWithoutNewsChangesNothing(t *testing.T) {
	sources := sample()
	nothing := aReport(30, "0.19")
	nothing.Conclusion = checks.Skipped
	want := site.Build(sources)
	got := site.Build(append(sources, site.Source{Report: nothing}))
	want.Reports++
	assert.Equal(t, want, got)
	assert.Equal(t, "no package in 0 reports", site.Build(nil).Summary())
}

func TestTheSiteIsWhole(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "packages", "gone.html")
	require.NoError(t, os.MkdirAll(filepath.Dir(gone), 0o755))
	require.NoError(t, os.WriteFile(gone, nil, 0o644))
	s := site.Build(sample())
	require.NoError(t, s.Write(dir))
	assert.NoFileExists(t, gone)

	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile("testdata/index.json", index, 0o644))
	}
	want, err := os.ReadFile("testdata/index.json")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(index))

	var pages int
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		switch filepath.Ext(path) {
		case ".html":
			pages++
			checkPage(t, dir, path, string(content))
		case ".svg":
			checkXML(t, string(content))
		case ".json":
			assert.True(t, json.Valid(content), path)
		}
		return nil
	}))
	assert.Equal(t, 2+len(s.Packages), pages)
}

// checkPage holds that every link leads to a file and that nothing but the one
// script of the first page runs.
func checkPage(t *testing.T, root, path, text string) {
	t.Helper()
	assert.NotContains(t, text, "ZgotmplZ", path)
	doc, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		assert.False(t, n.Data == "script" && filepath.Base(path) != "index.html", "a script in %s", path)
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on"), "%s in %s", a.Key, path)
			if a.Key != "href" && a.Key != "src" {
				continue
			}
			u, err := url.Parse(a.Val)
			require.NoError(t, err)
			require.Empty(t, u.Scheme+u.Host, a.Val)
			target := filepath.Join(filepath.Dir(path), filepath.FromSlash(u.Path))
			assert.True(t, strings.HasPrefix(target, root))
			assert.FileExists(t, target)
		}
	}
}

func checkXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
	}
}

func TestHostileNamesStayNames(t *testing.T) {
	bad := "../../<script>alert(1)</script>\u202e\x1b[31m&\"'"
	r := aReport(0, bad, tested(bad, bad, fail, checks.BlameKernel, bad), tested("CON/a", "x", pass, ""), tested("con-a", "x2", pass, ""), tested(strings.Repeat("ü", 300), "x3", pass, ""))
	r.Cases[0].Reason, r.Cases[0].Version, r.Cases[0].Tail = bad, bad, []string{bad}
	dir := t.TempDir()
	require.NoError(t, site.Build([]site.Source{{Report: r}}).Write(dir))
	var files int
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		switch filepath.Ext(path) {
		case ".html":
			checkPage(t, dir, path, string(content))
			assert.NotContains(t, string(content), "<script>alert")
			assert.NotContains(t, string(content), "\u202e")
		case ".svg":
			checkXML(t, string(content))
		}
		return nil
	}))
	assert.Equal(t, 4+3*4, files, "each package has files of its own")
}

// TestTheSiteInABrowser looks at it as a reader does, with and without scripts.
func TestTheSiteInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: apt-get install chromium")
	}
	dir := t.TempDir()
	require.NoError(t, site.Build(sample()).Write(dir))
	dom := func(address string) *html.Node {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args := []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(), "--dump-dom",
		}
		out, err := exec.CommandContext(ctx, browser, append(args, "file://"+address)...).Output()
		require.NoError(t, err)
		doc, err := html.Parse(strings.NewReader(string(out)))
		require.NoError(t, err)
		return doc
	}
	rows := func(doc *html.Node) (shown []string, boxes int) {
		for n := range doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "input" {
				boxes++
			}
			if n.Data != "tr" || n.Parent.Data != "tbody" {
				continue
			}
			hidden := false
			for _, a := range n.Attr {
				hidden = hidden || a.Key == "hidden"
			}
			if !hidden {
				for a := range n.Descendants() {
					if a.Data == "a" {
						shown = append(shown, a.FirstChild.Data)
						break
					}
				}
			}
		}
		return shown, boxes
	}
	shown, boxes := rows(dom(dir + "/index.html#q=openat2%20kernel"))
	assert.Equal(t, []string{"redis", "socat"}, shown, "the search field filters")
	assert.Equal(t, 1, boxes)
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	require.NoError(t, err)
	mute := regexp.MustCompile(`script-src '[^']*'`).ReplaceAll(page, []byte("script-src 'none'"))
	require.NotEqual(t, page, mute)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mute.html"), mute, 0o644))
	shown, boxes = rows(dom(dir + "/mute.html"))
	assert.Len(t, shown, 9, "without scripts everything is there")
	assert.Zero(t, boxes, "and no field that does nothing")
}
