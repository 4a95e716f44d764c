package action

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The limits of what a step may leave (GitHub's documentation of workflow
// commands and of usage limits).
const (
	// MaxOutputs bounds the outputs of a job, all together.
	MaxOutputs = 1 << 20
	// MaxSummary bounds the summary of a step: one byte more, and GitHub drops
	// all of it.
	MaxSummary = 1 << 20
	// MaxJobs bounds the jobs of a matrix.
	MaxJobs = 256
)

// Files writes the files by which a step hands values to the runner.
type Files struct {
	// Getenv gives the paths: GITHUB_OUTPUT, GITHUB_STEP_SUMMARY. Where one is
	// not set, there is no runner to hand anything to, and nothing is written.
	Getenv func(string) string
	// size is what the outputs have come to.
	size int
}

var outputName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// Output sets an output of the step. The value may be anything: it is
// delimited by a fresh random word.
func (f *Files) Output(name, value string) error {
	if !outputName.MatchString(name) {
		return fmt.Errorf("set output: %q is no name for an output", name)
	}
	if f.size += len(name) + len(value); f.size > MaxOutputs {
		return fmt.Errorf("set output %s: the job's outputs come to more than the %d bytes that Actions allows", name, MaxOutputs)
	}
	return f.append("GITHUB_OUTPUT", heredoc(rand.Reader, name, value))
}

func heredoc(random io.Reader, name, value string) string {
	end := "end-" + token(random)
	return name + "<<" + end + "\n" + strings.ToValidUTF8(value, "\uFFFD") + "\n" + end + "\n"
}

// Summary appends Markdown to the step's summary. Of what is too long it keeps
// the beginning, up to a line's end, and says so.
func (f *Files) Summary(markdown string) error {
	path := f.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return nil
	}
	var have int
	if info, err := os.Stat(path); err == nil {
		have = int(info.Size())
	}
	return f.append("GITHUB_STEP_SUMMARY", fit(markdown, MaxSummary-have-1)+"\n")
}

const cutNote = "\n\n…the rest did not fit into this summary; the whole report is among the run's artifacts.\n"

func fit(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const fence = "\n```"
	cut := limit - len(cutNote) - len(fence)
	if cut <= 0 {
		return ""
	}
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	s = s[:cut]
	if i := strings.LastIndexByte(s, '\n'); i > 0 {
		s = s[:i]
	}
	// A fence that is left open would swallow the note.
	if strings.Count("\n"+s, fence)%2 == 1 {
		s += fence
	}
	return s + cutNote
}

func (f *Files) append(variable, text string) error {
	path := f.Getenv(variable)
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", variable, err)
	}
	_, err = file.WriteString(text)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", variable, err)
	}
	return nil
}
