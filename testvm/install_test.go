package testvm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

const systemdBoot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"

func run(t *testing.T, dir, tool string, args ...string) {
	t.Helper()
	cmd := exec.Command(tool, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", tool, args, out)
}

// bootDisk is a disk that UEFI boots: a FAT file system with systemd-boot, the
// kernel and an initrd with that /init.
func bootDisk(t *testing.T, init string) string {
	t.Helper()
	needs(t)
	for _, tool := range []string{"mformat", "mcopy", "grub-mkrescue", "xorriso"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	for _, file := range []string{systemdBoot, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/lib/grub/x86_64-efi"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("needs %s", file)
		}
	}
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk.img")
	entry := filepath.Join(dir, "a.conf")
	require.NoError(t, os.WriteFile(entry, []byte("title a\nlinux /vmlinuz\ninitrd /initrd\noptions console=ttyS0 panic=-1\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "loader.conf"), []byte("timeout 0\ndefault a.conf\n"), 0o644))
	run(t, dir, "mformat", "-C", "-i", disk, "-T", "98304", "-h", "64", "-s", "32", "::")
	run(t, dir, "mmd", "-i", disk, "::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries")
	for from, to := range map[string]string{
		systemdBoot: "EFI/BOOT/BOOTX64.EFI", entry: "loader/entries/a.conf", "loader.conf": "loader/loader.conf",
		filepath.Join(kernelDir(), "vmlinuz"): "vmlinuz", initrd(t, init): "initrd",
	} {
		run(t, dir, "mcopy", "-i", disk, from, "::/"+to)
	}
	return disk
}

// iso is an ISO image that GRUB boots, with an installer that has that disk to
// install.
func iso(t *testing.T, disk, installer string) string {
	t.Helper()
	tree := t.TempDir()
	boot := filepath.Join(tree, "boot")
	require.NoError(t, os.MkdirAll(filepath.Join(boot, "grub"), 0o755))
	image, err := os.ReadFile(disk)
	require.NoError(t, err)
	var c cpio
	c.file("payload.gz", gzipped(image))
	c.file("init", []byte(installer))
	b, err := base()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(boot, "initrd"), append(append([]byte(nil), b...), gzipped(c.end())...), 0o644))
	run(t, tree, "cp", filepath.Join(kernelDir(), "vmlinuz"), boot)
	require.NoError(t, os.WriteFile(filepath.Join(boot, "grub/grub.cfg"), []byte(
		"serial\nterminal_output serial\nset timeout=0\nmenuentry installer {\nlinux /boot/vmlinuz console=ttyS0 panic=-1\ninitrd /boot/initrd\n}\n"), 0o644))
	out := filepath.Join(t.TempDir(), "installer.iso")
	run(t, tree, "grub-mkrescue", "-o", out, tree)
	return out
}

func installer(t *testing.T, isoFile string) testvm.Installer {
	return testvm.Installer{
		Machine: testvm.Machine{Name: t.Name(), Profile: testvm.Linux, CDROM: isoFile, Firmware: testvm.UEFI, Memory: 768},
		DiskMiB: 128,
		Success: regexp.MustCompile(`^Congratulations! .* has been installed successfully!`),
		Failure: regexp.MustCompile(`^installation failed`),
		Stages:  []*regexp.Regexp{regexp.MustCompile(`about to FORMAT`), regexp.MustCompile(`mkfs finished`), regexp.MustCompile(`mounted successfully`)},
	}
}

func TestAnISOInstallsAndTheInstalledDiskRunsTheOtherKernel(t *testing.T) {
	t.Parallel()
	disk := bootDisk(t, prologue+"poweroff() { outb 16; }\n"+shellOn("hvc0"))
	i := installer(t, iso(t, disk, prologue+`
exec >/dev/hvc0 2>&1
echo 'WARNING: You are about to FORMAT the disk'
zcat /payload.gz >/dev/vda; sync
echo 'mkfs finished'; echo '/dev/vda2 is mounted successfully!'
echo 'Congratulations! Asterinas NixOS has been installed successfully!'
poweroff -f
`))
	in, err := i.Run(t.Context())
	require.NoError(t, err)
	defer in.Close()
	require.True(t, in.OK, "%s", in.Reason)
	assert.Len(t, in.Reached, 3)
	t.Logf("installed in %v: %v", in.Ending.Duration, in.Ending.Stages)

	m := testvm.Machine{Name: t.Name(), Profile: testvm.Asterinas}
	m.Profile.PowerOff = "outb 16"
	m.Profile.Boot = time.Minute
	g, s := session(t, in.Installed(m))
	r, err := s.Run(t.Context(), testvm.Command{Run: "ls -d /sys/firmware/efi"})
	require.NoError(t, err)
	assert.Equal(t, "/sys/firmware/efi\n", string(r.Output))
	e := g.Stop(t.Context())
	assert.Equal(t, testvm.OK, e.Outcome, "%v", e)
	assert.Equal(t, 33, e.Exit)
}

func TestAnInstallerThatFailsIsToldThoughItPowersOffInGoodOrder(t *testing.T) {
	t.Parallel()
	disk := bootDisk(t, prologue)
	for _, tc := range []struct{ name, script, says string }{
		{"in silence", "echo 'WARNING: You are about to FORMAT the disk' >/dev/hvc0; echo oh no >/dev/ttyS0; poweroff -f\n", `without saying that it succeeded, after "WARNING: You are about to FORMAT the disk"`},
		{"with a word, and a shell nobody uses", "echo 'installation failed: no disk' >/dev/ttyS0; exec sh </dev/ttyS0 >/dev/ttyS0 2>&1\n", "installation failed: no disk"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in, err := installer(t, iso(t, disk, prologue+tc.script)).Run(t.Context())
			require.NoError(t, err)
			defer in.Close()
			assert.False(t, in.OK)
			assert.Contains(t, in.Reason, tc.says)
		})
	}
}

// fill paints the framebuffer of a UEFI guest.
const fill = "tr '\\0' '\\252' </dev/zero 2>/dev/null | dd of=/dev/fb0 bs=1M count=1 iflag=fullblock 2>/dev/null\n"

func TestAScreenshotShowsWhatTheGuestShows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, draw string
		blank      bool
	}{
		{"a picture", fill, false},
		{"nothing", "dd if=/dev/zero of=/dev/fb0 bs=1M count=8 2>/dev/null\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := testvm.Machine{Profile: testvm.Linux, Firmware: testvm.UEFI, Memory: 768,
				Disks: []testvm.Disk{{File: testvm.File{Path: bootDisk(t, prologue+strings.TrimSpace(tc.draw)+"\n"+shellOn("ttyS0"))}}}}
			m.Profile.Boot = time.Minute
			g, _ := session(t, m)
			shot, err := g.Screenshot(t.Context())
			require.NoError(t, err)
			blank, err := testvm.Blank(shot)
			require.NoError(t, err)
			assert.Equal(t, tc.blank, blank)
			g.Kill()
		})
	}
}
