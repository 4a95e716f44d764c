package testvm

import (
	"slices"
	"time"
)

// Profile is what a kind of kernel needs of its machine, and how it tells that
// it ended well. A Profile is a value: copy one and change it.
type Profile struct {
	// Name also selects the console's patterns: "linux" or "asterinas".
	Name string
	// Board is QEMU's machine type, CPU the model when there is KVM and CPUTCG
	// when there is not.
	Board, CPU, CPUTCG string
	// Memory of the guest in MiB, and its processors when there is KVM. Without
	// KVM there is one: see Processors.
	Memory, CPUs int
	// Params are always on the command line of a kernel booted directly.
	Params []string
	// LogParams make the kernel log warnings, for a run that is to be explained.
	LogParams []string
	// Modern leaves the legacy interface out of virtio devices. Measured: with it,
	// Asterinas does not see a disk.
	Modern bool
	// DebugExit adds the isa-debug-exit device. ExitOK is how QEMU ends after
	// a good power-off, ExitPanic after a kernel that gave up; zero for none.
	DebugExit         bool
	ExitOK, ExitPanic int
	// Boot bounds the time to the prompt, Silence the time of the boot without any
	// sign of progress, Case the time of a case that has no limit of its own, Stop
	// the time of powering off; for a machine with KVM, before scaling. What a
	// guest waits for a processor of the host does not count.
	Boot, Silence, Case, Stop time.Duration
	// PowerOff is what to type at a prompt to end the guest, the first that
	// works.
	PowerOff string
	// Reboots is how often the guest may reset itself before that counts as a
	// loop. Zero: the first reset ends the machine.
	Reboots int
}

// Linux is the profile of a stock Linux kernel, of any distribution.
var Linux = Profile{
	Name: "linux", Board: "q35", CPU: "max", CPUTCG: "max",
	Memory: 512, CPUs: 2,
	// panic: a kernel that panicked resets at once. no_timer_check: on a busy
	// host TCG is too slow for the test of the timer, and the kernel panics.
	Params:  []string{"panic=-1", "no_timer_check", "console=ttyS0"},
	Boot:    20 * time.Second,
	Silence: 2500 * time.Millisecond,
	Case:    20 * time.Second,
	Stop:    5 * time.Second,
	// -f: an init that is a shell does not answer a request. busybox called by
	// path works where its applets do not.
	PowerOff: "sync; poweroff -f || busybox poweroff -f || /sbin/poweroff -f || /bin/busybox poweroff -f || echo o >/proc/sysrq-trigger",
}

// Asterinas is the profile of Asterinas: q35, the processor model its own
// tests name, isa-debug-exit, whose value is the only sign of success it has.
// The log level's name and default changed in July 2026; both forms are given
// because each kernel ignores the other's.
var Asterinas = Profile{
	Name: "asterinas", Board: "q35", CPU: "Icelake-Server,+x2apic", CPUTCG: "Icelake-Server,+x2apic",
	Memory: 1024, CPUs: 1,
	Params:    []string{"console=hvc0", "earlycon", "loglevel=error", "ostd.log_level=error"},
	LogParams: []string{"loglevel=warn", "ostd.log_level=warn"},
	Modern:    true,
	DebugExit: true, ExitOK: 33, ExitPanic: 65,
	Boot:     20 * time.Second,
	Silence:  2500 * time.Millisecond,
	Case:     20 * time.Second,
	Stop:     5 * time.Second,
	PowerOff: Linux.PowerOff,
}

// Profiles are all there are by name.
func Profiles() []Profile { return []Profile{Linux, Asterinas} }

// LookupProfile returns the profile of that name.
func LookupProfile(name string) (Profile, bool) {
	i := slices.IndexFunc(Profiles(), func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return Profiles()[i], true
}

// Processors is how many processors a guest gets. Without KVM it is one:
// measured, Asterinas hangs at "Preparing components" with two, and for Linux
// a second one only costs time.
func (p Profile) Processors(accel Accelerator) int {
	if accel != KVM {
		return 1
	}
	return max(1, p.CPUs)
}
