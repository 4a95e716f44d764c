package asternixos_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	firmware  = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	variables = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// installation is what became of one run of the installer.
type installation struct {
	// said are the installer's lines, without their prefix.
	said []string
	// end is why the machine ended: guest-shutdown, guest-reset, or "" where it was cut off.
	end string
}

// install boots the ISO with a disk, or with none where disk is "". With cut, power
// fails as soon as the installer says that.
func install(t *testing.T, iso, disk, cut string) installation {
	t.Helper()
	needsMachine(t)
	if !fileExists(firmware) {
		t.Skipf("needs %s: install ovmf", firmware)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	// The path of a socket is short.
	dir, err := os.MkdirTemp("", "inst")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	vars, err := os.ReadFile(variables)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/vars", vars, 0o644))
	args := []string{"-accel", "tcg", "-machine", "q35", "-m", "1024", "-cpu", "max", "-display", "none", "-nodefaults", "-no-reboot",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + firmware, "-drive", "if=pflash,format=raw,file=" + dir + "/vars",
		"-cdrom", iso, "-device", "virtio-serial-pci", "-chardev", "stdio,id=c,signal=off", "-device", "virtconsole,chardev=c",
		"-qmp", "unix:" + dir + "/qmp,server=on,wait=on"}
	if disk != "" {
		args = append(args, "-drive", "if=none,id=d,format=raw,file="+disk, "-device", "virtio-blk-pci,drive=d")
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()

	var got installation
	var qmp sync.WaitGroup
	qmp.Go(func() {
		var conn net.Conn
		for conn == nil && ctx.Err() == nil {
			if conn, err = net.Dial("unix", dir+"/qmp"); err != nil {
				time.Sleep(20 * time.Millisecond)
			}
		}
		if conn == nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, `{"execute":"qmp_capabilities"}`)
		for events := bufio.NewScanner(conn); events.Scan(); {
			var e struct {
				Event string
				Data  struct{ Reason string }
			}
			if json.Unmarshal(events.Bytes(), &e) == nil && e.Event == "SHUTDOWN" {
				got.end = e.Data.Reason
			}
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		m := said.FindStringSubmatch(strings.TrimRight(lines.Text(), "\r"))
		if m == nil {
			continue
		}
		got.said = append(got.said, m[1])
		if cut != "" && strings.HasPrefix(m[1], cut) {
			_ = cmd.Process.Kill()
		}
	}
	err = cmd.Wait()
	qmp.Wait()
	require.NoError(t, ctx.Err(), "the installer did not end: %v; %v %s", got.said, err, stderr.String())
	return got
}

var said = regexp.MustCompile(`^installer: (.*)$`)

// blank makes a blank disk of so many MiB.
func blank(t *testing.T, mib int64) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(mib<<20))
	require.NoError(t, f.Close())
	return f.Name()
}

var stages = []string{"start", "checked", "partitioned", "file systems made", "system copied", "boot loader installed"}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// An installation says how far it came and powers off; a second one finds it done and changes nothing.
func TestInstallTwice(t *testing.T) {
	iso, disk := build(t, "images.iso", "null"), blank(t, 512)
	first := install(t, iso, disk, "")
	require.Len(t, first.said, len(stages)+1)
	assert.Equal(t, stages, first.said[:len(stages)])
	assert.Regexp(t, "^finished: asterinas [0-9a-f]{12} is on /dev/vda$", last(first.said))
	assert.Equal(t, "guest-shutdown", first.end)

	before, err := os.ReadFile(disk)
	require.NoError(t, err)
	second := install(t, iso, disk, "")
	assert.Regexp(t, "^finished: .* already, nothing was changed$", last(second.said))
	assert.Equal(t, "guest-shutdown", second.end)
	after, err := os.ReadFile(disk)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(before, after), "the second run wrote to the disk")
}

// exchange is something that is waited for on the console, and what is typed then.
type exchange struct{ waits, types string }

// converse boots the installer's kernel with further parameters and talks to it over the console, until the machine ends.
func converse(t *testing.T, disk, params string, talk []exchange) (console string) {
	t.Helper()
	needsMachine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "1024", "-cpu", "max", "-display", "none",
		"-nodefaults", "-no-reboot", "-kernel", build(t, "images.iso.linux", "null")+"/vmlinuz", "-initrd", build(t, "images.iso.initrd", "null")+"/initrd",
		"-append", "console=ttyS0 console=hvc0 quiet panic=-1 "+params, "-device", "virtio-serial-pci", "-chardev", "stdio,id=c,signal=off",
		"-device", "virtconsole,chardev=c", "-drive", "if=none,id=d,format=raw,file="+disk, "-device", "virtio-blk-pci,drive=d")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()

	waiting := func() string {
		if len(talk) == 0 {
			return "the end"
		}
		return talk[0].waits
	}
	var all, unread bytes.Buffer
	for chunk := make([]byte, 4096); ; {
		n, err := stdout.Read(chunk)
		all.Write(chunk[:n])
		unread.Write(chunk[:n])
		for len(talk) > 0 {
			at := regexp.MustCompile(talk[0].waits).FindIndex(unread.Bytes())
			if at == nil {
				break
			}
			unread.Next(at[1])
			_, err := io.WriteString(stdin, talk[0].types+"\n")
			require.NoError(t, err)
			talk = talk[1:]
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	require.NoError(t, ctx.Err(), "waited for %q in\n%s", waiting(), all.String())
	require.NoError(t, err)
	require.Empty(t, talk, "the machine ended before it said %q:\n%s", waiting(), all.String())
	return all.String()
}

// With a person at the console the installer asks, takes no disk that holds data without --force, none that is in use
// even with it, none that was not confirmed, and tells each by its exit status.
func TestInstallerAsks(t *testing.T) {
	data := blank(t, 512)
	out, err := exec.Command("/usr/sbin/mke2fs", "-q", "-F", data).CombinedOutput()
	require.NoError(t, err, string(out))
	before, err := os.ReadFile(data)
	require.NoError(t, err)

	// run is a run of the installer from the shell that is left when the first one has ended.
	run := func(args string) string { return "name=asterinas sh /installer " + args + "; echo status=$?" }
	converse(t, data, "asternixos.interactive", []exchange{
		{`/dev/vda  512 MiB[^\n]*\n[^\n]*Install on which disk\? `, "/dev/vda"},
		{`FAILED: /dev/vda holds data; with --force it is overwritten(?s:.*)guest# `, run("--wrong")},
		{`usage: asternixos-install(?s:.*)status=2\s+guest# `, run("--disk")},
		{`--disk needs a device(?s:.*)status=2\s+guest# `, run("--disk /dev/vdz")},
		{`FAILED: there is no disk /dev/vdz; there are: /dev/vda(?s:.*)status=3\s+guest# `, "mkdir -p /mnt && mount -o ro /dev/vda /mnt && " + run("--disk /dev/vda --force")},
		{`FAILED: /dev/vda is in use: /dev/vda is mounted; unmount it first(?s:.*)status=3\s+guest# `, "umount /mnt; " + run("--disk /dev/vda")},
		{`FAILED: /dev/vda holds data(?s:.*)status=4\s+guest# `, run("--disk /dev/vda --force")},
		{`the data on /dev/vda will be lost, as --force says(?s:.*)Type its name again to go on: `, "yes"},
		{`FAILED: not confirmed(?s:.*)status=3\s+guest# `, "poweroff -f"},
	})
	after, err := os.ReadFile(data)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(before, after), "the disk was written to")

	converse(t, data, "asternixos.interactive", []exchange{
		{`Install on which disk\? `, ""},
		{`FAILED: no disk was chosen(?s:.*)guest# `, run("--disk /dev/vda --force")},
		{`Type its name again to go on: `, "/dev/vda"},
		{`finished: asterinas [0-9a-f]{12} is on /dev/vda(?s:.*)status=0\s+guest# `, run("--disk /dev/vda1 --force")},
		{`FAILED: /dev/vda1 is not a whole disk; there are: /dev/vda(?s:.*)status=3\s+guest# `, run("--disk /dev/vda")},
		{`finished: asterinas [0-9a-f]{12} is on /dev/vda already, nothing was changed(?s:.*)status=0\s+guest# `, "poweroff -f"},
	})
}
