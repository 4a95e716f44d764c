package testvm

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// DefaultConsoleBytes is how much is kept of the head, and as much of the
// tail, of a console.
const DefaultConsoleBytes = 4 << 20

// Recording is what a console said, byte for byte: all of it, or its head and
// tail with the number of bytes dropped between.
type Recording struct {
	mu    sync.Mutex
	limit int
	head  []byte
	tail  []byte // a ring once it is full
	at    int    // where the ring's oldest byte is
	total int64
}

func newRecording(limit int) *Recording {
	if limit <= 0 {
		limit = DefaultConsoleBytes
	}
	return &Recording{limit: limit}
}

func (r *Recording) add(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += int64(len(p))
	n := min(len(p), r.limit-len(r.head))
	r.head = append(r.head, p[:n]...)
	p = p[n:]
	if len(p) > r.limit {
		p = p[len(p)-r.limit:]
	}
	n = min(len(p), r.limit-len(r.tail))
	r.tail = append(r.tail, p[:n]...)
	for p = p[n:]; len(p) > 0; {
		n := copy(r.tail[r.at:], p)
		p = p[n:]
		r.at = (r.at + n) % r.limit
	}
}

// Total is the number of bytes the console said.
func (r *Recording) Total() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Dropped is the number of bytes between head and tail that were not kept.
func (r *Recording) Dropped() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total - int64(len(r.head)+len(r.tail))
}

// Bytes are what was kept, with a line about what was not.
func (r *Recording) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append([]byte(nil), r.head...)
	if dropped := r.total - int64(len(r.head)+len(r.tail)); dropped > 0 {
		out = append(out, fmt.Sprintf("\n[... %d bytes dropped ...]\n", dropped)...)
	}
	out = append(out, r.tail[r.at:]...)
	return append(out, r.tail[:r.at]...)
}

// chunk is what one read of a console brought.
type chunk struct {
	console int
	at      time.Duration // since the start of the machine
	data    []byte
}

// spool takes a console's bytes off its pipe and does nothing else: with
// 64 KiB unread there, QEMU's whole main loop blocks (no QMP, SIGTERM without
// effect), so it never waits for anyone.
func spool(console int, pipe io.Reader, r *Recording, q *queue, since func() time.Duration) {
	buf := make([]byte, 64<<10)
	for {
		n, err := pipe.Read(buf)
		if n > 0 {
			r.add(buf[:n])
			q.push(chunk{console, since(), append([]byte(nil), buf[:n]...)})
		}
		if err != nil {
			return // QEMU is gone, and with it the last writer
		}
	}
}

// queueBytes is how much a queue holds in memory.
const queueBytes = 8 << 20

// queue is between the spoolers and the matcher. What does not fit in memory
// goes to a file without a name, so that the one never waits and the other
// sees every byte.
type queue struct {
	mu     sync.Mutex
	filled *sync.Cond
	chunks []chunk // data is nil while it is in the file
	sizes  []int
	bytes  int // held in memory
	file   *os.File
	in, at int64 // where the file is written and read
	closed bool
	lost   int64 // bytes that neither memory nor disk could take
	dir    string
}

func newQueue(dir string) *queue {
	q := &queue{dir: dir}
	q.filled = sync.NewCond(&q.mu)
	return q
}

func (q *queue) push(c chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := len(c.data)
	if q.bytes+size > queueBytes {
		if err := q.spill(c.data); err != nil {
			q.lost += int64(size)
			return
		}
		c.data = nil
	} else {
		q.bytes += size
	}
	q.chunks = append(q.chunks, c)
	q.sizes = append(q.sizes, size)
	q.filled.Signal()
}

func (q *queue) spill(p []byte) error {
	if q.file == nil {
		f, err := unnamedFile(q.dir)
		if err != nil {
			return err
		}
		q.file = f
	}
	if q.in == q.at { // all read: start over instead of growing
		q.in, q.at = 0, 0
	}
	if _, err := q.file.WriteAt(p, q.in); err != nil {
		return err
	}
	q.in += int64(len(p))
	return nil
}

// pop waits for the next chunk; false means there are no more.
func (q *queue) pop() (chunk, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 && !q.closed {
		q.filled.Wait()
	}
	if len(q.chunks) == 0 {
		return chunk{}, false
	}
	c, size := q.chunks[0], q.sizes[0]
	q.chunks, q.sizes = q.chunks[1:], q.sizes[1:]
	if c.data != nil {
		q.bytes -= size
		return c, true
	}
	c.data = make([]byte, size)
	if _, err := q.file.ReadAt(c.data, q.at); err != nil {
		q.lost += int64(size)
		c.data = nil
	}
	q.at += int64(size)
	return c, true
}

// close lets pop return what is left, then false.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

func (q *queue) release() {
	if q.file != nil {
		q.file.Close()
	}
}
