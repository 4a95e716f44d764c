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
	// Timeout bounds the command; MaxBytes the image.
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
	cmd := &proc.Cmd{
		Path: "/bin/sh", Args: []string{"-ec", b.Command}, Dir: b.Dir,
		Stdout: b.Log, Stderr: b.Log,
	}
	if err := cmd.Run(limited); err != nil {
		if ctx.Err() == nil {
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
		if s, err := inside(b.Dir, b.Symbols); err == nil {
			img.Symbols = s
		}
	}
	return img, nil
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
