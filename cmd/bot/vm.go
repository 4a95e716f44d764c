package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// vmOptions are the flags of bot vm.
type vmOptions struct {
	Profile, Kernel, Symbols, Initrd string
	Disks                            []string
	Append, Memory, Firmware, Cases  string
	CPUs                             int

	ControlKernel, ControlInitrd, ControlAppend, ControlProfile string

	Baseline, Out string
	Fork          bool
	Retries       int
	Timeout       time.Duration
	RequireKVM    bool
}

func vmCommand(e *env) *cobra.Command {
	var o vmOptions
	c := &cobra.Command{
		Use:   "vm --profile NAME --kernel IMAGE [--initrd FILE] [--disk FILE]... [--cases FILE] --out DIR",
		Short: "Boot any kernel, run cases, say what happened (no Nix needed)",
		Long: `Boot a kernel in QEMU, run cases at the shell prompt that the guest gives on
its console, and say what happened. DIR gets results.json and the raw consoles.

Without --cases it says how far the boot came. With --control-kernel, a case
that fails is run on that kernel too, which tells whose fault it is. With
--baseline, an earlier results.json, it says what changed.

Exit status: 0 all is well (with --baseline: nothing regressed); 1 the machine
did not fare well or a case fails (with --baseline: something regressed);
2 wrong usage; 3 we could not look.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runVM(c.Context(), e, o) },
	}
	f := c.Flags()
	f.StringVar(&o.Profile, "profile", "linux", "the machine `profile`: linux or asterinas")
	f.StringVar(&o.Kernel, "kernel", "", "the kernel `image`: bzImage or multiboot ELF; without one, firmware boots the first disk")
	f.StringVar(&o.Symbols, "symbols", "", "the unstripped kernel `ELF`, to name the functions of stack traces")
	f.StringVar(&o.Initrd, "initrd", "", "the initramfs `file`")
	f.StringArrayVar(&o.Disks, "disk", nil, "a disk `image`, raw or *.qcow2; it is not written to (repeatable)")
	f.StringVar(&o.Append, "append", "", "kernel `parameters`, after the profile's")
	f.StringVar(&o.Memory, "memory", "", "the guest's memory in `MiB`, or as 2G (default: the profile's)")
	f.IntVar(&o.CPUs, "cpus", 0, "the guest's `processors` (default: the profile's; one without KVM)")
	f.StringVar(&o.Firmware, "firmware", "", "uefi or bios (default: bios, but uefi for an Asterinas bzImage that only EFI can start)")
	f.StringVar(&o.Cases, "cases", "", "the `file` of cases to run, a YAML or JSON list")
	f.StringVar(&o.ControlKernel, "control-kernel", "", "a kernel `image` known to be good, on which failing cases are run too")
	f.StringVar(&o.ControlInitrd, "control-initrd", "", "its initramfs `file` (default: that of --initrd)")
	f.StringVar(&o.ControlAppend, "control-append", "", "its `parameters`")
	f.StringVar(&o.ControlProfile, "control-profile", "linux", "its machine `profile`")
	f.StringVar(&o.Baseline, "baseline", "", "an earlier results.json `file` to compare with")
	f.BoolVar(&o.Fork, "fork", false, "boot once, and run each case in a fork of that machine")
	f.IntVar(&o.Retries, "retries", 1, "how often a case that fails is run again, on a fresh machine")
	f.DurationVar(&o.Timeout, "timeout", 0, "how long the boot may take with KVM (default: the profile's)")
	f.BoolVar(&o.RequireKVM, "require-kvm", false, "fail where KVM does not work, instead of being slow")
	f.StringVar(&o.Out, "out", "", "the `folder` for results.json and consoles")
	_ = c.MarkFlagRequired("out") // the flag exists
	_ = c.MarkFlagDirname("out")
	return c
}

// vmRun is one bot vm at work.
type vmRun struct {
	vmOptions
	suite    distro.Suite
	baseline *checks.Results
	symbols  *console.Symbols
	accel    testvm.Accelerated
	screen   *vmScreen
}

func runVM(ctx context.Context, e *env, o vmOptions) error {
	r := &vmRun{vmOptions: o, screen: newVMScreen(e)}
	if err := r.read(e); err != nil {
		return &exitError{checks.ExitUsage, err}
	}
	machine, err := r.machine(o.Profile, o.Kernel, o.Initrd, o.Append)
	if err != nil {
		return &exitError{checks.ExitUsage, err}
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return &exitError{checks.ExitUsage, err}
	}
	if r.accel, err = testvm.Accelerate(ctx, "", o.RequireKVM); err != nil {
		return couldNotLook(err)
	}
	results, err := r.run(ctx, machine)
	if err != nil {
		return couldNotLook(err)
	}
	if err := r.write(results); err != nil {
		return couldNotLook(err)
	}
	code, headline := vmAnswer(results, r.baseline != nil)
	r.screen.answer(results, headline, filepath.Join(o.Out, "results.json"))
	if ctx.Err() != nil {
		return couldNotLook(errors.New("stopped; results.json holds what was settled until then"))
	}
	if code != 0 {
		return &exitError{code, nil}
	}
	return nil
}

// read reads what the flags name; all of its errors are wrong usage.
func (r *vmRun) read(e *env) error {
	o := &r.vmOptions
	for _, p := range append([]*string{&o.Kernel, &o.Symbols, &o.Initrd, &o.Cases, &o.ControlKernel, &o.ControlInitrd, &o.Baseline, &o.Out}, pointers(o.Disks)...) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(e.Dir, *p)
		}
	}
	switch {
	case o.Kernel == "" && len(o.Disks) == 0:
		return errors.New("there is nothing to boot: give --kernel IMAGE or --disk FILE")
	case o.Kernel == "" && (o.Initrd != "" || o.Append != ""):
		return errors.New("--initrd and --append need --kernel")
	case o.ControlKernel == "" && (o.ControlInitrd != "" || o.ControlAppend != ""):
		return errors.New("--control-initrd and --control-append need --control-kernel")
	case o.Firmware != "" && o.Firmware != "uefi" && o.Firmware != "bios":
		return fmt.Errorf("--firmware is %q: it can be uefi or bios", o.Firmware)
	case o.Retries < 0:
		return errors.New("--retries is negative")
	}
	for _, f := range append([]string{o.Kernel, o.Symbols, o.Initrd, o.Cases, o.ControlKernel, o.ControlInitrd, o.Baseline}, o.Disks...) {
		if f == "" {
			continue
		}
		if err := readable(f); err != nil {
			return err
		}
	}
	if o.Cases != "" {
		f, err := os.Open(o.Cases)
		if err != nil {
			return err
		}
		defer f.Close()
		if r.suite, err = suite.ReadCases(f); err != nil {
			return fmt.Errorf("%s: %w", o.Cases, err)
		}
	}
	if o.Fork {
		r.suite.Machine = distro.MachineFresh
	}
	if o.Baseline != "" {
		f, err := os.Open(o.Baseline)
		if err != nil {
			return err
		}
		defer f.Close()
		if r.baseline, err = report.DecodeResults(f); err != nil {
			return fmt.Errorf("%s: %w", o.Baseline, err)
		}
	}
	return r.readSymbols()
}

func pointers(list []string) []*string {
	var out []*string
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("is a folder")}
	}
	return nil
}

// readSymbols reads those of --symbols, or of the kernel itself if it happens
// to have some.
func (r *vmRun) readSymbols() error {
	path := r.Symbols
	if path == "" {
		path = r.Kernel
	}
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := console.ReadSymbols(f)
	if err != nil && r.Symbols != "" {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.symbols = symbols
	return nil
}

// machine describes the machine of a kernel.
func (r *vmRun) machine(profile, kernel, initrd, params string) (testvm.Machine, error) {
	p, ok := testvm.LookupProfile(profile)
	if !ok {
		var names []string
		for _, q := range testvm.Profiles() {
			names = append(names, q.Name)
		}
		return testvm.Machine{}, fmt.Errorf("there is no profile %q: there are %s", profile, strings.Join(names, ", "))
	}
	if r.Timeout > 0 {
		p.Boot = r.Timeout
	}
	m := testvm.Machine{
		Profile: p, Firmware: testvm.Firmware(r.Firmware), CPUs: r.CPUs, Memory: r.suite.Memory,
		Network: testvm.Network(r.suite.Network), Explain: len(r.suite.Cases) > 0,
	}
	if r.suite.Timeout > 0 && r.Timeout == 0 {
		m.Profile.Boot = time.Duration(r.suite.Timeout) * time.Second
	}
	if r.Memory != "" {
		mib, err := mebibytes(r.Memory)
		if err != nil {
			return m, err
		}
		m.Memory = mib
	}
	if kernel != "" {
		m.Kernel = &testvm.Kernel{Image: kernel, Initrd: initrd, Params: strings.Fields(params)}
		m.Kernel.Params = suite.WithInit(p, *m.Kernel)
	}
	for _, d := range r.Disks {
		format := "raw"
		if strings.HasSuffix(d, ".qcow2") {
			format = "qcow2"
		}
		m.Disks = append(m.Disks, testvm.Disk{File: testvm.File{Path: d}, Format: format})
	}
	return m, nil
}

// mebibytes reads "512", "512M" or "2G".
func mebibytes(s string) (int, error) {
	digits, factor := s, 1
	switch upper := strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(s, "B"), "i")); {
	case strings.HasSuffix(upper, "G"):
		digits, factor = upper[:len(upper)-1], 1024
	case strings.HasSuffix(upper, "M"):
		digits = upper[:len(upper)-1]
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 || n > 1<<20 {
		return 0, fmt.Errorf("--memory is %q: give MiB, as in 512, or 2G", s)
	}
	return n * factor, nil
}

// job is the job of one side: "machine" or "control".
func (r *vmRun) job(name, profile string) suite.Job {
	return suite.Job{
		Of: distro.KindSuite, Name: "vm", Machine: name, Profile: profile, Suite: r.suite,
		Retries: r.Retries, Tried: r.screen.tried, Dir: r.Out, BootOnly: len(r.suite.Cases) == 0,
	}
}

// settle runs a job in machines.
func (r *vmRun) settle(ctx context.Context, j suite.Job, m testvm.Machine) (suite.Ran, error) {
	m.Accel, m.Notify = r.accel, r.screen.event
	if j.Machine == testMachine {
		m.Symbols = r.symbols
	}
	if j.Machine != testMachine {
		j.Dir = filepath.Join(r.Out, j.Machine)
		j.Prefix = j.Machine
	}
	lab := &suite.QEMU{Machine: m, Fork: r.Fork, Dir: j.Dir, Prefix: j.Prefix, Name: j.Machine}
	defer lab.Close()
	r.screen.begin(j, m)
	ran, err := j.Run(ctx, lab, r.screen.settled)
	lab.Describe(&ran.Machine)
	return ran, err
}

const (
	testMachine    = "machine"
	controlMachine = "control"
)

// run boots, runs the cases, asks the control, and compares with the baseline.
func (r *vmRun) run(ctx context.Context, m testvm.Machine) (*checks.Results, error) {
	j := r.job(testMachine, r.Profile)
	ran, _ := r.settle(ctx, j, m) // what could not be looked at is in the outcomes
	results := &checks.Results{Machines: []checks.Machine{ran.Machine}}
	var control *suite.Ran
	if specs := suite.Controlled(j, ran); r.ControlKernel != "" && (len(specs) > 0 || ran.Outcomes[j.Boots()].Status == checks.Fail) && ctx.Err() == nil {
		initrd := r.ControlInitrd
		if initrd == "" {
			initrd = r.Initrd
		}
		cm, err := r.machine(r.ControlProfile, r.ControlKernel, initrd, r.ControlAppend)
		if err != nil {
			return nil, err
		}
		cj := r.job(controlMachine, r.ControlProfile)
		cj.Suite.Cases, cj.Retries = specs, 0
		got, _ := r.settle(ctx, cj, cm)
		control = &got
		results.Machines = append(results.Machines, got.Machine)
	}
	results.Cases = vmResults(j, ran, control, r.baseline)
	_, results.Headline = vmAnswer(results, r.baseline != nil)
	return results, nil
}

// write leaves results.json, whole or not at all.
func (r *vmRun) write(results *checks.Results) error {
	f, err := os.CreateTemp(r.Out, ".results-*.json")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	defer os.Remove(f.Name())
	err = errors.Join(report.Encode(f, results), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(r.Out, "results.json"))
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
