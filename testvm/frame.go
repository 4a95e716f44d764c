package testvm

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// token is a number nobody can guess: 64 bits, in hexadecimal.
type token string

func newToken() token {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return token(hex.EncodeToString(b[:]))
}

// split writes a token as two words, so that the echo of what was typed does
// not hold the token itself.
func (t token) split() string { return string(t[:8]) + " " + string(t[8:]) }

// quoted writes a token as one word that does not hold it either.
func (t token) quoted() string { return string(t[:8]) + "''" + string(t[8:]) }

// tools are the programs of a guest that a session uses, each as the words by
// which the shell reached it when it was tried.
type tools struct {
	sum  string // checksum program
	kind string // md5, cksum or sha256
	b64  string // base64, or empty
	od   string
	wc   string
	dd   string
	tee  string // empty: what a command says is seen only when it has ended
	fifo string
	rm   string
	date string
	base string // the beginning of the names of our files in the guest
}

// sums computes what the guest's checksum program prints first.
var sums = map[string]func([]byte) string{
	"md5":    func(p []byte) string { s := md5.Sum(p); return hex.EncodeToString(s[:]) },
	"sha256": func(p []byte) string { s := sha256.Sum256(p); return hex.EncodeToString(s[:]) },
	"cksum":  func(p []byte) string { return strconv.FormatUint(uint64(posixSum(p)), 10) },
}

// posixSum is the CRC of cksum(1): POSIX.1, "cksum".
func posixSum(p []byte) uint32 {
	var crc uint32
	step := func(b byte) {
		crc ^= uint32(b) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	for _, b := range p {
		step(b)
	}
	for n := len(p); n > 0; n >>= 8 {
		step(byte(n))
	}
	return ^crc
}

// setUpLines define what a session needs in the shell that it talks to. They
// use nothing but builtins until a program has been tried. An applet of busybox may
// not start by its name (a shell started through a "#!" line on Asterinas), so
// programs are called by their path. A redirection of a special builtin (":",
// exec) that fails would end the shell, so printf and "command exec" are used.
//
// _f finds a program, _t tries it: _t INPUT EXPECTED PROGRAM ARGUMENTS...
const setUpLines = `@PS1=;PS2=;_i=/dev/null;[ -c $_i ]||_i=/.asterbot-null;printf '' >>$_i
@_f(){ _n=$1;_O=$IFS;IFS=:;for _d in $PATH /bin /usr/bin /sbin /usr/sbin /run/current-system/sw/bin;do [ -x "$_d/$_n" ]&&{ echo "$_d/$_n";IFS=$_O;return;};done;for _d in $PATH /bin /usr/bin /sbin;do [ -x "$_d/busybox" ]&&{ echo "$_d/busybox $_n";IFS=$_O;return;};done;IFS=$_O;}
@_t(){ _a=$1;_e=$2;shift 2;case $(printf %s "$_a"|"$@" 2>$_i) in $_e*)return 0;;esac;return 1;}
@_y=$(_f stty);$_y -echo -onlcr 2>$_i
@_x=;_k=;for _w in md5sum:900150983cd24fb0d6963f7d28e17f72 cksum:1219131554 sha256sum:ba7816bf8f01cfea;do [ "$_x" ]&&continue;_p=$(_f ${_w%%:*});_t abc ${_w#*:} $_p&&{ _x=$_p;_k=${_w%%:*};};done
@_b=$(_f base64);_t abc YWJj $_b||_b=;_q=$(_f od);_t abc ' 61 62 63' $_q -An -v -tx1||_q=;_z=$(_f wc);_t abc 3 $_z -c||_z=
@_D=$(_f dd);_t abc bc $_D bs=1 skip=1||_D=;_T=$(_f tee);_t abc abc $_T $_i||_T=;_F=$(_f mkfifo);_R=$(_f rm);_C=$(_f date)
@for _d in /tmp /run /dev/shm /var/tmp /root "";do _o=$_d/.asterbot-$$;{ printf '' >$_o;} 2>$_i&&break;_o=;done
@[ "$_o" ]&&[ "$_T" ]&&[ "$_F" ]&&{ $_F $_o.p&&[ -p $_o.p ]&&$_R -f $_o.p||_T=;} 2>$_i
@_r(){ printf '\n%s:%s:%s:%s:%s\n' $1 "$_s" "$($_z -c <"$_P")" "$($_x <"$_P")" $2;}
`

// setUp prepares the shell and learns what the guest has.
func (s *Session) setUp(ctx context.Context) error {
	var text string
	for attempt := range 4 {
		a, b := newToken(), newToken()
		s.send(s.console, "\n"+setUpLines)
		s.line(fmt.Sprintf(`printf '\n%%s%%s;%%s;%%s;%%s;%%s;%%s;%%s;%%s;%%s;%%s;%%s;%%s;%%s%%s\n' %s "$_x" "$_k" "$_b" "$_q" "$_z" "$_D" "$_T" "$_F" "$_R" "$_C" "$_o" %s`, a.split(), b.split()))
		err := s.await(ctx, string(b), time.Duration(attempt+3)*2*s.patience())
		if errors.Is(err, errLate) {
			continue
		}
		if err != nil {
			return fmt.Errorf("set up the shell: %w", err)
		}
		s.alive()
		said, _ := s.ears[s.console].text()
		m := regexp.MustCompile(string(a) + `;([^\r\n]*);` + string(b)).FindSubmatch(said)
		s.ears[s.console].forget()
		if m == nil {
			continue
		}
		text = string(m[1])
		break
	}
	f := strings.Split(text, ";")
	if len(f) != 11 {
		return fmt.Errorf("set up the shell: %w: it does not say what programs it has", ErrGarbled)
	}
	s.tools = tools{sum: f[0], kind: strings.TrimSuffix(f[1], "sum"), b64: f[2], od: f[3], wc: f[4], dd: f[5], tee: f[6], fifo: f[7], rm: f[8], date: f[9], base: f[10]}
	if s.tools.kind == "ck" {
		s.tools.kind = "cksum"
	}
	return s.tools.check()
}

// check says what a guest lacks.
func (t tools) check() error {
	var missing []string
	if t.sum == "" {
		missing = append(missing, "a checksum program that works (md5sum, cksum or sha256sum)")
	}
	if t.b64 == "" && t.od == "" {
		missing = append(missing, "base64 or od")
	}
	if t.wc == "" {
		missing = append(missing, "wc")
	}
	if t.dd == "" {
		missing = append(missing, "dd")
	}
	if t.base == "" {
		missing = append(missing, "a folder that can be written to (/tmp, /run, /dev/shm, /var/tmp, /root or /)")
	}
	if missing != nil {
		return fmt.Errorf("set up the shell: the guest lacks %s: results could not be told from forgeries", strings.Join(missing, ", "))
	}
	return nil
}

// inlineBytes is the longest command that is typed; a longer one goes to a
// file. A terminal's line holds 4095 bytes, a busybox line editor 1023.
const inlineBytes = 500

// run runs one command.
//
// The command writes to a FIFO; tee writes that to a file, whose length and
// checksum are compared afterwards, and to the console, where a watchdog and
// people see it. Neither the token that marks its end nor that of the report
// exists in the environment, the arguments or the input of the command: the
// first is unset in its subshell, the second is made up when it has ended.
func (s *Session) run(ctx context.Context, code string) (Result, error) {
	s.seq++
	// The command before may have removed the folder.
	folder := path.Dir(s.tools.base)
	s.line(fmt.Sprintf("_s=;[ -d %s ]||$(_f mkdir) -p %s", folder, folder))
	text, err := s.command(ctx, code)
	if err != nil {
		return Result{}, err
	}
	first, last := newToken(), newToken()
	ear := s.ears[s.console]
	ear.forget()
	file := fmt.Sprintf("%s.%d", s.tools.base, s.seq)
	sub := fmt.Sprintf("(unset _h _j _l;exec 9>&-;%s) <$_i >&9 2>&1;_s=$?", text)
	// Where the first mark cannot be written, nothing is run and _s stays empty.
	begin, end := `{ printf '%s\n' "$_j" >&9;} 2>$_i&&{ `, `printf '\n%s\n' "$_h" >&9;}`
	if s.tools.tee != "" {
		s.line(fmt.Sprintf(`_P=%s;[ -p $_P.p ]||%s $_P.p;{ %s $_P <$_P.p & } 2>$_i;command exec 9>$_P.p;_j=%s;_h=%s`, file, s.tools.fifo, s.tools.tee, first.quoted(), last.quoted()))
		s.line(begin + sub + ";" + end + ";exec 9>&-")
	} else {
		s.line(fmt.Sprintf(`_P=%s;command exec 9>$_P;_j=%s;_h=%s`, file, first.quoted(), last.quoted()))
		s.line(begin + sub + ";" + end + `;exec 9>&-;printf '\n%s\n' "$_h"`)
	}
	if err := s.ended(ctx, last); err != nil {
		return Result{Output: live(ear, first, "")}, err
	}
	var r Result
	for range 3 {
		var size int64
		var sum string
		if r.Status, size, sum, err = s.report(ctx); err != nil {
			return Result{Output: live(ear, first, last)}, err
		}
		// The end is on the console before tee has written it to the file.
		if r.Output, r.Dropped, err = s.collect(ctx, ear, file, first, last, size, sum); !errors.Is(err, errIncomplete) {
			break
		}
	}
	if err != nil {
		r.Output = live(ear, first, last)
		if errors.Is(err, ErrGuestEnded) || ctx.Err() != nil {
			return r, err
		}
		r.Notes = append(r.Notes, "the output could not be checked: "+err.Error())
	}
	if s.tools.rm != "" {
		s.line(fmt.Sprintf("%s -f %s %s.p %s.c", s.tools.rm, file, file, file))
	}
	s.ready()
	return r, nil
}

// ready makes the FIFO of the next command while nobody waits for it: starting
// a program takes 20 ms in a fork, whose translated code is all gone.
func (s *Session) ready() {
	if s.tools.tee != "" {
		s.line(fmt.Sprintf("%s %s.%d.p", s.tools.fifo, s.tools.base, s.seq+1))
	}
}

// command is how to say the code in one line.
func (s *Session) command(ctx context.Context, code string) (string, error) {
	if len(code) <= inlineBytes && plainText(code) {
		return "eval " + shellQuote(code), nil
	}
	file := fmt.Sprintf("%s.%d.c", s.tools.base, s.seq)
	if err := s.upload(ctx, file, []byte(code+"\n"), 0); err != nil {
		return "", fmt.Errorf("send the command: %w", err)
	}
	return ". " + file, nil
}

// plainText reports whether a terminal passes a text on as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ended waits for the token that follows a command. The kernel may print into
// it; so the shell is asked for another one now and then, which it reads when
// the command has ended. If it is another shell that answers, the command has
// ended the first one; the other is taken over.
func (s *Session) ended(ctx context.Context, last token) error {
	ear := s.ears[s.console]
	patience := 2 * s.patience()
	for {
		err := s.await(ctx, "\n"+string(last), patience)
		if !errors.Is(err, errLate) {
			s.aliveIf(err)
			return err
		}
		if ear.still() < patience/2 {
			continue
		}
		ask := newToken()
		s.send(s.console, "\n"+loop+"\n\n@printf '\\n%s%s:%s:\\n' "+ask.split()+` "$_o"`+"\n")
		err = s.await(ctx, string(ask)+":", patience)
		switch {
		case errors.Is(err, errLate):
			patience = min(2*patience, 60*s.patience())
			continue
		case err != nil:
			return err
		}
		_ = s.await(ctx, string(ask)+":"+s.tools.base+":", s.patience())
		said, _ := ear.text()
		_, answer, _ := bytes.Cut(said, []byte(string(ask)+":"))
		if bytes.HasPrefix(answer, []byte(":")) {
			if err := s.setUp(ctx); err != nil {
				return errors.Join(ErrShellGone, err)
			}
			return ErrShellGone
		}
		s.alive()
		return nil
	}
}

func (s *Session) aliveIf(err error) {
	if err == nil {
		s.alive()
	}
}

// noFile is the length of a file that is not there.
const noFile = -1

// report asks for the status of the last command, and the length and checksum
// of its output.
func (s *Session) report(ctx context.Context) (status int, size int64, sum string, err error) {
	for attempt := range 6 {
		a, b := newToken(), newToken()
		s.line(fmt.Sprintf("_r %s %s", a.quoted(), b.quoted()))
		err := s.await(ctx, ":"+string(b), time.Duration(attempt+1)*2*s.patience())
		if errors.Is(err, errLate) {
			continue
		}
		if err != nil {
			return 0, 0, "", err
		}
		said, _ := s.ears[s.console].text()
		m := regexp.MustCompile(string(a) + `:(\d{0,3}): *(\d{0,18}) *:([0-9a-f]{0,64})(?: [^:\r\n]*)?:` + string(b)).FindSubmatch(said)
		if m == nil {
			continue // the kernel printed into it
		}
		s.alive()
		if len(m[1]) == 0 {
			return 0, 0, "", ErrNotRun
		}
		status, _ = strconv.Atoi(string(m[1]))
		if len(m[2]) == 0 || len(m[3]) == 0 {
			return status, noFile, "", nil
		}
		size, _ = strconv.ParseInt(string(m[2]), 10, 64)
		return status, size, string(m[3]), nil
	}
	return 0, 0, "", fmt.Errorf("read the report: %w", ErrGarbled)
}

// live is what the console showed of a command, as far as it is there.
func live(e *ear, first, last token) []byte {
	said, _ := e.text()
	_, out, ok := bytes.Cut(said, []byte(first))
	if !ok {
		return nil
	}
	out = bytes.TrimPrefix(bytes.TrimPrefix(out, []byte("\r")), []byte("\n"))
	if last != "" {
		out, _, _ = bytes.Cut(out, []byte(last))
		out = bytes.TrimSuffix(bytes.TrimSuffix(out, []byte("\n")), []byte("\r"))
	}
	return bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))
}

var errIncomplete = errors.New("the guest's copy of the output is incomplete: its disk or memory may be full, or something in the background still writes")

// maxOutput is how much of an output is brought here; of more, the middle is
// left out.
const maxOutput = 4 << 20

// collect returns a command's output: as the console showed it if that is what
// the guest's file holds, else from the file.
func (s *Session) collect(ctx context.Context, e *ear, file string, first, last token, size int64, sum string) ([]byte, int64, error) {
	framed := func(out []byte) []byte {
		return fmt.Appendf(nil, "%s\n%s\n%s\n", first, out, last)
	}
	said, whole := e.text()
	if whole && s.tools.tee != "" {
		for _, text := range [][]byte{said, bytes.ReplaceAll(said, []byte("\r\n"), []byte("\n"))} {
			_, out, ok1 := bytes.Cut(text, []byte(string(first)+"\n"))
			out, _, ok2 := bytes.Cut(out, []byte("\n"+string(last)+"\n"))
			if ok1 && ok2 && s.matches(framed(out), size, sum) {
				return bytes.Clone(out), 0, nil
			}
		}
	}
	var content []byte
	var dropped int64
	var err error
	if size == noFile {
		return nil, 0, errors.New("the guest's copy of it is gone: the command removed it, or its file system is broken")
	}
	if size <= maxOutput {
		content, err = s.fetch(ctx, file, 0, size)
	} else {
		const half = maxOutput / 2 / chunkBytes * chunkBytes
		var tail []byte
		if content, err = s.fetch(ctx, file, 0, half); err == nil {
			from := (size - half) / chunkBytes * chunkBytes
			tail, err = s.fetch(ctx, file, from, size)
			dropped = from - half
		}
		content = append(content, tail...)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("bring the output: %w", err)
	}
	out, ok1 := bytes.CutPrefix(content, []byte(string(first)+"\n"))
	out, ok2 := bytes.CutSuffix(out, []byte("\n"+string(last)+"\n"))
	if !ok1 || !ok2 || dropped == 0 && !s.matches(content, size, sum) {
		return nil, 0, errIncomplete
	}
	return out, dropped, nil
}

func (s *Session) matches(p []byte, size int64, sum string) bool {
	return int64(len(p)) == size && sums[s.tools.kind](p) == sum
}

// chunkBytes is how much of a file is sent at once.
const chunkBytes = 24 << 10

// decode reads what base64 or od printed, with lines of the kernel's between.
func (t tools) decode(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		var got []byte
		var err error
		if t.b64 != "" {
			got, err = base64.StdEncoding.DecodeString(string(line))
		} else {
			got, err = hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(line)), " ", ""))
		}
		if err == nil {
			out = append(out, got...)
		}
	}
	return out
}
