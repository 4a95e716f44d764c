package console

import (
	"cmp"
	"slices"
)

// Story is what the consoles of a machine told, put together.
type Story struct {
	// Stages are those reached, in order, with the time of the first sign on
	// any console.
	Stages []Reached
	// Crashes are the reports, in the order of their headers.
	Crashes []*Crash
	// End is how the kernel last said that it ends.
	End End
	// Boots is how often the kernel or the firmware began: more than one is a
	// reset. A log read back in the guest looks the same.
	Boots int
	// Flood is set when the kernel's log alone makes it slow.
	Flood *Flood
	// Bytes counts what came, by console; KernelLines the lines of the
	// kernel's log, on the console that had most.
	Bytes       map[string]int64
	KernelLines int
}

// Stage is the last stage reached.
func (s *Story) Stage() Stage {
	if len(s.Stages) == 0 {
		return StageNone
	}
	return s.Stages[len(s.Stages)-1].Stage
}

// Decisive is the report that decides how the machine fared: the first panic,
// or else the first oops; nil if there is neither.
func (s *Story) Decisive() *Crash {
	var found *Crash
	for _, c := range s.Crashes {
		if c.Kind.rank() < KindOops.rank() {
			continue
		}
		if found == nil || c.Kind.rank() > found.Kind.rank() {
			found = c
		}
	}
	return found
}

// Story returns what is known so far.
func (l *Log) Story() *Story {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Story{
		Stages: slices.Clone(l.reached), End: l.end, Flood: l.flood(),
		Bytes: map[string]int64{}, KernelLines: l.lines,
	}
	for _, c := range l.consoles {
		s.Bytes[c.name] = c.bytes
		for _, n := range c.banners {
			s.Boots = max(s.Boots, n)
		}
		s.Crashes = merge(s.Crashes, c.crashes)
	}
	for _, c := range s.Crashes {
		c.finish(l.Symbols)
	}
	slices.SortStableFunc(s.Crashes, func(a, b *Crash) int { return cmp.Compare(a.At, b.At) })
	return s
}

// merge puts the reports of one more console to those of the others. The
// header of a report may have come on one, its stack on another; of a kernel
// whose log is off there is only a stack.
func merge(all, more []*Crash) []*Crash {
	taken := map[*Crash]bool{}
	for _, m := range more {
		i := slices.IndexFunc(all, func(c *Crash) bool { return !taken[c] && same(c, m) })
		if i < 0 {
			c := m.copy()
			all = append(all, c)
			taken[c] = true
			continue
		}
		c := all[i]
		taken[c] = true
		if c.Message == "" {
			c.Message, c.first, c.header, c.stamp = m.Message, m.first, m.header, m.stamp
		}
		if c.File == "" {
			c.File, c.Line = m.File, m.Line
		}
		if c.Function == "" {
			c.Function = m.Function
		}
		if len(m.Trace) > len(c.Trace) {
			c.Trace = slices.Clone(m.Trace)
		}
		if m.Kind.rank() > c.Kind.rank() {
			c.Kind = m.Kind
		}
		if m.At < c.At {
			c.At, c.Stage = m.At, m.Stage
		}
		c.Bare = c.Bare && m.Bare
		c.Consoles = append(c.Consoles, m.Consoles...)
	}
	return all
}

// same reports whether two consoles tell of the same report.
func same(a, b *Crash) bool {
	if a.stamp != "" && b.stamp != "" && a.stamp != b.stamp {
		return false
	}
	untitled := a.Message == "" || b.Message == ""
	return untitled && (a.Kind == b.Kind) || a.header == b.header && Normalize(a.Message) == Normalize(b.Message)
}
