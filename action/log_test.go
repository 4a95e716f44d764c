package action_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
)

var stop = regexp.MustCompile(`::stop-commands::([0-9a-f]{32})\n`)

// acted returns the commands that the runner would act upon, by its own rules:
// a line that starts with "::" after blanks, or has "##[" anywhere, unless
// commands are stopped.
func acted(t *testing.T, log string) []string {
	t.Helper()
	var out []string
	token := ""
	for _, line := range regexp.MustCompile(`\r\n|\r|\n`).Split(log, -1) {
		s := strings.TrimLeft(line, " \t")
		switch {
		case token != "" && s == "::"+token+"::":
			token = ""
		case token != "":
			assert.NotContains(t, line, "##[", "the log's viewer acts upon it even while commands are stopped")
		case strings.HasPrefix(s, "::stop-commands::"):
			token = strings.TrimPrefix(s, "::stop-commands::")
		case strings.HasPrefix(s, "::"), strings.Contains(line, "##["):
			out = append(out, s)
		}
	}
	assert.Empty(t, token, "commands stay stopped after the log is closed")
	return out
}

func TestForeignTextGivesNoCommands(t *testing.T) {
	for name, text := range map[string]string{
		"a command":                           "::set-output name=conclusion::success\n",
		"one after blanks":                    "  \t ::error::it was not me\n",
		"the old syntax in the middle":        "make: ##[add-path]/tmp/evil\n",
		"the old syntax, split over two":      "##",
		"a line that ends with a return":      "progress 1%\r::add-mask::a\r\n",
		"no line's end":                       "::warning::half",
		"an attempt to take commands back":    "::stop-commands::x\n::x::\n::error::free\n",
		"escape sequences":                    "\x1b[31m::error::red\x1b[0m\n\x1b]0;title\a",
		"a very long line":                    strings.Repeat("a", 70<<10) + "::error::x\n::error::y\n",
		"a very long line that is a command":  strings.Repeat("é", 40<<10) + "\n",
		"bytes that are no text":              "\xff\xfe::error::x\n\x00::error::y\n",
		"a line separator of another country": "a\u2028::error::x\u0085::error::y\n",
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			l := action.NewLog(&b)
			w := l.Foreign()
			_, err := io.WriteString(w, text)
			require.NoError(t, err)
			_, err = io.WriteString(w, "[end")
			require.NoError(t, err)
			l.Annotate(action.Annotation{Level: action.Failure, Title: "a, b: c", Message: "100%\n::error::inside"})
			_, err = io.WriteString(w, text)
			require.NoError(t, err)
			require.NoError(t, l.Close())
			assert.Equal(t, []string{"::error title=a%2C b%3A c::100%25%0A::error::inside"}, acted(t, b.String()))
			assert.NotContains(t, b.String(), "\x1b")
		})
	}
}

func TestEachStopHasATokenOfItsOwn(t *testing.T) {
	var b bytes.Buffer
	l := action.NewLog(&b)
	for range 3 {
		_, _ = io.WriteString(l.Foreign(), "x\n")
		l.Group("g")
	}
	require.NoError(t, l.Close())
	found := stop.FindAllStringSubmatch(b.String(), -1)
	require.Len(t, found, 3)
	assert.NotEqual(t, found[0][1], found[1][1])
	assert.NotEqual(t, found[1][1], found[2][1])
}

func TestASecretOfSeveralLinesIsMaskedLineByLine(t *testing.T) {
	var b bytes.Buffer
	l := action.NewLog(&b)
	l.Mask("one\ntwo\r\n\n")
	assert.Equal(t, "::add-mask::one\n::add-mask::two\n", b.String())
}

func FuzzForeign(f *testing.F) {
	f.Add("a\r::error::x##", "[group]\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		var out bytes.Buffer
		l := action.NewLog(&out)
		_, _ = io.WriteString(l.Foreign(), a)
		_, _ = io.WriteString(l.Foreign(), b)
		require.NoError(t, l.Close())
		assert.Empty(t, acted(t, out.String()))
	})
}

func files(t *testing.T) (*action.Files, func(name string) string) {
	dir := t.TempDir()
	f := &action.Files{Getenv: func(k string) string { return filepath.Join(dir, k) }}
	return f, func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(b)
	}
}

// outputs reads a file of outputs as the runner does.
func outputs(t *testing.T, text string) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		name, end, ok := strings.Cut(lines[i], "<<")
		require.True(t, ok, "a line that is no output: %q", lines[i])
		var value []string
		for i++; i < len(lines) && lines[i] != end; i++ {
			value = append(value, lines[i])
		}
		out[name] = strings.Join(value, "\n")
	}
	return out
}

func TestAnOutputHoldsWhateverItsValueIs(t *testing.T) {
	f, read := files(t)
	hostile := "x\n_GitHubActionsFileCommandDelimeter_\nconclusion<<EOF\nsuccess\nEOF\nend-\n"
	require.NoError(t, f.Output("plan", hostile))
	require.NoError(t, f.Output("conclusion", "failure"))
	assert.Equal(t, map[string]string{"plan": hostile, "conclusion": "failure"}, outputs(t, read("GITHUB_OUTPUT")))

	assert.ErrorContains(t, f.Output("a\nb", ""), "no name for an output")
	assert.ErrorContains(t, f.Output("big", strings.Repeat("x", action.MaxOutputs)), "more than")
}

func TestWithoutARunnerNothingIsWritten(t *testing.T) {
	f := &action.Files{Getenv: func(string) string { return "" }}
	require.NoError(t, f.Output("plan", "x"))
	require.NoError(t, f.Summary("x"))
}

func TestASummaryNeverExceedsWhatGitHubKeeps(t *testing.T) {
	f, read := files(t)
	require.NoError(t, f.Summary("# first"))
	require.NoError(t, f.Summary("```\n"+strings.Repeat("a line of é\n", 200_000)))
	require.NoError(t, f.Summary(strings.Repeat("more\n", 10)))
	s := read("GITHUB_STEP_SUMMARY")
	assert.LessOrEqual(t, len(s), action.MaxSummary)
	assert.Contains(t, s, "did not fit")
	assert.Zero(t, strings.Count(s, "```")%2, "the fence is closed")
}

func TestAMatrixOfWhatActionsCannotRunIsRefused(t *testing.T) {
	good, err := action.ParseMatrix([]byte(`{"include":[{"shard":0,"name":"builds 1-20","kvm":true}]}`))
	require.NoError(t, err)
	assert.Len(t, good.Include, 1)
	for name, text := range map[string]string{
		"an expression in a name": `{"include":[{"name":"${{ secrets.X }}"}]}`,
		"a path in a name":        `{"include":[{"name":"../../etc"}]}`,
		"a list":                  `{"include":[{"name":["a"]}]}`,
		"too many jobs":           `{"include":[` + strings.TrimSuffix(strings.Repeat(`{"shard":1},`, 257), ",") + `]}`,
		"no JSON":                 `{`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := action.ParseMatrix([]byte(text))
			assert.ErrorContains(t, err, "matrix")
		})
	}
}
