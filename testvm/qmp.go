package testvm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// qmpLineLimit bounds one message: QEMU is ours, but what it quotes (a device
// name, a guest's panic) need not be.
const qmpLineLimit = 4 << 20

// QMP is a client of QEMU's machine protocol. Commands may be sent from
// several goroutines; their replies come in the order of the commands, so one
// lock around write and read queue is all there is to it.
type QMP struct {
	conn   *net.UnixConn
	events chan Event
	// Version is what the greeting says, such as "7.2.22".
	Version string

	mu      sync.Mutex
	waiting []chan reply
	err     error // why no more replies come
	closed  chan struct{}
}

// Event is something QEMU says by itself.
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// QMPError is QEMU's refusal of a command.
type QMPError struct {
	Command string
	Class   string `json:"class"`
	Desc    string `json:"desc"`
}

func (e *QMPError) Error() string { return fmt.Sprintf("qmp %s: %s", e.Command, e.Desc) }

type reply struct {
	value json.RawMessage
	fault *QMPError
}

type message struct {
	Greeting *struct {
		Version struct {
			Qemu struct{ Major, Minor, Micro int }
		}
	} `json:"QMP"`
	Event
	Return json.RawMessage `json:"return"`
	Fault  *QMPError       `json:"error"`
}

// dialQMP takes over our end of the socket, waits for the greeting and leaves
// the negotiation mode.
func dialQMP(ctx context.Context, end *os.File) (*QMP, error) {
	c, err := net.FileConn(end) // duplicates the descriptor
	end.Close()
	if err != nil {
		return nil, fmt.Errorf("open qmp: %w", err)
	}
	q := &QMP{conn: c.(*net.UnixConn), events: make(chan Event, 64), closed: make(chan struct{})}
	greeting := make(chan string, 1)
	go q.read(greeting)
	select {
	case v, ok := <-greeting:
		if !ok {
			return nil, fmt.Errorf("open qmp: qemu closed it before its greeting")
		}
		q.Version = v
	case <-ctx.Done():
		q.Close()
		return nil, fmt.Errorf("open qmp: no greeting: %w", ctx.Err())
	}
	if err := q.Do(ctx, "qmp_capabilities", nil, nil); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

// read runs until the connection ends. Events are handed on in order; whoever
// owns the machine drains them until the channel is closed.
func (q *QMP) read(greeting chan<- string) {
	defer close(q.events)
	lines := bufio.NewScanner(q.conn)
	lines.Buffer(make([]byte, 0, 4096), qmpLineLimit)
	failure := fmt.Errorf("qmp: connection closed")
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			failure = fmt.Errorf("qmp: decode message: %w", err)
			break
		}
		switch {
		case m.Greeting != nil:
			v := m.Greeting.Version.Qemu
			greeting <- fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
		case m.Name != "":
			q.events <- m.Event
		default:
			q.answer(reply{m.Return, m.Fault})
		}
	}
	if err := lines.Err(); err != nil {
		failure = fmt.Errorf("qmp: read: %w", err)
	}
	q.mu.Lock()
	q.err = failure
	q.mu.Unlock()
	close(q.closed)
	close(greeting)
	q.conn.Close()
}

func (q *QMP) answer(r reply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return // a reply nobody asked for: a protocol error of QEMU's, and harmless
	}
	q.waiting[0] <- r
	q.waiting = q.waiting[1:]
}

// Do executes a command and decodes what it returns into out, unless that is
// nil. The error is a *QMPError when QEMU refused.
func (q *QMP) Do(ctx context.Context, command string, args, out any) error {
	return q.do(ctx, command, args, out, nil)
}

// GiveFile hands a descriptor to QEMU under a name, for "fd:NAME".
func (q *QMP) GiveFile(ctx context.Context, name string, f *os.File) error {
	err := q.do(ctx, "getfd", map[string]string{"fdname": name}, nil, unix.UnixRights(int(f.Fd())))
	return err
}

func (q *QMP) do(ctx context.Context, command string, args, out any, rights []byte) error {
	text, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, args})
	if err != nil {
		return fmt.Errorf("qmp %s: encode arguments: %w", command, err)
	}
	answer := make(chan reply, 1)
	q.mu.Lock()
	if q.err != nil {
		defer q.mu.Unlock()
		return fmt.Errorf("qmp %s: %w", command, q.err)
	}
	q.waiting = append(q.waiting, answer)
	_, _, err = q.conn.WriteMsgUnix(append(text, '\n'), rights, nil)
	q.mu.Unlock()
	if err != nil {
		return fmt.Errorf("qmp %s: write: %w", command, err)
	}
	var r reply
	select {
	case r = <-answer:
	case <-ctx.Done():
		return fmt.Errorf("qmp %s: no reply: %w", command, ctx.Err())
	case <-q.closed:
		select { // the reply may have been the last thing that came
		case r = <-answer:
		default:
			return fmt.Errorf("qmp %s: connection closed before the reply", command)
		}
	}
	if r.fault != nil {
		r.fault.Command = command
		return r.fault
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(r.value, out); err != nil {
		return fmt.Errorf("qmp %s: decode reply: %w", command, err)
	}
	return nil
}

// Monitor executes a command of the human monitor and returns its text.
func (q *QMP) Monitor(ctx context.Context, line string) (string, error) {
	var text string
	err := q.Do(ctx, "human-monitor-command", map[string]string{"command-line": line}, &text)
	return text, err
}

// Close ends the connection; QEMU runs on.
func (q *QMP) Close() { q.conn.Close() }
