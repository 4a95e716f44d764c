package command_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks/command"
)

func TestParse(t *testing.T) {
	pkg := func(names ...string) (out []command.Target) {
		for _, n := range names {
			out = append(out, command.Target{Kind: "package", Name: n})
		}
		return
	}
	for _, tc := range []struct {
		name string
		body string
		want []command.Command
	}{
		{"rebuild what failed", "/rebuild", []command.Command{{Name: command.Rebuild, Line: 1}}},
		{"retry is an alias", "/retry", []command.Command{{Name: command.Rebuild, Line: 1}}},
		{"everything", "/rebuild all", []command.Command{{Name: command.Rebuild, All: true, Line: 1}}},
		{"packages, each once", "/rebuild lua gtk+3 lua", []command.Command{{Name: command.Rebuild, Targets: pkg("lua", "gtk+3"), Line: 1}}},
		{"the image", "/rebuild iso", []command.Command{{Name: command.Rebuild, Targets: []command.Target{{Kind: "image", Name: "iso"}}, Line: 1}}},
		{"a suite", "/rebuild suite network", []command.Command{{Name: command.Rebuild, Targets: []command.Target{{Kind: "suite", Name: "network"}}, Line: 1}}},
		{"after words, on a line of its own", "Thanks!\n/cancel\nbye", []command.Command{{Name: command.Cancel, Line: 2}}},
		{"Windows line ends", "hello\r\n\r\n/rebuild lua\r\n", []command.Command{{Name: command.Rebuild, Targets: pkg("lua"), Line: 3}}},
		{"bound to a commit", "/rebuild head=1a2b3c4", []command.Command{{Name: command.Rebuild, Head: "1a2b3c4", Line: 1}}},
		{"explain a case with blanks", "/explain shell/says hello", []command.Command{{Name: command.Explain, Subject: "shell/says hello", Line: 1}}},
		{"waive with a reason", "/waive lua/builds upstream bug 12, head=whatever", []command.Command{{Name: command.Waive, Subject: "lua/builds", Reason: "upstream bug 12, head=whatever", Line: 1}}},
		{"waive a case with blanks", `/waive "shell/says hello" known bug`, []command.Command{{Name: command.Waive, Subject: "shell/says hello", Reason: "known bug", Line: 1}}},
		{"three leading blanks are no code", "   /help", []command.Command{{Name: command.Help, Line: 1}}},
		{"after a fence that is closed", "```\n/rebuild\n```\n/help", []command.Command{{Name: command.Help, Line: 4}}},
		{"not in the middle of a line", "please /rebuild", nil},
		{"not in a fence", "```\n/rebuild\n```", nil},
		{"not in a fence that is never closed", "```\n/rebuild\n", nil},
		{"not in a fence of four backticks that holds three", "````\n```\n/rebuild\n```\n/rebuild all\n````", nil},
		{"not in a fence of tildes", "~~~\n/rebuild\n~~~", nil},
		{"not in indented code", "    /rebuild", nil},
		{"not in indented code by a tab", "\t/rebuild", nil},
		{"not in a quotation", "> /rebuild", nil},
		{"not in a quotation's lazy continuation", "> quoted\n/rebuild", nil},
		{"not in an HTML comment", "<!--\n/rebuild\n-->", nil},
		{"not in an HTML comment within a paragraph", "text <!-- a\n/rebuild\n--> text", nil},
		{"not in a code span over two lines", "`a\n/rebuild b`", nil},
		{"not in a list", "- /rebuild", nil},
		{"another bot's", "/lgtm", nil},
		{"a path", "/rebuild.sh", nil},
		{"none", "", nil},
		{"not UTF-8", "/rebuild \xff", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, problems := command.Parse(tc.body)
			assert.Empty(t, problems)
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"a shell's characters":  "/rebuild $(reboot)",
		"an option":             "/rebuild --all",
		"a path":                "/rebuild ../x",
		"a mention":             "/explain @everyone",
		"no suite":              "/rebuild suite",
		"an argument too many":  "/cancel now",
		"no reason":             "/waive lua/builds",
		"a commit that is none": "/rebuild head=xyz",
		"too many": "/rebuild " + strings.Repeat("a", 30) + strings.Repeat(" b1", 0) + func() (s string) {
			for i := range 25 {
				s += " p" + string(rune('a'+i))
			}
			return
		}(),
		"an open quotation mark": `/waive "lua builds`,
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := command.Parse(body)
			assert.Empty(t, got)
			require.Len(t, problems, 1)
			assert.NotContains(t, problems[0].Message, "@everyone")
			assert.NotContains(t, problems[0].Message, "reboot")
		})
	}
	got, problems := command.Parse(strings.Repeat("/help\n", 50))
	assert.Len(t, got, command.MaxCommands)
	assert.Len(t, problems, 1)
}

func TestManualNamesEveryCommand(t *testing.T) {
	m := command.Manual(func(n command.Name) string {
		if n == command.Cancel {
			return "admin"
		}
		return ""
	})
	for _, s := range command.Table {
		for _, u := range s.Usage {
			assert.Contains(t, m, strings.ReplaceAll(u[0], "|", "\\|"))
		}
	}
	assert.Contains(t, m, "| `/cancel` | stop what is running | admin |")
	got, problems := command.Parse(m)
	assert.Empty(t, got, "the help is no command")
	assert.Empty(t, problems)
}

func TestAllows(t *testing.T) {
	assert.True(t, command.Allows("triage", "write"))
	assert.False(t, command.Allows("maintain", "write"))
	assert.False(t, command.Allows("read", ""))
	assert.False(t, command.Allows("nonsense", "admin"))
}

// Comments that CommonMark takes long for.
func TestParsingEnds(t *testing.T) {
	for name, unit := range map[string]string{"quotations": ">", "quotations with blanks": "> ", "links": "[a](", "emphasis": "*a_b", "lines": "/x\n", "brackets": "![", "references": "[a]: b\n"} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			command.Parse(strings.Repeat(unit, command.MaxComment/len(unit)-8) + "\n/help")
			assert.Less(t, time.Since(start), 10*time.Second) // half a second, on an idle machine
		})
	}
	got, problems := command.Parse(strings.Repeat(" ", command.MaxComment) + "\n/help")
	assert.Empty(t, got, "too long")
	assert.Empty(t, problems)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/rebuild lua", "```\n/rebuild\n", "> /x\n/cancel", "<!-- \n/help\n-->", "/waive \"a b\" c d e", "`\n/rebuild`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, problems := command.Parse(body)
		if len(got) > command.MaxCommands || len(problems) > command.MaxCommands+1 {
			t.Fatal("unbounded")
		}
		for _, c := range got {
			for _, target := range c.Targets {
				if strings.ContainsAny(target.Name, " \t\n$`'\"\\;&|<>@*?(){}[]") || strings.HasPrefix(target.Name, "-") || target.Name == "" {
					t.Fatalf("target %q", target.Name)
				}
			}
			if strings.ContainsAny(c.Subject, "\n$`'\"\\;&|<>@*") || strings.ContainsAny(c.Reason, "\n\r") {
				t.Fatalf("%+v", c)
			}
		}
	})
}
