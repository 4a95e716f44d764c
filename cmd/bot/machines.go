package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// machines is pipeline.Machines in QEMU.
type machines struct {
	w   *workspace
	out string
	o   settleOptions

	accel   func() (testvm.Accelerated, error)
	tools   func() string
	symbols func() (*console.Symbols, error)
	hangs   map[pipeline.Side]*suite.Hangs // all systems of a side have one kernel
}

func newMachines(w *workspace, o settleOptions, out string) *machines {
	return &machines{
		w: w, out: out, o: o, hangs: map[pipeline.Side]*suite.Hangs{pipeline.Base: {}, pipeline.Head: {}, pipeline.Control: {}},
		accel: sync.OnceValues(func() (testvm.Accelerated, error) {
			return testvm.Accelerate(context.Background(), "qemu-system-x86_64", false)
		}),
		tools:   sync.OnceValue(machineTools),
		symbols: sync.OnceValues(func() (*console.Symbols, error) { return openSymbols(w.symbolFile()) }),
	}
}

// symbolFile is the unstripped kernel of head, if there is one.
func (w *workspace) symbolFile() string {
	if s := w.images[pipeline.Head].Symbols; s != "" {
		return s
	}
	return w.Symbols
}

func openSymbols(path string) (*console.Symbols, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read kernel symbols: %w", err)
	}
	defer f.Close()
	return console.ReadSymbols(f)
}

// Profile implements pipeline.Machines.
func (m *machines) Profile(job pipeline.Job) string {
	accel, err := m.accel()
	if err != nil {
		return "unknown " + err.Error()
	}
	// Before a system is built nobody can read which profile it names; that is part
	// of its output's hash.
	names := []string{m.profileName(job)}
	if names[0] == "" {
		names = []string{testvm.Linux.Name, testvm.Asterinas.Name}
	}
	var profiles []testvm.Profile
	for _, name := range names {
		p, err := machineProfile(m.w.config, name)
		if err != nil {
			return "unknown " + err.Error()
		}
		profiles = append(profiles, p)
	}
	text, err := json.Marshal(profiles)
	if err != nil {
		return "unknown " + err.Error()
	}
	return strings.Join([]string{version, string(accel.Accelerator), m.tools(), string(text)}, "\n")
}

// profileName is the profile of a job, as far as it does not depend on what its system
// says of itself.
func (m *machines) profileName(job pipeline.Job) string {
	switch {
	case job.Suite.Profile != "":
		return job.Suite.Profile
	case job.Side == pipeline.Control:
		return m.w.config.Control.Profile
	}
	return m.w.profileName()
}

// machine is what a suite's system boots in.
func (m *machines) machine(job pipeline.Job) (testvm.Machine, error) {
	name := m.profileName(job)
	if name == "" {
		name = m.w.systemProfile(job.Output)
	}
	p, err := machineProfile(m.w.config, name)
	if err != nil {
		return testvm.Machine{}, err
	}
	if job.Suite.Timeout > 0 {
		p.Boot = time.Duration(job.Suite.Timeout) * time.Second
	}
	machine := testvm.Machine{Profile: p}
	if job.Of == distro.KindSuite {
		if machine, err = suite.OpenSystem(job.Output, p); err != nil {
			return machine, err
		}
	}
	machine.Memory = job.Suite.Memory
	machine.Tables = panicTables(m.w.config, name)
	machine.NoScreen = !graphical(job.Suite)
	if job.Suite.Network == "restrict" {
		machine.Network = testvm.RestrictedNetwork
	}
	return machine, nil
}

func graphical(s distro.Suite) bool {
	return s.Graphical || slices.ContainsFunc(s.Cases, func(c distro.CaseSpec) bool { return c.Screen != "" })
}

// Run implements pipeline.Machines.
func (m *machines) Run(ctx context.Context, job pipeline.Job, done func(checks.Case, checks.Outcome)) (pipeline.Ran, error) {
	if job.Command {
		return m.command(ctx, job, done)
	}
	accel, err := m.accel()
	if err != nil {
		return pipeline.Ran{}, fmt.Errorf("find an accelerator: %w", err)
	}
	machine, err := m.machine(job)
	if err != nil {
		return pipeline.Ran{}, err
	}
	machine.Accel = accel
	if job.Side != pipeline.Control {
		if machine.Symbols, err = m.symbols(); err != nil {
			return pipeline.Ran{}, err
		}
	}
	if job.Of == distro.KindImage {
		return m.install(ctx, job, machine, done)
	}
	dir, prefix := m.logs(job)
	lab := &suite.QEMU{Machine: machine, Fork: true, Dir: dir, Prefix: prefix, Name: "console"}
	defer lab.Close()
	ran, err := m.job(job, dir, prefix, machine.Profile.Name).Run(ctx, lab, done)
	lab.Describe(&ran.Machine)
	ran.Machine.Side = string(job.Side)
	return pipeline.Ran{Outcomes: ran.Outcomes, Machines: []checks.Machine{ran.Machine}}, err
}

// install settles the cases of an installer image.
func (m *machines) install(ctx context.Context, job pipeline.Job, installed testvm.Machine, done func(checks.Case, checks.Outcome)) (pipeline.Ran, error) {
	if reason := m.w.cannotInstall(job.Side); reason != "" {
		return skipAll(job, reason), nil
	}
	iso, err := isoFile(job.Output)
	if err != nil {
		o := checks.Outcome{Status: checks.Fail, Stage: "install", Reason: err.Error(), Title: "no ISO image", Attempts: 1}
		return pipeline.Ran{Outcomes: map[checks.Case]checks.Outcome{{Kind: checks.KindInstall, Of: job.Of, Subject: job.Name, Name: "installs"}: o}}, nil
	}
	linux, err := machineProfile(m.w.config, "linux")
	if err != nil {
		return pipeline.Ran{}, err
	}
	installer := testvm.Machine{Profile: linux, Memory: job.Suite.Memory, Accel: installed.Accel, NoScreen: true}
	dir, prefix := m.logs(job)
	outcomes, ran, err := suite.Install{
		Job: m.job(job, dir, prefix, installed.Profile.Name), ISO: iso, Installer: installer, Installed: installed,
	}.Run(ctx, done)
	for i := range ran {
		ran[i].Side = string(job.Side)
	}
	return pipeline.Ran{Outcomes: outcomes, Machines: ran}, err
}

// cannotInstall says why a side's kernel cannot be started from a disk, if it cannot:
// a multiboot ELF is started by QEMU directly, and by no EFI boot loader.
func (w *workspace) cannotInstall(side pipeline.Side) string {
	img := w.images[side].Path
	if img == "" {
		return ""
	}
	f, err := os.Open(img)
	if err != nil {
		return ""
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "\x7fELF" {
		return ""
	}
	return "the kernel is a multiboot ELF, which boots directly only: systemd-boot cannot start it from a disk"
}

// skipAll skips everything that an image's job would settle.
func skipAll(job pipeline.Job, reason string) pipeline.Ran {
	ran := pipeline.Ran{Outcomes: map[checks.Case]checks.Outcome{}}
	cases := []checks.Case{
		{Kind: checks.KindInstall, Of: job.Of, Subject: job.Name, Name: "installs"},
		{Kind: checks.KindBoot, Of: job.Of, Subject: job.Name, Name: "boots"},
	}
	for _, c := range job.Suite.Cases {
		cases = append(cases, checks.Case{Kind: checks.KindTest, Of: job.Of, Subject: job.Name, Name: c.Name})
	}
	for _, c := range cases {
		ran.Outcomes[c] = checks.Outcome{Status: checks.Skip, Stage: "install", Reason: reason}
	}
	return ran
}

// isoFile finds the ISO image that an image's output is or holds.
func isoFile(output string) (string, error) {
	if info, err := os.Stat(output); err == nil && info.Mode().IsRegular() {
		return output, nil
	}
	for _, pattern := range []string{"iso/*.iso", "*.iso"} {
		if found, _ := filepath.Glob(filepath.Join(output, pattern)); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("the image's output %s is no ISO image and holds none (*.iso or iso/*.iso)", output)
}

// logs is the folder of a job's logs, and how the report refers to it.
func (m *machines) logs(job pipeline.Job) (dir, prefix string) {
	prefix = filepath.Join("logs", string(job.Side), fileName(job.Name))
	return filepath.Join(m.out, prefix), filepath.ToSlash(prefix)
}

func (m *machines) job(job pipeline.Job, dir, prefix, profile string) suite.Job {
	return suite.Job{
		Of: job.Of, Name: job.Name, Machine: string(job.Side) + "/" + job.Name, Profile: profile, Suite: job.Suite,
		Attempts: job.Attempts, Retries: m.w.config.Retries, Hangs: m.hangs[job.Side], Dir: dir, Prefix: prefix,
	}
}

// machineProfile is a profile with the configuration's changes.
func machineProfile(c *config.Config, name string) (testvm.Profile, error) {
	builtin, overrides := c.Profile(name)
	p, ok := testvm.LookupProfile(builtin)
	if !ok {
		return p, fmt.Errorf("find machine profile %q: there are linux, asterinas, and those of the configuration (%s: profiles)", name, config.Path)
	}
	for _, o := range overrides {
		set := func(to *string, s string) {
			if s != "" {
				*to = s
			}
		}
		set(&p.Board, o.Machine)
		set(&p.CPU, o.CPU)
		set(&p.CPUTCG, o.CPU)
		if o.Processors > 0 {
			p.CPUs = o.Processors
		}
		if o.Memory > 0 {
			p.Memory = o.Memory
		}
		p.Params = slices.Concat(p.Params, o.Params)
		if o.LogParams != nil {
			p.LogParams = o.LogParams
		}
		if o.LogLevel != "" {
			p.LogParams = slices.Clone(p.LogParams)
			for i := range p.LogParams {
				if key, _, ok := strings.Cut(p.LogParams[i], "="); ok {
					p.LogParams[i] = key + "=" + o.LogLevel
				}
			}
		}
		if o.ExitSuccess != nil {
			p.ExitOK = firstOf(*o.ExitSuccess)
			p.DebugExit = p.ExitOK != 0
		}
		if o.ExitFailure != nil {
			p.ExitPanic = firstOf(*o.ExitFailure)
		}
		for to, d := range map[*time.Duration]config.Duration{&p.Boot: o.BootTimeout, &p.Case: o.CaseTimeout, &p.Silence: o.Silence} {
			if d > 0 {
				*to = time.Duration(d)
			}
		}
	}
	return p, nil
}

// panicTables are the texts of a profile's consoles with the configuration's own
// patterns of a panic; nil where it adds none.
func panicTables(c *config.Config, name string) *console.Tables {
	builtin, overrides := c.Profile(name)
	tables := console.Linux()
	if builtin == testvm.Asterinas.Name {
		tables = console.Asterinas()
	}
	var added []console.CrashPattern
	for _, o := range overrides {
		for _, text := range o.Panic {
			if re, err := regexp.Compile(text); err == nil { // the configuration was validated
				added = append(added, console.CrashPattern{Kind: console.KindPanic, Regexp: re})
			}
		}
	}
	if added == nil {
		return nil
	}
	tables.Crashes = slices.Concat(added, tables.Crashes)
	return &tables
}

func firstOf(codes []int) int {
	if len(codes) == 0 {
		return 0
	}
	return codes[0]
}

// qemuVersion is what QEMU says of its version; empty where there is none.
func qemuVersion(ctx context.Context) string {
	out, err := (&proc.Cmd{Path: "qemu-system-x86_64", Args: []string{"--version"}}).Output(ctx)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(first, "QEMU emulator version ")
}

// machineTools names the QEMU and the firmware on this machine: outcomes depend on
// them.
func machineTools() string {
	tools := qemuVersion(context.Background())
	for _, firmware := range []string{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/seabios/bios-256k.bin"} {
		if img, err := kernel.Open(firmware, ""); err == nil {
			tools += "\n" + img.SHA256
		}
	}
	return tools
}
