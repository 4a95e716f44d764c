package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// Install is an installer image: it is booted beside a blank disk, installs onto it
// by itself and powers off; then the disk is booted, and the cases run there.
//
// The installer runs its own kernel (Linux as a rule), the installed system the kernel
// under test: two machine profiles in sequence.
type Install struct {
	// Job is what runs on the installed disk. Its suite's Installer tells success
	// from failure.
	Job
	// ISO is the image.
	ISO string
	// Installer is the machine the image boots in, Installed the one its disk does:
	// Disks, CDROM and Kernel are filled in here.
	Installer, Installed testvm.Machine
	// Scratch is a folder for the disk, which is removed at the end.
	Scratch string
}

// The defaults of an installation.
const (
	diskMiB        = 8 << 10
	installTimeout = 5 * time.Minute // with KVM; scaled by the accelerator's factor
	installSilence = time.Minute
)

// Installs is the case that the image installs.
func (i Install) Installs() checks.Case {
	return checks.Case{Kind: checks.KindInstall, Of: i.Of, Subject: i.Name, Name: "installs"}
}

// Run installs, boots the disk and runs the cases. The machines are the installer's and
// the installed system's.
func (i Install) Run(ctx context.Context, settled func(checks.Case, checks.Outcome)) (map[checks.Case]checks.Outcome, []checks.Machine, error) {
	if settled == nil {
		settled = func(checks.Case, checks.Outcome) {}
	}
	out := map[checks.Case]checks.Outcome{}
	put := func(c checks.Case, o checks.Outcome) {
		out[c] = o
		settled(c, o)
	}
	disk, err := i.blankDisk()
	if err != nil {
		return out, nil, err
	}
	defer os.Remove(disk)
	o, machine, err := i.install(ctx, disk)
	if err != nil && !errors.Is(err, testvm.ErrGuestEnded) {
		return out, nil, err
	}
	put(i.Installs(), o)
	machines := []checks.Machine{machine}
	if o.Status != checks.Pass {
		for _, c := range append([]checks.Case{i.Boots()}, i.tests()...) {
			put(c, checks.Outcome{Status: checks.Error, Infra: o.Infra, Stage: "install", Reason: "not run: nothing was installed (" + o.Reason + ")"})
		}
		return out, machines, nil
	}
	installed := i.Installed
	installed.Disks = []testvm.Disk{{File: testvm.File{Path: disk}}}
	installed.Firmware = testvm.UEFI
	lab := &QEMU{Machine: installed, Fork: true, Dir: i.Dir, Prefix: i.Prefix, Name: "installed"}
	defer lab.Close()
	ran, err := i.Job.Run(ctx, lab, settled)
	lab.Describe(&ran.Machine)
	ran.Machine.Name = i.Machine + "/installed"
	for c, o := range ran.Outcomes {
		out[c] = o
	}
	return out, append(machines, ran.Machine), err
}

func (i Install) tests() []checks.Case {
	var out []checks.Case
	for _, c := range i.Suite.Cases {
		out = append(out, i.Case(c.Name))
	}
	return out
}

func (i Install) marks() distro.Installer {
	if i.Suite.Installer == nil {
		return distro.Installer{}
	}
	return *i.Suite.Installer
}

// blankDisk makes the disk to install on: all holes, so it costs what is written.
func (i Install) blankDisk() (string, error) {
	f, err := os.CreateTemp(i.Scratch, "disk-*.img")
	if err != nil {
		return "", fmt.Errorf("make a blank disk: %w", err)
	}
	size := int64(cmp.Or(i.marks().Disk, diskMiB)) << 20
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("make a blank disk: %w", err)
	}
	return f.Name(), nil
}

// install boots the image and says how the installation went. It is tried twice
// when we failed, not it.
func (i Install) install(ctx context.Context, disk string) (checks.Outcome, checks.Machine, error) {
	m := i.Installer
	m.CDROM, m.Firmware = i.ISO, testvm.UEFI
	m.Disks = []testvm.Disk{{File: testvm.File{Path: disk}, Write: true}}
	m.Profile.Boot = max(m.Profile.Boot, installTimeout)
	m.Profile.Silence = max(m.Profile.Silence, installSilence)
	if t := i.Suite.Timeout; t > 0 {
		m.Profile.Boot = time.Duration(t) * time.Second
	}
	marks, err := newMarks(i.marks())
	if err != nil {
		return checks.Outcome{Status: checks.Fail, Stage: "install", Reason: err.Error(), Title: err.Error(), Attempts: 1}, i.told(m, testvm.Ending{Outcome: testvm.Infra, Exit: -1}, nil), nil
	}
	var g *testvm.Guest
	var e testvm.Ending
	for try := range 2 {
		if try > 0 {
			if err := os.Truncate(disk, 0); err != nil {
				return checks.Outcome{}, checks.Machine{}, err
			}
			if err := os.Truncate(disk, int64(cmp.Or(i.marks().Disk, diskMiB))<<20); err != nil {
				return checks.Outcome{}, checks.Machine{}, err
			}
		}
		if g, err = m.Start(ctx); err != nil {
			return checks.Outcome{}, checks.Machine{}, err
		}
		if e = g.Wait(); e.Outcome != testvm.Infra || ctx.Err() != nil {
			break
		}
	}
	files := i.keepConsoles(g)
	var said strings.Builder
	for _, name := range testvm.Consoles {
		said.Write(console.Strip(g.Console(name).Bytes()))
		said.WriteByte('\n')
	}
	o := marks.judge(e, strings.ReplaceAll(said.String(), "\r", ""))
	o.Machine = i.Machine + "/installer"
	o.Seconds = e.Duration.Seconds()
	o.Attempts = 1
	for _, name := range testvm.Consoles {
		if len(g.Console(name).Bytes()) > 0 {
			o.Log = files[name]
		}
	}
	if o.Status == checks.Pass {
		o.Passes, o.Tail = 1, nil
	}
	return o, i.told(m, e, files), nil
}

// told is what the results say of the installer's machine.
func (i Install) told(m testvm.Machine, e testvm.Ending, files map[string]string) checks.Machine {
	out := checks.Machine{
		Name: i.Machine + "/installer", Profile: m.Profile.Name, Outcome: checks.MachineOutcome(e.Outcome), Stage: string(e.Stage),
		Title: e.Title, Reason: e.Reason, Trace: append([]checks.Frame{}, frames(e.Trace)...), Exit: e.Exit, Seconds: e.Duration.Seconds(),
		Boots: e.Boots, Accelerator: string(m.Accel.Accelerator), Method: string(testvm.Cold), Consoles: files, Command: m.Command(), Notes: e.Notes,
	}
	for _, s := range e.Stages {
		out.Stages = append(out.Stages, checks.StageTime{Stage: string(s.Stage), Seconds: s.At.Seconds()})
	}
	for _, ev := range e.Evidence {
		out.Evidence = append(out.Evidence, ev.Name+": "+ev.Text)
	}
	return out
}

func (i Install) keepConsoles(g *testvm.Guest) map[string]string {
	files := map[string]string{}
	if i.Dir == "" {
		return files
	}
	for _, name := range testvm.Consoles {
		file := "installer." + name
		if os.MkdirAll(i.Dir, 0o755) == nil && os.WriteFile(filepath.Join(i.Dir, file), g.Console(name).Bytes(), 0o644) == nil {
			files[name] = filepath.ToSlash(filepath.Join(i.Prefix, file))
		}
	}
	return files
}

// marks tell success from failure of an installation by what the installer printed.
type marks struct {
	success, failure *regexp.Regexp
	stages           []*regexp.Regexp
	names            []string
}

func newMarks(m distro.Installer) (*marks, error) {
	if m.Success == "" {
		return nil, errors.New("the image does not say what its installer prints on success (asterbot.installer.success): whether it installs cannot be told")
	}
	out := &marks{names: m.Stages}
	compile := func(text string) (*regexp.Regexp, error) {
		re, err := regexp.Compile("(?m)" + text)
		if err != nil {
			return nil, fmt.Errorf("the image's installer marks hold no regular expression: %w", err)
		}
		return re, nil
	}
	var err error
	if out.success, err = compile(m.Success); err != nil {
		return nil, err
	}
	if m.Failure != "" {
		if out.failure, err = compile(m.Failure); err != nil {
			return nil, err
		}
	}
	for _, s := range m.Stages {
		re, err := compile(s)
		if err != nil {
			return nil, err
		}
		out.stages = append(out.stages, re)
	}
	return out, nil
}

// judge says how an installation went. An installer may power off in the same way
// whether it succeeded or not: only its mark is a success, and only with an orderly
// end and no mark of a failure.
func (m *marks) judge(e testvm.Ending, said string) checks.Outcome {
	stage := "install"
	for n, re := range m.stages {
		if re.MatchString(said) {
			stage = "install: " + strings.Trim(m.names[n], "^$")
		}
	}
	o := checks.Outcome{Status: checks.Fail, Stage: stage, Tail: lastSaid(said, 30), Trace: frames(e.Trace)}
	succeeded := m.success.MatchString(said)
	switch {
	case e.Outcome == testvm.Infra:
		o.Status, o.Infra, o.Reason = checks.Error, true, e.Reason
	case m.failure != nil && m.failure.MatchString(said):
		o.Reason = "the installer gave up: " + strings.TrimSpace(lineOf(m.failure, said))
		o.Title = "installer: " + console.Normalize(lineOf(m.failure, said))
	case succeeded && e.Outcome == testvm.OK:
		o.Status, o.Stage = checks.Pass, "installed"
	case succeeded:
		o.Reason = fmt.Sprintf("the installer finished, but its machine did not end well: %s: %s", e.Outcome, e.Reason)
		o.Title = "installer: " + e.Title
	case e.Outcome == testvm.OK:
		o.Reason = fmt.Sprintf("the installer powered off without saying that it succeeded; it came as far as %q", stage)
		o.Title = "installer: no mark of success after " + stage
	default:
		o.Reason = fmt.Sprintf("the installer did not finish: %s: %s", e.Outcome, e.Reason)
		o.Title = "installer: " + cmp.Or(e.Title, string(e.Outcome))
	}
	return o
}

// lineOf is the whole line of the first match.
func lineOf(re *regexp.Regexp, text string) string {
	at := re.FindStringIndex(text)
	if at == nil {
		return ""
	}
	start := strings.LastIndexByte(text[:at[0]], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return line
}

func lastSaid(text string, n int) []string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
	return lines[max(0, len(lines)-n):]
}
