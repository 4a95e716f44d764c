// Package progress tells whoever waits for a check how far it is: live bars on a
// terminal, plain lines elsewhere.
//
// New chooses between the two. Both are a pipeline.Progress; Close ends them.
// The live form never hides the cursor nor changes the terminal's modes, so
// that a check that is interrupted, even killed, leaves a good terminal.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// Progress is a pipeline.Progress that has to be closed.
type Progress interface {
	pipeline.Progress
	// Close ends the last stage and leaves the cursor below what was shown.
	Close()
}

// New returns live progress for a terminal that is width columns wide, plain
// lines for width zero.
func New(w io.Writer, width int) Progress {
	if width > 0 {
		return newLive(w, width)
	}
	return NewPlain(w, Heartbeat)
}

// Heartbeat is how often plain progress says how far a long stage is: often
// enough that no one takes a CI job for dead.
const Heartbeat = 30 * time.Second

// stage counts what happens in one part of the work.
type stage struct {
	name                      string
	total, settled            int
	failed, unseen, remembers int
	began                     time.Time
}

// counts reports whether a case belongs to the stage, and counts it.
func (s *stage) counts(side pipeline.Side, c checks.Case, o checks.Outcome) bool {
	word, of, sided := strings.Cut(s.name, " ")
	if sided && of != string(side) {
		return false
	}
	switch word {
	case "evaluate":
		if c.Kind != checks.KindEval || side != pipeline.Head {
			return false
		}
	case "build":
		if c.Kind != checks.KindBuild {
			return false
		}
	case "boot":
		if c.Kind != checks.KindBoot && c.Kind != checks.KindInstall && c.Kind != checks.KindTest {
			return false
		}
	}
	s.settled++
	switch {
	case o.Status == checks.Fail:
		s.failed++
	case o.Status == checks.Error:
		s.unseen++
	}
	if o.Remembered != nil {
		s.remembers++
	}
	return true
}

// result is what came of it, in words.
func (s *stage) result() string {
	parts := []string{fmt.Sprintf("%d", s.settled)}
	if s.total > 0 {
		parts[0] = fmt.Sprintf("%d/%d", min(s.settled, s.total), s.total)
	}
	for _, n := range []struct {
		n    int
		word string
	}{{s.failed, "failed"}, {s.unseen, "not looked at"}, {s.remembers, "remembered"}} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.n, n.word))
		}
	}
	return strings.Join(parts, ", ")
}

// settled is the line about a case that did not go well; the rest are only
// counted.
func settled(side pipeline.Side, c checks.Case, o checks.Outcome) (string, bool) {
	var mark string
	switch o.Status {
	case checks.Fail:
		mark = "✗"
	case checks.Error:
		mark = "?"
	default:
		return "", false
	}
	if side != pipeline.Head {
		return "", false // what fails at base or on the control is no news yet
	}
	line := fmt.Sprintf("%s %s %s: %s", mark, c.Kind, report.Plain(c.Subject), report.Plain(c.Name))
	if reason := report.Plain(o.Reason); reason != "" {
		if r := []rune(reason); len(r) > 200 {
			reason = string(r[:200]) + "…"
		}
		line += ", " + reason
	}
	return line, true
}

func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d:%02d min", int(d.Minutes()), int(d.Seconds())%60)
}

// plain writes lines.
type plain struct {
	mu   sync.Mutex
	w    io.Writer
	now  *stage
	done chan struct{}
	once sync.Once
}

// NewPlain returns progress in plain lines: when a stage begins and ends, when a
// case fails at head, and every so often how far it is.
func NewPlain(w io.Writer, heartbeat time.Duration) Progress {
	p := &plain{w: w, done: make(chan struct{})}
	go func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-tick.C:
				p.beat()
			}
		}
	}()
	return p
}

// line is called with the lock held. A writer that fails is no reason to end a
// check.
func (p *plain) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *plain) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil {
		p.line("  %s: %s after %s", p.now.name, p.now.result(), elapsed(time.Since(p.now.began)))
	}
}

func (p *plain) Stage(name string, cases int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	p.now = &stage{name: report.Plain(name), total: cases, began: time.Now()}
	p.line("%s: %d to settle", p.now.name, cases)
}

func (p *plain) end() {
	if p.now != nil {
		p.line("%s: %s in %s", p.now.name, p.now.result(), elapsed(time.Since(p.now.began)))
		p.now = nil
	}
}

func (p *plain) Settled(side pipeline.Side, c checks.Case, o checks.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil {
		p.now.counts(side, c, o)
	}
	if line, ok := settled(side, c, o); ok {
		p.line("  %s", line)
	}
}

func (p *plain) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("  note: %s", report.Plain(text))
}

func (p *plain) Close() {
	p.once.Do(func() {
		close(p.done)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end()
	})
}

// live shows a bar for each stage, and above them what does not go well.
type live struct {
	mu    sync.Mutex
	bars  *mpb.Progress
	width int
	now   *stage
	bar   *mpb.Bar
	once  sync.Once
}

func newLive(w io.Writer, width int) *live {
	return &live{
		bars:  mpb.New(mpb.WithOutput(w), mpb.WithWidth(width), mpb.WithRefreshRate(120*time.Millisecond), mpb.ForceAutoRefresh(), mpb.ForceTTY()),
		width: width,
	}
}

func (l *live) Stage(name string, cases int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	s := &stage{name: report.Plain(name), total: cases, began: time.Now()}
	var took time.Duration
	l.now = s
	// The decorators run on the bar's own goroutine.
	result := decor.Any(func(decor.Statistics) string {
		l.mu.Lock()
		defer l.mu.Unlock()
		return "  " + s.result()
	}, decor.WC{W: 26, C: decor.DindentRight})
	clock := decor.Any(func(st decor.Statistics) string {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.now == s {
			took = time.Since(s.began)
		}
		return elapsed(took)
	}, decor.WC{W: 10})
	l.bar = l.bars.New(int64(max(1, cases)),
		mpb.BarStyle().Lbound(" ").Filler("━").Tip("━").Padding("─").Rbound(""),
		mpb.PrependDecorators(decor.Name(s.name, decor.WC{W: 15, C: decor.DindentRight})),
		mpb.AppendDecorators(result, clock),
		mpb.BarWidth(max(10, min(40, l.width-54))),
	)
}

// end fills the bar of the stage that is over.
func (l *live) end() {
	if l.bar == nil {
		return
	}
	l.now = nil
	l.bar.SetTotal(-1, true)
	l.bar = nil
}

func (l *live) Settled(side pipeline.Side, c checks.Case, o checks.Outcome) {
	l.mu.Lock()
	bar := l.bar
	counted := l.now != nil && l.now.counts(side, c, o) && l.now.settled < l.now.total
	l.mu.Unlock()
	if counted {
		bar.Increment()
	}
	if line, ok := settled(side, c, o); ok {
		l.above(line)
	}
}

func (l *live) Note(text string) { l.above("note: " + report.Plain(text)) }

// above writes a line above the bars, cut to the terminal's width: a line that
// wraps would be counted wrongly when the bars are drawn again.
func (l *live) above(line string) {
	if r := []rune(line); len(r) > l.width-1 {
		line = string(r[:l.width-2]) + "…"
	}
	_, _ = io.WriteString(l.bars, line+"\n") // fails only after Close
}

func (l *live) Close() {
	l.once.Do(func() {
		l.mu.Lock()
		l.end()
		l.mu.Unlock()
		l.bars.Wait()
	})
}
