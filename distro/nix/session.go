package nix

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/internal/proc"
)

// session is one `nix repl` that answers questions. It survives a throw, an
// abort, an infinite recursion, a missing attribute and a type error, and keeps
// what it has evaluated; only the end of its stack or its memory kills it.
//
// A question is a line of Nix whose value is a string. Each is followed by a marker that
// Nix prints on both streams, which frames the answer on stdout and the
// error on stderr. The marker is random and never visible to the code that is
// evaluated.
type session struct {
	cmd    *proc.Cmd
	stdin  *os.File
	out    *bufio.Reader
	stdout *os.File
	errs   *errorStream
	nonce  string
	asked  int
	limit  int // bytes of one answer
}

// diedError says that the session ended instead of answering.
type diedError struct {
	err     error
	stderr  string
	overrun bool // it printed too much and was killed for that
	late    bool // it took too long and was killed for that
}

func (e *diedError) Error() string { return "nix repl ended: " + e.err.Error() }
func (e *diedError) Unwrap() error { return e.err }

// startSession starts cmd, a `nix repl`, which has everything but its streams.
func startSession(ctx context.Context, cmd *proc.Cmd, limit int) (*session, error) {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		inR.Close()
		inW.Close()
		return nil, err
	}
	s := &session{
		cmd: cmd, stdin: inW, stdout: outR, out: bufio.NewReaderSize(outR, 64<<10),
		errs: &errorStream{limit: 64 << 10, more: make(chan struct{}, 1)}, nonce: hex.EncodeToString(nonce), limit: limit,
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, s.errs
	err = cmd.Start(ctx)
	inR.Close()
	outW.Close()
	if err != nil {
		inW.Close()
		outR.Close()
		return nil, err
	}
	restrain(cmd.Pid())
	return s, nil
}

// restrain sets the limits that an evaluation never has a reason to reach. They
// fail only for a process that is gone.
func restrain(pid int) {
	for resource, n := range map[int]uint64{
		unix.RLIMIT_NPROC: 16 << 10, unix.RLIMIT_FSIZE: 4 << 30, unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 4096,
	} {
		_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: n, Max: n}, nil)
	}
}

// tell sends a line that has no answer: a definition.
func (s *session) tell(line string) error {
	_, err := io.WriteString(s.stdin, line+"\n")
	return err
}

// ask returns the string that an expression evaluates to, or the text of the
// error. The error is a *diedError or the context's: the session is over
// then.
func (s *session) ask(ctx context.Context, expr string, limit time.Duration) (value string, failure string, err error) {
	s.asked++
	marker := s.nonce + "-" + strconv.Itoa(s.asked)
	var late bool
	var mu sync.Mutex
	timer := time.AfterFunc(limit, func() {
		mu.Lock()
		late = true
		mu.Unlock()
		s.cmd.Signal(syscall.SIGKILL)
	})
	defer timer.Stop()
	s.errs.reset()
	_, err = fmt.Fprintf(s.stdin, "%s\nbuiltins.trace %q %q\n", expr, marker, marker)
	if err == nil {
		value, err = s.readAnswer(marker)
	}
	if err == nil {
		failure, err = s.errs.until(s.cmd.Done(), "trace: "+marker)
	}
	if err == nil {
		return value, failure, nil
	}
	overrun := errors.Is(err, errTooMuch)
	if overrun {
		s.cmd.Signal(syscall.SIGKILL)
	}
	if end := s.cmd.Wait(ctx); end != nil {
		err = end
	}
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	return "", "", &diedError{err: err, stderr: s.errs.all(), overrun: overrun, late: late}
}

var errTooMuch = errors.New("the answer is too long")

// readAnswer reads to the marker and returns the one string literal before it.
// What the repl echoes of its input starts with its prompt.
func (s *session) readAnswer(marker string) (string, error) {
	var value string
	for {
		line, err := s.line()
		if err != nil {
			return "", err
		}
		literal, ok := stringLiteral(line)
		switch {
		case !ok:
		case literal == marker:
			return value, nil
		default:
			value = literal
		}
	}
}

// line reads one line of bounded length.
func (s *session) line() (string, error) {
	var b strings.Builder
	for {
		part, err := s.out.ReadSlice('\n')
		b.Write(part)
		if b.Len() > s.limit {
			return "", errTooMuch
		}
		if err == nil {
			return b.String(), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
}

// stringLiteral decodes a line on which the repl printed a string.
func stringLiteral(line string) (string, bool) {
	line = strings.TrimSpace(line)
	for {
		// Colours, and newer versions' prompt without a line of its own.
		rest, ok := strings.CutPrefix(line, "\x1b[")
		if !ok {
			break
		}
		_, rest, ok = strings.Cut(rest, "m")
		if !ok {
			break
		}
		line = rest
	}
	line = strings.TrimSuffix(line, "\x1b[0m")
	if len(line) < 2 || line[0] != '"' || line[len(line)-1] != '"' {
		return "", false
	}
	body := line[1 : len(line)-1]
	if strings.IndexByte(body, '\\') < 0 {
		return body, true
	}
	var b strings.Builder
	b.Grow(len(body))
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c == '\\' && i+1 < len(body) {
			i++
			switch c = body[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			}
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// close ends the session.
func (s *session) close(ctx context.Context) {
	s.stdin.Close()
	s.cmd.Signal(syscall.SIGKILL) // it has nothing to finish
	s.cmd.Wait(ctx)
	s.stdout.Close()
}

// errorStream collects what Nix prints on stderr, up to a limit per question.
type errorStream struct {
	mu    sync.Mutex
	buf   []byte
	last  []byte // the newest bytes, where a marker may be after an overflow
	limit int
	more  chan struct{}
}

func (e *errorStream) Write(p []byte) (int, error) {
	e.mu.Lock()
	if room := e.limit - len(e.buf); room > 0 {
		e.buf = append(e.buf, p[:min(room, len(p))]...)
	}
	e.last = append(e.last, p...)
	if len(e.last) > 8<<10 {
		e.last = append(e.last[:0], e.last[len(e.last)-4<<10:]...)
	}
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (e *errorStream) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buf, e.last = e.buf[:0], e.last[:0]
}

func (e *errorStream) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.buf)
}

// until returns what came before the line.
func (e *errorStream) until(done <-chan struct{}, line string) (string, error) {
	for {
		e.mu.Lock()
		found := strings.Contains(string(e.last), line)
		text := string(e.buf)
		e.mu.Unlock()
		if found {
			text, _, _ = strings.Cut(text, line)
			return text, nil
		}
		select {
		case <-e.more:
		case <-done:
			return "", io.ErrUnexpectedEOF
		}
	}
}
