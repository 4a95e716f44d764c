package nix

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Budget is what evaluations may use of this machine.
type Budget struct {
	// Memory is what is free, in bytes: of the machine and of this process's
	// cgroup.
	Memory uint64
	// CPUs is how many processors there are.
	CPUs int
}

// perEvaluator is what an evaluation of a large package set takes, with room to
// spare, in bytes. (Measured: 0.7 GiB for 1,500 attributes.)
const perEvaluator = 2 << 30

// MachineBudget reads what is free.
func MachineBudget() Budget {
	b := Budget{CPUs: runtime.GOMAXPROCS(0)}
	b.Memory = memAvailable(readText("/proc/meminfo"))
	if free, ok := cgroupFree(os.DirFS("/").(interface{ ReadFile(string) ([]byte, error) }), readText("/proc/self/cgroup")); ok {
		b.Memory = min(b.Memory, free)
	}
	return b
}

// Parallel is how many evaluators may run at once.
func (b Budget) Parallel() int {
	return max(1, min(b.CPUs, int(b.Memory/perEvaluator)))
}

// Heap is how much each of so many evaluators may fill before it looks for
// garbage: most of its share.
func (b Budget) Heap(evaluators int) uint64 {
	return min(perEvaluator, b.Memory/uint64(max(1, evaluators))) * 3 / 4
}

func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// memAvailable reads /proc/meminfo.
func memAvailable(meminfo string) uint64 {
	_, rest, ok := strings.Cut(meminfo, "MemAvailable:")
	if !ok {
		return perEvaluator
	}
	kib, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		return perEvaluator
	}
	return kib << 10
}

// cgroupFree is what is left of the tightest memory limit of a process's cgroup, of
// version 2 or 1, and those above it.
func cgroupFree(root interface{ ReadFile(string) ([]byte, error) }, self string) (uint64, bool) {
	number := func(p string) (uint64, bool) {
		text, err := root.ReadFile(strings.TrimPrefix(p, "/"))
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		return n, err == nil // "max" is no number
	}
	var free uint64
	var found bool
	for line := range strings.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, limit, usage := "/sys/fs/cgroup", "memory.max", "memory.current"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(parts[1], "memory"):
			mount, limit, usage = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
		default:
			continue
		}
		for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
			if most, ok := number(filepath.Join(mount, dir, limit)); ok && most < 1<<60 {
				used, _ := number(filepath.Join(mount, dir, usage))
				left := uint64(0)
				if used < most {
					left = most - used
				}
				if !found || left < free {
					free, found = left, true
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return free, found
}
