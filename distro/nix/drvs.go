package nix

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/internal/tempdir"
)

// Drvs is a folder in which evaluations leave the derivations they make, and nothing
// else: a Nix binary cache without compression, which is a store that an
// evaluation can write to but neither read nor build from. Both sides of a comparison
// share one.
//
// `nix repl` has no read-only mode (2.8 to 2.3x). Writing the 13,000
// derivations of a middling package set to a real store takes twice as long as to
// such a folder in memory, and answering a client over a socket takes longer than
// that when the machine is busy.
type Drvs struct {
	Dir string

	folder *tempdir.Folder
	// Store is the folder of the real store, whose derivations count too; empty
	// means that they do not.
	Store string
}

// drvsPrefix begins the names of the folders.
const drvsPrefix = "asterbot-drvs-"

// enoughRoom is how much has to be free in memory for it to be used.
const enoughRoom = 2 << 30

// NewDrvs makes an empty folder, in memory where there is room. Remove it after
// use.
func NewDrvs() (*Drvs, error) {
	parent := os.TempDir()
	const memory = "/dev/shm"
	var fs unix.Statfs_t
	if unix.Statfs(memory, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= enoughRoom && unix.Access(memory, unix.W_OK) == nil {
		parent = memory
	}
	folder, err := tempdir.New(parent, drvsPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a place for derivations: %w", err)
	}
	return &Drvs{Dir: folder.Path, folder: folder}, nil
}

// Remove removes the folder.
func (d *Drvs) Remove() error { return d.folder.Remove() }

func (d *Drvs) url() string { return "file://" + d.Dir + "/cache?compression=none" }

// maxDrv bounds what is read of a derivation. Real ones with a large environment
// take a few hundred KiB.
const maxDrv = 64 << 20

// Drv returns the text of a derivation, by its store path. It is
// fs.ErrNotExist for one that no evaluation made.
func (d *Drvs) Drv(storePath string) (string, error) {
	hash, _, ok := strings.Cut(path.Base(storePath), "-")
	if !ok || strings.Contains(hash, ".") {
		return "", fmt.Errorf("read derivation: %q is no store path", storePath)
	}
	cache := filepath.Join(d.Dir, "cache")
	info, err := os.ReadFile(filepath.Join(cache, hash+".narinfo"))
	if errors.Is(err, fs.ErrNotExist) && d.stored(storePath) {
		return readStored(storePath)
	}
	if err != nil {
		return "", fmt.Errorf("read derivation: %w", err)
	}
	_, rest, _ := strings.Cut("\n"+string(info), "\nURL: nar/")
	name, _, _ := strings.Cut(rest, "\n")
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("read derivation %s: it has no archive", storePath)
	}
	f, err := os.Open(filepath.Join(cache, "nar", name))
	if err != nil {
		return "", fmt.Errorf("read derivation: %w", err)
	}
	defer f.Close()
	archive, err := io.ReadAll(io.LimitReader(f, maxDrv))
	if err != nil {
		return "", fmt.Errorf("read derivation %s: %w", storePath, err)
	}
	text, err := archivedFile(archive)
	if err != nil {
		return "", fmt.Errorf("read derivation %s: %w", storePath, err)
	}
	return string(text), nil
}

// stored reports whether the real store has a derivation.
func (d *Drvs) stored(storePath string) bool {
	if d.Store == "" || path.Dir(storePath) != d.Store || !strings.HasSuffix(storePath, ".drv") {
		return false
	}
	info, err := os.Lstat(storePath)
	return err == nil && info.Mode().IsRegular() && info.Size() <= maxDrv
}

func readStored(storePath string) (string, error) {
	text, err := os.ReadFile(storePath)
	if err != nil {
		return "", fmt.Errorf("read derivation: %w", err)
	}
	return string(text), nil
}

// fileHeader begins the archive of a file that is not executable.
var fileHeader = func() []byte {
	var b bytes.Buffer
	for _, s := range []string{"nix-archive-1", "(", "type", "regular", "contents"} {
		binary.Write(&b, binary.LittleEndian, uint64(len(s)))
		b.WriteString(s)
		b.Write(make([]byte, (8-len(s)%8)%8))
	}
	return b.Bytes()
}()

// archivedFile returns the content of an archive of one file.
func archivedFile(archive []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(archive, fileHeader)
	if !ok || len(rest) < 8 {
		return nil, fmt.Errorf("not an archive of a file")
	}
	n := binary.LittleEndian.Uint64(rest)
	if n > uint64(len(rest)-8) {
		return nil, fmt.Errorf("an archive that was cut off")
	}
	return rest[8 : 8+n], nil
}
