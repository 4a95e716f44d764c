package testvm_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

// harnessVariable makes the test binary be a harness that is to be killed.
const harnessVariable = "TESTVM_HARNESS"

// TestHarness is the process that TestAKilledHarnessLeavesNothing kills.
func TestHarness(t *testing.T) {
	if os.Getenv(harnessVariable) == "" {
		return // it is no test of its own
	}
	m := linux(t, "")
	m.Kernel.Initrd = os.Getenv(harnessVariable)
	m.Budget = testvm.HostBudget()
	m.Budget.CPUs = 64
	for {
		src, err := testvm.Prepare(t.Context(), m)
		require.NoError(t, err)
		for range 3 {
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() {
					g, s, err := src.Fresh(t.Context())
					require.NoError(t, err)
					_, err = s.Run(t.Context(), testvm.Command{Run: "uname"})
					require.NoError(t, err)
					g.Stop(t.Context())
				})
			}
			all.Wait()
		}
		src.Close()
	}
}

// leftBehind lists the processes that have the folder in their environment or
// arguments, and the files in it.
func leftBehind(dir string) (left []string) {
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range pids {
		if p == "/proc/"+strconv.Itoa(os.Getpid()) {
			continue
		}
		env, _ := os.ReadFile(p + "/environ")
		args, _ := os.ReadFile(p + "/cmdline")
		if strings.Contains(string(env), dir) || strings.Contains(string(args), dir) {
			left = append(left, "process "+p+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		left = append(left, "file "+f.Name())
	}
	return left
}

func TestAKilledHarnessLeavesNothing(t *testing.T) { killed(t, 3) }

// killed ends harnesses that many times, at random moments.
func killed(t *testing.T, times int) {
	needs(t)
	image := initrd(t, prologue+shellOn("ttyS0"))
	signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}
	seen := 0
	for n := range times {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHarness$")
		// Not below dir: its own temporary folder is not what is counted.
		cmd.Env = append(os.Environ(), harnessVariable+"="+image, "TMPDIR="+dir, "GOCOVERDIR="+t.TempDir())
		require.NoError(t, cmd.Start())
		after := time.Second + time.Duration(rand.Int64N(int64(9*time.Second)))
		time.Sleep(after)
		if len(leftBehind(dir)) > 1 { // more than the harness itself
			seen++
		}
		sig := signals[n%len(signals)]
		require.NoError(t, cmd.Process.Signal(sig))
		_ = cmd.Wait()
		var left []string
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if left = withoutTests(leftBehind(dir)); len(left) == 0 {
				break
			}
		}
		assert.Empty(t, left, fmt.Sprintf("%v after %v", sig, after))
	}
	assert.NotZero(t, seen, "no machine ran when its harness was killed: this test saw nothing")
}

// withoutTests leaves out the folder that the testing package itself made.
func withoutTests(left []string) (out []string) {
	for _, l := range left {
		if !strings.HasPrefix(l, "file TestHarness") && !strings.HasPrefix(l, "file testvm") {
			out = append(out, l)
		}
	}
	return out
}
