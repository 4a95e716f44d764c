package console

import "regexp"

// Tables say what a kernel prints when it reaches a stage, when it crashes and
// when it ends. They belong to a machine profile, not to a console: a test may
// run another kernel inside the machine, whose panics are no failure.
type Tables struct {
	// Name is the profile's.
	Name    string
	Stages  []StagePattern
	Crashes []CrashPattern
	Ends    []EndPattern
	// Clock is how the kernel writes the time of a line of its log. Until init
	// runs every form counts, and is the kernel's from then on.
	Clock Clock
}

// Clock is a form of the time before a line of a kernel's log.
type Clock int

// The forms.
const (
	ClockMicro Clock = iota // [    1.234567] as Linux
	ClockMilli              // [     1.234] LEVEL : as Asterinas
	clocks
)

// StagePattern is a text that shows that a stage is reached.
type StagePattern struct {
	Stage Stage
	// Text may stand anywhere in a line: firmware does not end its last one.
	Text string
	// Banner marks a text that each boot prints exactly once.
	Banner bool
	// After makes the stage be reached by the first line of other output that
	// follows Text: of a kernel that does not say that it starts init.
	After bool
}

// CrashPattern is a text that begins the report of a panic, an oops or the
// like.
type CrashPattern struct {
	Kind Kind
	// Text must begin a line of the kernel's.
	Text string
	// With, if set, must stand in the same line.
	With string
	// Regexp may be set in place of Text: it is tried on each line of the
	// kernel's. Configuration adds patterns of this sort.
	Regexp *regexp.Regexp
	// Style is how the report goes on.
	Style Style
	// Whole wants Text to be the whole line.
	Whole bool
	// Early patterns count only until init runs: later their text is as likely
	// a program's.
	Early bool
}

// Style is how a kernel writes its reports.
type Style int

// The styles.
const (
	StylePlain     Style = iota // nothing but the header is known
	StyleLinux                  // Linux: registers, "Call Trace:", symbolised frames
	StyleAsterinas              // Asterinas: indented message and place, then frames as addresses
)

// EndPattern is a text that a kernel prints as it ends.
type EndPattern struct {
	End  End
	Text string
}

// End is how a kernel says that it ends.
type End string

// The ends.
const (
	EndNone     End = ""
	EndPowerOff End = "power-off"
	EndRestart  End = "restart"
	EndHalt     End = "halt" // it stops for ever without powering off
)

// firmware are the stages that do not depend on the kernel.
var firmware = []StagePattern{
	{Stage: StageFirmware, Text: "SeaBIOS (version ", Banner: true},
	{Stage: StageFirmware, Text: "UEFI firmware (version ", Banner: true},
	{Stage: StageFirmware, Text: "BdsDxe: "},
	{Stage: StageFirmware, Text: "iPXE (http"},
	{Stage: StageLoader, Text: "Booting from "},
	{Stage: StageLoader, Text: "BdsDxe: starting "},
	{Stage: StageLoader, Text: "Welcome to GRUB!"},
	{Stage: StageLoader, Text: "GRUB version "},
	{Stage: StageLoader, Text: "systemd-boot"},
	{Stage: StageLoader, Text: "ISOLINUX "},
	{Stage: StageLoader, Text: "EFI stub: "},
}

// linuxStages are what Linux prints.
var linuxStages = []StagePattern{
	{Stage: StageKernel, Text: "Linux version ", Banner: true},
	{Stage: StageKernel, Text: "Decompressing Linux..."},
	{Stage: StageComponents, Text: "devtmpfs: initialized"},
	{Stage: StageComponents, Text: "smpboot: CPU0: "},
	{Stage: StageComponents, Text: "Calibrating delay loop"},
	{Stage: StageRootfs, Text: "Trying to unpack rootfs image as initramfs"},
	{Stage: StageRootfs, Text: "Unpacking initramfs..."},
	{Stage: StageRootfs, Text: "VFS: Mounted root "},
	{Stage: StageRootfs, Text: "Freeing unused kernel "},
	{Stage: StageInit, Text: "Run /"}, // "Run /init as init process", since 5.1
	{Stage: StageInit, Text: "systemd[1]: "},
}

// asterinasStages are what Asterinas prints: 0.17 to 0.18.1, July and August 2026.
var asterinasStages = []StagePattern{
	{Stage: StageComponents, Text: "OSTD initialized. Preparing components.", Banner: true},
	{Stage: StageComponents, Text: "Spawn the first kernel thread"},
	{Stage: StageRootfs, Text: "[kernel] unpacking initramfs"},
	{Stage: StageRootfs, Text: "[kernel] rootfs is ready"},
	{Stage: StageRootfs, Text: "[kernel] initramfs is ready"},
	{Stage: StageInit, Text: "[kernel] running /"}, // August: "[kernel] running /init as the init process"
	// Until then nothing was said of init: the logo's last line is the kernel's
	// last.
	{Stage: StageInit, Text: "Released under Mozilla Public License", After: true},
	{Stage: StageInit, Text: "Executing postBootCommands..."},
}

// linuxCrashes are the reports of Linux. An oops kills a process and leaves
// the kernel running; a stall may be the host's doing and decides nothing.
var linuxCrashes = []CrashPattern{
	{Kind: KindPanic, Text: "Kernel panic - not syncing", Style: StyleLinux},
	{Kind: KindPanic, Text: "PANIC: double fault", Style: StyleLinux},
	{Kind: KindPanic, Text: "Kernel panic: ", Style: StyleLinux},
	{Kind: KindPanic, Text: "PANIC: early exception ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: unable to handle ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: kernel NULL pointer dereference", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: KASAN: ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: KFENCE: ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: KMSAN: ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: stack guard page was hit", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: TASK stack guard page was hit", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: Bad page ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: Bad rss-counter state", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: spinlock ", Style: StyleLinux},
	{Kind: KindOops, Text: "BUG: scheduling while atomic", Style: StyleLinux},
	{Kind: KindOops, Text: "kernel BUG at ", Style: StyleLinux},
	{Kind: KindOops, Text: "Unable to handle kernel ", Style: StyleLinux},
	{Kind: KindOops, Text: "Internal error: ", With: "[#", Style: StyleLinux},
	{Kind: KindOops, Text: "Oops: ", With: "[#", Style: StyleLinux},
	{Kind: KindOops, Text: "Oops [#", Style: StyleLinux}, // RISC-V
	{Kind: KindOops, Text: "Kernel BUG [#", Style: StyleLinux},
	{Kind: KindOops, Text: "general protection fault", With: "[#", Style: StyleLinux},
	{Kind: KindOops, Text: "divide error: ", With: "[#", Style: StyleLinux},
	{Kind: KindOops, Text: "invalid opcode: ", With: "[#", Style: StyleLinux},
	{Kind: KindOops, Text: "stack segment: ", With: "[#", Style: StyleLinux},
	{Kind: KindOops, Text: "int3: ", With: "[#", Style: StyleLinux},
	{Kind: KindStall, Text: "watchdog: BUG: soft lockup", Style: StyleLinux},
	{Kind: KindStall, Text: "BUG: soft lockup", Style: StyleLinux},
	{Kind: KindStall, Text: "BUG: workqueue lockup", Style: StyleLinux},
	{Kind: KindStall, Text: "watchdog: Watchdog detected hard LOCKUP", Style: StyleLinux},
	{Kind: KindStall, Text: "NMI watchdog: Watchdog detected hard LOCKUP", Style: StyleLinux},
	{Kind: KindStall, Text: "rcu: INFO: rcu_", Style: StyleLinux},
	{Kind: KindStall, Text: "INFO: rcu_", With: "stall", Style: StyleLinux},
	{Kind: KindStall, Text: "INFO: task ", With: "blocked for more than", Style: StyleLinux},
	{Kind: KindWarning, Text: "WARNING: CPU: ", Style: StyleLinux},
	{Kind: KindWarning, Text: "WARNING: possible ", Style: StyleLinux},
	{Kind: KindWarning, Text: "BUG: sleeping function called from invalid context", Style: StyleLinux},
	{Kind: KindWarning, Text: "UBSAN: ", Style: StyleLinux},
}

// asterinasCrashes are the reports of Asterinas.
var asterinasCrashes = []CrashPattern{
	{Kind: KindPanic, Text: "Uncaught panic:", Style: StyleAsterinas},
	{Kind: KindPanic, Text: "Non-resettable panic!", Style: StyleAsterinas},
	{Kind: KindPanic, Text: "The panic handler panicked", Style: StyleAsterinas},
	{Kind: KindPanic, Text: "Panicked in `PanicGuard`", Style: StyleAsterinas},
	{Kind: KindPanic, Text: "Too many oops. The kernel panics.", Style: StyleAsterinas},
	{Kind: KindPanic, Text: "Heap allocation error, layout = ", Style: StyleAsterinas},
	{Kind: KindOops, Text: "Oops!", Style: StyleAsterinas},
	// With the kernel's log off a panic prints no header at all, only this.
	{Kind: KindPanic, Text: stackTrace, Style: StyleAsterinas, Whole: true},
}

const stackTrace = "Printing stack trace:"

// otherCrashes are those of kernels that have no table.
var otherCrashes = []CrashPattern{
	{Kind: KindPanic, Text: "panic: ", Early: true},
	{Kind: KindPanic, Text: "PANIC: ", Early: true},
	{Kind: KindPanic, Text: "[PANIC]", Early: true},
	{Kind: KindPanic, Text: "KERNEL PANIC", Early: true},
	{Kind: KindPanic, Text: "Kernel panic", Early: true},
	{Kind: KindPanic, Text: "kernel panic", Early: true},
	{Kind: KindPanic, Text: "panicked at ", Early: true},
	{Kind: KindPanic, Text: "!!!! X64 Exception Type", Early: true}, // UEFI firmware
	{Kind: KindPanic, Text: "!!!! Can't find image information", Early: true},
}

var linuxEnds = []EndPattern{
	{End: EndPowerOff, Text: "reboot: Power down"},
	{End: EndRestart, Text: "reboot: Restarting system"},
	{End: EndRestart, Text: "reboot: machine restart"},
	{End: EndHalt, Text: "reboot: System halted"},
	{End: EndHalt, Text: "---[ end Kernel panic"},
}

var asterinasEnds = []EndPattern{
	{End: EndHalt, Text: "Failed to power off the system because"},
	{End: EndHalt, Text: "Halting the machine..."},
}

// early makes patterns of another kernel count until init runs.
func early(patterns []CrashPattern) []CrashPattern {
	out := append([]CrashPattern(nil), patterns...)
	for i := range out {
		out[i].Early = true
	}
	return out
}

func concat[T any](lists ...[]T) []T {
	var out []T
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// Linux returns the tables of the profile "linux". Until init runs they know
// the reports of other kernels too.
func Linux() Tables {
	return Tables{
		Name:    "linux",
		Stages:  concat(firmware, linuxStages, asterinasStages),
		Crashes: concat(linuxCrashes, early(asterinasCrashes), otherCrashes),
		Ends:    linuxEnds,
		Clock:   ClockMicro,
	}
}

// Asterinas returns the tables of the profile "asterinas".
func Asterinas() Tables {
	return Tables{
		Name:    "asterinas",
		Stages:  concat(firmware, asterinasStages, linuxStages),
		Crashes: concat(asterinasCrashes, early(linuxCrashes), otherCrashes),
		Ends:    asterinasEnds,
		Clock:   ClockMilli,
	}
}
