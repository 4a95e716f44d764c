package report_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhtml "golang.org/x/net/html"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// sampleFiles are what the sample report refers to.
func sampleFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	screen := image.NewRGBA(image.Rect(0, 0, 320, 200))
	for x := range 320 {
		for y := range 200 {
			screen.Set(x, y, color.RGBA{uint8(x * 255 / 320), uint8(y * 255 / 200), 120, 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, screen))
	return fstest.MapFS{
		"logs/languages/hvc0":       {Data: []byte("\x1bc\x1b[?7l\x1b[2J\x1b[32m[   0.9]\x1b[0m OSTD initialized. Preparing components.\r\n\x1b[1;34m~ #\x1b[0m lua -v\r\nlua: bad table size 4096\r\n")},
		"logs/network-2/hvc0":       {Data: []byte("\x1b[31mUncaught panic:\x1b[0m\n\tspawn task failed: NoMemory\n")},
		"logs/network-2/ttyS0":      {Data: []byte("Printing stack trace:\n   1: fn 0xffffffff88123456 - pc 0xffffffff88123499\n")},
		"logs/network-2/screen.png": {Data: b.Bytes()},
	}
}

func html(t *testing.T, r *checks.Report, files fs.FS) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.HTML(&b, r, files))
	return b.String()
}

func TestHTML(t *testing.T) {
	text := html(t, sample(), sampleFiles(t))
	golden(t, "report.html", []byte(text))
	for _, want := range []string{
		"3 regressions in 23 cases", "lua no longer starts", `class="timeline"`, "<rect", "data:image/png;base64,",
		`<span class="term-fg32">[   0.9]</span>`, "Uncaught panic:", "unsupported flags: MSG_PEEK | MSG_TRUNC",
	} {
		assert.Contains(t, text, want)
	}
}

func TestTheTimelineShowsAsStuckOnlyWhatFailed(t *testing.T) {
	for outcome, stuck := range map[checks.MachineOutcome]bool{
		checks.MachineOK: false, checks.MachineHang: true, checks.MachinePanic: true,
	} {
		r := sample()
		r.Machines = []checks.Machine{{
			Name: "head/iso/installer", Outcome: outcome, Stage: "init", Seconds: 20,
			Stages: []checks.StageTime{{Stage: "kernel", Seconds: 1}, {Stage: "init", Seconds: 4}},
		}}
		assert.Equal(t, stuck, strings.Contains(html(t, r, sampleFiles(t)), "no further until the end"), "%s", outcome)
	}
}

func TestAPageNeedsNothingFromElsewhere(t *testing.T) {
	for name, text := range map[string]string{
		"sample":  html(t, sample(), sampleFiles(t)),
		"hostile": html(t, hostileReport(), hostileFiles()),
	} {
		t.Run(name, func(t *testing.T) {
			assert.NotContains(t, text, "\x1b")
			assert.NotContains(t, text, "\u202e")
			doc, err := xhtml.Parse(strings.NewReader(text))
			require.NoError(t, err)
			for n := range doc.Descendants() {
				if n.Type != xhtml.ElementNode {
					continue
				}
				assert.NotContains(t, []string{"script", "iframe", "object", "embed", "link", "form", "base"}, n.Data)
				for _, a := range n.Attr {
					assert.False(t, strings.HasPrefix(a.Key, "on"), "%s on %s", a.Key, n.Data)
					switch a.Key {
					case "src":
						assert.Regexp(t, `^data:image/(png|jpeg);base64,`, a.Val)
					case "href":
						assert.Regexp(t, `^(#|\./)`, a.Val)
					}
				}
			}
		})
	}
}

// hostileFiles are consoles that try to put links, images and markup into the
// page.
func hostileFiles() fstest.MapFS {
	bad := "</pre><script>alert(1)</script>\x1b]8;;https://evil/\x1b\\click\x1b]8;;\x1b\\ \x1b]1337;File=name=eA==;inline=1:AAAA\a\x1b]1338;url='https://evil/x.png'\a" +
		"\x1b\x1b]1339;url=https://evil/;content=x\a\x1b_bk;t=1\a\x1b[2J\x1b]no end"
	return fstest.MapFS{
		"logs/languages/hvc0":       {Data: []byte(bad)},
		"logs/network-2/hvc0":       {Data: []byte(bad)},
		"logs/network-2/screen.png": {Data: []byte("<svg onload=alert(1)>")},
	}
}

func TestLinksInAPageLeadSomewhere(t *testing.T) {
	text := html(t, sample(), sampleFiles(t))
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		ids[m[1]] = true
	}
	links := regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, links)
	for _, m := range links {
		assert.True(t, ids[m[1]], "no place %s", m[1])
	}
}

func TestWriteLeavesEveryFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	for name, f := range sampleFiles(t) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), f.Data, 0o644))
	}
	r := sample()
	require.NoError(t, report.Write(dir, r))
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	assert.ElementsMatch(t, []string{"logs", "report.md", "report.html", "report.json", "junit.xml"}, files)
	f, err := os.Open(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	defer f.Close()
	back, err := report.DecodeReport(f)
	require.NoError(t, err)
	assert.Equal(t, report.Headline(r), back.Headline)
}

func TestWriteFollowsNoLinkOutOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("the secret"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "logs/languages"), 0o755))
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "logs/languages/hvc0")))
	require.NoError(t, report.Write(dir, sample()))
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	require.NoError(t, err)
	assert.NotContains(t, string(page), "the secret")
}
