package nix

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
)

// Build says what to build, and within which bounds.
type Build struct {
	// Drvs are the store paths of derivations, with the outputs wanted of them.
	Drvs []Target
	// Untrusted refuses to build without a sandbox.
	Untrusted bool
	// Jobs is how many builds run at once, Cores how many processors each may use;
	// zero means Nix's own choice for Cores, and one per two processors for Jobs.
	Jobs, Cores int
	// Timeout bounds one build, Silence the time in which it prints nothing.
	Timeout, Silence time.Duration
	// LogBytes bounds one build's log; zero means 64 MiB.
	LogBytes int64
	// LogDir is where logs go, one file per derivation that ran. It is created.
	LogDir string
	// RootDir is where links are put that keep what was built from being
	// collected as garbage. Empty means nothing is kept.
	RootDir string
	// Substituters and PublicKeys are the binary caches that may be read; none
	// means none.
	Substituters, PublicKeys []string
	// Rebuild builds anew what is there already, to see whether it comes out the same.
	Rebuild bool
}

// Target is a derivation and the store paths it should produce.
type Target struct {
	Drv     string
	Outputs []string
}

// Built is how a derivation fared.
type Built struct {
	Drv  string
	Kind BuildKind
	// Reason is one sentence; empty where Kind is BuildOK.
	Reason string
	// Exit is the builder's exit status, -1 where there was none.
	Exit int
	// Log is the file with the whole log; Tail its last lines. Of a failed
	// dependency they are the dependency's.
	Log  string
	Tail []string
	// Seconds is how long it was built; zero where it was there already, or
	// fetched.
	Seconds float64
	// Dependency is the derivation that failed where Kind is
	// BuildDependency, Cause how.
	Dependency string
	Cause      BuildKind
}

// tailLines is how much of the end of a log a Built holds.
const tailLines = 40

// Args is the command line of nix-store for a build.
func (b Build) Args(n *Nix) []string {
	args := []string{"--realise", "--keep-going", "--log-format", "internal-json", "-v"}
	if b.Rebuild {
		args = append(args, "--check")
	}
	option := func(name, value string) { args = append(args, "--option", name, value) }
	for _, o := range n.Options {
		if name, value, ok := strings.Cut(o, "="); ok {
			option(name, value)
		}
	}
	option("max-jobs", fmt.Sprint(cmp.Or(b.Jobs, 1)))
	option("cores", fmt.Sprint(b.Cores))
	option("timeout", fmt.Sprint(int(cmp.Or(b.Timeout, 2*time.Hour).Seconds())))
	option("max-silent-time", fmt.Sprint(int(cmp.Or(b.Silence, 20*time.Minute).Seconds())))
	option("max-build-log-size", fmt.Sprint(cmp.Or(b.LogBytes, 64<<20)))
	option("substituters", strings.Join(b.Substituters, " "))
	option("extra-substituters", "")
	option("trusted-public-keys", strings.Join(b.PublicKeys, " "))
	option("sandbox", "true")
	option("sandbox-fallback", fmt.Sprint(!b.Untrusted))
	option("keep-failed", "false")
	if _, err := user.LookupGroup("nixbld"); err != nil && os.Geteuid() == 0 {
		// Debian's package has Nix look for a group that it does not make.
		option("build-users-group", "")
	}
	args = append(args, "--")
	for _, t := range b.Drvs {
		args = append(args, t.Drv)
	}
	return args
}

// Realise builds derivations, each whatever becomes of the others, and calls done
// once for each as it is settled, from one goroutine. The error says that Nix
// could not be run or was stopped; what was not settled by then never is.
func (n *Nix) Realise(ctx context.Context, b Build, done func(Built)) error {
	if len(b.Drvs) == 0 {
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
	r := &realisation{n: n, b: b, done: done, builds: map[uint64]*building{}, byDrv: map[string]*building{}, settled: map[string]bool{}}
	if r.b.LogDir == "" {
		if r.b.LogDir, err = os.MkdirTemp("", "asterbot-logs-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.b.LogDir, 0o755); err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "asterbot-home-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	events, w := io.Pipe()
	cmd := &proc.Cmd{Path: n.program("nix-store"), Args: r.b.Args(n), Env: n.env(home), Stderr: w, Stdout: io.Discard, Grace: 10 * time.Second}
	if err := cmd.Start(ctx); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	read := make(chan error, 1)
	go func() { read <- r.read(ctx, events) }()
	err = cmd.Wait(ctx)
	w.Close()
	if readErr := <-read; readErr != nil && err == nil {
		err = readErr
	}
	for _, running := range r.builds {
		running.close()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("build: %w", ctx.Err())
	}
	return r.finish(ctx, err)
}

// building is a derivation under construction.
type building struct {
	drv     string
	began   time.Time
	seconds float64
	log     *os.File
	left    int64
	path    string
	tail    []string
	failure *buildFailure
}

func (b *building) close() {
	if b.log != nil {
		b.log.Close()
		b.log = nil
	}
}

// realisation is one Realise under way.
type realisation struct {
	n       *Nix
	b       Build
	done    func(Built)
	builds  map[uint64]*building
	byDrv   map[string]*building
	settled map[string]bool
	// messages are errors that name no derivation.
	messages []string
}

// maxLine bounds a line of Nix's log. A build's line may be any length.
const maxLine = 1 << 20

func (r *realisation) read(ctx context.Context, from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	var line []byte
	var long bool
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) <= maxLine {
			line = append(line, part...)
		} else {
			long = true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if len(line) > 0 && !long {
			if e, ok := parseEvent(bytes.TrimSpace(line)); ok {
				r.take(ctx, e)
			}
		}
		line, long = line[:0], false
		if err != nil {
			if err == io.EOF {
				return nil
			}
			io.Copy(io.Discard, from) // Nix must not block on us
			return err
		}
	}
}

func (r *realisation) of(drv string) *building {
	b := r.byDrv[drv]
	if b == nil {
		b = &building{drv: drv}
		r.byDrv[drv] = b
	}
	return b
}

func (r *realisation) take(ctx context.Context, e event) {
	switch {
	case e.start:
		b := r.of(e.drv)
		b.began = time.Now()
		r.builds[e.id] = b
		b.path = filepath.Join(r.b.LogDir, logName(e.drv))
		var err error
		if b.log, err = os.Create(b.path); err != nil {
			b.path = ""
		}
		b.left = cmp.Or(r.b.LogBytes, 64<<20)
	case e.isLine:
		if b := r.builds[e.id]; b != nil {
			b.write(e.line)
		}
	case e.failure != nil:
		b := r.of(e.failure.drv)
		// The first words are the nearest to what happened.
		if b.failure == nil {
			b.failure = e.failure
		}
		b.stop()
	case e.stop:
		b := r.builds[e.id]
		if b == nil {
			return
		}
		delete(r.builds, e.id)
		b.stop()
		b.close()
		if t, ok := r.target(b.drv); ok && b.failure == nil && !r.b.Rebuild && r.valid(ctx, t.Outputs) {
			r.settle(Built{Drv: b.drv, Kind: BuildOK, Exit: 0, Log: b.path, Tail: b.tail, Seconds: b.seconds})
		}
	case e.message != "" && len(r.messages) < 20:
		r.messages = append(r.messages, e.message)
	}
}

func (b *building) stop() {
	if !b.began.IsZero() && b.seconds == 0 {
		b.seconds = time.Since(b.began).Seconds()
	}
}

func (b *building) write(line string) {
	b.tail = append(b.tail, line)
	if len(b.tail) > 2*tailLines {
		b.tail = append([]string(nil), b.tail[len(b.tail)-tailLines:]...)
	}
	if n := int64(len(line) + 1); b.log != nil && n <= b.left {
		b.left -= n
		io.WriteString(b.log, line+"\n")
	}
}

func (b *building) lastLines() []string { return b.tail[max(0, len(b.tail)-tailLines):] }

// logName is a file name for a derivation's log. Store names have no
// slash.
func logName(drv string) string {
	return strings.TrimSuffix(filepath.Base(drv), ".drv") + ".log"
}

func (r *realisation) target(drv string) (Target, bool) {
	for _, t := range r.b.Drvs {
		if t.Drv == drv {
			return t, true
		}
	}
	return Target{}, false
}

func (r *realisation) settle(b Built) {
	if !r.settled[b.Drv] {
		r.settled[b.Drv] = true
		r.done(b)
	}
}

// valid reports whether all of the store paths are there.
func (r *realisation) valid(ctx context.Context, paths []string) bool {
	invalid, err := r.n.invalid(ctx, paths)
	return err == nil && len(paths) > 0 && len(invalid) == 0
}

// invalid returns those of the store paths that are not there.
func (n *Nix) invalid(ctx context.Context, paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	cmd := &proc.Cmd{Path: n.program("nix-store"), Args: append([]string{"--check-validity", "--print-invalid", "--"}, paths...), Env: n.env(os.TempDir())}
	out, err := cmd.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask what is built: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// finish settles what the log did not: what was there already, what a failed
// dependency keeps from being built, and what Nix gave up on.
func (r *realisation) finish(ctx context.Context, end error) error {
	var failed []string
	for drv, b := range r.byDrv {
		if b.failure != nil && b.failure.kind != BuildDependency {
			failed = append(failed, drv)
		}
	}
	slices.Sort(failed)
	var built []string
	for _, t := range r.b.Drvs {
		b := r.of(t.Drv)
		out := Built{Drv: t.Drv, Exit: -1, Log: b.path, Tail: b.lastLines(), Seconds: b.seconds}
		switch {
		case r.settled[t.Drv]:
			built = append(built, t.Outputs...)
			continue
		case b.failure != nil && b.failure.kind != BuildDependency:
			out.Kind, out.Reason, out.Exit = r.explain(b)
		case (end == nil || !r.b.Rebuild) && r.valid(ctx, t.Outputs):
			out.Kind, out.Exit = BuildOK, 0
			built = append(built, t.Outputs...)
		default:
			if dep := r.culprit(ctx, t.Drv, failed); dep != nil {
				kind, reason, exit := r.explain(dep)
				out.Kind, out.Cause, out.Dependency, out.Exit = BuildDependency, kind, dep.drv, exit
				out.Reason = fmt.Sprintf("its dependency %s failed: %s", drvName(dep.drv), reason)
				out.Log, out.Tail = dep.path, dep.lastLines()
				break
			}
			out.Kind = BuildInfra
			out.Reason = "Nix ended without building it"
			if len(r.messages) > 0 {
				out.Reason += ": " + reasonOf(r.messages[0])
			} else if end != nil {
				out.Reason += ": " + end.Error()
			}
		}
		r.settle(out)
	}
	return r.n.keep(ctx, r.b.RootDir, built)
}

// explain says how a derivation failed. A fetch that the network failed, and a
// build that the disk or the memory failed, is not the package's fault.
func (r *realisation) explain(b *building) (BuildKind, string, int) {
	kind, reason := b.failure.kind, b.failure.reason
	end := strings.Join(b.lastLines(), "\n")
	if kind == BuildFailed {
		if m := infraWords.FindString(end); m != "" && strings.Contains(strings.ToLower(m), "space left") {
			kind, reason = BuildInfra, "the disk is full: "+reason
		} else if m := networkWords.FindString(end); m != "" && r.isFetch(b.drv) {
			kind, reason = BuildInfra, "the network failed a fetch ("+m+"): "+reason
		}
	}
	return kind, reason, b.failure.exit
}

// isFetch reports whether a derivation only fetches: its output's hash is fixed.
func (r *realisation) isFetch(drv string) bool {
	text, err := os.ReadFile(drv)
	if err != nil {
		return false
	}
	// Derive([("out","/nix/store/...","sha256","<hash>")],...
	outputs, _, _ := strings.Cut(string(text), ")]")
	return strings.HasPrefix(outputs, "Derive([(") && !strings.HasSuffix(outputs, `,""`)
}

// culprit finds the failed derivation that another one needs.
func (r *realisation) culprit(ctx context.Context, drv string, failed []string) *building {
	if len(failed) == 0 {
		return nil
	}
	cmd := &proc.Cmd{Path: r.n.program("nix-store"), Args: []string{"--query", "--requisites", "--", drv}, Env: r.n.env(os.TempDir())}
	out, err := cmd.Output(ctx)
	if err != nil {
		return nil
	}
	needs := map[string]bool{}
	for _, p := range strings.Fields(string(out)) {
		needs[p] = true
	}
	for _, f := range failed {
		if needs[f] && f != drv {
			return r.byDrv[f]
		}
	}
	return nil
}

// keep roots store paths below a folder, so that a garbage collection passes them
// by for as long as the folder's links exist.
func (n *Nix) keep(ctx context.Context, dir string, paths []string) error {
	if dir == "" || len(paths) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := []string{"--realise", "--add-root", filepath.Join(dir, "result"), "--indirect", "--option", "substituters", "", "--"}
	cmd := &proc.Cmd{Path: n.program("nix-store"), Args: append(args, paths...), Env: n.env(os.TempDir())}
	if _, err := cmd.Output(ctx); err != nil {
		return fmt.Errorf("keep what was built: %w", err)
	}
	return nil
}
