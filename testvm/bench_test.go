package testvm_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

// median of a few: the machines that run benchmarks are shared.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// wide is a budget that does not hold back: for machines that are measured
// together.
func wide() *testvm.Budget {
	b := testvm.HostBudget()
	b.CPUs = 64
	return b
}

// BenchmarkOverhead runs guests that end by themselves, by hand and through the
// harness, in turns: Linux, which boots and powers off, and a kernel of a few
// instructions, which shows the fixed part alone. The processor time counts QEMU
// and whatever else was started; it says most where others use the host too.
func BenchmarkOverhead(b *testing.B) {
	boot := linux(b, prologue+"poweroff -f\n")
	boot.Kernel.Params = []string{"quiet"}
	image := filepath.Join(b.TempDir(), "kernel.elf")
	require.NoError(b, os.WriteFile(image, multibootELF("hello\r\n"), 0o644))
	short := testvm.Machine{Profile: testvm.Asterinas, Kernel: &testvm.Kernel{Image: image}, Budget: wide()}
	accel, err := testvm.Accelerate(b.Context(), "", false)
	require.NoError(b, err)
	compare := func(m testvm.Machine, pairs int, name string) {
		m.Accel = accel
		byHand := m.Command()
		var hand, harness, differ, handCPU, harnessCPU []time.Duration
		for n := range 2 * pairs {
			cpu, began := allProcessorTime(), time.Now()
			if n%2 == 0 {
				_ = exec.Command(byHand[0], byHand[1:]...).Run() // 33 is success too
				hand = append(hand, time.Since(began))
				handCPU = append(handCPU, allProcessorTime()-cpu)
				continue
			}
			g, err := m.Start(b.Context())
			require.NoError(b, err)
			e := g.Wait()
			harness = append(harness, time.Since(began))
			harnessCPU = append(harnessCPU, allProcessorTime()-cpu)
			require.Equal(b, testvm.OK, e.Outcome, "%v", e)
			differ = append(differ, harness[len(harness)-1]-hand[len(hand)-1])
		}
		b.ReportMetric(median(hand).Seconds(), "s/"+name+"-by-hand")
		b.ReportMetric(median(harness).Seconds(), "s/"+name+"-harness")
		b.ReportMetric(float64(median(differ).Milliseconds()), "ms-"+name+"-overhead")
		b.ReportMetric(100*(median(harnessCPU).Seconds()/median(handCPU).Seconds()-1), "%-"+name+"-cpu-overhead")
	}
	for b.Loop() {
		compare(short, 30, "short")
		compare(boot, 9, "boot")
	}
}

// allProcessorTime is what this process and its children that ended have used.
func allProcessorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u)
	return processorTime() + time.Duration(u.Utime.Nano()+u.Stime.Nano())
}

// oneCommand runs one command on a fresh guest and has it power off.
func oneCommand(b *testing.B, g *testvm.Guest, s *testvm.Session, err error) {
	require.NoError(b, err)
	r, err := s.Run(b.Context(), testvm.Command{Run: "uname -r"})
	require.NoError(b, err)
	require.Contains(b, string(r.Output), ".")
	e := g.Kill()
	require.Equal(b, testvm.OK, e.Outcome, "%v", e)
}

// BenchmarkFresh runs 20 cases of one command, each on a fresh machine: cold
// one after another, cold in parallel, forked in parallel.
func BenchmarkFresh(b *testing.B) {
	m := linux(b, prologue+shellOn("ttyS0"))
	m.Budget = nil // as many at a time as there are processors
	const cases = 20
	cold := func() {
		g, err := m.Start(b.Context())
		require.NoError(b, err)
		s, err := g.Session(b.Context())
		oneCommand(b, g, s, err)
	}
	for b.Loop() {
		began := time.Now()
		for range cases {
			cold()
		}
		sequential := time.Since(began)

		began = time.Now()
		var all sync.WaitGroup
		for range cases {
			all.Go(cold)
		}
		all.Wait()
		parallel := time.Since(began)

		began = time.Now()
		src, err := testvm.Prepare(b.Context(), m)
		require.NoError(b, err)
		prepared := time.Since(began)
		require.Equal(b, testvm.Fork, src.Method(), "%v", src.Notes)
		began = time.Now()
		for range cases {
			all.Go(func() {
				g, s, err := src.Fresh(b.Context())
				oneCommand(b, g, s, err)
			})
		}
		all.Wait()
		forked := time.Since(began)
		began = time.Now()
		g, s, err := src.Fresh(b.Context())
		oneCommand(b, g, s, err)
		one := time.Since(began)
		src.Close()
		b.ReportMetric(sequential.Seconds(), "s/cold-sequential")
		b.ReportMetric(parallel.Seconds(), "s/cold-parallel")
		b.ReportMetric(prepared.Seconds(), "s/prepare")
		b.ReportMetric(forked.Seconds(), "s/forked")
		b.ReportMetric(one.Seconds(), "s/one-fork")
		b.ReportMetric(sequential.Seconds()/forked.Seconds(), "x-faster-than-sequential")
		b.ReportMetric(parallel.Seconds()/forked.Seconds(), "x-faster-than-parallel")
	}
}

// pss is the proportional share of memory of a process, in MiB.
func pss(b *testing.B, pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	require.NoError(b, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "Pss:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(b, err)
			return float64(kib) / 1024
		}
	}
	b.Fatal("no Pss")
	return 0
}

// holdVariable makes the test binary be a harness that holds machines at their
// prompts, so that it is measured without what the tests themselves need.
const holdVariable = "TESTVM_HOLD"

// machinesHeld is how many.
const machinesHeld = 8

// TestHold is the process that BenchmarkMemory measures.
func TestHold(t *testing.T) {
	image := os.Getenv(holdVariable)
	if image == "" {
		return // it is no test of its own
	}
	m := testvm.Machine{Profile: testvm.Linux, Budget: wide(), Kernel: &testvm.Kernel{Image: filepath.Join(kernelDir(), "vmlinuz"), Initrd: image}}
	fresh := func() (*testvm.Guest, *testvm.Session, error) {
		g, err := m.Start(t.Context())
		require.NoError(t, err)
		s, err := g.Session(t.Context())
		return g, s, err
	}
	if os.Getenv(holdVariable+"_FORK") != "" {
		src, err := testvm.Prepare(t.Context(), m)
		require.NoError(t, err)
		defer src.Close()
		fresh = func() (*testvm.Guest, *testvm.Session, error) { return src.Fresh(t.Context()) }
	}
	guests := make([]*testvm.Guest, machinesHeld)
	var all sync.WaitGroup
	for n := range guests {
		all.Go(func() {
			g, s, err := fresh()
			require.NoError(t, err)
			_, err = s.Run(t.Context(), testvm.Command{Run: "uname -r"})
			require.NoError(t, err)
			guests[n] = g
		})
	}
	all.Wait()
	before := processorTime()
	const idle = 5 * time.Second
	time.Sleep(idle)
	fmt.Printf("held %f", 100*(processorTime()-before).Seconds()/idle.Seconds())
	for _, g := range guests {
		fmt.Printf(" %d", g.Pid())
	}
	fmt.Println()
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it was measured
	for _, g := range guests {
		g.Kill()
	}
}

// BenchmarkMemory holds 8 cold machines at their prompts, then 8 forks, and
// measures them and the harness that waits for them.
func BenchmarkMemory(b *testing.B) {
	needs(b)
	image := initrd(b, prologue+shellOn("ttyS0"))
	hold := func(env ...string) (machines, harness, cpu float64) {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHold$")
		cmd.Env = append(os.Environ(), append(env, holdVariable+"="+image)...)
		in, err := cmd.StdinPipe()
		require.NoError(b, err)
		out, err := cmd.StdoutPipe()
		require.NoError(b, err)
		require.NoError(b, cmd.Start())
		for lines := bufio.NewScanner(out); lines.Scan(); {
			words := strings.Fields(lines.Text())
			if len(words) < 2 || words[0] != "held" {
				continue
			}
			cpu, err = strconv.ParseFloat(words[1], 64)
			require.NoError(b, err)
			for _, w := range words[2:] {
				pid, err := strconv.Atoi(w)
				require.NoError(b, err)
				machines += pss(b, pid)
			}
			harness = pss(b, cmd.Process.Pid)
			break
		}
		require.NoError(b, in.Close())
		require.NoError(b, cmd.Wait())
		require.NotZero(b, machines)
		return machines, harness, cpu
	}
	for b.Loop() {
		cold, harness, cpu := hold()
		forks, forking, _ := hold(holdVariable + "_FORK=1")
		b.ReportMetric(cold, "MiB-8-cold")
		b.ReportMetric(forks, "MiB-8-forks")
		b.ReportMetric(100*forks/cold, "%-of-cold")
		b.ReportMetric(cpu, "%-core-waiting")
		b.ReportMetric(max(harness, forking), "MiB-harness")
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBesideVirtmeNG boots the same kernel and runs one command with
// virtme-ng (PyPI), cold and from a fork. The kernel, VIRTME_KERNEL, has to have 9p, and
// its modules below /lib/modules: Debian's generic one, not that of the cloud.
func BenchmarkBesideVirtmeNG(b *testing.B) {
	m := linux(b, prologue+shellOn("ttyS0"))
	vng, err := exec.LookPath("vng")
	if err != nil {
		b.Skip("needs virtme-ng: pip install virtme-ng")
	}
	m.Kernel.Image = os.Getenv("VIRTME_KERNEL")
	if m.Kernel.Image == "" {
		b.Skip("needs VIRTME_KERNEL, a kernel with 9p: Debian's package linux-image-amd64")
	}
	for b.Loop() {
		began := time.Now()
		// Where there is no udev its ports for scripts have no names, and a command's
		// output is seen only with --verbose.
		cmd := exec.Command(vng, "--disable-kvm", "--force-9p", "--verbose", "--run", m.Kernel.Image, "--", "uname", "-r")
		out, _ := cmd.CombinedOutput()
		require.Contains(b, string(out), "exited with code 0", "the command has run")
		theirs := time.Since(began)

		began = time.Now()
		g, err := m.Start(b.Context())
		require.NoError(b, err)
		s, err := g.Session(b.Context())
		oneCommand(b, g, s, err)
		cold := time.Since(began)
		src, err := testvm.Prepare(b.Context(), m)
		require.NoError(b, err)
		began = time.Now()
		g, s, err = src.Fresh(b.Context())
		oneCommand(b, g, s, err)
		fork := time.Since(began)
		src.Close()
		b.ReportMetric(theirs.Seconds(), "s/virtme-ng")
		b.ReportMetric(cold.Seconds(), "s/cold")
		b.ReportMetric(fork.Seconds(), "s/fork")
		b.ReportMetric(theirs.Seconds()/cold.Seconds(), "x-faster-cold")
		b.ReportMetric(theirs.Seconds()/fork.Seconds(), "x-faster-fork")
	}
}
