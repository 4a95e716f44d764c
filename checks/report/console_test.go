package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhtml "golang.org/x/net/html"

	"github.com/asterinas/asterbot/checks/report"
)

func TestAConsoleIsShownWithItsColoursAndAllItsText(t *testing.T) {
	for _, tc := range []struct{ name, raw, want string }{
		{"colours", "\x1b[31mUncaught panic:\x1b[0m\r\n", `<span class="term-fg31">Uncaught panic:</span>`},
		{"a line written twice", "10%\r100%\r\n", "100%"},
		{"what was there before the screen was cleared", "early\r\n\x1b[2J\x1b[Hlate", "early"},
		{"tabs", "\ta", "    a"},
		{"invalid UTF-8", "a\xffb", "a�b"},
		{"markup", "<b>&", "&lt;b&gt;&amp;"},
		{"a title for the window", "\x1b]0;evil\atext", "text"},
		{"a string that never ends takes its line only", "\x1b]0;evil\nnext", "next"},
		{"a bell", "a\ab", "ab"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := string(report.Console([]byte(tc.raw)))
			assert.Contains(t, got, tc.want)
			assert.NotContains(t, got, "evil")
		})
	}
}

func FuzzConsole(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m\r\n\x1b[5A\x1b[K"))
	f.Add([]byte("\x1b]1337;File=name=eA==;inline=1:AAAA\a\x1b]8;;https://x/\a"))
	recordings, _ := filepath.Glob("../../testvm/console/testdata/*.ttyS0")
	for _, file := range recordings {
		if data, err := os.ReadFile(file); err == nil && len(data) < 8<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := xhtml.Parse(strings.NewReader("<pre>" + string(report.Console(raw)) + "</pre>"))
		require.NoError(t, err)
		for n := range doc.Descendants() {
			if n.Type != xhtml.ElementNode {
				continue
			}
			require.Contains(t, []string{"html", "head", "body", "pre", "span"}, n.Data)
			for _, a := range n.Attr {
				require.Equal(t, "class", a.Key)
				require.Regexp(t, `^[a-z0-9 -]+$`, a.Val)
			}
		}
	})
}
