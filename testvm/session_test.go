package testvm_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

func TestACommandRunsAtThePromptAndTheGuestPowersOff(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	r, err := s.Run(t.Context(), testvm.Command{Run: "echo hello; uname -s; exit 3"})
	require.NoError(t, err)
	assert.Equal(t, "hello\nLinux\n", string(r.Output))
	assert.Equal(t, 3, r.Status)
	assert.Empty(t, r.Notes)
	e := g.Stop(t.Context())
	assert.Equal(t, testvm.OK, e.Outcome, "%v", e)
	assert.Equal(t, "ready", string(e.Stage))
}

// noise is a kernel that logs all the time, on the console of the session.
const noise = `(i=0; while :; do i=$((i+1)); echo "<4>Unimplemented syscall number: $i" >/dev/kmsg; usleep 3000; done) &
`

func TestWhatACommandWritesArrivesByteForByte(t *testing.T) {
	t.Parallel()
	for _, guest := range []struct{ name, init string }{
		{"on the serial port", prologue + shellOn("ttyS0")},
		{"on the virtio console", prologue + shellOn("hvc0")},
		{"with a kernel that logs into every line", prologue + "dmesg -n 8\n" + noise + shellOn("ttyS0")},
		{"with a console that is no controlling terminal", prologue + "exec </dev/ttyS0 >/dev/ttyS0 2>&1\nsh\n"},
		{"with a prompt of its own", prologue + "export PS1='(nix-shell) root@host ~> $\n\033[1mready?\033[0m > '\n" + shellOn("ttyS0")},
		{"after a login", prologue + "printf 'root::0:0::/root:/bin/sh\\n' >/etc/passwd\nwhile :; do setsid getty -L 115200 ttyS0 vt100; done\n"},
		{"at a prompt of bash", prologue + shellOn("hvc0", "bash")},
		{"at a prompt of bash after a login", prologue + "printf 'root::0:0::/root:/bin/bash\n' >/etc/passwd\nwhile :; do setsid getty -L 115200 hvc0 vt100; done\n"},
		{"at a prompt of dash", prologue + shellOn("ttyS0", "dash")},
		{"with nothing to write to but memory nobody mounted before", prologue + "mkdir /etc /run; mount -t tmpfs run /run; rmdir /tmp; mount -o bind / /mnt; mount -o remount,ro /; " + shellOn("ttyS0")},
		{"without base64, tee and md5sum", prologue + "rm /bin/base64 /bin/tee /bin/md5sum /bin/mkfifo; mv /bin/busybox /bin/busybox.real; for f in /bin/*; do [ -h $f ] && /bin/busybox.real ln -sf busybox.real $f; done\n" +
			"exec /bin/setsid /bin/sh -c 'exec /bin/sh </dev/ttyS0 >/dev/ttyS0 2>&1'\n"},
	} {
		t.Run(guest.name, func(t *testing.T) {
			t.Parallel()
			g, s := session(t, linux(t, strings.Replace(guest.init, prologue, prologue+"mkdir -p /etc\n", 1), "bash", "dash"))
			for _, c := range commands {
				r, err := s.Run(t.Context(), testvm.Command{Run: c.run})
				require.NoError(t, err, c.name)
				if !assert.True(t, string(r.Output) == c.want, c.name) {
					t.Logf("got %d bytes instead of %d: %.400q", len(r.Output), len(c.want), r.Output)
				}
				assert.Equal(t, c.status, r.Status, c.name)
				assert.Empty(t, r.Notes, c.name)
			}
			assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
		})
	}
}

func numbers(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// commands are what sessions have been fooled by.
var commands = []struct {
	name, run string
	status    int
	want      string
}{
	{"nothing", "true", 0, ""},
	{"no newline at the end", "printf x", 0, "x"},
	{"a status", "false", 1, ""},
	{"a status that is a signal", "{ sh -c 'kill -9 $$'; } 2>/dev/null", 137, ""},
	{"an exit", "exit 7", 7, ""},
	{"several lines", "echo a\nif true\nthen\n\techo b\nfi\n", 0, "a\nb\n"},
	{"quotes", `echo "it's" '"a"' \\ '$HOME' "!"`, 0, `it's "a" \ $HOME !` + "\n"},
	{"both outputs in order", "echo 1; echo 2 >&2; echo 3", 0, "1\n2\n3\n"},
	{"carriage returns", `printf 'a\r\nb\rc\n\r'`, 0, "a\r\nb\rc\n\r"},
	{"escape sequences and cursor queries", `printf '\033[31mred\033[0m\033[6n\033[6n\n'`, 0, "\x1b[31mred\x1b[0m\x1b[6n\x1b[6n\n"},
	{"a prompt", `printf '/ # '; printf 'root@asterinas:/# '`, 0, "/ # root@asterinas:/# "},
	{"a login prompt", `printf 'asterinas login: '`, 0, "asterinas login: "},
	{"nothing on its input", "cat; echo $?", 0, "0\n"},
	{"a syntax error", "exec 2>/dev/null; eval 'echo a; fi'", 2, ""},
	{"binary", `printf '\000\001\377\200\012\004\003\032'`, 0, "\x00\x01\xff\x80\n\x04\x03\x1a"},
	{"something left in the background", "sleep 1000 & echo started", 0, "started\n"},
	{"something that changes the shell", "cd /; PS1=x; set -e; unset PATH; exec 2>&1; trap 'echo bye' EXIT; export IFS=x; false", 1, "bye\n"},
	{"the shell is as before", "echo a b; pwd >/dev/null; echo $PATH | grep -c bin", 0, "a b\n1\n"},
	{"a long command", "echo " + strings.Repeat("x", 5000), 0, strings.Repeat("x", 5000) + "\n"},
	{"a forged end", `printf '\n0123456789abcdef\n@0:0:0\n'`, 0, "\n0123456789abcdef\n@0:0:0\n"},
	{"many lines", "seq 1 3000", 0, numbers(3000)},
}

func TestAMegabyteArrivesByteForByte(t *testing.T) {
	t.Parallel()
	for _, console := range testvm.Consoles {
		t.Run(console, func(t *testing.T) {
			t.Parallel()
			m := linux(t, prologue+shellOn(console))
			g, s := session(t, m)
			r, err := s.Run(t.Context(), testvm.Command{Run: "seq 1 170000"})
			require.NoError(t, err)
			assert.True(t, string(r.Output) == numbers(170000), "%d bytes", len(r.Output))
			t.Logf("%d bytes in %v", len(r.Output), r.Duration)
			g.Kill()
		})
	}
}

func TestACommandThatRemovesTheSessionsFilesKeepsItsStatus(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	r, err := s.Run(t.Context(), testvm.Command{Run: "echo before; rm -rf /tmp; echo after; exit 3"})
	require.NoError(t, err)
	assert.Equal(t, 3, r.Status)
	assert.Contains(t, string(r.Output), "before\nafter\n")
	require.Len(t, r.Notes, 1)
	assert.Contains(t, r.Notes[0], "could not be checked")
	r, err = s.Run(t.Context(), testvm.Command{Run: "echo again"})
	require.NoError(t, err)
	assert.Equal(t, "again\n", string(r.Output))
	assert.Empty(t, r.Notes)
	_, err = s.Run(t.Context(), testvm.Command{Run: "mount -o bind /proc /tmp"})
	require.NoError(t, err)
	_, err = s.Run(t.Context(), testvm.Command{Run: "echo never"})
	require.ErrorIs(t, err, testvm.ErrNotRun)
	assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
}

func TestAPersonTakesTheConsoleOver(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	_, err := s.Run(t.Context(), testvm.Command{Run: "true"})
	require.NoError(t, err)
	s.Leave()
	keyboard, typed := io.Pipe()
	var screen bytes.Buffer
	attached := make(chan error)
	go func() { attached <- g.Attach(t.Context(), s.Console(), keyboard, &screen) }()
	_, err = typed.Write([]byte("read x\n6 times 7\necho \"<$x is $((6*7))>\"; poweroff -f\n"))
	require.NoError(t, err)
	e := g.Wait()
	require.NoError(t, <-attached)
	assert.Equal(t, testvm.OK, e.Outcome, "%v", e)
	assert.Contains(t, screen.String(), "# ", "there is a prompt")
	assert.Contains(t, screen.String(), "<6 times 7 is 42>")
}

func TestFilesGoInAndComeBackUnchanged(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+"dmesg -n 8\n"+noise+shellOn("hvc0")))
	content := make([]byte, 100_000)
	rand.Read(content)
	require.NoError(t, s.Upload(t.Context(), "/tmp/it's a file", content, 0o700))
	r, err := s.Run(t.Context(), testvm.Command{Run: "stat -c %a:%s '/tmp/it'*"})
	require.NoError(t, err)
	assert.Equal(t, "700:100000\n", string(r.Output))
	back, err := s.Fetch(t.Context(), "/tmp/it's a file", 1<<20)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content, back))
	_, err = s.Fetch(t.Context(), "/nowhere", 1<<20)
	assert.ErrorContains(t, err, "does not exist")
	_, err = s.Fetch(t.Context(), "/tmp/it's a file", 10)
	assert.ErrorContains(t, err, "more than 10")
	g.Kill()
}

func TestTheKernelsLinesAreThoseOfTheCommand(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+"dmesg -n 8\n"+shellOn("ttyS0")))
	for _, tc := range []struct{ run, want string }{
		{"echo '<4>first 1' >/dev/kmsg; echo out", "first N"},
		{"printf half; echo '<4>second 2' >/dev/kmsg; echo of", "second N"},
	} {
		r, err := s.Run(t.Context(), testvm.Command{Run: tc.run})
		require.NoError(t, err)
		require.Len(t, r.Kernel, 1, "%q", r.Kernel)
		assert.Contains(t, r.Kernel[0], strings.TrimSuffix(tc.want, " N"))
	}
	g.Kill()
}

func TestTheTestSeesNoneOfTheSessionsSecrets(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	r, err := s.Run(t.Context(), testvm.Command{Run: "set; cat /proc/self/environ; cat /proc/*/cmdline"})
	require.NoError(t, err)
	assert.NotRegexp(t, `[0-9a-f]{16}`, strings.NewReplacer("900150983cd24fb0d6963f7d28e17f72", "", "ba7816bf8f01cfea", "").Replace(string(r.Output)))
	g.Kill()
}

func TestACommandThatEndsItsShellIsToldAndTheGuestGoesOn(t *testing.T) {
	t.Parallel()
	g, s := session(t, linux(t, prologue+"exec </dev/ttyS0 >/dev/ttyS0 2>&1\nwhile :; do setsid sh -c 'exec sh </dev/ttyS0 >/dev/ttyS0 2>&1'; done\n"))
	_, err := s.Run(t.Context(), testvm.Command{Run: "kill -9 $$"})
	require.ErrorIs(t, err, testvm.ErrShellGone)
	r, err := s.Run(t.Context(), testvm.Command{Run: "echo again"})
	require.NoError(t, err)
	assert.Equal(t, "again\n", string(r.Output))
	assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
}
