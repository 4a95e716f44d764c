package proc_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/proc"
)

func sh(script string) *proc.Cmd { return &proc.Cmd{Path: "/bin/sh", Args: []string{"-c", script}} }

func TestOutputIsWhatTheChildWrote(t *testing.T) {
	out, err := sh("echo hello; echo noise >&2").Output(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "hello\n", string(out))
}

func TestAFailureSaysWhatWasRunAndWhatItSaid(t *testing.T) {
	var e *proc.Error
	err := sh("echo it broke >&2; exit 3").Run(t.Context())
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 3, e.Exit)
	assert.Equal(t, "run /bin/sh: exit status 3: it broke", err.Error())
	var exit *exec.ExitError
	assert.ErrorAs(t, err, &exit)

	err = sh("kill -9 $$").Run(t.Context())
	require.ErrorAs(t, err, &e)
	assert.Equal(t, syscall.SIGKILL, e.Signal)
	assert.Equal(t, "run /bin/sh: killed by SIGKILL", err.Error())

	err = (&proc.Cmd{Path: "/nonexistent"}).Run(t.Context())
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheTailIsBounded(t *testing.T) {
	var e *proc.Error
	err := sh("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1").Run(t.Context())
	require.ErrorAs(t, err, &e)
	assert.LessOrEqual(t, len(e.Tail), 8<<10)
	assert.True(t, strings.HasSuffix(e.Tail, "end\n"))
}

func TestBothStreamsMayGoToOneWriter(t *testing.T) {
	var out bytes.Buffer
	c := sh("for i in 1 2 3 4 5 6 7 8 9; do echo out; echo err >&2; done")
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Run(t.Context()))
	assert.Len(t, out.String(), 9*8)
}

func TestTheEnvironmentIsEmptyUnlessGiven(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "secret")
	out, err := sh("env").Output(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, string(out), "secret")
}

func TestCancelEndsTheWholeGroupEvenIfItIgnoresSIGTERM(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pids := filepath.Join(t.TempDir(), "pids")
	c := sh("trap '' TERM; sleep 1000 & echo $! >" + pids + "; echo $$ >>" + pids + "; wait")
	c.Grace = 50 * time.Millisecond
	require.NoError(t, c.Start(ctx))
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(pids)
		return bytes.Count(b, []byte("\n")) == 2
	}, 5*time.Second, time.Millisecond)
	cancel()
	err := c.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Contains(t, err.Error(), "cancelled")
	assertGone(t, pids)
}

func TestWhatAChildLeavesInItsGroupIsKilled(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	require.NoError(t, sh("sleep 1000 >/dev/null 2>&1 & echo $! >"+pids).Run(t.Context()))
	assertGone(t, pids)
}

func TestMemoryIsBounded(t *testing.T) {
	c := sh("sleep 0.1; head -c 400000000 /dev/zero | tail -c 300000000 | wc -c")
	c.MemoryBytes = 64 << 20
	out, _ := c.Output(t.Context())
	assert.NotEqual(t, "300000000", strings.TrimSpace(string(out)))
}

// TestAKilledParentLeavesNoChild runs this test binary as a parent and kills it.
func TestAKilledParentLeavesNoChild(t *testing.T) {
	if os.Getenv("PROC_TEST_PARENT") != "" {
		c := sh("echo $$; exec sleep 1000")
		c.Stdout = os.Stdout
		_ = c.Run(context.Background())
		return
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestAKilledParentLeavesNoChild$")
	parent.Env = append(os.Environ(), "PROC_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	pids := filepath.Join(t.TempDir(), "pids")
	require.NoError(t, os.WriteFile(pids, []byte(line), 0o600))
	assertGone(t, pids)
}

func assertGone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		require.NoError(t, err)
		assert.Eventually(t, func() bool {
			stat, err := os.ReadFile("/proc/" + f + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		}, 5*time.Second, time.Millisecond, "process %d is still there", pid)
	}
}
