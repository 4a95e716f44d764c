package nix

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/proc"
)

// Kernel is a kernel to build systems with. Empty fields mean the defaults of the
// profile.
type Kernel struct {
	Image    string   `json:"image"` // an absolute path
	Params   []string `json:"params"`
	Initrd   string   `json:"initrd"`
	Modules  string   `json:"modules"`
	Profile  string   `json:"profile"`
	Protocol string   `json:"protocol"`
}

// Ref names an attribute of an entry.
type Ref struct {
	Kind distro.Kind
	Name string
}

// Evaluation says what to evaluate.
type Evaluation struct {
	// Root is the folder of the checkout, without .git. It may be read.
	Root string
	// Entry is the Nix file, absolute. It may lie outside Root.
	Entry string
	// Nixpkgs is the folder of the package set, which may be read; empty
	// where the entry brings its own.
	Nixpkgs string
	// Allowed are further absolute paths that may be read.
	Allowed []string
	// System is Nix's name of the platform; empty means x86_64-linux.
	System  string
	Release string
	// Kernel is what systems boot; nil means the stub that comparisons use, in
	// the profile named Profile.
	Kernel  *Kernel
	Profile string
	// OwnKernel has systems boot the kernel that the entry itself names. Kernel is
	// nil then.
	OwnKernel bool
	// Only are the attributes wanted; nil means all.
	Only []Ref
	// Write puts derivations into the real store, for building.
	Write bool
	// MayImport says which attributes may build while they are evaluated. It is for
	// trusted code only, and needs Write.
	MayImport func(Ref) bool
	// Failing are the attributes known to fail, of a side evaluated before: the
	// others are then evaluated without precautions first.
	Failing []Ref
	Limits  Limits
}

// Limits bound an evaluation.
type Limits struct {
	// Time bounds all of it, Attr one attribute; zero means 15 minutes and
	// 1 minute.
	Time, Attr time.Duration
	// Memory is in bytes; zero means 8 GiB.
	Memory uint64
	// Output bounds what is kept of one attribute, in bytes; zero means 4 MiB.
	Output int
}

func (l Limits) orDefault() Limits {
	l.Time = cmp.Or(l.Time, 15*time.Minute)
	l.Attr = cmp.Or(l.Attr, time.Minute)
	l.Memory = cmp.Or(l.Memory, 8<<30)
	l.Output = cmp.Or(l.Output, 4<<20)
	return l
}

// Side is what came of an Evaluation.
type Side struct {
	Set *distro.Set
	// Drvs are the texts of the derivations of what was evaluated, and of all they
	// are built from, by store path. They are missing with Write, and for
	// what was evaluated without precautions (see Evaluation.Failing).
	Drvs map[string][]byte
	// PeakMiB is the most memory that a Nix process had.
	PeakMiB int
	Seconds float64
	// Restarts counts how often an attribute took the evaluator with it.
	Restarts int
}

//go:embed eval.nix
var evalNix []byte

// stubKernel is what a system is built with where only differences matter.
const stubKernel = "asterbot stub kernel: not bootable, the same on both sides of a comparison\n"

// evaluator is one Evaluation under way.
type evaluator struct {
	n     *Nix
	e     Evaluation
	dir   string
	store *evalStore
	// imports marks a session that may import from derivations.
	imports bool
	cpu     int
	s       *session
	side    *Side
	names   map[distro.Kind][]string
}

// nextCPU spreads evaluations over processors.
var nextCPU atomic.Int64

// Evaluate evaluates an entry. The error says that it could not be done at all;
// what is wrong with the repository is in the Set.
func (n *Nix) Evaluate(ctx context.Context, e Evaluation) (*Side, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.Limits.orDefault().Time)
	defer cancel()
	v, done, err := n.newEvaluator(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	defer done()
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	v.notePeak()
	if v.store != nil {
		v.side.Drvs = v.store.derivations()
	}
	v.side.Seconds = time.Since(began).Seconds()
	return v.side, nil
}

// newEvaluator sets up the folder of an evaluation and its store. The function
// removes all of it.
func (n *Nix) newEvaluator(ctx context.Context, e Evaluation) (*evaluator, func(), error) {
	if _, err := n.Version(ctx); err != nil {
		return nil, nil, err
	}
	e.Limits = e.Limits.orDefault()
	e.System = cmp.Or(e.System, "x86_64-linux")
	for _, p := range []*string{&e.Root, &e.Entry, &e.Nixpkgs} {
		if *p == "" {
			continue
		}
		// Nix compares real paths with the folders it may read.
		real, err := filepath.EvalSymlinks(*p)
		if err != nil {
			return nil, nil, err
		}
		if *p, err = filepath.Abs(real); err != nil {
			return nil, nil, err
		}
	}
	dir, err := os.MkdirTemp("", "asterbot-eval-")
	if err != nil {
		return nil, nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, nil, err
	}
	v := &evaluator{n: n, e: e, dir: dir, side: &Side{Set: &distro.Set{}}, names: map[distro.Kind][]string{}, cpu: pickCPU()}
	done := func() {
		v.endSession(ctx)
		if v.store != nil {
			v.store.Close()
		}
		os.RemoveAll(dir)
	}
	if err := v.prepare(); err != nil {
		done()
		return nil, nil, err
	}
	if !e.Write {
		if v.store, err = newEvalStore(dir, n.storeDir, int64(e.Limits.Memory)/4, v.cpu); err != nil {
			done()
			return nil, nil, err
		}
	}
	return v, done, nil
}

// prepare writes what the expression reads.
func (v *evaluator) prepare() error {
	ask := filepath.Join(v.dir, "ask")
	for _, d := range []string{ask, filepath.Join(v.dir, "home"), filepath.Join(v.dir, "etc")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	given, err := json.Marshal(map[string]any{
		"entry": v.e.Entry, "system": v.e.System, "nixpkgs": v.e.Nixpkgs, "repo": v.e.Root, "release": v.e.Release,
		"kernel": v.e.Kernel, "profile": v.e.Profile, "own": v.e.OwnKernel,
	})
	if err != nil {
		return err
	}
	failing := map[distro.Kind][]string{}
	for _, r := range v.e.Failing {
		failing[r.Kind] = append(failing[r.Kind], r.Name)
	}
	known, err := json.Marshal(failing)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"eval.nix": evalNix, "arguments.json": given, "failing.json": known, "asterbot-stub-kernel": []byte(stubKernel),
	} {
		if err := os.WriteFile(filepath.Join(ask, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pickCPU picks a processor that this process may use; -1 where there is no
// choice. An evaluation and its store talk 15,000 times about a middling package set;
// on one processor that costs a third of what it costs on two.
func pickCPU() int {
	var set unix.CPUSet
	if runtime.NumCPU() < 2 || unix.SchedGetaffinity(0, &set) != nil {
		return -1
	}
	skip := int(nextCPU.Add(1)) % set.Count()
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			if skip == 0 {
				return cpu
			}
			skip--
		}
	}
	return -1
}

// options are the settings of every evaluation. The last of two settings of a name
// counts, and these come last.
func (v *evaluator) options() []string {
	args := []string{}
	for _, o := range [][2]string{
		{"restrict-eval", "true"},
		{"allow-import-from-derivation", fmt.Sprint(v.imports)},
		{"allowed-uris", ""},
		{"substitute", "false"},
		{"builders", ""},
		{"plugin-files", ""},
		{"allow-unsafe-native-code-during-evaluation", "false"},
	} {
		args = append(args, "--option", o[0], o[1])
	}
	allowed := append([]string{filepath.Join(v.dir, "ask"), v.e.Root, v.e.Entry}, v.e.Allowed...)
	if k := v.e.Kernel; k != nil {
		allowed = append(allowed, k.Image, k.Initrd, k.Modules)
	}
	if v.e.Nixpkgs != "" {
		args = append(args, "-I", "nixpkgs="+v.e.Nixpkgs)
	}
	for _, a := range allowed {
		if a != "" {
			args = append(args, "-I", a)
		}
	}
	return args
}

func (v *evaluator) env() []string {
	return append(v.n.env(filepath.Join(v.dir, "home")), "NIX_CONF_DIR="+filepath.Join(v.dir, "etc"), "NIX_PATH=")
}

// repl is the command of a session.
func (v *evaluator) repl() *proc.Cmd {
	args := []string{"--extra-experimental-features", "nix-command"}
	if v.store != nil && !v.imports {
		args = append(args, "--store", "unix://"+v.store.socket)
	}
	args = append(append(args, "repl"), v.options()...)
	return &proc.Cmd{
		Path: v.n.program("nix"), Args: args, Env: v.env(), Dir: v.dir, Grace: -1,
		MemoryBytes: v.e.Limits.Memory,
	}
}

// open starts a session, if there is none.
func (v *evaluator) open(ctx context.Context) error {
	if v.s != nil {
		return nil
	}
	s, err := startSession(ctx, v.repl(), v.e.Limits.Output)
	if err != nil {
		return err
	}
	if v.cpu >= 0 && v.store != nil {
		pin(s.cmd.Pid(), v.cpu)
	}
	v.s = s
	return s.tell("asterbot = import " + filepath.Join(v.dir, "ask", "eval.nix"))
}

func pin(pid, cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	_ = unix.SchedSetaffinity(pid, &set) // slower without, not wrong
}

func (v *evaluator) endSession(ctx context.Context) {
	if v.s != nil {
		v.notePeak()
		v.s.close(ctx)
		v.s = nil
	}
}

func (v *evaluator) notePeak() {
	if v.s != nil {
		v.side.PeakMiB = max(v.side.PeakMiB, v.s.peak())
	}
}

// ask asks one question, whatever becomes of the session. Exactly one of value
// and failure is set where err is nil.
func (v *evaluator) ask(ctx context.Context, expr string) (value string, failure *distro.Failure, err error) {
	if err := v.open(ctx); err != nil {
		return "", nil, err
	}
	first := v.s.asked == 0
	value, text, err := v.s.ask(ctx, expr, v.e.Limits.Attr)
	var died *diedError
	switch {
	case errors.As(err, &died):
		v.endSession(ctx)
		v.side.Restarts++
		f := died.failure(v.e.Root)
		if f.Reason == distro.FailMemory && !first {
			// What came before may have filled the memory: it gets a session of
			// its own.
			return v.ask(ctx, expr)
		}
		return "", f, nil
	case err != nil:
		return "", nil, err
	case value == "":
		return "", newFailure(text, v.e.Root), nil
	}
	return value, nil, nil
}

// kinds are the kinds of attributes, in the order of a Set.
var kinds = []distro.Kind{distro.KindImage, distro.KindKernel, distro.KindPackage, distro.KindSuite}

func (v *evaluator) run(ctx context.Context) error {
	done := map[Ref]bool{}
	if len(v.e.Failing) > 0 && v.e.Only == nil && !v.e.Write {
		if err := v.atOnce(ctx, done); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		if err := v.list(ctx, kind); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		for i, name := range v.names[kind] {
			ref := Ref{kind, name}
			if done[ref] || v.e.Only != nil && !slices.Contains(v.e.Only, ref) {
				continue
			}
			a, err := v.attr(ctx, ref, i)
			if err != nil {
				return err
			}
			v.side.Set.Attrs = append(v.side.Set.Attrs, a)
		}
	}
	slices.SortFunc(v.side.Set.Attrs, func(a, b distro.Attr) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

// list asks for the names of a kind.
func (v *evaluator) list(ctx context.Context, kind distro.Kind) error {
	if v.names[kind] != nil {
		return nil
	}
	v.names[kind] = []string{}
	value, failure, err := v.ask(ctx, fmt.Sprintf("asterbot.names %q", kind))
	if err != nil {
		return err
	}
	var names []string
	if failure == nil {
		if err := json.Unmarshal([]byte(value), &names); err != nil {
			return fmt.Errorf("read the names of %ss: %w", kind, err)
		}
	}
	switch {
	case failure != nil && kind == distro.KindKernel:
		// The rest is evaluated with another kernel and can do without.
		v.side.Set.Attrs = append(v.side.Set.Attrs, distro.Attr{Kind: kind, Name: "kernel", Failure: failure})
	case failure != nil && v.side.Set.Failure == nil:
		v.side.Set.Failure = failure
	}
	v.setNames(kind, names)
	return nil
}

// setNames keeps names apart that are alike once they are text: a name may be any
// bytes in Nix.
func (v *evaluator) setNames(kind distro.Kind, names []string) {
	seen := map[string]int{}
	for i, name := range names {
		if seen[name]++; seen[name] > 1 {
			names[i] = fmt.Sprintf("%s#%d", name, seen[name])
		}
	}
	v.names[kind] = names
}

// attr asks for one attribute.
func (v *evaluator) attr(ctx context.Context, ref Ref, i int) (distro.Attr, error) {
	if mayImport := v.e.Write && v.e.MayImport != nil && v.e.MayImport(ref); mayImport != v.imports {
		v.endSession(ctx)
		v.imports = mayImport
	}
	value, failure, err := v.ask(ctx, fmt.Sprintf("asterbot.attr %q %d", ref.Kind, i))
	if err == nil && failure != nil && failure.Reason != distro.FailTimeout && failure.Reason != distro.FailMemory && ref.Kind != distro.KindKernel {
		// Meta alone may be what fails.
		if bare, none, again := v.ask(ctx, fmt.Sprintf("asterbot.bare %q %d", ref.Kind, i)); again != nil {
			err = again
		} else if none == nil {
			value, failure = bare, nil
		}
	}
	if err != nil {
		return distro.Attr{}, err
	}
	if failure != nil {
		return distro.Attr{Kind: ref.Kind, Name: ref.Name, Failure: failure}, nil
	}
	return v.decode(ref, []byte(value)), nil
}

// answer is what eval.nix says of an attribute.
type answer struct {
	Unavailable any               `json:"unavailable"`
	Not         string            `json:"not"`
	Drv         string            `json:"drv"`
	Outputs     map[string]string `json:"outputs"`
	Meta        distro.Meta       `json:"meta"`
	Suite       json.RawMessage   `json:"suite"`
	Profile     string            `json:"profile"`
}

// decode reads an answer.
func (v *evaluator) decode(ref Ref, text []byte) distro.Attr {
	a := distro.Attr{Kind: ref.Kind, Name: ref.Name}
	fail := func(reason distro.FailureReason, format string, args ...any) distro.Attr {
		return distro.Attr{Kind: ref.Kind, Name: ref.Name, Failure: &distro.Failure{Reason: reason, Message: bound(clean(fmt.Sprintf(format, args...)))}}
	}
	var got answer
	if err := json.Unmarshal(text, &got); err != nil {
		return fail(distro.FailType, "its answer cannot be read: %v", err)
	}
	switch {
	case got.Unavailable != nil:
		return fail(distro.FailUnavailable, "%v", got.Unavailable)
	case got.Not != "":
		return fail(distro.FailNotDerivation, "expected a derivation, found a %s", got.Not)
	}
	a.Drv, a.Outputs, a.Meta = got.Drv, got.Outputs, got.Meta
	a.Meta.Description = bound(clean(a.Meta.Description))
	a.Meta.Position = relative(a.Meta.Position, v.e.Root)
	if got.Suite != nil {
		a.Suite = &distro.Suite{}
		d := json.NewDecoder(bytes.NewReader(got.Suite))
		d.DisallowUnknownFields()
		if err := d.Decode(a.Suite); err != nil {
			return fail(distro.FailType, "%s %s: %s", ref.Kind, ref.Name, strings.TrimPrefix(err.Error(), "json: "))
		}
		if problem := suiteProblem(a.Suite); problem != "" {
			return fail(distro.FailType, "%s %s: %s", ref.Kind, ref.Name, problem)
		}
	}
	return a
}

// suiteProblem says what is wrong with a suite, if anything is.
func suiteProblem(s *distro.Suite) string {
	switch s.Machine {
	case "", distro.MachineShared, distro.MachineFresh, distro.MachineOrdered:
	default:
		return fmt.Sprintf("machine is %q, not shared, fresh or ordered", s.Machine)
	}
	seen := map[string]bool{}
	for i, c := range s.Cases {
		switch {
		case c.Name == "":
			return fmt.Sprintf("case %d has no name", i+1)
		case seen[c.Name]:
			return fmt.Sprintf("two cases are called %q", c.Name)
		case c.Run == "" && c.Screen == "":
			return fmt.Sprintf("case %q runs nothing", c.Name)
		}
		seen[c.Name] = true
	}
	return ""
}

// atOnce evaluates all that is not known to fail in one go, in Nix's read-only
// mode, which is the fastest there is. If that fails nothing is lost but its time.
func (v *evaluator) atOnce(ctx context.Context, done map[Ref]bool) error {
	var out = &bounded{limit: 1 << 30}
	cmd := &proc.Cmd{
		Path: v.n.program("nix-instantiate"),
		Args: append([]string{"--eval", "--strict", "--json", "--readonly-mode", "-E", "(import " + filepath.Join(v.dir, "ask", "eval.nix") + ").all"}, v.options()...),
		Env:  v.env(), Dir: v.dir, Grace: -1, MemoryBytes: v.e.Limits.Memory, Stdout: out,
	}
	if err := cmd.Start(ctx); err != nil {
		return err
	}
	restrain(cmd.Pid())
	peak := watchPeak(cmd)
	err := cmd.Wait(ctx)
	v.side.PeakMiB = max(v.side.PeakMiB, <-peak)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || out.over {
		return nil
	}
	var text string
	var all map[distro.Kind]struct {
		Names []string          `json:"names"`
		Attrs []json.RawMessage `json:"attrs"`
	}
	if err := json.Unmarshal(out.Bytes(), &text); err != nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil
	}
	for kind, of := range all {
		v.setNames(kind, of.Names)
		for i, raw := range of.Attrs {
			if string(raw) == "null" || i >= len(of.Names) {
				continue
			}
			ref := Ref{kind, of.Names[i]}
			v.side.Set.Attrs = append(v.side.Set.Attrs, v.decode(ref, raw))
			done[ref] = true
		}
	}
	return nil
}

// watchPeak reads the most memory a process has until it ends.
func watchPeak(cmd *proc.Cmd) <-chan int {
	result := make(chan int, 1)
	s := &session{cmd: cmd}
	go func() {
		var peak int
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-cmd.Done():
				result <- peak
				return
			case <-tick.C:
				peak = max(peak, s.peak())
			}
		}
	}()
	return result
}

// Failing lists what did not evaluate on a side.
func Failing(s *distro.Set) []Ref {
	var out []Ref
	for _, a := range s.Attrs {
		if a.Failure != nil {
			out = append(out, Ref{a.Kind, a.Name})
		}
	}
	return out
}
