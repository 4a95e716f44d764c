package nix

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
)

// peak is the most memory that a process has had. It is read from /proc again and again,
// since a process that died for want of memory cannot be asked, and what wait(2) tells of
// a child includes the process that started it.
type peak struct {
	cmd *proc.Cmd
	kib atomic.Int64
}

// watchPeak reads the most memory a process has until it ends.
func watchPeak(cmd *proc.Cmd) *peak {
	p := &peak{cmd: cmd}
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-cmd.Done():
				return
			case <-tick.C:
				p.mib()
			}
		}
	}()
	return p
}

// mib is what is known so far.
func (p *peak) mib() int {
	_, rest, ok := strings.Cut(readText(fmt.Sprintf("/proc/%d/status", p.cmd.Pid())), "VmHWM:")
	if ok {
		kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		for was := p.kib.Load(); kib > was && !p.kib.CompareAndSwap(was, kib); {
			was = p.kib.Load()
		}
	}
	return int(p.kib.Load() >> 10)
}
