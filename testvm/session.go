package testvm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/asterinas/asterbot/testvm/console"
)

// Session runs commands at the shell prompt that a guest gives on one of its
// consoles. It needs nothing of the guest but a POSIX shell, and takes what it
// says for true only where it is framed by a number that this process made up
// and the running command cannot have seen.
//
// The prompt's own shell is put into a loop that reads lines and evaluates
// those that begin with "@": without a line editor there is no echo, no prompt
// and no cursor query between a command and its answer, and what a program
// makes us send (the answer to a cursor query) spoils no command.
type Session struct {
	g *Guest
	// console is the one the shell is on, an index into Consoles.
	console int
	tools   tools
	// seq counts commands.
	seq int

	mu      sync.Mutex
	ears    []*ear   // of Consoles
	asked   []string // what was typed on each console to find a shell there
	over    bool     // the guest is gone
	answer  time.Duration
	running string
	oneAt   sync.Mutex // one command at a time
}

// Command is what to run in a guest.
type Command struct {
	// Name is for people.
	Name string
	// Run is shell code. It runs in a subshell of the prompt's shell, with
	// nothing to read on its standard input.
	Run string
	// Timeout, with KVM; zero is the profile's. The guest is ended when
	// it has passed.
	Timeout time.Duration
}

// Result is what a command did.
type Result struct {
	// Output is what it wrote to standard output and standard error, byte for
	// byte: checked against the length and checksum the guest computed.
	Output []byte
	// Status is its exit status.
	Status int
	// Dropped is how many bytes in the middle of Output were left out of a
	// very long one.
	Dropped int64
	// Kernel are the lines the kernel logged meanwhile, normalised.
	Kernel []string
	// Duration is what it took, as seen from here.
	Duration time.Duration
	// Notes are things a reader should know, such as an output that could not
	// be checked.
	Notes []string
}

// The errors of a session.
var (
	// ErrGuestEnded: the guest ended first; its Ending says how.
	ErrGuestEnded = errors.New("the guest has ended")
	// ErrPassword: a console wants a password.
	ErrPassword = errors.New("the guest asks for a password: let a console log in by itself")
	// ErrShellGone: the command ended the shell that ran it.
	ErrShellGone = errors.New("the shell on the console did not survive the command")
	// ErrNotRun: the guest is in no state to run a command and keep its output.
	ErrNotRun = errors.New("the guest cannot run commands any more: there is no folder that it can write to")
	// ErrGarbled: an answer could not be read, however often it was asked for.
	ErrGarbled = errors.New("the guest's answers cannot be read")
)

// Session waits for a shell on one of the consoles and takes it over. It
// fails with ErrGuestEnded when the guest ends first, which the watchdog sees to.
// There is one session for a guest.
func (g *Guest) Session(ctx context.Context) (*Session, error) {
	s := newSession(g)
	if err := s.find(ctx); err != nil {
		return nil, err
	}
	if err := s.setUp(ctx); err != nil {
		return nil, err
	}
	g.log.Reach(console.StageReady, g.since())
	g.rest()
	return s, nil
}

func newSession(g *Guest) *Session {
	s := &Session{g: g}
	s.asked = make([]string, len(Consoles))
	for range Consoles {
		s.ears = append(s.ears, newEar())
	}
	g.mu.Lock()
	g.session = s
	g.mu.Unlock()
	return s
}

// Console is the name of the console the session is on.
func (s *Session) Console() string { return Consoles[s.console] }

// Run runs a command. On ErrGuestEnded the result holds the output so far.
func (s *Session) Run(ctx context.Context, c Command) (Result, error) {
	s.oneAt.Lock()
	defer s.oneAt.Unlock()
	name := c.Name
	if name == "" {
		name = strings.SplitN(c.Run, "\n", 2)[0]
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = s.g.Machine.Profile.Case
	}
	s.setRunning(name)
	defer s.setRunning("")
	mark := s.g.log.Mark()
	start := time.Now()
	s.g.doing("case "+name, timeout, 0)
	r, err := s.run(ctx, c.Run)
	s.g.rest()
	r.Duration = time.Since(start)
	r.Kernel = s.g.log.KernelSince(mark, s.Console())
	if err != nil {
		return r, fmt.Errorf("run %q: %w", name, err)
	}
	return r, nil
}

func (s *Session) setRunning(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" && s.over {
		return // it was still running when the guest ended
	}
	s.running = name
}

// lastAnswer is when the guest last answered with a number that only this
// process knew, and what runs.
func (s *Session) lastAnswer() (time.Duration, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer, s.running
}

func (s *Session) alive() {
	s.mu.Lock()
	s.answer = s.g.since()
	s.mu.Unlock()
}

// feed takes what a console said.
func (s *Session) feed(n int, data []byte) {
	ear := s.ears[n]
	for range ear.hear(data) {
		// A line editor asked where the cursor is. It would wait for the
		// answer, and take the first bytes of a command for it.
		s.send(n, "\x1b[1;1R")
	}
}

// echoes reports whether what a console says is what was typed there to find a
// shell. A kernel whose programs are all stuck still echoes: that is no sign of
// life.
func (s *Session) echoes(n int, data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := strings.ReplaceAll(string(data), "\r", "")
	return s.asked[n] != "" && strings.Contains(s.asked[n], said)
}

func (s *Session) askFor(n int, t token) {
	text := probe(t)
	s.mu.Lock()
	s.asked[n] = text + text // a read may bring the end of one and the beginning of the next
	s.mu.Unlock()
	s.send(n, text)
}

// gone notes that the guest has ended.
func (s *Session) gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// sendLimit bounds how long the guest may take to read 64 KiB of input.
const sendLimit = 10 * time.Second

// send types on a console. What does not fit after a while is lost, as at any
// keyboard: whoever sends checks that it came.
func (s *Session) send(n int, text string) {
	in := s.g.inputs[n]
	_ = in.SetWriteDeadline(time.Now().Add(sendLimit))
	_, _ = in.WriteString(text)
}

// line sends a line to the loop. The empty line before it takes the blame for
// whatever was typed there meanwhile.
func (s *Session) line(code string) { s.send(s.console, "\n@"+code+"\n") }

// await waits until the needle is said on the session's console, the guest
// ends, or patience does (zero: it does not).
func (s *Session) await(ctx context.Context, needle string, patience time.Duration) error {
	hit := s.ears[s.console].expect(needle)
	var late <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-hit:
		return nil
	case <-late:
		return errLate
	case <-ctx.Done():
		return ctx.Err()
	case <-s.g.done:
		select { // it may have been the last thing that was said
		case <-hit:
			return nil
		default:
			return ErrGuestEnded
		}
	}
}

var errLate = errors.New("no answer in time")

// patience is how long a shell may take to answer something that takes no
// time, before it is asked again.
func (s *Session) patience() time.Duration { return s.g.Machine.Accel.scale(250 * time.Millisecond) }

// The loop that the prompt's shell is put into.
const loop = `while IFS= read -r _l;do case $_l in @*)eval "${_l#@}";;esac;done`

// probe asks a shell to put two halves together. The echo of the question
// does not hold the answer.
func probe(t token) string {
	return "\n" + loop + "\n\n@printf '\\n%s%s\\n' " + t.split() + "\n"
}

var (
	loginPrompt    = regexp.MustCompile(`(?i)\blogin: ?$`)
	passwordPrompt = regexp.MustCompile(`(?i)\bpassword( for \S+)?: ?$`)
)

// find waits until a shell answers on a console.
//
// Where something looks like a prompt the question is asked at once. Prompts
// can look like anything, so it is also asked where a console has been silent
// for a while once the kernel runs; and now and then once programs run, for a
// kernel may log so much that no prompt is seen and no console is ever silent.
// Before that nothing is typed: firmware and loaders take any key for a wish.
func (s *Session) find(ctx context.Context) error {
	tokens := make([]token, len(Consoles))
	hits := make([]<-chan struct{}, len(Consoles))
	asked := make([]time.Time, len(Consoles))
	logins := make([]int, len(Consoles))
	wait := s.patience()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	changed := make([]<-chan struct{}, len(Consoles))
	for {
		story := s.g.log.Story()
		kernelRuns := story.Stage().Index() >= console.StageKernel.Index()
		initRuns := story.Stage().Index() >= console.StageInit.Index()
		for n := range Consoles {
			var said []byte
			said, changed[n] = s.ears[n].end()
			if answered(hits[n]) {
				s.console = n
				s.alive()
				s.mu.Lock()
				clear(s.asked)
				s.mu.Unlock()
				return nil
			}
			last := string(console.Strip(said))
			last = last[strings.LastIndexAny(last, "\r\n")+1:]
			still := s.ears[n].still()
			switch {
			case passwordPrompt.MatchString(last) && still > wait && logins[n] > 0:
				return ErrPassword
			case loginPrompt.MatchString(last):
				// An autologin answers this by itself in a moment.
				if still > 2*wait && logins[n] < 3 {
					logins[n]++
					s.send(n, "root\n")
				}
			case time.Since(asked[n]) < wait:
			case looksLikePrompt(last) && (still > 30*time.Millisecond || strings.HasSuffix(last, " ")),
				kernelRuns && still > 2*wait,
				initRuns && time.Since(asked[n]) > 4*wait:
				if tokens[n] == "" {
					tokens[n] = newToken()
					hits[n] = s.ears[n].expect(string(tokens[n]))
				}
				asked[n] = time.Now()
				s.askFor(n, tokens[n])
			}
		}
		select {
		case <-changed[0]:
		case <-changed[1]:
		case <-tick.C:
		case <-s.g.done:
			return fmt.Errorf("wait for a shell: %w", ErrGuestEnded)
		case <-ctx.Done():
			return fmt.Errorf("wait for a shell: %w", ctx.Err())
		}
	}
}

func answered(hit <-chan struct{}) bool {
	select {
	case <-hit:
		return true // a nil channel never is
	default:
		return false
	}
}

var promptEnd = regexp.MustCompile(`^[^\n]{0,200}[#$%>] ?$`)

func looksLikePrompt(line string) bool { return promptEnd.MatchString(line) }
