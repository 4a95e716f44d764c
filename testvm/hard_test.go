package testvm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

// The hard cases of running kernels that cannot be trusted, each with a real
// guest.

// ended runs a command that the guest does not survive.
func ended(t *testing.T, m testvm.Machine, c testvm.Command) (testvm.Result, testvm.Ending) {
	t.Helper()
	g, s := session(t, m)
	r, err := s.Run(t.Context(), c)
	require.ErrorIs(t, err, testvm.ErrGuestEnded)
	return r, g.Wait()
}

func TestAPanicMidTestHasItsTitleItsTraceAndTheOutputUpToIt(t *testing.T) {
	t.Parallel()
	r, e := ended(t, linux(t, prologue+shellOn("ttyS0")), testvm.Command{Run: "echo before; sleep 0.2; echo c >/proc/sysrq-trigger"})
	assert.Equal(t, testvm.Panic, e.Outcome, "%v", e)
	assert.Contains(t, e.Title, "sysrq triggered crash")
	assert.NotEmpty(t, e.Trace)
	assert.Contains(t, string(r.Output), "before\n")
}

func TestAPanicHeaderFollowedBySilenceIsStillAPanic(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+shellOn("ttyS0"))
	m.Kernel.Params = []string{"panic=0"} // it spins for ever after its report
	_, e := ended(t, m, testvm.Command{Run: "echo c >/proc/sysrq-trigger", Timeout: time.Minute})
	assert.Equal(t, testvm.Panic, e.Outcome, "%v", e)
	assert.Equal(t, -1, e.Exit)
	assert.Less(t, e.Duration, 50*time.Second, "it need not wait for the deadline")
	require.NotEmpty(t, e.Evidence)
	assert.Contains(t, e.Evidence[1].Text, "RIP=")
}

func TestAResetIsNotSuccessThoughQEMUExitsWithZero(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, run string }{
		{"reboot", "reboot -f"},
		{"reset without a word", "echo b >/proc/sysrq-trigger"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, e := ended(t, linux(t, prologue+shellOn("ttyS0")), testvm.Command{Run: tc.run})
			assert.Equal(t, testvm.Reboot, e.Outcome, "%v", e)
			assert.Zero(t, e.Exit)
		})
	}
}

func TestARebootLoopIsEnded(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+"reboot -f\n")
	m.Profile.Reboots = 1
	e := start(t, m).Wait()
	assert.Equal(t, testvm.Reboot, e.Outcome, "%v", e)
	assert.Equal(t, "reboot loop", e.Title)
}

func TestASilentBootIsAHangWithEvidence(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+"exec sleep 10000\n")
	m.Profile.Silence = 2 * time.Second
	e := start(t, m).Wait()
	assert.Equal(t, testvm.Hang, e.Outcome, "%v", e)
	var names []string
	for _, v := range e.Evidence {
		names = append(names, v.Name)
	}
	assert.Equal(t, []string{"query-status", "registers", "registers, 0.2 s later"}, names)
	assert.NotEmpty(t, e.Screenshot)
	assert.Equal(t, "init", string(e.Stage), "%v", e.Stages)
}

func TestACommandThatSaysNothingHangsAndOneThatTalksTimesOut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, run string
		want      testvm.Outcome
	}{
		{"silent", "sleep 1000", testvm.Hang},
		{"talking", "while :; do echo on and on; sleep 0.1; done", testvm.Timeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, e := ended(t, linux(t, prologue+shellOn("ttyS0")), testvm.Command{Name: tc.name, Run: tc.run, Timeout: time.Second})
			assert.Equal(t, tc.want, e.Outcome, "%v", e)
			assert.Contains(t, e.Title, "case "+tc.name)
		})
	}
}

func TestAFloodIsKeptWithinBoundsAndSeenWhole(t *testing.T) {
	t.Parallel()
	flood(t, 24<<20)
}

// flood has a guest write that much to its console, to a reader that is slow.
func flood(t *testing.T, size int64) {
	m := linux(t, prologue+shellOn("hvc0"))
	m.Kernel.Params = []string{"console=ttyS0", "quiet"}
	m.ConsoleBytes = 1 << 20
	var seen, reads atomic.Int64
	m.Watch = func(name string, p []byte) {
		if name == "hvc0" {
			seen.Add(int64(len(p)))
			if reads.Add(1)%100 == 0 {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	g, s := session(t, m)
	run := fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x >/dev/hvc0", size)
	r, err := s.Run(t.Context(), testvm.Command{Run: run, Timeout: time.Minute + time.Duration(size/1e6)*time.Second})
	require.NoError(t, err)
	t.Logf("%d MB in %v", size/1e6, r.Duration)
	e := g.Stop(t.Context())
	assert.Equal(t, testvm.OK, e.Outcome, "%v", e)
	tape := g.Console("hvc0")
	assert.GreaterOrEqual(t, tape.Total(), size)
	assert.Equal(t, tape.Total(), seen.Load(), "the reader saw every byte")
	kept := tape.Bytes()
	assert.Less(t, len(kept), 3<<20)
	assert.Contains(t, string(kept), "bytes dropped ...]")
}

func TestQEMUKilledFromOutsideIsOurFailure(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	time.AfterFunc(300*time.Millisecond, func() { exec.Command("kill", "-9", pidOf(g)).Run() })
	_, err := s.Run(t.Context(), testvm.Command{Run: "sleep 1000"})
	require.ErrorIs(t, err, testvm.ErrGuestEnded)
	e := g.Wait()
	assert.Equal(t, testvm.Infra, e.Outcome, "%v", e)
	var x any
	assert.Error(t, g.QMP.Do(t.Context(), "query-status", nil, &x), "QMP is closed")
}

func TestAFullDiskOfTheHostIsOurFailure(t *testing.T) {
	needs(t)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=280m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %s", out)
	}
	defer exec.Command("umount", "-l", dir).Run()
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(disk, nil, 0o644))
	require.NoError(t, os.Truncate(disk, 1<<30))
	m := linux(t, prologue+shellOn("ttyS0"))
	t.Setenv("TMPDIR", dir)
	m.Disks = []testvm.Disk{{File: testvm.File{Path: disk}}}
	_, e := ended(t, m, testvm.Command{Run: "dd if=/dev/zero of=/dev/vda bs=1M", Timeout: time.Minute})
	assert.Equal(t, testvm.Infra, e.Outcome, "%v", e)
	assert.Contains(t, e.Reason, "disk is full")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "big"), bytes.Repeat([]byte("x"), 100<<20), 0o644))
	_, err := m.Start(t.Context())
	require.ErrorContains(t, err, "disk is full")
}

func TestAClockThatJumpsChangesNothing(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	r, err := s.Run(t.Context(), testvm.Command{Run: "date -s @1000000000 >/dev/null; date +%Y; date -s @4000000000 >/dev/null; date +%Y"})
	require.NoError(t, err)
	assert.Equal(t, "2001\n2096\n", string(r.Output))
	assert.Less(t, r.Duration, 30*time.Second)
	assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
}

func TestWhatCannotStartIsSaidBeforeItIsCalledABootFailure(t *testing.T) {
	good := linux(t, prologue)
	unreadable := filepath.Join(t.TempDir(), "garbage")
	require.NoError(t, os.WriteFile(unreadable, []byte("this is no kernel"), 0o644))
	for _, tc := range []struct {
		name   string
		change func(m *testvm.Machine)
		says   string
	}{
		{"QEMU is missing", func(m *testvm.Machine) { m.QEMU = "qemu-system-nowhere" }, "install"},
		{"the kernel is missing", func(m *testvm.Machine) { m.Kernel = &testvm.Kernel{Image: "/nowhere"} }, "kernel is not readable"},
		{"the kernel is a folder", func(m *testvm.Machine) { m.Kernel = &testvm.Kernel{Image: t.TempDir()} }, "kernel is a folder"},
		{"the kernel is no kernel", func(m *testvm.Machine) { m.Kernel = &testvm.Kernel{Image: unreadable} }, "neither a bzImage nor a multiboot"},
		{"there is nothing to boot", func(m *testvm.Machine) { m.Kernel = nil }, "nothing to boot"},
		{"a disk is missing", func(m *testvm.Machine) { m.Disks = []testvm.Disk{{File: testvm.File{Path: "/nowhere"}}} }, "disk is not readable"},
		{"QEMU does not know an argument", func(m *testvm.Machine) { m.Extra = []string{"-frobnicate"} }, "frobnicate"},
		{"QEMU does not know the board", func(m *testvm.Machine) { m.Profile.Board = "c64" }, "unsupported machine type"},
		{"the guest is bigger than the host", func(m *testvm.Machine) { m.Memory = 1 << 24 }, "not enough memory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := good
			tc.change(&m)
			_, err := m.Start(t.Context())
			var launch *testvm.LaunchError
			require.ErrorAs(t, err, &launch)
			assert.Contains(t, err.Error(), tc.says)
		})
	}
}

func TestKVMRequiredAndNotThereFailsFast(t *testing.T) {
	needs(t)
	a, err := testvm.Accelerate(t.Context(), "", false)
	require.NoError(t, err)
	if a.Accelerator == testvm.KVM {
		t.Skip("needs a host without KVM")
	}
	assert.NotEmpty(t, a.Why)
	t.Logf("%+v", a)
	_, err = testvm.Accelerate(t.Context(), "", true)
	assert.ErrorIs(t, err, testvm.ErrNoKVM)
}

func TestAnInitThatEndsIsAPanic(t *testing.T) {
	t.Parallel()
	e := start(t, linux(t, prologue+"exit 0\n")).Wait()
	assert.Equal(t, testvm.Panic, e.Outcome, "%v", e)
	assert.Contains(t, e.Title, "Attempted to kill init")
}

func TestAPanicAfterTheLastResultIsNoSuccess(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+shellOn("ttyS0"))
	m.Profile.PowerOff = "echo c >/proc/sysrq-trigger"
	g, s := session(t, m)
	_, err := s.Run(t.Context(), testvm.Command{Run: "true"})
	require.NoError(t, err)
	e := g.Stop(t.Context())
	assert.Equal(t, testvm.Panic, e.Outcome, "%v", e)
}

func TestAGuestThatDoesNotPowerOffIsAShutdownFailure(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+shellOn("ttyS0"))
	m.Profile.PowerOff, m.Profile.Stop = "sleep 1000", time.Second
	g, _ := session(t, m)
	e := g.Stop(t.Context())
	assert.Equal(t, testvm.Shutdown, e.Outcome, "%v", e)
}

func TestWhatLooksLikeAPanicButIsAProgramsIsNone(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	for _, run := range []string{
		"echo 'Kernel panic - not syncing: a joke'; sleep 2",
		"echo '[    1.000000] Kernel panic - not syncing: a better joke'; sleep 2",
		"echo '<0>Kernel panic - not syncing: the best joke' >/dev/kmsg; sleep 2",
	} {
		_, err := s.Run(t.Context(), testvm.Command{Run: run})
		require.NoError(t, err)
	}
	assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
}

// standIn is a Linux guest that plays Asterinas: a virtio console, and
// isa-debug-exit for an end.
func standIn(t *testing.T, end string) testvm.Machine {
	m := linux(t, prologue+"poweroff() { sync; "+end+"; }\n"+shellOn("hvc0"))
	m.Profile = testvm.Asterinas
	m.Profile.PowerOff = end
	m.Kernel.Params = []string{"console=ttyS0", "panic=-1"}
	return m
}

func TestTheEndsOfAsterinasAreToldApart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, end string
		want      testvm.Outcome
		exit      int
	}{
		{"success is 33", "outb 16", testvm.OK, 33},
		{"failure is 65, a panic even without a message", "outb 32", testvm.Panic, 65},
		{"an exit status that means nothing", "outb 7", testvm.Shutdown, 15},
		{"a power-off as of a PC", "/bin/poweroff -f", testvm.Shutdown, 0},
		{"a reset", "reboot -f", testvm.Reboot, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g, s := session(t, standIn(t, tc.end))
			assert.Equal(t, "hvc0", s.Console())
			r, err := s.Run(t.Context(), testvm.Command{Run: "echo $((6*7))"})
			require.NoError(t, err)
			assert.Equal(t, "42\n", string(r.Output))
			e := g.Stop(t.Context())
			assert.Equal(t, tc.want, e.Outcome, "%v", e)
			assert.Equal(t, tc.exit, e.Exit)
		})
	}
}

// multibootELF is a kernel for QEMU's multiboot loader, which says a line on COM1
// and ends QEMU through isa-debug-exit.
func multibootELF(says string) []byte {
	const base, headers = 0x100000, 52 + 32
	code := []byte{
		0xbe, 0, 0, 0, 0, // mov esi, text
		0xac, 0x84, 0xc0, 0x74, 7, // lodsb; test al, al; jz end
		0x66, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf4, // mov dx, COM1; out dx, al; jmp lodsb
		0x66, 0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, // end: mov dx, 0xf4; mov al, 0x10; out dx, al
		0xf4, 0xeb, 0xfd, // hlt; jmp hlt
	}
	le := binary.LittleEndian
	le.PutUint32(code[1:], base+headers+12+uint32(len(code)))
	code = append(append(code, says...), 0)
	size := uint32(headers + 12 + len(code))
	p := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x03\x00") // executable, i386
	for _, n := range []uint32{1, base + headers + 12, 52, 0, 0} {                         // version, entry, program headers, sections, flags
		p = le.AppendUint32(p, n)
	}
	for _, n := range []uint16{52, 32, 1, 0, 0, 0} {
		p = le.AppendUint16(p, n)
	}
	for _, n := range []uint32{1, 0, base, base, size, size, 7, 4} { // load all of it
		p = le.AppendUint32(p, n)
	}
	const magic = 0x1badb002
	for _, n := range []uint32{magic, 0, 1<<32 - magic} {
		p = le.AppendUint32(p, n)
	}
	return append(p, code...)
}

func TestAMultibootELFBootsDirectly(t *testing.T) {
	t.Parallel()
	needs(t)
	image := filepath.Join(t.TempDir(), "kernel.elf")
	require.NoError(t, os.WriteFile(image, multibootELF("OSTD initialized. Preparing components.\r\n"), 0o644))
	e := start(t, testvm.Machine{Profile: testvm.Asterinas, Kernel: &testvm.Kernel{Image: image}, Budget: wide()}).Wait()
	assert.Equal(t, testvm.OK, e.Outcome, "%v", e)
	assert.Equal(t, 33, e.Exit)
	assert.Equal(t, "components", string(e.Stage))
}

func TestAGuestThatOnlyEchoesWhatIsTypedHangs(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+"dmesg -n 1; exec sleep 10000 </dev/ttyS0 >/dev/ttyS0\n")
	m.Profile.Silence = 2 * time.Second
	g := start(t, m)
	_, err := g.Session(t.Context())
	require.ErrorIs(t, err, testvm.ErrGuestEnded)
	e := g.Wait()
	assert.Equal(t, testvm.Hang, e.Outcome, "%v", e)
	assert.Contains(t, string(g.Console("ttyS0").Bytes()), "while IFS=", "it was asked, and the kernel echoed")
}

func TestAConsoleThatWantsAPasswordIsSaidToDoSo(t *testing.T) {
	t.Parallel()
	g := start(t, linux(t, prologue+"mkdir /etc; printf 'root:x1y2z3:0:0::/root:/bin/sh\\n' >/etc/passwd\nwhile :; do setsid getty -L 115200 ttyS0 vt100; done\n"))
	_, err := g.Session(t.Context())
	require.ErrorIs(t, err, testvm.ErrPassword)
	g.Kill()
}

func TestACancelledRunLeavesNoGuest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	g, err := linux(t, prologue+shellOn("ttyS0")).Start(ctx)
	require.NoError(t, err)
	pid := pidOf(g)
	time.AfterFunc(500*time.Millisecond, cancel)
	_, err = g.Session(ctx)
	require.Error(t, err)
	e := g.Wait()
	assert.Equal(t, testvm.Infra, e.Outcome)
	assert.Contains(t, e.Reason, "cancelled")
	assert.NoFileExists(t, "/proc/"+pid)
}

// pidOf is the process id of a guest's QEMU.
func pidOf(g *testvm.Guest) string { return strconv.Itoa(g.Pid()) }
