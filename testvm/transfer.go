package testvm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Upload writes a file in the guest, checked. The mode's permissions are set
// if there are any.
func (s *Session) Upload(ctx context.Context, path string, content []byte, mode fs.FileMode) error {
	s.oneAt.Lock()
	defer s.oneAt.Unlock()
	if err := s.upload(ctx, shellQuote(path), content, mode); err != nil {
		return fmt.Errorf("upload %s: %w", path, err)
	}
	return nil
}

// Fetch reads a file of the guest's, checked, of up to limit bytes.
func (s *Session) Fetch(ctx context.Context, path string, limit int64) ([]byte, error) {
	s.oneAt.Lock()
	defer s.oneAt.Unlock()
	size, _, err := s.measure(ctx, shellQuote(path))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	}
	if size > limit {
		return nil, fmt.Errorf("fetch %s: it has %d bytes, more than %d", path, size, limit)
	}
	p, err := s.fetch(ctx, shellQuote(path), 0, size)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	}
	return p, nil
}

// measure returns a file's length and checksum. The file is a word of shell.
func (s *Session) measure(ctx context.Context, file string) (int64, string, error) {
	s.line(fmt.Sprintf(`_P=%s;[ -r "$_P" ];_s=$?`, file))
	status, size, sum, err := s.report(ctx)
	switch {
	case errors.Is(err, ErrGarbled):
		return 0, "", fs.ErrNotExist // the report of a file that is not there has no numbers
	case err != nil:
		return 0, "", err
	case status != 0, size == noFile:
		return 0, "", fs.ErrNotExist
	}
	return size, sum, nil
}

// tries is how often a chunk is sent before that is given up.
const tries = 6

// fetch reads a file from one place to another, the first at a chunk's
// beginning.
func (s *Session) fetch(ctx context.Context, file string, from, to int64) ([]byte, error) {
	encoder := s.tools.b64
	if encoder == "" {
		encoder = s.tools.od + " -An -v -tx1"
	}
	out := make([]byte, 0, to-from)
	for at := from; at < to; at += chunkBytes {
		want := int(min(chunkBytes, to-at))
		var got []byte
		for try := 0; got == nil; try++ {
			if try == tries {
				return nil, fmt.Errorf("bytes %d to %d: %w", at, at+int64(want), ErrGarbled)
			}
			a, b := newToken(), newToken()
			read := fmt.Sprintf("%s if=%s bs=%d skip=%d count=1 2>$_i", s.tools.dd, file, chunkBytes, at/chunkBytes)
			s.ears[s.console].forget()
			s.line(fmt.Sprintf(`printf '\n%%s\n' %s;%s|%s;printf '\n%%s\n' "$(%s|%s):"%s`, a.quoted(), read, encoder, read, s.tools.sum, b.quoted()))
			err := s.await(ctx, ":"+string(b), time.Duration(try+2)*5*s.patience())
			if errors.Is(err, errLate) {
				continue
			}
			if err != nil {
				return nil, err
			}
			said, _ := s.ears[s.console].text()
			m := regexp.MustCompile(`(?s)` + string(a) + `\r?\n(.*)\n([0-9a-f]{1,64})\b[^:\r\n]*:` + string(b)).FindSubmatch(said)
			if m == nil {
				continue
			}
			p := s.tools.decode(m[1])
			if len(p) > want {
				p = p[:want]
			}
			if len(p) == want && (sums[s.tools.kind](p) == string(m[2]) || at+chunkBytes > to) {
				got = p
			}
		}
		s.alive()
		out = append(out, got...)
	}
	return out, nil
}

// lineBytes is how much is typed in a line, windowBytes how much before the
// guest has confirmed it: a terminal holds 4096 bytes that nobody has read.
const (
	lineBytes   = 700
	windowBytes = 2800
)

// upload writes a file, given as a word of shell, chunk by chunk.
func (s *Session) upload(ctx context.Context, file string, content []byte, mode fs.FileMode) error {
	part := s.tools.base + ".u"
	s.line("printf '' >" + file)
	for at := 0; at < len(content); at += chunkBytes {
		chunk := content[at:min(at+chunkBytes, len(content))]
		for try := 0; ; try++ {
			if try == tries {
				return fmt.Errorf("bytes %d to %d: %w", at, at+len(chunk), ErrGarbled)
			}
			if err := s.uploadChunk(ctx, part, chunk); err != nil {
				if errors.Is(err, errLate) {
					continue
				}
				return err
			}
			size, sum, err := s.measure(ctx, part)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if s.matches(chunk, size, sum) {
				break
			}
		}
		s.line(fmt.Sprintf("%s if=%s bs=%d 2>$_i >>%s", s.tools.dd, part, chunkBytes, file))
	}
	if mode != 0 {
		s.line(fmt.Sprintf("$(_f chmod) %s %s", strconv.FormatUint(uint64(mode.Perm()), 8), file))
	}
	size, sum, err := s.measure(ctx, file)
	if err != nil {
		return err
	}
	if !s.matches(content, size, sum) {
		return fmt.Errorf("the guest's file has %d bytes instead of %d, or other ones: its disk may be full", size, len(content))
	}
	return nil
}

func (s *Session) uploadChunk(ctx context.Context, part string, chunk []byte) error {
	s.line("printf '' >" + part)
	var lines []string
	if s.tools.b64 != "" {
		text := base64.StdEncoding.EncodeToString(chunk)
		for len(text) > 0 {
			n := min(lineBytes, len(text))
			lines = append(lines, fmt.Sprintf("printf '%%s\\n' %s >>%s.b", text[:n], part))
			text = text[n:]
		}
		s.line("printf '' >" + part + ".b")
	} else {
		for len(chunk) > 0 {
			n := min(lineBytes/5, len(chunk))
			var b strings.Builder
			for _, c := range chunk[:n] {
				fmt.Fprintf(&b, `\0%03o`, c)
			}
			lines = append(lines, fmt.Sprintf("printf '%%b' '%s' >>%s", b.String(), part))
			chunk = chunk[n:]
		}
	}
	sent := 0
	for _, l := range lines {
		if sent += len(l); sent > windowBytes {
			if err := s.confirm(ctx); err != nil {
				return err
			}
			sent = len(l)
		}
		s.line(l)
	}
	if s.tools.b64 != "" {
		s.line(fmt.Sprintf("%s -d <%s.b >%s", s.tools.b64, part, part))
	}
	return s.confirm(ctx)
}

// confirm waits until the shell has read all that was typed.
func (s *Session) confirm(ctx context.Context) error {
	t := newToken()
	s.line(`printf '\n%s%s\n' ` + t.split())
	return s.await(ctx, string(t), 10*s.patience())
}
