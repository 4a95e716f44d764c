package nix

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/asterinas/asterbot/distro"
)

// maxMessage bounds the message of a Failure.
const maxMessage = 4 << 10

// failureRule recognises a reason by Nix's words. The first that matches wins.
type failureRule struct {
	text   *regexp.Regexp
	reason distro.FailureReason
}

// failureRules hold the wording of 2.8 and of newer versions.
var failureRules = []failureRule{
	{regexp.MustCompile(`allow-import-from-derivation|import from derivation|import-from-derivation`), distro.FailImportFrom},
	{regexp.MustCompile(`infinite recursion encountered|stack overflow|max-call-depth exceeded`), distro.FailRecursion},
	{regexp.MustCompile(`is forbidden in restricted mode|in pure eval(uation)? mode|access to (absolute )?(path|URI) '.*' is forbidden|not allowed to refer to`), distro.FailRestricted},
	{regexp.MustCompile(`evaluation aborted with the following error message`), distro.FailAbort},
	{regexp.MustCompile(`^syntax error|invalid (character|token)|unexpected end of file|^dynamic attributes not allowed|^path '.*' has a trailing slash|^(attribute '.*' already defined|duplicate formal)`), distro.FailSyntax},
	{regexp.MustCompile(`^attribute '.*' missing|^undefined variable|^attribute .* in selection path .* not found|No such file or directory|does not exist|file '.*' was not found in the Nix search path|does not contain a 'default.nix'`), distro.FailMissing},
	{regexp.MustCompile(`^value is .* while .* (was|is) expected|^expected a.* but (found|got) |^cannot coerce|called without required argument|called with unexpected argument|attempt to call something which is not a function|^cannot (add|compare|convert|decode)|is not a (string|list|function|set|path|Boolean)|^unexpected argument|^the .*argument passed to`), distro.FailType},
	{regexp.MustCompile(`out of memory|bad_alloc|Out of Memory|Too many heap sections|Cannot allocate memory`), distro.FailMemory},
	{regexp.MustCompile(`^assertion .* failed`), distro.FailThrow},
}

// place is what Nix says of where: `at /file:1:2:`, `at «string»:1:2:`.
var place = regexp.MustCompile(`(?m)^\s*(?:at|…\s+at|…) (/[^\n]*?):(\d+)(?::\d+)?:?\s*$`)

// located is a message that itself ends in a place: "..., at /file:1:2".
var located = regexp.MustCompile(`(?:,| at) (?:at )?\(?(/[^\s:()]+):(\d+)(?::\d+)?\)?`)

// newFailure turns what Nix printed into a Failure. root is the folder of the
// checkout: paths below it become relative to it, so that two sides' words can be compared.
func newFailure(stderr, root string) *distro.Failure {
	text := clean(stderr)
	message, rest := lastError(text)
	f := &distro.Failure{Reason: distro.FailOther}
	for _, r := range failureRules {
		if r.text.MatchString(message) {
			f.Reason = r.reason
			break
		}
	}
	if f.Reason == distro.FailOther && message != "" && !strings.HasPrefix(message, "getting status") {
		// What is left is the repository's own words.
		f.Reason = distro.FailThrow
	}
	for _, where := range []string{rest, text} {
		if m := deepest(where, root); m != nil {
			f.File = relative(m[1], root)
			f.Line, _ = strconv.Atoi(m[2])
			break
		}
	}
	if f.File == "" {
		if m := located.FindStringSubmatch(message); m != nil {
			f.File = relative(m[1], root)
			f.Line, _ = strconv.Atoi(m[2])
		}
	}
	f.Message = bound(relativeText(message, root))
	return f
}

// systemCall begins what Nix says when the machine fails it, and not the expression.
var systemCall = regexp.MustCompile(`^(creating|opening|reading|writing|renaming|removing|getting status of|cannot (create|open|write|link|rename|unlink)) `)

// ourFailure reports that an evaluation failed for a reason that is the machine's or
// ours: one of the folders that we made for it is gone or cannot be used, or a disk
// is full. It is nil where the reason is the expression's.
func ourFailure(stderr string, folders ...string) error {
	message, _ := lastError(clean(stderr))
	if !systemCall.MatchString(message) {
		return nil
	}
	full := strings.Contains(message, "No space left on device")
	if !full && !slices.ContainsFunc(folders, func(dir string) bool { return dir != "" && strings.Contains(message, dir+"/") }) {
		return nil
	}
	mend := "try again"
	if full {
		mend = "free some space, or set TMPDIR"
	}
	return fmt.Errorf("%s (%s)", bound(message), mend)
}

// deepest is the first place in the checkout, else the first at all: Nix prints
// the innermost place of the message first.
func deepest(text, root string) []string {
	all := place.FindAllStringSubmatch(text, -1)
	for _, m := range all {
		if root != "" && strings.HasPrefix(m[1], root+"/") {
			return m
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return nil
}

// lastError is the message of the last error in the text, and what follows it.
// Newer versions print the trace first: "error:\n … while ...\n error: message".
func lastError(text string) (message, rest string) {
	const mark = "error:"
	i := -1
	for at := 0; ; {
		j := strings.Index(text[at:], mark)
		if j < 0 {
			break
		}
		j += at
		start := strings.LastIndexByte(text[:j], '\n') + 1
		if strings.TrimSpace(text[start:j]) == "" {
			i = j
		}
		at = j + len(mark)
	}
	if i < 0 {
		return strings.TrimSpace(dropChatter(text)), ""
	}
	// A trace: line that came before belongs to the code, not to the error.
	body := text[i+len(mark):]
	end := len(body)
	if m := regexp.MustCompile(`\n\s*\n?\s*(?:at|…) `).FindStringIndex(body); m != nil {
		end = m[0]
	}
	if m := strings.Index(body, "\n(use '--show-trace'"); m >= 0 && m < end {
		end = m
	}
	return dedent(strings.TrimSpace(body[:end])), body[end:]
}

// dedent takes out the indentation that newer versions give to messages.
func dedent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		if i > 0 {
			lines[i] = strings.TrimPrefix(lines[i], "       ")
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// dropChatter removes the lines that say nothing of an error.
func dropChatter(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "trace:") || strings.HasPrefix(line, "warning:") {
			continue
		}
		out = append(out, strings.TrimRight(line, "\n"))
	}
	return strings.Join(out, "\n")
}

// dead says why a session that ended took an attribute with it.
func (e *diedError) failure(root string) *distro.Failure {
	f := newFailure(e.stderr, root)
	switch {
	case e.late:
		f.Reason, f.Message = distro.FailTimeout, "did not finish within its time"
	case e.overrun:
		f.Reason, f.Message = distro.FailOther, "evaluates to more than may be kept of one attribute"
	case f.Reason == distro.FailRecursion, f.Reason == distro.FailMemory:
	case strings.Contains(e.Error(), "SIGSEGV"):
		// Nix catches the end of its stack, but not in every place.
		f.Reason, f.Message = distro.FailRecursion, "the evaluator ran out of stack"
	case strings.Contains(e.Error(), "SIGKILL"):
		f.Reason, f.Message = distro.FailMemory, "the evaluator was killed, for want of memory most likely"
	default:
		f.Reason = distro.FailOther
		if f.Message == "" {
			f.Message = bound(clean(e.Error()))
		}
	}
	return f
}

func relative(file, root string) string {
	if root != "" {
		if rel, ok := strings.CutPrefix(file, root+"/"); ok {
			return rel
		}
	}
	return file
}

func relativeText(s, root string) string {
	if root == "" {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, root+"/", ""), root, ".")
}

func bound(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + " ..."
}
