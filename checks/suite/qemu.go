package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// QEMU is a Lab of testvm machines. Close it when the job has run.
type QEMU struct {
	// Machine is what is booted.
	Machine testvm.Machine
	// Fork boots once, and gives forks of that machine where that works.
	Fork bool
	// Dir is the folder for raw consoles, Prefix how a report refers to it, and
	// Name what the files' names begin with.
	Dir, Prefix, Name string

	mu       sync.Mutex
	source   *testvm.Source
	prepared bool
	machines int
	consoles []keptConsoles
}

// keptConsoles are the consoles of one machine.
type keptConsoles struct {
	outcome testvm.Outcome
	files   map[string]string
}

// Boot implements Lab.
func (q *QEMU) Boot(ctx context.Context) (Machine, error) {
	if q.Fork {
		if err := q.prepare(ctx); err != nil {
			return nil, err
		}
	}
	var g *testvm.Guest
	var s *testvm.Session
	var err error
	forked := q.Fork && q.source.Method() != testvm.Cold
	if q.Fork {
		g, s, err = q.source.Fresh(ctx)
	} else if g, err = q.Machine.Start(ctx); err == nil {
		s, err = g.Session(ctx)
	}
	if g == nil {
		return nil, err
	}
	m := &guest{lab: q, g: g, s: s, n: q.next(), forked: forked}
	if err == nil {
		return m, nil
	}
	if ctx.Err() == nil && !errors.Is(err, testvm.ErrGuestEnded) {
		return nil, &BootError{noShell(m.End(ctx, false), err), m.said()}
	}
	e := m.End(ctx, false)
	if e.Outcome == testvm.Infra {
		return nil, errors.New(e.Reason)
	}
	return nil, &BootError{e, m.said()}
}

// said is the end of what programs and the kernel said on the console that said
// most: where a boot that failed explains itself.
func (m *guest) said() []string {
	said := saidBy(m.g)
	return tail(said(loudest(said)))
}

// saidBy returns what a guest says on each console.
func saidBy(g *testvm.Guest) func(console string) []byte {
	return func(console string) []byte { return g.Console(console).Bytes() }
}

// loudest is the console that said most.
func loudest(said func(console string) []byte) string {
	return slices.MaxFunc(testvm.Consoles, func(a, b string) int { return cmp.Compare(len(said(a)), len(said(b))) })
}

// prepare boots the machine that the others are forked from.
func (q *QEMU) prepare(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.prepared {
		return nil
	}
	src, err := testvm.Prepare(ctx, q.Machine)
	if err == nil {
		q.source, q.prepared = src, true
		return nil
	}
	var launch *testvm.LaunchError
	if ctx.Err() != nil || errors.As(err, &launch) || src.Boot.Outcome == "" {
		return err // not the guest's
	}
	e := src.Boot
	if !errors.Is(err, testvm.ErrGuestEnded) {
		e = noShell(e, err)
	}
	if e.Outcome == testvm.Infra {
		return errors.New(e.Reason)
	}
	q.machines++
	said := func(console string) []byte { return src.Consoles[console] }
	q.keep(q.machines, e.Outcome, said)
	return &BootError{e, tail(said(loudest(said)))}
}

// noShell is the ending of a guest that runs, but what answers is no shell we can
// use.
func noShell(e testvm.Ending, why error) testvm.Ending {
	e.Outcome, e.Title, e.Reason = testvm.Hang, "no shell", firstLine(why.Error())
	return e
}

func (q *QEMU) next() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.machines++
	return q.machines
}

// Close gives back what forks need.
func (q *QEMU) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.source != nil {
		q.source.Close()
	}
}

// Describe adds to the results of a job what only the lab knows.
func (q *QEMU) Describe(m *checks.Machine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.Command = q.Machine.Command()
	m.Accelerator = string(q.Machine.Accel.Accelerator)
	m.Method = string(testvm.Cold)
	if q.source != nil {
		m.Method = string(q.source.Method())
		m.Boots, m.Forks = q.source.Counts()
		m.Notes = append(m.Notes, q.source.Notes...)
		m.Stages = nil
		for _, s := range q.source.Boot.Stages {
			m.Stages = append(m.Stages, checks.StageTime{Stage: string(s.Stage), Seconds: s.At.Seconds()})
		}
	}
	// The machine that is told of is the first of those that fared as told.
	for _, k := range q.consoles {
		if m.Consoles == nil || k.outcome == testvm.Outcome(m.Outcome) {
			m.Consoles = k.files
		}
		if k.outcome == testvm.Outcome(m.Outcome) {
			break
		}
	}
}

// guest is a running machine.
type guest struct {
	lab    *QEMU
	g      *testvm.Guest
	s      *testvm.Session
	n      int
	forked bool

	once   sync.Once
	ending testvm.Ending
}

func (m *guest) Run(ctx context.Context, c testvm.Command) (testvm.Result, error) {
	return m.s.Run(ctx, c)
}

func (m *guest) Screenshot(ctx context.Context) ([]byte, error) { return m.g.Screenshot(ctx) }

func (m *guest) Forked() bool { return m.forked }

// Oops implements Machine. A machine that had one is not used again, so the
// first is that of the case which ran last.
func (m *guest) Oops() *console.Crash {
	if c := m.g.Story().Decisive(); c != nil && c.Kind == console.KindOops {
		return c
	}
	return nil
}

// BootTime is how long the boot took that led to the prompt, without the wait
// for memory and processors before it.
func (m *guest) BootTime() time.Duration {
	stages := m.g.Story().Stages
	if m.forked {
		stages = m.lab.source.Boot.Stages
	}
	if len(stages) == 0 {
		return 0
	}
	return stages[len(stages)-1].At
}

func (m *guest) End(ctx context.Context, powerOff bool) testvm.Ending {
	m.once.Do(func() {
		select {
		case <-m.g.Done():
			m.ending = m.g.Wait()
		default:
			if powerOff {
				m.ending = m.g.Stop(ctx)
			} else {
				m.ending = m.g.Kill()
			}
		}
		m.lab.mu.Lock()
		defer m.lab.mu.Unlock()
		m.lab.keep(m.n, m.ending.Outcome, func(name string) []byte {
			said := m.g.Console(name).Bytes()
			if m.forked { // what came before is what the boot said
				said = slices.Concat(m.lab.source.Consoles[name], said)
			}
			return said
		})
	})
	return m.ending
}

// keep writes down what the nth machine said on each console. The caller holds mu.
func (q *QEMU) keep(n int, outcome testvm.Outcome, said func(console string) []byte) {
	if q.Dir == "" {
		return
	}
	kept := keptConsoles{outcome, map[string]string{}}
	for _, name := range testvm.Consoles {
		file := fmt.Sprintf("%s-%d.%s", q.Name, n, name)
		if os.MkdirAll(q.Dir, 0o755) != nil || os.WriteFile(filepath.Join(q.Dir, file), said(name), 0o644) != nil {
			continue
		}
		kept.files[name] = filepath.ToSlash(filepath.Join(q.Prefix, file))
	}
	q.consoles = append(q.consoles, kept)
}

// OpenSystem reads a bootable system: a folder with kernel, and as needed
// initrd, kernel-params, disk.img, protocol and profile.
//
// profile is the machine profile, unless the system names one itself.
func OpenSystem(dir string, profile testvm.Profile) (testvm.Machine, error) {
	m := testvm.Machine{Name: filepath.Base(dir), Profile: profile, Explain: true}
	word := func(name string) (string, error) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return "", nil
		}
		return strings.TrimSpace(string(b)), err
	}
	exists := func(name string) (string, bool) {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		return path, err == nil
	}
	image, ok := exists("kernel")
	if !ok {
		return m, fmt.Errorf("open system %s: it has no kernel", dir)
	}
	m.Kernel = &testvm.Kernel{Image: image}
	if path, ok := exists("initrd"); ok {
		m.Kernel.Initrd = path
	}
	if path, ok := exists("disk.img"); ok {
		m.Disks = []testvm.Disk{{File: testvm.File{Path: path}}}
	}
	params, err := word("kernel-params")
	if err != nil {
		return m, fmt.Errorf("open system: %w", err)
	}
	m.Kernel.Params = strings.Fields(params)
	name, err := word("profile")
	if err != nil {
		return m, fmt.Errorf("open system: %w", err)
	}
	if name != "" && name != profile.Name {
		if m.Profile, ok = testvm.LookupProfile(name); !ok {
			return m, fmt.Errorf("open system %s: there is no machine profile %q", dir, name)
		}
	}
	m.Kernel.Params = WithInit(m.Profile, *m.Kernel)
	return m, nil
}

// WithInit returns a kernel's parameters, with init named where the kernel does
// not look for it itself: Linux finds /init in an initramfs, Asterinas is told.
func WithInit(p testvm.Profile, k testvm.Kernel) []string {
	told := func(param string) bool {
		return strings.HasPrefix(param, "init=") || strings.HasPrefix(param, "rdinit=")
	}
	own := k.Params // those after "--" are for init
	if i := slices.Index(own, "--"); i >= 0 {
		own = own[:i]
	}
	if p.Name != testvm.Asterinas.Name || k.Initrd == "" || slices.ContainsFunc(own, told) {
		return k.Params
	}
	return append([]string{"init=/init"}, k.Params...)
}
