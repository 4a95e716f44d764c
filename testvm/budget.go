package testvm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Budget is memory and processors that machines share, within this process and
// with others of the same user on the same host.
//
// It is a file in which each byte stands for a share: who holds a byte's lock
// holds the share. The kernel releases the locks of a process that dies, so
// there is nothing to clean up and nothing that can be stale.
type Budget struct {
	// MemoryMiB and CPUs are the whole of it.
	MemoryMiB, CPUs int

	path string
	mu   sync.Mutex
	free chan struct{} // closed and replaced when something is given back
}

// shareMiB is the memory one byte stands for.
const shareMiB = 64

// cpuOffset is where the processors' bytes begin.
const cpuOffset = 1 << 20

// overheadMiB is what QEMU itself needs beside the guest's memory: 60 to 120
// were measured, with firmware and translated code.
const overheadMiB = 128

// HostBudget is what this host, and the control group this process is in,
// leave for machines: nine tenths of the memory available now, and every
// processor; two where there is one, so that a guest may rest at its prompt while
// another one runs.
func HostBudget() *Budget {
	available := availableMemory()
	return &Budget{MemoryMiB: available / 10 * 9, CPUs: max(2, availableCPUs()), path: budgetPath()}
}

// budgetPath is the same for all processes of a user, whatever their TMPDIR.
func budgetPath() string { return filepath.Join(cacheDir(), "budget.lock") }

var hostBudget = sync.OnceValue(HostBudget)

// Reservation is a part of a budget that is held until it is released.
type Reservation struct {
	budget *Budget
	locks  *os.File
}

// ErrTooBig is why a machine can never start within a budget.
var ErrTooBig = errors.New("machine is bigger than the budget")

// Reserve waits until that much is free, and takes it. More processors than
// there are count as all of them; more memory than there is wraps ErrTooBig.
func (b *Budget) Reserve(ctx context.Context, memoryMiB, cpus int) (*Reservation, error) {
	shares := (memoryMiB + shareMiB - 1) / shareMiB
	if all := b.MemoryMiB / shareMiB; shares > all {
		return nil, fmt.Errorf("reserve %d MiB of %d: %w", memoryMiB, b.MemoryMiB, ErrTooBig)
	}
	cpus = min(cpus, b.CPUs)
	for {
		b.mu.Lock()
		if b.free == nil {
			b.free = make(chan struct{})
		}
		free := b.free
		r, err := b.try(shares, cpus)
		b.mu.Unlock()
		if r != nil || err != nil {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d MiB and %d processors: %w", memoryMiB, cpus, ctx.Err())
		case <-free:
		case <-time.After(200 * time.Millisecond): // another process may have given something back
		}
	}
}

// try takes everything or nothing.
func (b *Budget) try(shares, cpus int) (*Reservation, error) {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o755); err != nil {
		return nil, fmt.Errorf("open budget: %w", err)
	}
	// One open file for each reservation: the locks belong to it.
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open budget: %w", err)
	}
	if lockSome(f, 0, b.MemoryMiB/shareMiB, shares) && lockSome(f, cpuOffset, b.CPUs, cpus) {
		return &Reservation{b, f}, nil
	}
	f.Close()
	return nil, nil
}

// lockSome locks want of the n bytes from offset.
func lockSome(f *os.File, offset int64, n, want int) bool {
	for i := 0; i < n && want > 0; i++ {
		l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: offset + int64(i), Len: 1}
		if unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l) == nil {
			want--
		}
	}
	return want == 0
}

// Release gives a reservation back. Doing it twice changes nothing.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	b := r.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	r.locks.Close()
	if b.free != nil {
		close(b.free)
		b.free = nil
	}
}

// availableMemory is what the host has available and the control group's
// limit leaves, in MiB.
func availableMemory() int {
	available := int64(math.MaxInt64)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		available = memAvailable(string(text))
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for _, dir := range cgroupDirs(string(groups), "memory") {
		for _, names := range [][2]string{{"memory.max", "memory.current"}, {"memory.limit_in_bytes", "memory.usage_in_bytes"}} {
			limit, ok := readInt(filepath.Join(dir, names[0]))
			if !ok {
				continue
			}
			used, _ := readInt(filepath.Join(dir, names[1]))
			// What the group uses counts the page cache, which gives way.
			used -= inactiveFile(dir)
			available = min(available, max(limit-max(used, 0), 0))
		}
	}
	return int(available >> 20)
}

func memAvailable(meminfo string) int64 {
	for line := range strings.Lines(meminfo) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return math.MaxInt64
}

// cgroupDirs are the folders of a process's control group and all above it,
// for version 2 and for one controller of version 1.
func cgroupDirs(groups, controller string) []string {
	var dirs []string
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		root := ""
		switch {
		case f[0] == "0":
			root = "/sys/fs/cgroup"
		case contains(f[1], controller):
			root = "/sys/fs/cgroup/" + controller
		default:
			continue
		}
		for path := filepath.Clean("/" + f[2]); ; path = filepath.Dir(path) {
			dirs = append(dirs, filepath.Join(root, path))
			if path == "/" {
				break
			}
		}
	}
	return dirs
}

func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

func inactiveFile(dir string) int64 {
	text, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		for _, name := range []string{"inactive_file ", "total_inactive_file "} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
				return n
			}
		}
	}
	return 0
}

// readInt reads a number; "max" and version 1's huge "no limit" are none.
func readInt(path string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n < 1<<60
}

// availableCPUs are the processors this process may use: its affinity, and the
// control group's quota.
func availableCPUs() int {
	cpus := runtime.NumCPU()
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for _, dir := range cgroupDirs(string(groups), "cpu") {
		if text, err := os.ReadFile(filepath.Join(dir, "cpu.max")); err == nil {
			var quota, period float64
			if n, _ := fmt.Sscan(string(text), &quota, &period); n == 2 && period > 0 {
				cpus = min(cpus, int(math.Ceil(quota/period)))
			}
		}
		quota, ok1 := readInt(filepath.Join(dir, "cpu.cfs_quota_us"))
		period, ok2 := readInt(filepath.Join(dir, "cpu.cfs_period_us"))
		if ok1 && ok2 && quota > 0 && period > 0 {
			cpus = min(cpus, int((quota+period-1)/period))
		}
	}
	return max(cpus, 1)
}

// hostWait is how long a process, in the thread that waited longest, has been
// ready to run while the host ran others: 0 where the kernel does not tell.
func hostWait(pid int) time.Duration {
	var longest time.Duration
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, t := range threads {
		text, _ := os.ReadFile(t) // a thread may have ended
		var ran, waited time.Duration
		if n, _ := fmt.Sscan(string(text), &ran, &waited); n == 2 {
			longest = max(longest, waited)
		}
	}
	return longest
}
