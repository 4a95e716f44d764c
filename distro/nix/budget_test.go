package nix

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
)

func TestCgroupFree(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text + "\n")} }
	for _, tc := range []struct {
		name, self string
		root       fstest.MapFS
		want       uint64
		found      bool
	}{
		{"version 2: what is left of the group's own limit", "0::/user.slice/job\n", fstest.MapFS{
			"sys/fs/cgroup/user.slice/job/memory.max": file("3000"), "sys/fs/cgroup/user.slice/job/memory.current": file("1000"),
		}, 2000, true},
		{"the tightest limit of the groups above counts", "0::/pod/job\n", fstest.MapFS{
			"sys/fs/cgroup/pod/job/memory.max": file("9000"), "sys/fs/cgroup/pod/job/memory.current": file("0"),
			"sys/fs/cgroup/pod/memory.max": file("5000"), "sys/fs/cgroup/pod/memory.current": file("4500"),
		}, 500, true},
		{"max is no limit", "0::/job\n", fstest.MapFS{"sys/fs/cgroup/job/memory.max": file("max")}, 0, false},
		{"version 1", "5:cpu:/x\n4:memory:/docker/a\n", fstest.MapFS{
			"sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": file("700"), "sys/fs/cgroup/memory/docker/a/memory.usage_in_bytes": file("200"),
		}, 500, true},
		{"version 1's way to say none", "4:memory:/a\n", fstest.MapFS{"sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("9223372036854771712")}, 0, false},
		{"in a container, whose own group is the root", "0::/\n", fstest.MapFS{
			"sys/fs/cgroup/memory.max": file("1000"), "sys/fs/cgroup/memory.current": file("1500"),
		}, 0, true},
		{"no cgroup", "", fstest.MapFS{}, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			free, found := cgroupFree(tc.root, tc.self)
			assert.Equal(t, tc.found, found)
			assert.Equal(t, tc.want, free)
		})
	}
}

func TestBudget(t *testing.T) {
	assert.Equal(t, uint64(2048<<10), memAvailable("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"))
	for _, tc := range []struct {
		name     string
		budget   Budget
		parallel int
		heap     uint64
	}{
		{"room for as many as there are processors", Budget{Memory: 16 << 30, CPUs: 2}, 2, 3 << 29},
		{"memory for one", Budget{Memory: 3 << 30, CPUs: 8}, 1, 3 << 29},
		{"less than one takes: one after the other, with garbage collected early", Budget{Memory: 1 << 30, CPUs: 8}, 1, 3 << 28},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.parallel, tc.budget.Parallel())
			assert.Equal(t, tc.heap, tc.budget.Heap(tc.parallel))
		})
	}
}
