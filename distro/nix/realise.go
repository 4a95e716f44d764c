package nix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
)

// Build says what to build. Derivations are in the store already, written by an
// Evaluation with Write.
type Build struct {
	Targets []Target
	// LogDir is where each derivation's log goes, in a file of its own; it is
	// made. Empty keeps only the last lines.
	LogDir string
	// Timeout bounds one derivation, Silence the time without output, LogBytes
	// the log; zero means 2 h, 20 min and 64 MiB.
	Timeout, Silence time.Duration
	LogBytes         int64
	// Jobs is how many derivations build at once; zero leaves it to Nix.
	Jobs int
	// Untrusted refuses to build without a sandbox that is known to hold.
	Untrusted bool
	// Options are further settings, "name=value".
	Options []string
	// Building, if set, is called when a derivation starts to build.
	Building func(drv string)
}

// Target is a derivation to build.
type Target struct {
	Drv     string
	Outputs []string
}

// BuildKind says how a build ended.
type BuildKind string

// The ways a build ends.
const (
	BuildOK               BuildKind = "ok"
	BuildFailed           BuildKind = "failed"            // its builder failed
	BuildTimeout          BuildKind = "timeout"           // it took too long, or was silent too long
	BuildHashMismatch     BuildKind = "hash-mismatch"     // what it fetched is not what it named
	BuildNotDeterministic BuildKind = "not-deterministic" // built again it is different
	BuildDependency       BuildKind = "dependency"        // something it needs was not built
	BuildInfra            BuildKind = "infra"             // no disk space, no memory, no sandbox, Nix itself
)

// Built is what came of one Target.
type Built struct {
	Drv  string
	Kind BuildKind
	// Message is Nix's own words about it, cleaned.
	Message string
	// Of is the derivation that failed, where Kind is BuildDependency: Message, Log
	// and Tail are its.
	Of string
	// Cause is how Of failed.
	Cause BuildKind
	// Log is the path of the whole log, Tail its last lines.
	Log     string
	Tail    []string
	Seconds float64
}

// Realise builds all targets, each whatever becomes of the others, and calls done
// once for each, in the order of Targets. The error says that Nix could
// not be run, or the context's.
func (n *Nix) Realise(ctx context.Context, b Build, done func(Built)) error {
	if len(b.Targets) == 0 {
		return nil
	}
	version, err := n.Version(ctx)
	if err != nil {
		return err
	}
	if b.Untrusted {
		if err := version.Safe(); err != nil {
			return err
		}
		if err := n.ProbeSandbox(ctx); err != nil {
			return err
		}
	}
	if b.LogDir != "" {
		if err := os.MkdirAll(b.LogDir, 0o755); err != nil {
			return fmt.Errorf("keep build logs: %w", err)
		}
	}
	folder, err := tempdir.New("", "asterbot-build-")
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer folder.Remove()
	home := folder.Path

	events := newBuildLog(b)
	defer events.close()
	cmd := &proc.Cmd{
		Path: n.program("nix-store"), Args: n.realiseArgs(b, home), Env: append(n.env(home), "NIX_CONF_DIR="+home),
		Dir: home, Stdout: io.Discard, Stderr: events, Grace: 5 * time.Second,
	}
	runErr := cmd.Run(ctx)
	events.finish()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	invalid, err := n.invalid(ctx, b.Targets, home)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	for _, t := range b.Targets {
		done(n.built(ctx, t, events, invalid, runErr, home))
	}
	return nil
}

// realiseArgs are the arguments of nix-store. What is settled here comes last: of two
// settings of a name the last counts.
func (n *Nix) realiseArgs(b Build, home string) []string {
	args := []string{
		"--realise", "--keep-going", "--log-format", "internal-json", "-v",
		// What was built must not be collected while it is in use.
		"--indirect", "--add-root", filepath.Join(home, "root"),
	}
	args = append(args, n.buildSettings(b)...)
	for _, t := range b.Targets {
		args = append(args, t.Drv)
	}
	return args
}

// buildSettings are those of every build: sandboxed, and bounded.
func (n *Nix) buildSettings(b Build) (args []string) {
	option := func(name, value string) { args = append(args, "--option", name, value) }
	if _, err := user.LookupGroup("nixbld"); err != nil && os.Geteuid() == 0 {
		// Debian's package has Nix look for a group that it does not make.
		option("build-users-group", "")
	}
	for _, o := range slices.Concat(n.Options, b.Options) {
		if name, value, ok := strings.Cut(o, "="); ok {
			option(name, value)
		}
	}
	orElse := func(d, otherwise time.Duration) string {
		if d == 0 {
			d = otherwise
		}
		return strconv.Itoa(max(1, int(d/time.Second)))
	}
	limit := b.LogBytes
	if limit == 0 {
		limit = 64 << 20
	}
	option("sandbox", "true")
	option("sandbox-fallback", "false")
	option("timeout", orElse(b.Timeout, 2*time.Hour))
	option("max-silent-time", orElse(b.Silence, 20*time.Minute))
	option("max-build-log-size", strconv.FormatInt(limit, 10))
	if b.Jobs > 0 {
		option("max-jobs", strconv.Itoa(b.Jobs))
	}
	return args
}

// invalid returns which outputs are not in the store.
func (n *Nix) invalid(ctx context.Context, targets []Target, home string) (map[string]bool, error) {
	args := []string{"--check-validity", "--print-invalid"}
	for _, t := range targets {
		args = append(args, t.Outputs...)
	}
	cmd := &proc.Cmd{Path: n.program("nix-store"), Args: args, Env: n.env(home), Dir: home}
	out, err := cmd.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask what was built: %w", err)
	}
	missing := map[string]bool{}
	for _, p := range strings.Fields(string(out)) {
		missing[p] = true
	}
	return missing, nil
}

// requisites are the derivations that a derivation needs, itself included.
func (n *Nix) requisites(ctx context.Context, drv, home string) []string {
	cmd := &proc.Cmd{Path: n.program("nix-store"), Args: []string{"--query", "--requisites", drv}, Env: n.env(home), Dir: home}
	out, err := cmd.Output(ctx)
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

func (n *Nix) built(ctx context.Context, t Target, events *buildLog, invalid map[string]bool, runErr error, home string) Built {
	out := Built{Drv: t.Drv, Kind: BuildOK}
	if own := events.drvs[t.Drv]; own != nil {
		out.Log, out.Tail, out.Seconds = own.path, own.tail, own.seconds()
	}
	if !slices.ContainsFunc(t.Outputs, func(p string) bool { return invalid[p] }) {
		return out
	}
	if f, ok := events.failures[t.Drv]; ok && f.kind != BuildDependency {
		out.Kind, out.Message = f.kind, f.message
		return out
	}
	// Its own builder did not fail, so something below it did.
	for _, drv := range n.requisites(ctx, t.Drv, home) {
		f, ok := events.failures[drv]
		if !ok || f.kind == BuildDependency || drv == t.Drv {
			continue
		}
		out.Kind, out.Of, out.Cause, out.Message = BuildDependency, drv, f.kind, f.message
		if own := events.drvs[drv]; own != nil {
			out.Log, out.Tail, out.Seconds = own.path, own.tail, own.seconds()
		}
		return out
	}
	// Nix gave no reason that names it: that is not the package's failure.
	out.Kind, out.Message = BuildInfra, strings.Join(events.other, "\n")
	if out.Message == "" && runErr != nil {
		out.Message = clean(runErr.Error())
	}
	if out.Message == "" {
		out.Message = "Nix neither built it nor said why"
	}
	return out
}

// buildLog reads Nix's events (--log-format internal-json) as they come.
type buildLog struct {
	b        Build
	line     []byte
	drvs     map[string]*drvLog
	byID     map[uint64]*drvLog
	failures map[string]buildFailure
	other    []string // errors that name no derivation
}

type buildFailure struct {
	kind    BuildKind
	message string
}

// drvLog is what one derivation printed.
type drvLog struct {
	path        string
	file        *os.File
	w           *bufio.Writer
	left        int64
	tail        []string
	began, last time.Time
}

func (d *drvLog) seconds() float64 { return d.last.Sub(d.began).Seconds() }

// tailLines is how many of the last lines of a log are kept for a report.
const tailLines = 30

func newBuildLog(b Build) *buildLog {
	return &buildLog{b: b, drvs: map[string]*drvLog{}, byID: map[uint64]*drvLog{}, failures: map[string]buildFailure{}}
}

// maxEvent bounds one line of Nix's events, in bytes. A builder's line is part
// of one.
const maxEvent = 1 << 20

func (l *buildLog) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if len(l.line) < maxEvent {
				l.line = append(l.line, rest...)
			}
			break
		}
		if len(l.line) < maxEvent {
			l.line = append(l.line, rest[:i]...)
		}
		l.event(l.line)
		l.line = l.line[:0]
		rest = rest[i+1:]
	}
	return len(p), nil
}

func (l *buildLog) finish() {
	if len(l.line) > 0 {
		l.event(l.line)
		l.line = nil
	}
}

// The numbers of Nix's activities and results (libutil/logging.hh).
const (
	activityBuild = 105
	resultLine    = 101
	resultPost    = 107
)

type buildEvent struct {
	Action string            `json:"action"`
	ID     uint64            `json:"id"`
	Type   int               `json:"type"`
	Level  int               `json:"level"`
	Msg    string            `json:"msg"`
	Raw    string            `json:"raw_msg"`
	Fields []json.RawMessage `json:"fields"`
}

func (l *buildLog) event(line []byte) {
	text, ok := bytes.CutPrefix(line, []byte("@nix "))
	if !ok {
		if s := strings.TrimSpace(clean(string(line))); s != "" && !strings.HasPrefix(s, "warning:") {
			l.other = append(l.other, s)
		}
		return
	}
	var e buildEvent
	if json.Unmarshal(text, &e) != nil {
		return
	}
	field := func(i int) (s string) {
		if i < len(e.Fields) {
			_ = json.Unmarshal(e.Fields[i], &s)
		}
		return s
	}
	switch {
	case e.Action == "start" && e.Type == activityBuild:
		if drv := field(0); drv != "" {
			l.start(e.ID, drv)
		}
	case e.Action == "result" && (e.Type == resultLine || e.Type == resultPost):
		if d := l.byID[e.ID]; d != nil {
			d.add(field(0))
		}
	case e.Action == "msg" && e.Level == 0:
		text := e.Raw
		if text == "" {
			text = e.Msg
		}
		l.failure(clean(text))
	}
}

func (l *buildLog) start(id uint64, drv string) {
	d := l.drvs[drv]
	if d == nil {
		now := time.Now()
		d = &drvLog{began: now, last: now, left: l.b.LogBytes}
		if d.left == 0 {
			d.left = 64 << 20
		}
		if l.b.LogDir != "" {
			d.path = filepath.Join(l.b.LogDir, logName(drv))
			if f, err := os.Create(d.path); err == nil {
				d.file, d.w = f, bufio.NewWriter(f)
			} else {
				d.path = ""
			}
		}
		l.drvs[drv] = d
		if l.b.Building != nil {
			l.b.Building(drv)
		}
	}
	l.byID[id] = d
}

// logName makes a file name of a derivation: its name first, for people, and enough
// of its hash to tell two of a name apart.
func logName(drv string) string {
	hash, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(drv), ".drv"), "-")
	return fmt.Sprintf("%s-%.8s.log", name, hash)
}

func (d *drvLog) add(line string) {
	d.last = time.Now()
	shown := clean(line)
	if len(shown) > 2000 {
		shown = strings.ToValidUTF8(shown[:2000], "") + " ..."
	}
	d.tail = append(d.tail, shown)
	if len(d.tail) > tailLines {
		d.tail = slices.Delete(d.tail, 0, len(d.tail)-tailLines)
	}
	if d.w == nil || d.left <= 0 {
		return
	}
	d.left -= int64(len(line)) + 1
	_, _ = d.w.WriteString(line) // a log that cannot be written is lost, the build is not
	_ = d.w.WriteByte('\n')
	if d.left <= 0 {
		_, _ = d.w.WriteString("... the rest was dropped: the log reached its bound\n")
	}
}

func (l *buildLog) close() {
	for _, d := range l.drvs {
		if d.file != nil {
			_ = d.w.Flush()
			_ = d.file.Close()
		}
	}
}

var (
	drvInMessage  = regexp.MustCompile(`/[^\s'"!]+\.drv`)
	infraMessages = regexp.MustCompile(`(?i)no space left on device|cannot allocate memory|out of memory|while setting up the build environment|` +
		`unable to (fork|start|make)|cloning builder process|sandbox|disk i/o error|database is locked|build user|getting status of|cannot connect to`)
)

// failure files an error of Nix under the derivation it is about.
func (l *buildLog) failure(text string) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "error:"))
	kind := BuildKind("")
	switch {
	case strings.Contains(text, "hash mismatch in fixed-output derivation"):
		kind = BuildHashMismatch
	case strings.Contains(text, "may not be deterministic"):
		kind = BuildNotDeterministic
	case strings.Contains(text, "timed out after"):
		kind = BuildTimeout
	case strings.Contains(text, "dependencies of derivation"), strings.Contains(text, "dependency failed"), strings.Contains(text, "dependencies failed"):
		kind = BuildDependency
	case infraMessages.MatchString(text):
		kind = BuildInfra
	case strings.Contains(text, "failed with exit code"), strings.Contains(text, "failed due to signal"), strings.Contains(text, "failed to produce output"),
		strings.Contains(text, "wrote more than"), strings.Contains(text, "is not allowed to refer to"), strings.Contains(text, "log output"):
		kind = BuildFailed
	}
	drv := drvInMessage.FindString(text)
	if kind == "" || drv == "" {
		if !strings.HasPrefix(text, "build of ") && text != "" {
			l.other = append(l.other, text)
		}
		return
	}
	if kind == BuildFailed && l.ranOutOfDisk(drv) {
		kind = BuildInfra
		text = "no space left on the disk: " + text
	}
	if old, ok := l.failures[drv]; !ok || old.kind == BuildDependency {
		l.failures[drv] = buildFailure{kind, text}
	}
}

// ranOutOfDisk reports whether the end of a builder's log says that the disk is
// full: the builder fails, but not by its own fault.
func (l *buildLog) ranOutOfDisk(drv string) bool {
	d := l.drvs[drv]
	return d != nil && slices.ContainsFunc(d.tail, func(s string) bool { return strings.Contains(s, "No space left on device") })
}
