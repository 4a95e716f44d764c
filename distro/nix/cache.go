package nix

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/asterinas/asterbot/distro"
)

// Cache remembers evaluated sides on disk, by Key.
type Cache struct{ Dir string }

// Key makes a key of everything that an evaluation depends on beside this program's own
// question, which is part of every key.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{string(evalNix), stubKernel}, parts...) {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Load returns a remembered side; nil if there is none.
func (c Cache) Load(key string) *distro.Set {
	return load[distro.Set](c.file(key))
}

// LoadDiff returns a remembered comparison; nil if there is none.
func (c Cache) LoadDiff(key string) *distro.Diff { return load[distro.Diff](c.file(key)) }

func load[T any](file string) *T {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	// What is used is kept; a folder that cannot be written is slow, not wrong.
	now := time.Now()
	_ = os.Chtimes(file, now, now)
	v := new(T)
	if json.Unmarshal(text, v) != nil {
		return nil
	}
	return v
}

// Store remembers a side. What time, memory or a lack of either took part in is not
// remembered. A cache that cannot be written is slow, not wrong.
func (c Cache) Store(key string, set *distro.Set) {
	for _, a := range set.Attrs {
		if a.Failure != nil && transient(a.Failure) {
			return
		}
	}
	if set.Failure != nil && transient(set.Failure) {
		return
	}
	c.write(key, set)
}

// StoreDiff remembers a comparison, unless it holds what is not remembered of a
// side.
func (c Cache) StoreDiff(key string, d *distro.Diff) {
	var passing bool
	d.Each(func(_ distro.Kind, a *distro.AttrDiff) { passing = passing || a.Failure != nil && transient(a.Failure) })
	if !passing {
		c.write(key, d)
	}
}

func (c Cache) write(key string, v any) {
	text, err := json.Marshal(v)
	if err != nil || os.MkdirAll(c.Dir, 0o755) != nil {
		return
	}
	tmp, err := os.CreateTemp(c.Dir, ".new-")
	if err != nil {
		return
	}
	_, err = tmp.Write(text)
	if tmp.Close() != nil || err != nil || os.Rename(tmp.Name(), c.file(key)) != nil {
		os.Remove(tmp.Name())
	}
}

func (c Cache) file(key string) string { return filepath.Join(c.Dir, key+".json") }

func transient(f *distro.Failure) bool {
	switch f.Reason {
	case distro.FailTimeout, distro.FailMemory, distro.FailOther:
		return true
	}
	return false
}

// Fingerprint identifies the state of a file or a folder and all below it by names,
// sizes, modes and times, as git's index does. One that is not there has
// one too. A store path never changes, so its name is enough.
func Fingerprint(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		if os.IsNotExist(err) {
			return "none", nil
		}
		return "", err
	}
	if parts := strings.Split(strings.TrimPrefix(real, "/nix/store/"), "/"); strings.HasPrefix(real, "/nix/store/") && len(parts) == 1 {
		return real, nil
	}
	h := sha256.New()
	err = filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(real, p)
		fmt.Fprintf(h, "%q %o ", rel, info.Mode())
		if d.IsDir() {
			return nil
		}
		fmt.Fprintf(h, "%d %d ", info.Size(), info.ModTime().UnixNano())
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(h, "%d %d.%d ", st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// SourcePath is the store path that Nix gives a file that is used as a source: its
// name and its content, as an archive, are all that goes into it.
func SourcePath(storeDir, name string, content []byte, executable bool) string {
	h := sha256.New()
	token := func(s string) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
		h.Write(make([]byte, (8-len(s)%8)%8))
	}
	for _, s := range []string{"nix-archive-1", "(", "type", "regular"} {
		token(s)
	}
	if executable {
		token("executable")
		token("")
	}
	token("contents")
	token(string(content))
	token(")")
	return storePath(storeDir, "source", hex.EncodeToString(h.Sum(nil)), name)
}

// storePath is Nix's makeStorePath: the type, the hash, the store's folder and
// the name, hashed again and folded to 20 bytes.
func storePath(storeDir, kind, hexDigest, name string) string {
	sum := sha256.Sum256([]byte(kind + ":sha256:" + hexDigest + ":" + storeDir + ":" + name))
	var folded [20]byte
	for i, b := range sum {
		folded[i%len(folded)] ^= b
	}
	return path.Join(storeDir, nixbase32.EncodeToString(folded[:])+"-"+name)
}

// Has reports whether a derivation is there.
func (d *Drvs) Has(storePath string) bool {
	hash, _, _ := strings.Cut(path.Base(storePath), "-")
	_, err := os.Stat(filepath.Join(d.Dir, "cache", hash+".narinfo"))
	return err == nil || d.stored(storePath)
}
