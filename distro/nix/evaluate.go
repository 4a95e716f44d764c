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
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
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
	// Reads are the files and folders below Root that may be read; none means all
	// of Root.
	Reads []string
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
	// Drvs is where derivations go. It is needed but with Write.
	Drvs *Drvs
	// Workers is how many processes may evaluate at once; zero means one.
	Workers int
	// Heap is how much memory a process fills before it looks for garbage the first time,
	// in bytes; zero leaves that to Nix, which starts at 384 MiB.
	Heap uint64
	// Write puts derivations into the real store instead, for building.
	Write bool
	// MayImport says which attributes may build while they are evaluated, with the settings
	// of Imports. It is for trusted code only, and needs Write.
	MayImport func(Ref) bool
	Imports   Build
	// Failing are the attributes known to fail, of a side evaluated before: the
	// others are then evaluated without precautions first. Nil means that nothing is
	// known.
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
	names map[distro.Kind][]string

	mu   sync.Mutex
	side *Side
}

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
	v.side.Seconds = time.Since(began).Seconds()
	return v.side, nil
}

// newEvaluator sets up the folder of an evaluation. The function removes it.
func (n *Nix) newEvaluator(ctx context.Context, e Evaluation) (*evaluator, func(), error) {
	if _, err := n.Version(ctx); err != nil {
		return nil, nil, err
	}
	if !e.Write && e.Drvs == nil {
		return nil, nil, errors.New("an evaluation needs a place for derivations")
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
	folder, err := tempdir.New("", "asterbot-eval-")
	if err != nil {
		return nil, nil, err
	}
	done := func() { _ = folder.Remove() }
	dir, err := filepath.EvalSymlinks(folder.Path)
	if err != nil {
		done()
		return nil, nil, err
	}
	v := &evaluator{n: n, e: e, dir: dir, side: &Side{Set: &distro.Set{}}, names: map[distro.Kind][]string{}}
	if err := v.prepare(); err != nil {
		done()
		return nil, nil, err
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

// options are the settings of every evaluation. The last of two settings of a name
// counts, and these come last.
func (v *evaluator) options(imports bool) []string {
	args := []string{}
	if imports {
		args = append(args, v.n.buildSettings(v.e.Imports)...)
	}
	for _, o := range [][2]string{
		{"restrict-eval", "true"},
		{"allow-import-from-derivation", fmt.Sprint(imports)},
		{"allowed-uris", ""},
		{"substitute", fmt.Sprint(imports)},
		{"builders", ""},
		{"plugin-files", ""},
		{"allow-unsafe-native-code-during-evaluation", "false"},
	} {
		args = append(args, "--option", o[0], o[1])
	}
	allowed := append([]string{filepath.Join(v.dir, "ask"), v.e.Entry}, v.e.Allowed...)
	for _, r := range v.e.Reads {
		allowed = append(allowed, filepath.Join(v.e.Root, r))
	}
	if len(v.e.Reads) == 0 {
		allowed = append(allowed, v.e.Root)
	}
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
	env := append(v.n.env(filepath.Join(v.dir, "home")), "NIX_PATH=")
	if v.e.Heap > 0 {
		// A clean pass over 952 derivations takes a fifth less time without garbage
		// collection. It must fit the bound, or Nix does not start.
		env = append(env, fmt.Sprintf("GC_INITIAL_HEAP_SIZE=%d", min(v.e.Heap, v.e.Limits.Memory/4)))
	}
	if v.e.Write {
		return env
	}
	return append(env, "NIX_CONF_DIR="+filepath.Join(v.dir, "etc"), "TMPDIR="+v.e.Drvs.Dir)
}

// kinds are the kinds of attributes, in the order of a Set.
var kinds = []distro.Kind{distro.KindImage, distro.KindKernel, distro.KindPackage, distro.KindSuite}

func (v *evaluator) run(ctx context.Context) error {
	first := &worker{evaluator: v}
	defer first.end(ctx)
	warm := v.e.Failing != nil && v.e.Only == nil && !v.e.Write
	var quick *pass
	if warm && v.e.Workers > 1 {
		// It needs no names, and so need not wait for them.
		quick = v.atOnce(ctx)
		defer quick.stop()
	}
	for _, kind := range kinds {
		if err := first.list(ctx, kind); err != nil {
			return err
		}
	}
	var precautions, trusted []task
	known := map[Ref]bool{}
	for _, r := range v.e.Failing {
		known[r] = true
	}
	var wanted map[Ref]bool
	if v.e.Only != nil {
		wanted = map[Ref]bool{}
		for _, r := range v.e.Only {
			wanted[r] = true
		}
	}
	for _, kind := range kinds {
		for i, name := range v.names[kind] {
			t := task{Ref{kind, name}, i}
			switch {
			case wanted != nil && !wanted[t.Ref]:
			case warm && !known[t.Ref]:
				trusted = append(trusted, t)
			default:
				precautions = append(precautions, t)
			}
		}
	}
	others := v.e.Workers
	if quick != nil {
		others--
	}
	if err := v.each(ctx, first, precautions, others); err != nil {
		return err
	}
	if warm {
		if quick == nil {
			first.end(ctx) // its memory is the other's now
			quick = v.atOnce(ctx)
			defer quick.stop()
		}
		if !quick.decode(ctx, trusted) {
			if err := v.each(ctx, first, trusted, v.e.Workers); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(v.side.Set.Attrs, func(a, b distro.Attr) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

// manyTasks are worth a second process, which has to evaluate anew what all
// attributes have in common.
const manyTasks = 64

// each evaluates attributes one by one, in at most so many processes, of which the
// first may be under way.
func (v *evaluator) each(ctx context.Context, first *worker, tasks []task, workers int) error {
	queue := make(chan task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	group, ctx := errgroup.WithContext(ctx)
	for i := range max(1, workers) {
		w := first
		if i > 0 {
			if len(tasks) < manyTasks {
				break
			}
			w = &worker{evaluator: v}
		}
		group.Go(func() error {
			defer w.end(ctx)
			for t := range queue {
				a, err := w.attr(ctx, t)
				if err != nil {
					return err
				}
				v.add(a)
			}
			return nil
		})
	}
	return group.Wait()
}

func (v *evaluator) add(a distro.Attr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.side.Set.Attrs = append(v.side.Set.Attrs, a)
}

// task is an attribute to be evaluated, and its place in the list of names.
type task struct {
	Ref
	i int
}

// worker asks one session at a time.
type worker struct {
	*evaluator
	s    *session
	peak *peak
	// imports marks a session that may build what it imports.
	imports bool
}

// open starts a session, if there is none.
func (w *worker) open(ctx context.Context) error {
	if w.s != nil {
		return nil
	}
	args := []string{"--extra-experimental-features", "nix-command"}
	if !w.e.Write {
		args = append(args, "--store", w.e.Drvs.url())
	}
	args = append(append(args, "repl"), w.options(w.imports)...)
	s, err := startSession(ctx, &proc.Cmd{
		Path: w.n.program("nix"), Args: args, Env: w.env(), Dir: w.dir, Grace: -1,
		MemoryBytes: w.e.Limits.Memory,
	}, w.e.Limits.Output)
	if err != nil {
		return err
	}
	w.s, w.peak = s, watchPeak(s.cmd)
	return s.tell("asterbot = import " + filepath.Join(w.dir, "ask", "eval.nix"))
}

// end ends the session.
func (w *worker) end(ctx context.Context) {
	if w.s == nil {
		return
	}
	w.notePeak(w.peak)
	w.s.close(ctx)
	w.s = nil
}

// ask asks one question, whatever becomes of the session. Exactly one of value
// and failure is set where err is nil.
func (w *worker) ask(ctx context.Context, expr string) (value string, failure *distro.Failure, err error) {
	if err := w.open(ctx); err != nil {
		return "", nil, err
	}
	first := w.s.asked == 0
	value, text, err := w.s.ask(ctx, expr, w.e.Limits.Attr)
	var died *diedError
	switch {
	case errors.As(err, &died):
		w.end(ctx)
		w.mu.Lock()
		w.side.Restarts++
		w.mu.Unlock()
		f := died.failure(w.e.Root)
		if f.Reason == distro.FailMemory && !first {
			// What came before may have filled the memory: it gets a session of
			// its own.
			return w.ask(ctx, expr)
		}
		return "", f, nil
	case err != nil:
		return "", nil, err
	case value == "":
		folders := []string{w.dir}
		if w.e.Drvs != nil {
			folders = append(folders, w.e.Drvs.Dir)
		}
		if err := ourFailure(text, folders...); err != nil {
			return "", nil, err
		}
		return "", newFailure(text, w.e.Root), nil
	}
	return value, nil, nil
}

// list asks for the names of a kind.
func (w *worker) list(ctx context.Context, kind distro.Kind) error {
	value, failure, err := w.ask(ctx, fmt.Sprintf("asterbot.names %q", kind))
	if err != nil {
		return err
	}
	var names []string
	if failure == nil {
		if err := json.Unmarshal([]byte(value), &names); err != nil {
			return fmt.Errorf("read the names of %ss: %w", kind, err)
		}
	}
	set := w.side.Set
	switch {
	case failure != nil && kind == distro.KindKernel:
		// The rest is evaluated with another kernel and can do without.
		set.Attrs = append(set.Attrs, distro.Attr{Kind: kind, Name: "kernel", Failure: failure})
	case failure != nil && set.Failure == nil:
		set.Failure = failure
	}
	// A name may be any bytes in Nix: two may be alike once they are text.
	seen := map[string]int{}
	for i, name := range names {
		if seen[name]++; seen[name] > 1 {
			names[i] = fmt.Sprintf("%s#%d", name, seen[name])
		}
	}
	w.names[kind] = names
	return nil
}

// metaMark is what eval.nix says before it looks at meta.
const metaMark = "trace: asterbot: meta"

// attr asks for one attribute.
func (w *worker) attr(ctx context.Context, t task) (distro.Attr, error) {
	if mayImport := w.e.Write && w.e.MayImport != nil && w.e.MayImport(t.Ref); mayImport != w.imports {
		w.end(ctx)
		w.imports = mayImport
	}
	value, failure, err := w.ask(ctx, fmt.Sprintf("asterbot.attr %q %d", t.Kind, t.i))
	if err == nil && failure != nil && w.s != nil && t.Kind != distro.KindKernel && strings.Contains(w.s.errs.all(), metaMark) {
		// Meta alone is what fails. The question is not repeated for others: what failed is
		// evaluated again, and the words of a failure can take long to find.
		if bare, none, again := w.ask(ctx, fmt.Sprintf("asterbot.bare %q %d", t.Kind, t.i)); again != nil {
			err = again
		} else if none == nil {
			value, failure = bare, nil
		}
	}
	if err != nil {
		return distro.Attr{}, err
	}
	if failure != nil {
		return distro.Attr{Kind: t.Kind, Name: t.Name, Failure: failure}, nil
	}
	return w.decode(t.Ref, []byte(value)), nil
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

// pass is an evaluation of all that is not known to fail in one go, in Nix's
// read-only mode, which is the fastest there is. If it does not work out, nothing is
// lost but its time.
type pass struct {
	*evaluator
	cmd    *proc.Cmd // nil: it did not start
	out    *bounded
	peak   *peak
	cancel context.CancelFunc
}

// atOnce starts a pass. It ends with the context, or when it is stopped.
func (v *evaluator) atOnce(ctx context.Context) *pass {
	ctx, cancel := context.WithCancel(ctx)
	p := &pass{evaluator: v, out: &bounded{limit: 1 << 30}, cancel: cancel}
	cmd := &proc.Cmd{
		Path: v.n.program("nix-instantiate"),
		Args: append([]string{"--eval", "--strict", "--json", "--readonly-mode", "-E", "(import " + filepath.Join(v.dir, "ask", "eval.nix") + ").all"}, v.options(false)...),
		Env:  v.env(), Dir: v.dir, Grace: -1, MemoryBytes: v.e.Limits.Memory, Stdout: p.out,
	}
	if cmd.Start(ctx) == nil {
		restrain(cmd.Pid())
		p.cmd, p.peak = cmd, watchPeak(cmd)
	}
	return p
}

// stop ends it, if it has not ended.
func (p *pass) stop() {
	p.cancel()
	if p.cmd != nil {
		<-p.cmd.Done()
	}
}

// decode waits for the end and takes the answers over. It reports whether that
// worked.
func (p *pass) decode(ctx context.Context, tasks []task) bool {
	if p.cmd == nil {
		return false
	}
	err := p.cmd.Wait(ctx)
	p.notePeak(p.peak)
	if err != nil || p.out.over {
		return false
	}
	var text string
	var all map[distro.Kind][]json.RawMessage
	if json.Unmarshal(p.out.Bytes(), &text) != nil || json.Unmarshal([]byte(text), &all) != nil {
		return false
	}
	var attrs []distro.Attr
	for _, t := range tasks {
		if t.i >= len(all[t.Kind]) || string(all[t.Kind][t.i]) == "null" {
			return false
		}
		attrs = append(attrs, p.evaluator.decode(t.Ref, all[t.Kind][t.i]))
	}
	for _, a := range attrs {
		p.add(a)
	}
	return true
}

func (v *evaluator) notePeak(p *peak) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.side.PeakMiB = max(v.side.PeakMiB, p.mib())
}

// Failing lists what did not evaluate on a side, or whose meta did not. What evaluated to
// something else than a derivation did evaluate.
func Failing(s *distro.Set) []Ref {
	out := []Ref{}
	for _, a := range s.Attrs {
		if f := a.Failure; f != nil && (f.Reason == distro.FailNotDerivation || f.Reason == distro.FailUnavailable) {
			continue
		}
		if a.Failure != nil || a.Meta.Hash == "" {
			out = append(out, Ref{a.Kind, a.Name})
		}
	}
	return out
}
