package nix

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/nix-community/go-nix/pkg/nixbase32"
	"github.com/nix-community/go-nix/pkg/wire"
)

// evalStore is a Nix store that keeps derivations in memory and nothing else.
// An evaluation that talks to it instead of a real store writes nothing, can
// read and build nothing, and leaves behind the text of every derivation it
// made: what comparing two sides needs.
//
// It speaks the server's side of Nix's worker protocol (src/libstore/
// worker-protocol.hh), at a version that every client from 2.4 on accepts. Of
// sources it computes the store path and forgets the content.
//
// `nix repl` has no read-only mode (2.8 to 2.3x), and writing the 8,000
// derivations of a middling package set to a real store takes twice as long as evaluating them.
type evalStore struct {
	socket   string
	storeDir string
	listener net.Listener
	limit    int64 // of the bytes kept
	cpu      int   // that serves, -1 for any

	mu    sync.Mutex
	kept  int64
	drvs  map[string][]byte
	valid map[string]bool
	conns map[net.Conn]bool
	// refused are the derivations that the evaluation asked to have built.
	refused map[string]bool
	full    bool
	wg      sync.WaitGroup
}

// The protocol's numbers.
const (
	workerMagic1 = 0x6e697863
	workerMagic2 = 0x6478696f
	stderrLast   = 0x616c7473
	stderrError  = 0x63787470

	protocolMajor = 1 << 8
	protocolMinor = 32

	opIsValidPath           = 1
	opAddToStore            = 7
	opAddTextToStore        = 8
	opBuildPaths            = 9
	opEnsurePath            = 10
	opAddTempRoot           = 11
	opSetOptions            = 19
	opQueryPathInfo         = 26
	opQueryValidPaths       = 31
	opQuerySubstitutable    = 32
	opBuildDerivation       = 36
	opQueryMissing          = 40
	opQueryDrvOutputMap     = 41
	opRegisterDrvOutput     = 42
	opQueryRealisation      = 43
	opBuildPathsWithResults = 46
)

// maxWireString bounds every string but a store object's content.
const maxWireString = 1 << 20

// newEvalStore listens on a socket in dir.
func newEvalStore(dir, storeDir string, limit int64, cpu int) (*evalStore, error) {
	s := &evalStore{
		socket: filepath.Join(dir, "store.sock"), storeDir: storeDir, limit: limit, cpu: cpu,
		drvs: map[string][]byte{}, valid: map[string]bool{}, conns: map[net.Conn]bool{}, refused: map[string]bool{},
	}
	if len(s.socket) > 100 {
		return nil, fmt.Errorf("open evaluation store: the path of its socket is too long for the system: %s; set TMPDIR to a shorter one", s.socket)
	}
	var err error
	if s.listener, err = net.Listen("unix", s.socket); err != nil {
		return nil, fmt.Errorf("open evaluation store: %w", err)
	}
	if err := os.Chmod(s.socket, 0o600); err != nil {
		return nil, err
	}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *evalStore) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			// A client that breaks the protocol only loses its connection.
			_ = s.serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// Close ends all connections.
func (s *evalStore) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

// peer is one connection.
type peer struct {
	*bufio.Reader
	out *bufio.Writer
	err error // the first error of reading or writing
}

func (p *peer) number() uint64 {
	if p.err != nil {
		return 0
	}
	n, err := wire.ReadUint64(p)
	p.err = err
	return n
}

func (p *peer) text() string {
	if p.err != nil {
		return ""
	}
	s, err := wire.ReadString(p, maxWireString)
	p.err = err
	return s
}

func (p *peer) texts() []string {
	n := p.number()
	var out []string
	for i := uint64(0); i < n && p.err == nil; i++ {
		out = append(out, p.text())
	}
	return out
}

func (p *peer) put(values ...any) {
	for _, v := range values {
		if p.err != nil {
			return
		}
		switch v := v.(type) {
		case int:
			p.err = wire.WriteUint64(p.out, uint64(v))
		case bool:
			p.err = wire.WriteBool(p.out, v)
		case string:
			p.err = wire.WriteString(p.out, v)
		case []string:
			p.put(len(v))
			for _, s := range v {
				p.put(s)
			}
		}
	}
}

// answer ends an operation well, refuse with an error.
func (p *peer) answer(values ...any) { p.put(stderrLast); p.put(values...) }

func (p *peer) refuse(format string, args ...any) {
	p.put(stderrError, "Error", 0, "Error", fmt.Sprintf(format, args...), 0, 0)
}

func (s *evalStore) serve(conn net.Conn) error {
	if s.cpu >= 0 {
		// The thread ends with this goroutine, and with it the pin.
		runtime.LockOSThread()
		pin(0, s.cpu)
	}
	p := &peer{Reader: bufio.NewReaderSize(conn, 64<<10), out: bufio.NewWriterSize(conn, 16<<10)}
	if p.number() != workerMagic1 {
		return errors.New("not a Nix client")
	}
	p.put(workerMagic2, protocolMajor|protocolMinor)
	if err := p.out.Flush(); err != nil {
		return err
	}
	if version := p.number(); version>>8 != 1 || version&0xff < 26 {
		return fmt.Errorf("client speaks version %d.%d of the worker protocol", version>>8, version&0xff)
	}
	if p.number() != 0 { // pins to a processor
		p.number()
	}
	p.number() // reserves space
	p.answer()
	for p.err == nil {
		if err := p.out.Flush(); err != nil {
			return err
		}
		op, err := wire.ReadUint64(p)
		if err != nil {
			return err
		}
		if err := s.operation(p, op); err != nil {
			return err
		}
	}
	return p.err
}

var ops = map[uint64]int{}

func (s *evalStore) operation(p *peer, op uint64) error {
	ops[op]++
	switch op {
	case opSetOptions:
		for range 12 {
			p.number()
		}
		for range p.number() {
			p.text()
			p.text()
			if p.err != nil {
				break
			}
		}
		p.answer()
	case opIsValidPath:
		p.answer(s.isValid(p.text()))
	case opEnsurePath:
		if path := p.text(); s.isValid(path) {
			p.answer(1)
		} else {
			p.refuse("path '%s' is not valid", path)
		}
	case opAddTempRoot:
		p.text()
		p.answer(1)
	case opQueryPathInfo:
		path := p.text()
		p.answer(s.isValid(path))
		if s.isValid(path) {
			p.put("", strings.Repeat("0", 64), []string{}, 0, 0, false, []string{}, "")
		}
	case opQueryValidPaths:
		paths := p.texts()
		p.number()
		p.answer(slices.DeleteFunc(paths, func(path string) bool { return !s.isValid(path) }))
	case opQuerySubstitutable:
		p.texts()
		p.answer([]string{})
	case opQueryMissing:
		// Nothing is ever missing here: it is asked before something is read.
		p.texts()
		p.answer([]string{}, []string{}, []string{}, 0, 0)
	case opQueryDrvOutputMap:
		p.refuse("import from derivation: the outputs of '%s' are needed while evaluating", p.text())
	case opBuildPaths, opBuildPathsWithResults:
		paths := p.texts()
		p.number()
		s.mu.Lock()
		for _, path := range paths {
			s.refused[path] = true
		}
		s.mu.Unlock()
		p.refuse("cannot build '%s' during evaluation because the option 'allow-import-from-derivation' is disabled", strings.Join(paths, "', '"))
	case opAddToStore:
		return s.addToStore(p)
	case opAddTextToStore:
		name, text, refs := p.text(), p.text(), p.texts()
		if p.err != nil {
			return p.err
		}
		o := newObject(s, name, "text:sha256", refs)
		if _, err := io.WriteString(o, text); err != nil {
			return err
		}
		if path, err := s.add(o); err != nil {
			p.refuse("%s", err)
		} else {
			p.answer(path)
		}
	default:
		// What an unknown operation sends cannot be skipped.
		p.refuse("operation %d is not supported while evaluating", op)
		p.out.Flush()
		return fmt.Errorf("unknown operation %d", op)
	}
	return p.err
}

// addToStore receives a store object in frames.
func (s *evalStore) addToStore(p *peer) error {
	name, method, refs := p.text(), p.text(), p.texts()
	p.number() // repair
	if p.err != nil {
		return p.err
	}
	o := newObject(s, name, method, refs)
	for {
		n := p.number()
		if p.err != nil || n == 0 {
			break
		}
		if _, err := io.CopyN(o, p, int64(n)); err != nil {
			return err
		}
	}
	if p.err != nil {
		return p.err
	}
	path, err := s.add(o)
	if err != nil {
		p.refuse("%s", err)
		return nil
	}
	p.answer(path, "", o.hex(), refs, 0, int(o.size), false, []string{}, "")
	return nil
}

// object is a store object on its way in.
type object struct {
	name, method string
	refs         []string
	sum          hash.Hash
	size         int64
	keep         bool // its text is kept
	room         int64
	text         []byte
}

func newObject(s *evalStore, name, method string, refs []string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &object{
		name: name, method: method, refs: refs, sum: sha256.New(),
		keep: strings.HasPrefix(method, "text:") && strings.HasSuffix(name, ".drv"), room: s.limit - s.kept,
	}
}

func (o *object) Write(b []byte) (int, error) {
	o.size += int64(len(b))
	if o.keep && o.size <= o.room {
		o.text = append(o.text, b...)
	}
	return o.sum.Write(b)
}

func (o *object) hex() string { return hex.EncodeToString(o.sum.Sum(nil)) }

// add computes an object's store path and makes it valid.
func (s *evalStore) add(o *object) (string, error) {
	if !validName(o.name) {
		return "", fmt.Errorf("name %q is not a store object's", o.name)
	}
	kind, err := o.kind()
	if err != nil {
		return "", err
	}
	digest := o.hex()
	if kind == "output:out" {
		// A flat file's own hash is wrapped (store-api.cc, makeFixedOutputPath).
		sum := sha256.Sum256([]byte("fixed:out:sha256:" + digest + ":"))
		digest = hex.EncodeToString(sum[:])
	}
	where := storePath(s.storeDir, kind, digest, o.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid[where] = true
	if o.keep && s.drvs[where] == nil {
		if o.size > o.room {
			s.full = true
			return "", fmt.Errorf("the derivations of this evaluation take more than %d MiB", s.limit>>20)
		}
		s.drvs[where] = slices.Clip(o.text)
		s.kept += o.size
	}
	return where, nil
}

// kind is the type under which an object's hash becomes a store path.
func (o *object) kind() (string, error) {
	refs := slices.Sorted(slices.Values(o.refs))
	suffix := ""
	for _, r := range refs {
		suffix += ":" + r
	}
	switch o.method {
	case "text:sha256":
		return "text" + suffix, nil
	case "fixed:r:sha256":
		return "source" + suffix, nil
	case "fixed:sha256":
		return "output:out", nil
	}
	return "", fmt.Errorf("sources hashed by %q are not supported while evaluating", o.method)
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

func validName(name string) bool {
	if name == "" || len(name) > 211 {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+-._?=", c) >= 0) {
			return false
		}
	}
	return true
}

func (s *evalStore) isValid(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.valid[path]
}

// derivations returns what was recorded, by store path. It is the caller's once
// the evaluation is over.
func (s *evalStore) derivations() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drvs
}
