package testvm_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

// cpio makes an initramfs in the "newc" format that Linux unpacks. Several may
// follow one another.
type cpio struct {
	buf bytes.Buffer
	ino int
}

func (c *cpio) add(name string, mode uint32, data []byte) {
	c.ino++
	fmt.Fprintf(&c.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.buf.WriteString(name + "\x00")
	c.pad()
	c.buf.Write(data)
	c.pad()
}

func (c *cpio) pad() {
	for c.buf.Len()%4 != 0 {
		c.buf.WriteByte(0)
	}
}

func (c *cpio) dir(name string)            { c.add(name, 0o040755, nil) }
func (c *cpio) file(name string, p []byte) { c.add(name, 0o100755, p) }
func (c *cpio) link(name, to string)       { c.add(name, 0o120777, []byte(to)) }
func (c *cpio) end() []byte                { c.add("TRAILER!!!", 0, nil); return c.buf.Bytes() }
func gzipped(p []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	w.Write(p)
	w.Close()
	return out.Bytes()
}

// kernelDir is where the set-up unpacks Debian's cloud kernel.
func kernelDir() string {
	cache := os.Getenv("ASTERBOT_CACHE")
	if cache == "" {
		base, _ := os.UserCacheDir()
		cache = filepath.Join(base, "asterbot")
	}
	return filepath.Join(cache, "kernel")
}

// modules are what the tests' guests need and Debian's cloud kernel has as
// modules, in the order in which they can be loaded.
var modules = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_console", "virtio_blk", "cdrom", "isofs"}

// outb ends QEMU through isa-debug-exit: the argument is what it writes.
const outb = `#include <stdlib.h>
#include <sys/io.h>
int main(int n, char **v) { iopl(3); outb(atoi(v[1]), 0xf4); for (;;) ; }`

// base is what all the tests' guests have: busybox, modules, outb.
var base = sync.OnceValues(func() ([]byte, error) {
	var c cpio
	for _, d := range []string{"bin", "dev", "proc", "sys", "tmp", "modules", "mnt", "root"} {
		c.dir(d)
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, err
	}
	c.file("bin/busybox", busybox)
	list, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			c.link("bin/"+applet, "busybox")
		}
	}
	load := ""
	for _, m := range modules {
		found, _ := filepath.Glob(filepath.Join(kernelDir(), "modules/*/kernel"))
		for _, root := range found {
			filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err == nil && filepath.Base(path) == m+".ko" {
					p, _ := os.ReadFile(path)
					c.file("modules/"+m+".ko", p)
					load += "insmod /modules/" + m + ".ko 2>/dev/null\n"
				}
				return nil
			})
		}
	}
	c.file("bin/load-modules", []byte("#!/bin/sh\n"+load))
	dir, err := os.MkdirTemp("", "testvm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "outb.c")
	if err := os.WriteFile(source, []byte(outb), 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.Command("gcc", "-static", "-Os", "-s", "-o", filepath.Join(dir, "outb"), source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gcc: %s", out)
	}
	p, err := os.ReadFile(filepath.Join(dir, "outb"))
	if err != nil {
		return nil, err
	}
	c.file("bin/outb", p)
	return gzipped(c.end()), nil
})

// needs skips a test that cannot run here.
func needs(t testing.TB) {
	t.Helper()
	for _, tool := range []string{"qemu-system-x86_64", "/bin/busybox", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	if _, err := os.Stat(filepath.Join(kernelDir(), "vmlinuz")); err != nil {
		t.Skipf("needs Debian's cloud kernel, which the set-up unpacks: %v", err)
	}
}

// prologue is how each init begins.
const prologue = `#!/bin/sh
export PATH=/bin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
load-modules
`

// shellOn is the rest of an init that gives a shell (sh) on a console, which
// becomes its controlling terminal.
func shellOn(console string, shell ...string) string {
	shell = append(shell, "sh")
	return fmt.Sprintf("exec setsid sh -c 'exec %s </dev/%s >/dev/%s 2>&1'\n", shell[0], console, console)
}

// program adds one of the host's programs, with the libraries it needs.
func (c *cpio) program(t testing.TB, name string) {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err)
	libraries, err := exec.Command("ldd", path).Output()
	require.NoError(t, err)
	add := func(to, from string) {
		p, err := os.ReadFile(from)
		require.NoError(t, err)
		for at := range to {
			if to[at] == '/' && at > 0 {
				c.dir(to[1:at]) // again does no harm
			}
		}
		c.file(to[1:], p)
	}
	add("/bin/"+name, path)
	for _, word := range strings.Fields(string(libraries)) {
		if strings.HasPrefix(word, "/") {
			add(word, word)
		}
	}
}

// initrd is the tests' guest with that /init, and programs of the host's.
func initrd(t testing.TB, init string, programs ...string) string {
	t.Helper()
	b, err := base()
	require.NoError(t, err)
	var c cpio
	for _, name := range programs {
		c.program(t, name)
	}
	c.file("init", []byte(init))
	path := filepath.Join(t.TempDir(), "initrd")
	require.NoError(t, os.WriteFile(path, append(append([]byte(nil), b...), gzipped(c.end())...), 0o644))
	return path
}

// linux is a machine with Debian's kernel and that /init.
func linux(t testing.TB, init string, programs ...string) testvm.Machine {
	t.Helper()
	needs(t)
	p := testvm.Linux
	return testvm.Machine{
		Name: t.Name(), Profile: p, Budget: wide(), // go test's -parallel is the budget
		Kernel: &testvm.Kernel{Image: filepath.Join(kernelDir(), "vmlinuz"), Initrd: initrd(t, init, programs...)},
	}
}

// start starts a machine, and shows its consoles if the test fails.
func start(t testing.TB, m testvm.Machine) *testvm.Guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	g, err := m.Start(ctx)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		e := g.Wait()
		if t.Failed() {
			t.Logf("ending: %v", e)
			for _, name := range testvm.Consoles {
				out := g.Console(name).Bytes()
				t.Logf("%s:\n%q", name, out[max(0, len(out)-1500):])
			}
		}
	})
	return g
}

// session starts a machine and waits for its shell.
func session(t testing.TB, m testvm.Machine) (*testvm.Guest, *testvm.Session) {
	t.Helper()
	g := start(t, m)
	s, err := g.Session(t.Context())
	require.NoError(t, err)
	return g, s
}
