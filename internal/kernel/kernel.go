// Package kernel finds kernel images on this machine: built by the repository's
// own command, handed in, or unpacked by the set-up as a control.
//
// A Build runs code of the repository outside any sandbox. Whoever calls it has
// been told to (an explicit flag on one's own machine), or runs in a
// job that holds nothing worth stealing.
package kernel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
)

// Image is a kernel image on disk.
type Image struct {
	Path string
	// Symbols is the unstripped kernel, which gives stack traces their names;
	// empty if there is none.
	Symbols string
	// SHA256 is of the image's content, in hex. Two sides with the same one
	// boot the same kernel.
	SHA256 string
	// ELF reports whether the image is an ELF file, which QEMU starts itself
	// (multiboot, PVH) and no boot loader on a disk does.
	ELF bool
}

// Open reads an image that was handed in.
func Open(path, symbols string) (Image, error) {
	img, err := read(path)
	if err != nil {
		return Image{}, fmt.Errorf("read kernel image: %w", err)
	}
	if symbols != "" {
		if _, err := os.Stat(symbols); err != nil {
			return Image{}, fmt.Errorf("read kernel symbols: %w", err)
		}
	}
	img.Symbols = symbols
	return img, nil
}

// Build makes an image by a command of the repository.
type Build struct {
	// Dir is the root of the checkout the command runs in.
	Dir string
	// Command is for /bin/sh.
	Command string
	// Image and Symbols are where it leaves its results, relative to Dir.
	Image, Symbols string
	// Container is the image that the command runs in, with docker: without
	// privileges, and with nothing of this machine but Dir. Empty runs it right here.
	Container string
	// Timeout bounds the command; MaxBytes the image, and eight times as much the
	// symbols.
	Timeout  time.Duration
	MaxBytes int64
	// Log gets what the command prints.
	Log io.Writer
}

// ErrBuild is wrapped by errors that are the kernel's own: the command failed
// or left no image.
var ErrBuild = errors.New("the kernel does not build")

// Run runs the command and opens what it left.
func (b Build) Run(ctx context.Context) (Image, error) {
	limited := ctx
	if b.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, b.Timeout)
		defer cancel()
	}
	cmd := &proc.Cmd{Path: "/bin/sh", Args: []string{"-ec", b.Command}, Dir: b.Dir, Stdout: b.Log, Stderr: b.Log}
	name := fmt.Sprintf("asterbot-kernel-%d-%d", os.Getpid(), time.Now().UnixNano())
	if b.Container != "" {
		cmd.Path, cmd.Args = "docker", b.docker(name)
	}
	if err := cmd.Run(limited); err != nil {
		if b.Container != "" {
			// The client that was killed leaves its container running.
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			_ = (&proc.Cmd{Path: "docker", Args: []string{"rm", "--force", name}}).Run(clean) // it may be gone
		}
		var failed *proc.Error
		switch {
		case ctx.Err() != nil:
		case b.Container != "" && errors.As(err, &failed) && (failed.Exit == dockerFailed || errors.Is(err, exec.ErrNotFound)):
			err = fmt.Errorf("run container %s: %w", b.Container, err)
		default:
			err = fmt.Errorf("%w: %w", ErrBuild, err)
		}
		return Image{}, err
	}
	path, err := inside(b.Dir, b.Image)
	if err != nil {
		return Image{}, fmt.Errorf("%w: its command succeeded but left no image: %w", ErrBuild, err)
	}
	if info, err := os.Stat(path); err == nil && b.MaxBytes > 0 && info.Size() > b.MaxBytes {
		return Image{}, fmt.Errorf("%w: %s has %d bytes, more than the %d that kernel.build.max-size allows", ErrBuild, b.Image, info.Size(), b.MaxBytes)
	}
	img, err := read(path)
	if err != nil {
		return Image{}, fmt.Errorf("%w: read its image: %w", ErrBuild, err)
	}
	if b.Symbols != "" {
		s, err := inside(b.Dir, b.Symbols)
		if err == nil && b.MaxBytes > 0 {
			var info os.FileInfo
			if info, err = os.Stat(s); err == nil && info.Size() > 8*b.MaxBytes {
				err = errors.New("too large")
			}
		}
		if err == nil {
			img.Symbols = s // without them stack traces have no names, and nothing else is lost
		}
	}
	return img, nil
}

// dockerFailed is docker's exit status where it could not run the container.
const dockerFailed = 125

// docker are the arguments that run the command in the container. It is root
// there, as images for building expect, without the capabilities that reach
// beyond files; a user of its own would need an image made for it.
func (b Build) docker(name string) []string {
	return []string{
		"run", "--rm", "--init", "--name", name, "--security-opt", "no-new-privileges", "--cap-drop", "ALL",
		"--cap-add", "CHOWN", "--cap-add", "DAC_OVERRIDE", "--cap-add", "FOWNER", "--cap-add", "SETGID", "--cap-add", "SETUID", "--pids-limit", "16384",
		// Kernels ask git for their version; the checkout is another user's there.
		"--env", "GIT_CONFIG_COUNT=1", "--env", "GIT_CONFIG_KEY_0=safe.directory", "--env", "GIT_CONFIG_VALUE_0=*",
		"--mount", "type=bind,source=" + b.Dir + ",target=/asterbot", "--workdir", "/asterbot", "--entrypoint", "/bin/sh", b.Container, "-ec", b.Command,
	}
}

// inside resolves a path below dir to a regular file that lies below it: what
// the repository's command leaves may be a link to anywhere.
func inside(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return filepath.Join(dir, name), nil
}

// read finds out what an image's content tells.
func read(path string) (Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	h := sha256.New()
	magic := make([]byte, len(elf.ELFMAG))
	n, err := io.ReadFull(f, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Image{}, err
	}
	if _, err := io.Copy(h, io.MultiReader(bytes.NewReader(magic[:n]), f)); err != nil {
		return Image{}, err
	}
	return Image{Path: path, SHA256: hex.EncodeToString(h.Sum(nil)), ELF: string(magic[:n]) == elf.ELFMAG}, nil
}

// Cache is the folder asterbot keeps what can be had again: ASTERBOT_CACHE, else
// asterbot in the user's cache folder.
func Cache(getenv func(string) string) string {
	if dir := getenv("ASTERBOT_CACHE"); dir != "" {
		return dir
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "asterbot")
	}
	return filepath.Join(getenv("HOME"), ".cache", "asterbot")
}

// Control finds the Linux kernel that the set-up unpacked into the cache, and
// its modules. ok is false where there is none.
func Control(cache string) (image, modules string, ok bool) {
	image = filepath.Join(cache, "kernel", "vmlinuz")
	if info, err := os.Stat(image); err != nil || !info.Mode().IsRegular() {
		return "", "", false
	}
	modules = filepath.Join(cache, "kernel", "modules")
	if _, err := os.Stat(modules); err != nil {
		modules = ""
	}
	return image, modules, true
}
