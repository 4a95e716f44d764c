package testvm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/internal/proc"
)

// Accelerator is what executes the guest's instructions.
type Accelerator string

// The accelerators.
const (
	KVM Accelerator = "kvm"
	TCG Accelerator = "tcg"
)

// Accelerated is an accelerator that was seen to work.
type Accelerated struct {
	Accelerator Accelerator `json:"accelerator"`
	// Factor is how much longer than with KVM things take: 1 for KVM, measured
	// for TCG. Times of a profile are multiplied by it.
	Factor float64 `json:"factor"`
	// Why says why it is not KVM.
	Why string `json:"why,omitempty"`
}

// scale multiplies a profile's time.
func (a Accelerated) scale(d time.Duration) time.Duration {
	if a.Factor <= 1 {
		return d
	}
	return time.Duration(float64(d) * a.Factor)
}

// ErrNoKVM is why a machine that requires KVM does not start.
var ErrNoKVM = errors.New("KVM is required and does not work here")

// probeDeadline is how long a working accelerator may take to run the probe:
// 0.3 s was measured under TCG. A /dev/kvm that exists and does not work was
// seen to spin for ever: existence proves nothing.
const probeDeadline = 2 * time.Second

// tcgProbeDeadline is generous: nothing comes after it.
const tcgProbeDeadline = 60 * time.Second

// Accelerate finds the accelerator that works on this host by running a guest
// of a few instructions. What it finds is remembered until the next boot of the host.
// With require, only KVM will do: the error wraps ErrNoKVM.
func Accelerate(ctx context.Context, qemu string, require bool) (Accelerated, error) {
	a, err := accelerate(ctx, qemu)
	if err == nil && require && a.Accelerator != KVM {
		return a, fmt.Errorf("%w: %s", ErrNoKVM, a.Why)
	}
	return a, err
}

func accelerate(ctx context.Context, qemu string) (Accelerated, error) {
	if qemu == "" {
		qemu = Machine{}.qemu()
	}
	memo := accelMemo(qemu)
	if a, ok := recallAccel(memo); ok {
		return a, nil
	}
	a := Accelerated{Accelerator: KVM, Factor: 1}
	why := kvmUsable()
	if why == nil {
		_, why = runProbe(ctx, qemu, KVM, probeDeadline, 1)
	}
	if why != nil {
		if err := ctx.Err(); err != nil {
			return Accelerated{}, fmt.Errorf("probe accelerator: %w", err)
		}
		factor, err := measureTCG(ctx, qemu)
		if err != nil {
			return Accelerated{}, fmt.Errorf("probe accelerator: neither KVM (%v) nor TCG runs a guest: %w", why, err)
		}
		a = Accelerated{Accelerator: TCG, Factor: factor, Why: why.Error()}
	}
	if text, err := json.Marshal(accelFinding{a, thisBoot(), os.Getuid()}); err == nil {
		_ = writeAtomically(memo, text) // a cache: the next one probes again
	}
	return a, nil
}

func kvmUsable() error {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open KVM: %w", err)
	}
	return f.Close()
}

// probeLoops is how often the longer probe counts.
const probeLoops = 100_000_000

// measureTCG compares a counting loop in the guest with the same loop here.
// The result is kept between 2 and 8: a busy host can make either loop look
// slow, and a hang must still be told within a minute.
func measureTCG(ctx context.Context, qemu string) (float64, error) {
	short, err := runProbe(ctx, qemu, TCG, tcgProbeDeadline, 1)
	if err != nil {
		return 0, err
	}
	long, err := runProbe(ctx, qemu, TCG, tcgProbeDeadline, probeLoops)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	runtime.KeepAlive(spin(probeLoops))
	native := time.Since(start)
	return min(max(float64(long-short)/float64(native), 2), 8), nil
}

func spin(n uint32) (sum uint32) {
	for ; n != 0; n-- {
		sum ^= n
	}
	return sum
}

// probeImage is a multiboot kernel that counts down from loops and writes 0x10
// to isa-debug-exit.
func probeImage(loops uint32) []byte {
	const base = 0x100000
	code := []byte{0xb9, 0, 0, 0, 0, // mov ecx, loops
		0x49, 0x75, 0xfd, // dec ecx; jnz back
		0x66, 0xba, 0xf4, 0x00, // mov dx, 0xf4
		0xb0, 0x10, 0xee, // mov al, 0x10; out dx, al
		0xfa, 0xf4, 0xeb, 0xfc} // cli; hlt; jmp back
	binary.LittleEndian.PutUint32(code[1:], loops)
	const magic, flags, header uint32 = 0x1badb002, 0x10000, 32
	size := header + uint32(len(code))
	var image []byte
	for _, word := range []uint32{
		magic, flags, 1<<32 - 1 - (magic + flags) + 1,
		base, base, base + size, base + size, base + header, // header, load start and end, end of bss, entry
	} {
		image = binary.LittleEndian.AppendUint32(image, word)
	}
	return append(image, code...)
}

// runProbe runs the probe and returns how long that took.
func runProbe(ctx context.Context, qemu string, accel Accelerator, deadline time.Duration, loops uint32) (time.Duration, error) {
	image, err := anonymousFile("probe", probeImage(loops))
	if err != nil {
		return 0, err
	}
	defer image.Close()
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	cmd := &proc.Cmd{
		Path: qemu,
		Args: []string{"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-m", "16",
			"-accel", string(accel), "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-no-reboot", "-kernel", "/dev/fd/3"},
		ExtraFiles: []*os.File{image},
		Grace:      -1,
	}
	start := time.Now()
	err = cmd.Run(limited)
	took := time.Since(start)
	var failed *proc.Error
	switch {
	case errors.As(err, &failed) && failed.Exit == 33:
		return took, nil
	case err == nil:
		return 0, fmt.Errorf("%s ended a probe with exit status 0 instead of 33", accel)
	case limited.Err() != nil && ctx.Err() == nil:
		return 0, fmt.Errorf("%s did not run a guest of ten instructions within %v", accel, deadline)
	case failed != nil && errors.Is(failed.Err, os.ErrNotExist), failed != nil && strings.Contains(failed.Error(), "executable file not found"):
		return 0, &LaunchError{What: "QEMU is missing", Mend: "install " + qemu + " (Debian: apt-get install qemu-system-x86)", Err: err}
	default:
		return 0, fmt.Errorf("%s does not run a guest: %w", accel, err)
	}
}

// accelFinding is a finding and what it was found on.
type accelFinding struct {
	Accelerated
	Boot string `json:"boot"`
	User int    `json:"user"`
}

func accelMemo(qemu string) string {
	return filepath.Join(cacheDir(), "accelerator-"+filepath.Base(qemu)+".json")
}

// thisBoot tells one boot of the host from another.
func thisBoot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // none: the same for ever
	return strings.TrimSpace(string(id))
}

func recallAccel(path string) (Accelerated, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Accelerated{}, false
	}
	var f accelFinding
	ok := json.Unmarshal(text, &f) == nil && f.Boot == thisBoot() && f.User == os.Getuid() &&
		f.Factor >= 1 && (f.Accelerator == KVM || f.Accelerator == TCG)
	return f.Accelerated, ok
}

// cacheDir is the project's cache folder.
func cacheDir() string {
	if dir := os.Getenv("ASTERBOT_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "asterbot")
}

func writeAtomically(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// anonymousFile is a file in memory that no name leads to.
func anonymousFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create anonymous file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("write anonymous file: %w", err)
	}
	return f, nil
}
