package nix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// event is one line of Nix's internal-json log format, decoded.
type event struct {
	// start of a build, and its end by id
	start, stop bool
	id          uint64
	drv         string // of a start
	line        string // a line of a build's log
	isLine      bool
	failure     *buildFailure // a message that settles a derivation
	message     string        // any other message of level 0: an error
}

// The numbers of activities and results (src/libutil/logging.hh).
const (
	activityBuild = 105
	resultLogLine = 101
	resultPostLog = 107
)

// parseEvent decodes a line. It reports false for one that says nothing of builds; a
// line that is not in the format is none either: it is what a build hook or a
// library printed.
func parseEvent(line []byte) (event, bool) {
	text, ok := bytes.CutPrefix(line, []byte("@nix "))
	if !ok {
		return event{}, false
	}
	var raw struct {
		Action string            `json:"action"`
		ID     uint64            `json:"id"`
		Type   int               `json:"type"`
		Level  int               `json:"level"`
		Fields []json.RawMessage `json:"fields"`
		Msg    string            `json:"msg"`
		RawMsg string            `json:"raw_msg"`
	}
	if json.Unmarshal(text, &raw) != nil {
		return event{}, false
	}
	field := func(i int) string {
		var s string
		if i < len(raw.Fields) {
			_ = json.Unmarshal(raw.Fields[i], &s) // a number is no text
		}
		return s
	}
	switch {
	case raw.Action == "start" && raw.Type == activityBuild:
		return event{start: true, id: raw.ID, drv: field(0)}, field(0) != ""
	case raw.Action == "stop":
		return event{stop: true, id: raw.ID}, true
	case raw.Action == "result" && (raw.Type == resultLogLine || raw.Type == resultPostLog):
		return event{isLine: true, id: raw.ID, line: clean(field(0))}, true
	case raw.Action == "msg" && raw.Level == 0:
		message := raw.RawMsg
		if message == "" {
			message = raw.Msg
		}
		message = strings.TrimSpace(clean(message))
		message = strings.TrimSpace(strings.TrimPrefix(message, "error:"))
		if message == "" || strings.HasPrefix(message, "warning:") {
			return event{}, false
		}
		if f := parseFailure(message); f != nil {
			return event{failure: f}, true
		}
		return event{message: message}, true
	}
	return event{}, false
}

// BuildKind classifies how a build went.
type BuildKind string

// The kinds.
const (
	BuildOK         BuildKind = "ok"
	BuildFailed     BuildKind = "failed"
	BuildTimeout    BuildKind = "timeout"       // took too long, or was silent too long
	BuildHash       BuildKind = "hash-mismatch" // what was fetched is not what was promised
	BuildUnstable   BuildKind = "not-deterministic"
	BuildDependency BuildKind = "dependency-failed"
	BuildInfra      BuildKind = "infra" // our surroundings, not the package
)

// buildFailure is what a message says of a derivation.
type buildFailure struct {
	drv    string
	kind   BuildKind
	exit   int // of the builder; -1 where there is none
	reason string
}

// buildRule recognises the failure of a derivation by Nix's words. The first group is the
// derivation.
type buildRule struct {
	text *regexp.Regexp
	kind BuildKind
}

// buildRules hold the wording of 2.8 to 2.26, then that of newer versions.
var buildRules = []buildRule{
	{regexp.MustCompile(`hash mismatch in fixed-output derivation '([^']+\.drv)'`), BuildHash},
	{regexp.MustCompile(`building of '([^']+\.drv)[^']*'(?: from \.drv file)? timed out`), BuildTimeout},
	{regexp.MustCompile(`(?:building of|builder for) '([^']+\.drv)[^']*'.* (?:timed out|killed after|after [0-9.]+ seconds of silence)`), BuildTimeout},
	{regexp.MustCompile(`derivation '([^']+\.drv)' may not be deterministic`), BuildUnstable},
	{regexp.MustCompile(`dependenc(?:y|ies) of derivation '([^']+\.drv)' failed`), BuildDependency},
	{regexp.MustCompile(`builder for '([^']+\.drv)' failed`), BuildFailed},
	{regexp.MustCompile(`(?i)cannot build '([^']+\.drv)'\.?\s+Reason: (?:\d+ )?dependenc(?:y|ies) failed`), BuildDependency},
	{regexp.MustCompile(`(?i)cannot build '([^']+\.drv)'\.?\s+Reason: [^\n]*timed out`), BuildTimeout},
	{regexp.MustCompile(`(?i)cannot build '([^']+\.drv)'\.?\s+Reason: .*(?:hash mismatch)`), BuildHash},
	{regexp.MustCompile(`(?i)cannot build '([^']+\.drv)'`), BuildFailed},
	{regexp.MustCompile(`(?:required|feature).* to build '([^']+\.drv)'`), BuildInfra},
	{regexp.MustCompile(`(?:output|reference|cycle|while).* derivation '([^']+\.drv)'`), BuildFailed},
}

// infraWords are what our surroundings say when they fail.
var infraWords = regexp.MustCompile(`(?i)no space left on device|disk quota exceeded|cannot allocate memory|signal 9 \(killed\)|out of memory|` +
	`all build users are currently in use|cannot connect to (?:socket|daemon)|(?:getting|setting up|cannot set up|mounting|unable to start) .*(?:sandbox|namespace)|` +
	`input/output error|read-only file system|database is locked|too many open files|required system or feature not available`)

// networkWords are what a fetch says when the network failed it.
var networkWords = regexp.MustCompile(`(?i)could ?n.t resolve host|could not resolve host|connection (?:timed out|refused|reset)|unable to download|temporary failure in name resolution|` +
	`operation timed out|network is unreachable|HTTP error 5\d\d|The requested URL returned error: (?:5\d\d|429)|SSL connect error`)

var (
	exitCode = regexp.MustCompile(`failed with exit code (\d+)`)
	signalNo = regexp.MustCompile(`failed due to signal (\d+)`)
)

func parseFailure(message string) *buildFailure {
	for _, r := range buildRules {
		m := r.text.FindStringSubmatch(message)
		if m == nil {
			continue
		}
		f := &buildFailure{drv: m[1], kind: r.kind, exit: -1, reason: reasonOf(message)}
		if m := exitCode.FindStringSubmatch(message); m != nil {
			f.exit, _ = strconv.Atoi(m[1])
		} else if m := signalNo.FindStringSubmatch(message); m != nil {
			n, _ := strconv.Atoi(m[1])
			f.exit = 128 + n
		}
		// Only Nix's own words count here: the newer versions repeat the end of
		// the build's log below them.
		if own, _, _ := strings.Cut(message, "Last "); r.kind == BuildFailed && infraWords.MatchString(own) {
			f.kind = BuildInfra
		}
		return f
	}
	return nil
}

// reasonOf makes one sentence of a message: the line that says why.
func reasonOf(message string) string {
	if _, why, ok := strings.Cut(message, "Reason: "); ok {
		message = why
	}
	lines := strings.Split(message, "\n")
	first := strings.TrimRight(strings.TrimSpace(lines[0]), ".:")
	if strings.HasPrefix(first, "hash mismatch") {
		for _, l := range lines[1:] {
			if l = strings.TrimSpace(l); l != "" {
				first += "; " + strings.Join(strings.Fields(l), " ")
			}
		}
	}
	return bound(storeHash.ReplaceAllString(first, ""))
}

// storeHash is what a reader does not need of a store path.
var storeHash = regexp.MustCompile(`(?:/[^\s']+)*/[0-9a-z]{32}-`)

// drvName is the name of a derivation without its hash.
func drvName(storePath string) string {
	base := storePath[strings.LastIndexByte(storePath, '/')+1:]
	if len(base) > 33 && base[32] == '-' {
		base = base[33:]
	}
	return strings.TrimSuffix(base, ".drv")
}

func (f *buildFailure) String() string { return fmt.Sprintf("%s: %s", drvName(f.drv), f.reason) }
