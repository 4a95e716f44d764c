package testvm

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A device is something plugged into a machine: it yields its own arguments.
type device interface {
	args(fds *inherited) []string
}

// File is a file that QEMU opens: by its path, or through a descriptor it
// inherits, for a file that has no name (any more) and so cannot be left
// behind.
type File struct {
	Path   string
	Handle *os.File
}

// inherited numbers the descriptors QEMU inherits, in the order of their
// first use.
type inherited struct {
	first int
	files []*os.File
}

func (i *inherited) name(f File) string {
	if f.Handle == nil {
		return f.Path
	}
	n := slices.Index(i.files, f.Handle)
	if n < 0 {
		n = len(i.files)
		i.files = append(i.files, f.Handle)
	}
	return fmt.Sprintf("/dev/fd/%d", i.first+n)
}

// comma escapes a value for QEMU's option syntax, where a comma in a value is
// written twice.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// virtioConsole is /dev/hvc0: one virtio console without multiport extras,
// for which Asterinas has no driver.
type virtioConsole struct{ wire wire }

func (c virtioConsole) args(*inherited) []string {
	return append(c.wire.args(),
		"-device", "virtio-serial-pci,id=vser0,max_ports=1",
		"-device", "virtconsole,id=con-"+c.wire.name+",bus=vser0.0,chardev="+c.wire.name)
}

// serialPort is /dev/ttyS0: COM1.
type serialPort struct{ wire wire }

func (c serialPort) args(*inherited) []string {
	return append(c.wire.args(), "-serial", "chardev:"+c.wire.name)
}

// wire is how a console reaches us. QEMU drops a virtio console's output in
// silence when the reader of a socket is behind, and never what goes to a
// logfile: so the output itself goes to /dev/null and what is read is the
// log, a pipe, which also holds the guest back. The input is a FIFO, unlinked
// as soon as QEMU has opened it.
type wire struct {
	name string
	path string // path.in is the FIFO, path.out leads to /dev/null
	log  int    // the descriptor under which QEMU inherits the pipe of the log
}

func (w wire) args() []string {
	return []string{"-chardev", fmt.Sprintf("pipe,id=%s,path=%s,logfile=/dev/fd/%d,logappend=on", w.name, comma(w.path), w.log)}
}

// Disk is a virtio-blk disk of the guest.
type Disk struct {
	File File
	// Format is "raw" or "qcow2"; raw is the default. It is never guessed: a
	// guest could write another format's header into a raw disk.
	Format string
	// Write lets the guest change the file itself. Otherwise what it writes
	// goes to an overlay that vanishes with the machine.
	Write bool
}

func (d Disk) arg(id string, fds *inherited) string {
	format := d.Format
	if format == "" {
		format = "raw"
	}
	s := fmt.Sprintf("if=none,id=%s,file=%s,format=%s,cache=unsafe,discard=unmap,werror=stop,rerror=stop", id, comma(fds.name(d.File)), format)
	if !d.Write {
		s += ",snapshot=on"
	}
	return s
}

type diskDevice struct {
	n    int
	disk Disk
	boot bool
}

func (d diskDevice) args(fds *inherited) []string {
	id := fmt.Sprintf("disk%d", d.n)
	dev := "virtio-blk-pci,drive=" + id + ",serial=" + id
	if d.boot {
		dev += fmt.Sprintf(",bootindex=%d", d.n+1)
	}
	return []string{"-drive", d.disk.arg(id, fds), "-device", dev}
}

// cdrom is an ISO image, on SATA where the board has it.
type cdrom struct{ file File }

func (c cdrom) args(fds *inherited) []string {
	return []string{
		"-drive", "if=none,id=cd0,media=cdrom,format=raw,readonly=on,file=" + comma(fds.name(c.file)),
		"-device", "ide-cd,drive=cd0,bootindex=0",
	}
}

// ovmf is UEFI firmware: the code read-only, the variables in an overlay
// of their own unless they are to be kept.
type ovmf struct {
	code string
	vars Disk
}

func (o ovmf) args(fds *inherited) []string {
	vars := "if=pflash,unit=1,format=raw,file=" + comma(fds.name(o.vars.File))
	if !o.vars.Write {
		vars += ",snapshot=on"
	}
	return []string{"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + comma(o.code), "-drive", vars}
}

// debugExit ends QEMU with (value << 1) | 1 when the guest writes to its port.
type debugExit struct{}

func (debugExit) args(*inherited) []string {
	return []string{"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"}
}

// entropy is a virtio random number generator fed from the host.
type entropy struct{}

func (entropy) args(*inherited) []string { return []string{"-device", "virtio-rng-pci"} }

// Network is the guest's network.
type Network string

// The networks a machine can have.
const (
	NoNetwork Network = ""
	// RestrictedNetwork is a user-mode network that cannot leave the machine.
	RestrictedNetwork Network = "restrict"
	// UserNetwork reaches the host's network through QEMU. It is for people on
	// their own machine, never for a pull request.
	UserNetwork Network = "user"
)

func (n Network) args(*inherited) []string {
	switch n {
	case RestrictedNetwork:
		return []string{"-netdev", "user,id=net0,restrict=on", "-device", "virtio-net-pci,netdev=net0"}
	case UserNetwork:
		return []string{"-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0"}
	default:
		return []string{"-nic", "none"}
	}
}

// screen is a framebuffer without a window: what it shows can be captured.
type screen struct{}

func (screen) args(*inherited) []string { return []string{"-vga", "std"} }

// memory is the guest's memory. A machine that is to be forked has it in an
// anonymous file: the first one writes to it (share=on), each fork maps it
// copy on write.
type memory struct {
	mib   int
	file  *File
	share bool
}

func (m memory) args(fds *inherited) []string {
	size := fmt.Sprintf("%dM", m.mib)
	if m.file == nil {
		return []string{"-m", size}
	}
	share := "off"
	if m.share {
		share = "on"
	}
	return []string{
		"-m", size,
		"-object", fmt.Sprintf("memory-backend-file,id=ram0,size=%s,mem-path=%s,share=%s", size, comma(fds.name(*m.file)), share),
		"-machine", "memory-backend=ram0",
	}
}
