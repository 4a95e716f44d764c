package suite

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// Install settles the cases of an installer image: that it installs onto a
// blank disk, that the disk boots, and the job's cases on it.
type Install struct {
	// Job is what to run on the disk; its Suite.Installer says how to tell
	// success.
	Job Job
	// ISO is the image's path.
	ISO string
	// Installer is the machine the installer runs in: its profile is that of
	// the kernel on the ISO, not of the one it installs.
	Installer testvm.Machine
	// Installed is the machine of the installed system.
	Installed testvm.Machine
	// Scratch is the folder for the disk, which has no name there; empty is
	// the system's.
	Scratch string
}

// upstreamInstaller are the words of AsterNixOS' own installer. It powers off
// and QEMU exits with 0 whether it succeeded or not: that it does not say so is
// the only sign of a failure.
var upstreamInstaller = distro.Installer{
	Success: `Congratulations! Asterinas NixOS has been installed successfully!`,
	Failure: `(?i)^(error|fatal): |installation failed`,
	Stages: []string{
		`The installer automatically runs`, `You are about to FORMAT the disk`, `partition finished`, `mkfs finished`, `is mounted successfully!`,
	},
	Disk: 16 << 10,
}

// installTime bounds an installation, with KVM.
const installTime = 15 * time.Minute

// Installs is the case that the image installs.
func (i Install) Installs() checks.Case {
	return checks.Case{Kind: checks.KindInstall, Of: i.Job.Of, Subject: i.Job.Name, Name: "installs"}
}

// Run installs, boots the disk and runs the cases. The machines are the
// installer's and the installed system's.
func (i Install) Run(ctx context.Context, settled func(checks.Case, checks.Outcome)) (map[checks.Case]checks.Outcome, []checks.Machine, error) {
	if settled == nil {
		settled = func(checks.Case, checks.Outcome) {}
	}
	words := upstreamInstaller
	if own := i.Job.Suite.Installer; own != nil && own.Success != "" {
		words = *own
	}
	disk, err := blankDisk(i.Scratch, cmp.Or(words.Disk, upstreamInstaller.Disk))
	if err != nil {
		return nil, nil, err
	}
	defer disk.Close()
	var o checks.Outcome
	var machine checks.Machine
	for try := 1; ; try++ {
		if o, machine, err = i.install(ctx, disk, words); err != nil {
			return nil, nil, err
		}
		if !o.Infra || try == 2 || ctx.Err() != nil {
			break
		}
		if err := wipe(disk); err != nil { // an infrastructure error is tried again in silence
			return nil, nil, err
		}
	}
	settled(i.Installs(), o)
	if o.Status != checks.Pass {
		out := i.notInstalled(o)
		for c, o := range out {
			if c != i.Installs() {
				settled(c, o)
			}
		}
		return out, []checks.Machine{machine}, nil
	}
	m := i.Installed
	m.Kernel, m.CDROM, m.Firmware = nil, "", testvm.UEFI
	m.Disks = []testvm.Disk{{File: testvm.File{Handle: disk}}}
	m.Explain = false // the installed system boots as it is shipped
	lab := &QEMU{Machine: m, Fork: true, Dir: i.Job.Dir, Prefix: i.Job.Prefix, Name: "installed"}
	defer lab.Close()
	ran, err := i.Job.Run(ctx, lab, settled)
	lab.Describe(&ran.Machine)
	ran.Outcomes[i.Installs()] = o
	return ran.Outcomes, []checks.Machine{machine, ran.Machine}, err
}

// notInstalled are the outcomes where there is no system to boot.
func (i Install) notInstalled(o checks.Outcome) map[checks.Case]checks.Outcome {
	out := map[checks.Case]checks.Outcome{i.Installs(): o}
	rest := checks.Outcome{Status: checks.Error, Infra: o.Infra, Stage: "install", Reason: "not run: the image did not install"}
	out[i.Job.Boots()] = rest
	for _, c := range i.Job.Suite.Cases {
		out[i.Job.Case(c.Name)] = rest
	}
	return out
}

// blankDisk makes a sparse file without a name, which cannot be left behind.
func blankDisk(dir string, mib int) (*os.File, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err != nil {
		// Not every file system has O_TMPFILE.
		if f, err = os.CreateTemp(dir, "blank-disk-*"); err != nil {
			return nil, fmt.Errorf("make blank disk: %w", err)
		}
		if err := os.Remove(f.Name()); err != nil {
			f.Close()
			return nil, fmt.Errorf("make blank disk: %w", err)
		}
	}
	if err := f.Truncate(int64(mib) << 20); err != nil {
		f.Close()
		return nil, fmt.Errorf("make blank disk of %d MiB: %w", mib, err)
	}
	return f, nil
}

func wipe(f *os.File) error {
	info, err := f.Stat()
	if err == nil {
		if err = f.Truncate(0); err == nil {
			err = f.Truncate(info.Size())
		}
	}
	if err != nil {
		return fmt.Errorf("wipe disk: %w", err)
	}
	return nil
}

// install runs the installer once.
func (i Install) install(ctx context.Context, disk *os.File, words distro.Installer) (checks.Outcome, checks.Machine, error) {
	w, err := newInstallerWatch(words)
	if err != nil {
		return checks.Outcome{}, checks.Machine{}, err
	}
	m := i.Installer
	m.Kernel, m.CDROM, m.Firmware = nil, i.ISO, testvm.UEFI
	m.Disks = []testvm.Disk{{File: testvm.File{Handle: disk}, Write: true}}
	m.Profile.Boot = installTime
	m.Watch = w.watch
	job := i.Job
	job.Machine += "/installer"
	job.Profile = m.Profile.Name
	start := time.Now()
	g, err := m.Start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return checks.Outcome{}, checks.Machine{}, err
		}
		o := checks.Outcome{Status: checks.Error, Infra: true, Stage: "install", Reason: firstLine(err.Error())}
		return o, checks.Machine{Name: job.Machine, Profile: job.Profile, Outcome: checks.MachineInfra, Reason: o.Reason, Exit: -1}, nil
	}
	e := g.Wait()
	w.flush()
	lab := &QEMU{Machine: m, Dir: job.Dir, Prefix: job.Prefix, Name: "installer"}
	lab.keep(&guest{g: g, n: 1, ending: e})
	var f fate
	f.ended(e, true)
	machine := f.machine(job)
	machine.Seconds = time.Since(start).Seconds()
	lab.Describe(&machine)
	o := w.outcome(e)
	o.Machine, o.Attempts = job.Machine, 1
	if o.Status == checks.Pass {
		o.Passes = 1
	}
	o.Log = machine.Consoles[w.loudest()]
	return o, machine, nil
}

// installerWatch follows an installer by what it prints, on whichever console.
type installerWatch struct {
	success, failure *regexp.Regexp
	stages           []*regexp.Regexp

	mu        sync.Mutex
	consoles  map[string]*console.Lines
	said      map[string]int
	succeeded bool
	failed    string // the line that said so
	stage     int    // how many stages have been reached
	last      []string
}

func newInstallerWatch(words distro.Installer) (*installerWatch, error) {
	w := &installerWatch{consoles: map[string]*console.Lines{}, said: map[string]int{}}
	compile := func(what, text string) (re *regexp.Regexp, err error) {
		if text == "" {
			return nil, nil
		}
		if re, err = regexp.Compile(text); err != nil {
			err = fmt.Errorf("read installer's words: %s is no regular expression: %w", what, err)
		}
		return re, err
	}
	var err error
	if w.success, err = compile("success", words.Success); err != nil {
		return nil, err
	}
	if w.failure, err = compile("failure", words.Failure); err != nil {
		return nil, err
	}
	for _, s := range words.Stages {
		re, err := compile("a stage", s)
		if err != nil {
			return nil, err
		}
		w.stages = append(w.stages, re)
	}
	return w, nil
}

// watch is a testvm.Machine's Watch.
func (w *installerWatch) watch(name string, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.consoles[name]
	if l == nil {
		l = &console.Lines{Line: w.line}
		w.consoles[name] = l
	}
	w.said[name] += len(p)
	_, _ = l.Write(p)
}

func (w *installerWatch) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.consoles {
		l.Flush()
	}
}

// line takes a line; the lock is held.
func (w *installerWatch) line(s string) {
	if strings.TrimSpace(s) != "" {
		w.last = append(w.last, s)
		w.last = w.last[max(0, len(w.last)-tailLines):]
	}
	if w.success != nil && w.success.MatchString(s) {
		w.succeeded = true
	}
	if w.failed == "" && w.failure != nil && w.failure.MatchString(s) {
		w.failed = s
	}
	for n := w.stage; n < len(w.stages); n++ {
		if w.stages[n].MatchString(s) {
			w.stage = n + 1
		}
	}
}

func (w *installerWatch) loudest() string {
	var name string
	for n, bytes := range w.said {
		if name == "" || bytes > w.said[name] {
			name = n
		}
	}
	return name
}

// outcome says whether the installation succeeded: only if the installer said
// so, said nothing to the contrary, and powered the machine off.
func (w *installerWatch) outcome(e testvm.Ending) checks.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := checks.Outcome{Status: checks.Fail, Stage: "install", Seconds: e.Duration.Seconds(), Tail: w.last, Trace: frames(e.Trace)}
	progress := "before its first stage"
	if w.stage > 0 {
		progress = fmt.Sprintf("after stage %d of %d (%s)", w.stage, len(w.stages), w.stages[w.stage-1])
	}
	switch {
	case e.Outcome == testvm.Infra:
		o.Status, o.Infra, o.Reason = checks.Error, true, e.Reason
	case w.failed != "":
		o.Reason, o.Title = fmt.Sprintf("the installer failed %s: %s", progress, w.failed), title(w.failed)
	case e.Outcome != testvm.OK && !w.succeeded:
		o.Reason, o.Title = fmt.Sprintf("%s %s: %s", e.Outcome, progress, e.Reason), e.Title
		o.TimedOut = e.Outcome == testvm.Timeout || e.Outcome == testvm.Hang
	case !w.succeeded:
		o.Reason = fmt.Sprintf("the installer ended %s without having said that it succeeded", progress)
		o.Title = "no word of success " + progress
		if n := len(w.last); n > 0 {
			o.Reason += ", its last line: " + w.last[n-1]
		}
	case e.Outcome != testvm.OK:
		o.Reason = fmt.Sprintf("the installer said that it succeeded, but the machine did not power off well: %s: %s", e.Outcome, e.Reason)
		o.Title = e.Title
	default:
		o.Status, o.Tail = checks.Pass, nil
	}
	return o
}
