package testvm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/asterinas/asterbot/testvm/console"
)

// Machine is a QEMU machine to be started. The zero value of every field but
// Profile and one of Kernel, Disks and CDROM is useful.
type Machine struct {
	// Name is for people; nothing is named after it.
	Name    string
	Profile Profile
	// Kernel is booted directly. Without one, firmware boots CDROM, else the
	// first disk.
	Kernel *Kernel
	Disks  []Disk
	// CDROM is an ISO image.
	CDROM string
	// Firmware is UEFI or BIOS. The default is BIOS, but UEFI for a kernel that
	// nothing else can start: Asterinas' bzImage with an EFI entry.
	Firmware Firmware
	// Vars are UEFI variables that the guest may change for good; without
	// them each machine starts with empty ones.
	Vars *File
	// Memory in MiB and CPUs override the profile's.
	Memory, CPUs int
	// Accel is the accelerator, as Accelerate found it. The zero value has Start find it.
	Accel   Accelerated
	Network Network
	// NoScreen leaves the framebuffer out.
	NoScreen bool
	// Explain raises the kernel's log level, for profiles that have levels.
	Explain bool
	// QEMU is the program, "qemu-system-x86_64" by default.
	QEMU string
	// Extra arguments are added at the end. Not for anything hostile.
	Extra []string
	// Budget is where memory and processors are reserved; nil is the host's.
	Budget *Budget
	// ConsoleBytes bounds what is kept of the head and of the tail of each
	// console; zero is DefaultConsoleBytes.
	ConsoleBytes int
	// Watch, if set, is given each console's bytes as they come, in order. It
	// may take its time: it runs behind a queue, not in the guest's way.
	Watch func(console string, p []byte)
	// Notify, if set, is told of stages and crashes as they come.
	Notify func(console.Event)
	// Symbols name the functions of stack traces, if set.
	Symbols *console.Symbols
	// Tables are the texts by which stages and crashes are known; nil are
	// those of the profile.
	Tables *console.Tables

	// ram is the memory of a snapshot; share says who may write to it.
	ram      *File
	ramShare bool
	// varsOverlay puts an overlay over Vars.
	varsOverlay bool
	// restore is the snapshot a fork continues.
	restore *Snapshot
}

// Kernel is a kernel to be booted directly.
type Kernel struct {
	// Image is a bzImage or a multiboot ELF; QEMU tells them apart.
	Image  string
	Initrd string
	// Params follow the profile's; a parameter of the same name replaces them.
	Params []string
}

// Firmware is what a machine starts with.
type Firmware string

// The firmwares.
const (
	BIOS Firmware = "bios"
	UEFI Firmware = "uefi"
)

// withFirmware chooses the firmware where it is left open.
func (m Machine) withFirmware() Machine {
	if m.Firmware == "" {
		m.Firmware = BIOS
		if m.Profile.Name == Asterinas.Name && m.Kernel != nil && hasEFIEntry(m.Kernel.Image) {
			m.Firmware = UEFI
		}
	}
	return m
}

// hasEFIEntry reports whether a kernel is a bzImage with a 64-bit entry for EFI.
func hasEFIEntry(path string) bool {
	head, err := readHead(path, 0x238)
	const efiHandover64 = 1 << 3 // of xloadflags: Linux, Documentation/arch/x86/boot.rst
	return err == nil && len(head) == 0x238 && string(head[0x202:0x206]) == "HdrS" && head[0x236]&efiHandover64 != 0
}

// Consoles are the names of the consoles every machine has, in the order in
// which a prompt is preferred.
var Consoles = []string{"hvc0", "ttyS0"}

// The descriptors that QEMU inherits.
const (
	qmpFD      = 3
	firstLogFD = 4
)

// Args are the arguments QEMU is started with. They refer to files of a
// running machine: Command gives ones to be run by hand. dir is where the
// consoles' inputs are.
func (m Machine) Args(dir string) []string {
	args, _ := m.args(dir)
	return args
}

func (m Machine) args(dir string) ([]string, []*os.File) {
	fds := &inherited{first: firstLogFD + len(Consoles)}
	args := []string{
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFD),
		"-mon", "chardev=qmp,mode=control",
	}
	devices := []device{
		serialPort{m.wire(dir, "ttyS0")},
		virtioConsole{m.wire(dir, "hvc0")},
	}
	args = append(args, m.common(append(devices, m.devices()...), fds)...)
	if m.restore != nil {
		args = append(args, "-incoming", "defer")
	}
	return append(args, "-S"), fds.files
}

func (m Machine) wire(dir, name string) wire {
	return wire{name: name, path: filepath.Join(dir, name), log: firstLogFD + slices.Index(Consoles, name)}
}

// Command is a command line for a person: the same machine, its guest's
// console on the terminal.
func (m Machine) Command() []string {
	m = m.withFirmware()
	ends := map[string][]string{
		"ttyS0": {"-serial", "mon:stdio", "-device", "virtio-serial-pci,max_ports=1", "-chardev", "null,id=hvc0", "-device", "virtconsole,chardev=hvc0"},
		"hvc0": {"-serial", "file:ttyS0.log", "-device", "virtio-serial-pci,max_ports=1", "-chardev", "stdio,id=hvc0,mux=on,signal=off",
			"-mon", "chardev=hvc0", "-device", "virtconsole,chardev=hvc0"},
	}
	console := "ttyS0"
	if m.Profile.Name == Asterinas.Name {
		console = "hvc0"
	}
	plain := m
	plain.ram, plain.restore = nil, nil
	args := append([]string{m.qemu()}, ends[console]...)
	return append(args, plain.common(plain.devices(), &inherited{})...)
}

func (m Machine) qemu() string {
	if m.QEMU != "" {
		return m.QEMU
	}
	return "qemu-system-x86_64"
}

func (m Machine) memory() int {
	if m.Memory > 0 {
		return m.Memory
	}
	return m.Profile.Memory
}

func (m Machine) processors() int {
	if m.CPUs > 0 {
		return m.CPUs
	}
	return m.Profile.Processors(m.Accel.Accelerator)
}

func (m Machine) devices() []device {
	devices := []device{
		memory{m.memory(), m.ram, m.ramShare},
		entropy{},
		m.Network,
	}
	if m.Profile.DebugExit {
		devices = append(devices, debugExit{})
	}
	if !m.NoScreen {
		devices = append(devices, screen{})
	}
	if m.Firmware == UEFI {
		vars := Disk{File: File{Path: ovmfVars()}}
		if m.Vars != nil {
			vars = Disk{File: *m.Vars, Write: !m.varsOverlay}
		}
		devices = append(devices, ovmf{ovmfCode(), vars})
	}
	if m.CDROM != "" {
		devices = append(devices, cdrom{File{Path: m.CDROM}})
	}
	for n, d := range m.Disks {
		devices = append(devices, diskDevice{n, d, m.Kernel == nil})
	}
	return devices
}

func (m Machine) common(devices []device, fds *inherited) []string {
	accel, cpu := m.Accel.Accelerator, m.Profile.CPU
	if accel != KVM {
		accel, cpu = TCG, m.Profile.CPUTCG
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none",
		"-machine", m.Profile.Board,
		"-accel", string(accel),
		"-cpu", cpu,
		"-smp", strconv.Itoa(m.processors()),
	}
	if m.Profile.Modern {
		args = append(args, "-global", "virtio-pci.disable-legacy=on")
	}
	if m.Profile.Reboots == 0 {
		args = append(args, "-no-reboot")
	}
	for _, d := range devices {
		args = append(args, d.args(fds)...)
	}
	if k := m.Kernel; k != nil {
		args = append(args, "-kernel", k.Image)
		if k.Initrd != "" {
			args = append(args, "-initrd", k.Initrd)
		}
		if line := strings.Join(m.params(), " "); line != "" {
			args = append(args, "-append", line)
		}
	}
	return append(args, m.Extra...)
}

// params merges the kernel's parameters over the profile's: of two with the
// same name the kernel's own is kept, since a kernel under test may be tested
// for just that.
func (m Machine) params() []string {
	base := m.Profile.Params
	if m.Explain {
		base = override(base, m.Profile.LogParams)
	}
	return override(base, m.Kernel.Params)
}

func override(base, over []string) []string {
	own := over // those after "--" are for init
	if i := slices.Index(own, "--"); i >= 0 {
		own = own[:i]
	}
	var out []string
	for _, p := range base {
		if !slices.ContainsFunc(own, func(o string) bool { return paramName(o) == paramName(p) }) {
			out = append(out, p)
		}
	}
	return append(out, over...)
}

func paramName(p string) string {
	name, _, _ := strings.Cut(p, "=")
	return name
}

// ovmfPairs are where distributions put UEFI firmware, code and variables.
var ovmfPairs = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	{"/run/libvirt/nix-ovmf/OVMF_CODE.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.fd"},
}

func ovmfPair() [2]string {
	if code, vars := os.Getenv("OVMF_CODE"), os.Getenv("OVMF_VARS"); code != "" && vars != "" {
		return [2]string{code, vars}
	}
	for _, p := range ovmfPairs {
		if _, err := os.Stat(p[0]); err == nil {
			return p
		}
	}
	return ovmfPairs[0]
}

func ovmfCode() string { return ovmfPair()[0] }
func ovmfVars() string { return ovmfPair()[1] }
