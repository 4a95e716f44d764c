package testvm

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm/console"
)

func TestHowAMachineEndedIsJudgedByWhoseWordCounts(t *testing.T) {
	panicked := &console.Crash{Kind: console.KindPanic, Title: "it panicked", At: 5 * time.Second}
	printed := &console.Crash{Kind: console.KindPanic, Title: "it panicked", At: 5 * time.Second, Bare: true}
	oops := &console.Crash{Kind: console.KindOops, Title: "oops", At: 5 * time.Second}
	hung := &cause{Hang, "hang", "silence"}
	done := &cause{OK, "", "done"}
	for _, tc := range []struct {
		name string
		f    facts
		want Outcome
	}{
		{"Linux powers off", facts{profile: Linux, shutdown: "guest-shutdown"}, OK},
		{"Linux resets, and QEMU exits with 0", facts{profile: Linux, shutdown: "guest-reset"}, Reboot},
		{"QEMU exits with 0 and says nothing", facts{profile: Linux}, Infra},
		{"Asterinas succeeds", facts{profile: Asterinas, exit: 33}, OK},
		{"Asterinas succeeds while a command runs", facts{profile: Asterinas, exit: 33, running: "x"}, Shutdown},
		{"Asterinas gives up without a word", facts{profile: Asterinas, exit: 65}, Panic},
		{"Asterinas ends with 0", facts{profile: Asterinas, shutdown: "guest-shutdown"}, Shutdown},
		{"Asterinas resets", facts{profile: Asterinas, shutdown: "guest-reset"}, Reboot},
		{"Asterinas ends QEMU with a status that means nothing", facts{profile: Asterinas, exit: 15, stderr: "warning: TCG doesn't support requested feature: x\n"}, Shutdown},
		{"QEMU fails", facts{profile: Asterinas, exit: 1, stderr: "qemu: out of luck\n"}, Infra},
		{"a panic, and a reset", facts{profile: Linux, shutdown: "guest-reset", crash: panicked}, Panic},
		{"a panic, and a hang", facts{profile: Linux, stopped: hung, crash: panicked}, Panic},
		{"a panic on one console only, and a hang", facts{profile: Linux, stopped: hung, crash: printed}, Panic},
		{"a panic after the last result", facts{profile: Linux, stopped: done, answered: 4 * time.Second, crash: panicked}, Panic},
		{"what looks like a panic, and an answer after it", facts{profile: Linux, stopped: done, answered: 6 * time.Second, crash: panicked}, OK},
		{"what looks like a panic, and a power-off in good order", facts{profile: Linux, shutdown: "guest-shutdown", crash: printed}, OK},
		{"an oops, and a power-off in good order", facts{profile: Linux, shutdown: "guest-shutdown", crash: oops}, Oops},
		{"silence", facts{profile: Linux, stopped: hung}, Hang},
		{"QEMU is killed, and not by us", facts{profile: Linux, exit: -1, signal: syscall.SIGKILL}, Infra},
		{"the host's disk is full, and the guest panics for it", facts{profile: Linux, ioError: "no space", crash: panicked}, Infra},
		{"someone stops QEMU", facts{profile: Linux, shutdown: "host-signal"}, Infra},
		{"the guest tells QEMU of a panic", facts{profile: Linux, shutdown: "guest-panic"}, Panic},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, reason := judge(tc.f)
			assert.Equal(t, tc.want, got, reason)
			assert.NotEmpty(t, reason)
		})
	}
}

func TestTheWatchdogTellsSlowFromDead(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name string
		talk []time.Duration // when the console says 10 bytes
		rate int             // bytes each time instead
		disk time.Duration   // when the disk was used last
		at   time.Duration
		want Outcome
	}{
		{"in time", []time.Duration{s, 2 * s}, 10, 0, 3 * s, ""},
		{"silence", []time.Duration{s}, 10, 0, 7 * s, Hang},
		{"silence, but the disk is used", []time.Duration{s}, 10, 4 * s, 7 * s, ""},
		{"talking until its time is up", []time.Duration{2 * s, 6 * s, 9 * s}, 10, 0, 10 * s, Timeout},
		{"a flood", []time.Duration{2 * s, 6 * s, 9 * s}, 100_000, 0, 10 * s, Timeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w watchdog
			w.begin("boot", 0, 10*s, 5*s)
			for _, at := range tc.talk {
				w.heard(at, tc.rate)
			}
			w.progress = tc.disk
			c, next := w.verdict(tc.at)
			if tc.want == "" {
				require.Nil(t, c)
				assert.Positive(t, next)
				return
			}
			require.NotNil(t, c)
			assert.Equal(t, tc.want, c.outcome)
			assert.Equal(t, tc.rate > 1000, strings.Contains(c.reason, "log level"), c.reason)
		})
	}
	var w watchdog
	w.begin("case x", 0, 100*s, 0)
	w.heard(1*s, 20)
	c, _ := w.verdict(100 * s)
	assert.Equal(t, Hang, c.outcome, "a case that said one word at its beginning hangs")
	w.rest()
	c, next := w.verdict(1000 * s)
	assert.Nil(t, c, "a guest at its prompt may be silent")
	assert.Zero(t, next)
}

func TestAGuestThatTheHostKeepsWaitingIsNotCalledSlow(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name   string
		at     time.Duration // of the verdict
		waited time.Duration // until then, for a processor
		more   time.Duration // it is given
	}{
		{"it waited for none", 5 * s, 0, 0},
		{"it waited for next to none", 5 * s, s / 3, 0},
		{"it waited half of its silence", 5 * s, 5 * s / 2, 5 * s / 2},
		{"it waited more than can be", 5 * s, 100 * s, 5 * s},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w watchdog
			w.begin("boot", 0, 10*s, 5*s)
			require.Equal(t, tc.more > 0, w.credit(tc.at, tc.waited))
			c, next := w.verdict(tc.at)
			assert.Equal(t, tc.more, next)
			assert.Equal(t, tc.more > 0, c == nil)
		})
	}
	var w watchdog
	w.begin("case x", 0, 10*s, 0)
	for now := 10 * s; ; now = w.deadline { // on a host that never has a processor
		require.Less(t, now, 100*s, "it ends there too")
		if !w.credit(now, 100*s) {
			assert.Equal(t, 40*s, now)
			break
		}
	}
}

func TestArgsAreThoseOfTheMachineAndNameNothingThatOthersCouldUse(t *testing.T) {
	m := Machine{
		Profile: Asterinas, Kernel: &Kernel{Image: "k", Initrd: "a,b", Params: []string{"loglevel=info", "init=/init", "--", "console=ttyS0"}},
		Disks: []Disk{{File: File{Path: "/a,b"}}}, Network: RestrictedNetwork,
	}
	line := strings.Join(m.Args("/d"), " ")
	for _, want := range []string{
		"-machine q35", "-cpu Icelake-Server,+x2apic", "-smp 1", "-accel tcg", "-no-reboot", "-global virtio-pci.disable-legacy=on",
		"isa-debug-exit,iobase=0xf4,iosize=0x04", "virtconsole", "logfile=/dev/fd/4", "logfile=/dev/fd/5",
		"file=/a,,b,format=raw", "snapshot=on", "werror=stop", "restrict=on",
		"-initrd a,b", "-append console=hvc0 earlycon ostd.log_level=error loglevel=info init=/init -- console=ttyS0",
	} {
		assert.Contains(t, line, want)
	}
	for _, never := range []string{"hostfwd", "vnc", ":5900", "tcp:", "-name"} {
		assert.NotContains(t, line, never)
	}
	m.Explain = true
	assert.Contains(t, strings.Join(m.Args("/d"), " "), "ostd.log_level=warn loglevel=info", "the kernel's own parameter stays")
	m.Network = NoNetwork
	assert.Contains(t, strings.Join(m.Args("/d"), " "), "-nic none")
	m.Accel = Accelerated{Accelerator: KVM}
	m.Profile.CPUs = 4
	assert.Contains(t, strings.Join(m.Args("/d"), " "), "-smp 4")
	assert.NotContains(t, strings.Join(m.Command(), " "), "/dev/fd/", "a person has none of our descriptors")
}

func TestARecordingKeepsHeadAndTail(t *testing.T) {
	for _, size := range []int{0, 1, 99, 100, 150, 200, 201, 1000, 12345} {
		all := make([]byte, size)
		for i := range all {
			all[i] = byte(rand.IntN(256))
		}
		r := newRecording(100)
		for rest := all; len(rest) > 0; {
			n := 1 + rand.IntN(min(len(rest), 170))
			r.add(rest[:n])
			rest = rest[n:]
		}
		assert.EqualValues(t, size, r.Total())
		if size <= 200 {
			assert.Equal(t, string(all), string(r.Bytes()), "%d bytes", size)
			continue
		}
		want := string(all[:100]) + fmt.Sprintf("\n[... %d bytes dropped ...]\n", size-200) + string(all[size-100:])
		assert.Equal(t, want, string(r.Bytes()), "%d bytes", size)
	}
}

func TestTheQueueHoldsWhatMemoryDoesNot(t *testing.T) {
	q := newQueue(t.TempDir())
	const chunks = 5000
	for n := range chunks { // 5,000 x 5,000 bytes: three times its memory
		q.push(chunk{data: bytes.Repeat([]byte{byte(n)}, 5000)})
	}
	q.close()
	for n := range chunks {
		c, ok := q.pop()
		require.True(t, ok)
		require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(n)}, 5000), c.data), "chunk %d", n)
	}
	_, ok := q.pop()
	assert.False(t, ok)
	assert.Zero(t, q.lost)
	q.release()
}

func TestABudgetIsSharedAndGivenBackByTheDead(t *testing.T) {
	t.Setenv("ASTERBOT_CACHE", t.TempDir())
	ours := &Budget{MemoryMiB: 1024, CPUs: 2, path: budgetPath()}
	theirs := &Budget{MemoryMiB: 1024, CPUs: 2, path: budgetPath()} // as of another process
	_, err := ours.Reserve(t.Context(), 2048, 1)
	require.ErrorIs(t, err, ErrTooBig)
	a, err := ours.Reserve(t.Context(), 600, 1)
	require.NoError(t, err)
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = theirs.Reserve(soon, 600, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	got := make(chan error, 1)
	go func() {
		r, err := theirs.Reserve(t.Context(), 600, 1)
		r.Release()
		got <- err
	}()
	a.Release()
	a.Release()
	require.NoError(t, <-got)
	b, err := theirs.Reserve(t.Context(), 300, 99) // more processors than there are: all
	require.NoError(t, err)
	assert.Error(t, expired(ours, 64, 1), "all processors are taken")
	b.Release()
	assert.NoError(t, expired(ours, 64, 1))
}

func expired(b *Budget, mib, cpus int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	r, err := b.Reserve(ctx, mib, cpus)
	r.Release()
	return err
}

func TestMemoryAndControlGroupsAreRead(t *testing.T) {
	assert.EqualValues(t, 2048<<10, memAvailable("MemTotal: 1 kB\nMemAvailable:    2048 kB\n"))
	assert.Equal(t, []string{"/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"}, cgroupDirs("0::/a/b\n", "memory"))
	assert.Equal(t, []string{"/sys/fs/cgroup/cpu/x", "/sys/fs/cgroup/cpu"}, cgroupDirs("4:memory:/y\n1:cpu,cpuacct:/x\n", "cpu"))
	assert.Positive(t, HostBudget().MemoryMiB)
}

func TestEncodedBytesAreReadBetweenTheKernelsLines(t *testing.T) {
	want := []byte("some bytes \x00\xff that are longer than a line is, to have several of them in the text")
	text := base64.StdEncoding.EncodeToString(want)
	lines := text[:40] + "\r\n[    1.5] Unimplemented syscall number: 334\r\n" + text[40:80] + "\n[  2.0] WARN: x\n" + text[80:] + "\n"
	assert.Equal(t, want, tools{b64: "base64"}.decode([]byte(lines)))
	hexed := fmt.Sprintf(" % x\n[   1.0] oh 12\n % x\r\n", want[:16], want[16:])
	assert.Equal(t, want, tools{od: "od"}.decode([]byte(hexed)))
}

func TestChecksumsAreThoseOfTheGuestsPrograms(t *testing.T) {
	assert.Equal(t, "1219131554", sums["cksum"]([]byte("abc")))
	assert.Equal(t, "900150983cd24fb0d6963f7d28e17f72", sums["md5"]([]byte("abc")))
}

func TestAnIdleProcessorIsNotOneThatGaveUp(t *testing.T) {
	for _, tc := range []struct {
		name, registers string
		want            bool
	}{
		{"halted, waiting for interrupts", "RIP=1 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1", true},
		{"halted for ever", "RIP=1 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1", false},
		{"spinning", "RIP=1 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0", false},
		{"one of two spins", "RFL=00000246 HLT=1\nCPU#1\nRFL=00000246 HLT=0", false},
		{"32 bits", "EIP=1 EFL=00000246 [---Z-P-] HLT=1", true},
		{"nothing", "", false},
	} {
		assert.Equal(t, tc.want, idle(tc.registers), tc.name)
	}
}

func TestACursorQueryIsHeardWhereverItIsCut(t *testing.T) {
	for cut := range len(cursorQuery) {
		e := newEar()
		n := e.hear([]byte("/ # \x1b" + cursorQuery[:cut]))
		assert.Equal(t, 1, n+e.hear([]byte(cursorQuery[cut:])), "cut at %d", cut)
	}
	assert.Equal(t, queriesAtOnce, newEar().hear(bytes.Repeat([]byte(cursorQuery), 1000)), "a flood of queries is not answered with a flood")
}

func TestSweepTakesOnlyWhatNobodyHolds(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	held, err := newScratch()
	require.NoError(t, err)
	left := filepath.Join(dir, scratchPrefix+"left")
	require.NoError(t, os.Mkdir(left, 0o700))
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(left, old, old))
	require.NoError(t, os.Chtimes(held.dir, old, old))
	assert.Equal(t, 1, Sweep())
	assert.DirExists(t, held.dir)
	assert.NoDirExists(t, left)
	held.remove()
	assert.NoDirExists(t, held.dir)
}

func FuzzDecodeScreen(f *testing.F) {
	f.Add([]byte("P6\n2 1\n255\nabcdef"))
	f.Add([]byte("P6\n16384 16384\n255\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		img, err := decodePPM(p)
		if err == nil && img.Bounds().Empty() {
			t.Error("an empty picture is none")
		}
	})
}
