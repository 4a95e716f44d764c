package suite

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
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
}

// upstreamInstaller are the words of AsterNixOS' own installer. It powers off
// and QEMU exits with 0 whether it succeeded or not: that it does not say so is
// the only sign of a failure.
var upstreamInstaller = distro.Installer{
	Success: `Congratulations! Asterinas NixOS has been installed successfully!`,
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
	installer, err := i.installer()
	if err != nil {
		return nil, nil, err
	}
	in, o, machine, err := i.install(ctx, installer)
	if o.Infra && ctx.Err() == nil { // once more, in silence
		in.Close()
		in, o, machine, err = i.install(ctx, installer)
	}
	if in == nil {
		return nil, nil, err
	}
	defer in.Close()
	settled(i.Installs(), o)
	if o.Status != checks.Pass {
		out := i.notInstalled(o)
		for c, o := range out {
			settled(c, o)
		}
		out[i.Installs()] = o
		return out, []checks.Machine{machine}, nil
	}
	m := i.Installed
	m.Firmware = testvm.UEFI
	m.Explain = false // the installed system boots as it is shipped
	lab := &QEMU{Machine: in.Installed(m), Fork: true, Dir: i.Job.Dir, Prefix: i.Job.Prefix, Name: "installed"}
	defer lab.Close()
	ran, err := i.Job.Run(ctx, lab, settled)
	lab.Describe(&ran.Machine)
	ran.Outcomes[i.Installs()] = o
	return ran.Outcomes, []checks.Machine{machine, ran.Machine}, err
}

// notInstalled are the outcomes of all else where there is no system to boot.
func (i Install) notInstalled(o checks.Outcome) map[checks.Case]checks.Outcome {
	rest := checks.Outcome{Status: checks.Error, Infra: o.Infra, Stage: "install", Reason: "not run: the image did not install"}
	out := map[checks.Case]checks.Outcome{i.Job.Boots(): rest}
	for _, c := range i.Job.Suite.Cases {
		out[i.Job.Case(c.Name)] = rest
	}
	return out
}

// installer compiles the installer's words.
func (i Install) installer() (testvm.Installer, error) {
	words := upstreamInstaller
	if own := i.Job.Suite.Installer; own != nil && own.Success != "" {
		words = *own
	}
	m := i.Installer
	m.Kernel, m.CDROM, m.Firmware = nil, i.ISO, testvm.UEFI
	out := testvm.Installer{Machine: m, DiskMiB: words.Disk, Timeout: installTime}
	if out.DiskMiB == 0 {
		out.DiskMiB = upstreamInstaller.Disk
	}
	var errs []error
	compile := func(text string) *regexp.Regexp {
		if text == "" {
			return nil
		}
		re, err := regexp.Compile(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("read the installer's words: %q is no regular expression: %w", text, err))
		}
		return re
	}
	out.Success, out.Failure = compile(words.Success), compile(words.Failure)
	for _, s := range words.Stages {
		out.Stages = append(out.Stages, compile(s))
	}
	return out, errors.Join(errs...)
}

// install runs the installer once. Without an Installation the error says why.
func (i Install) install(ctx context.Context, installer testvm.Installer) (*testvm.Installation, checks.Outcome, checks.Machine, error) {
	job := i.Job
	job.Machine += "/installer"
	job.Profile = installer.Machine.Profile.Name
	start := time.Now()
	in, err := installer.Run(ctx)
	if err != nil {
		return nil, checks.Outcome{}, checks.Machine{}, err
	}
	e := in.Ending
	lab := &QEMU{Machine: installer.Machine, Dir: job.Dir, Prefix: job.Prefix, Name: "installer"}
	said := saidBy(in.Guest)
	lab.keep(1, e.Outcome, said)
	var f fate
	f.ended(e, true)
	machine := f.machine(job)
	machine.Seconds = time.Since(start).Seconds()
	lab.Describe(&machine)
	o := checks.Outcome{
		Status: checks.Pass, Stage: "install", Machine: job.Machine, Seconds: machine.Seconds, Attempts: 1, Passes: 1,
		Log: machine.Consoles[loudest(said)],
	}
	switch {
	case e.Outcome == testvm.Infra:
		o.Status, o.Infra, o.Passes, o.Reason = checks.Error, true, 0, e.Reason
	case !in.OK:
		o.Status, o.Passes, o.Reason, o.Title = checks.Fail, 0, in.Reason, title(in.Reason)
		o.Tail, o.Trace = tail(said(loudest(said))), frames(e.Trace)
		o.TimedOut = timedOut(e)
		if machine.Outcome == checks.MachineOK {
			machine.Reason = in.Reason
		}
	}
	return in, o, machine, nil
}
