package console

import (
	"cmp"
	"slices"
	"strings"
)

// kernelLines remembers the lines of a kernel's log on one console,
// normalised, without repeats.
type kernelLines struct {
	seen    map[string]uint64 // when it last came, as a count of lines
	count   uint64
	lines   int // including those of reports
	scratch []byte
}

const (
	maxSeen   = 4096
	maxKernel = 400 // bytes of a normalised line
)

func (k *kernelLines) add(text []byte) {
	k.count++
	k.scratch = normalize(k.scratch[:0], text[:min(len(text), 2*maxKernel)])
	key := k.scratch[:min(len(k.scratch), maxKernel)]
	if _, known := k.seen[string(key)]; !known && len(k.seen) >= maxSeen {
		// The older half goes, so that this is rare.
		for line, last := range k.seen {
			if last+maxSeen/2 < k.count {
				delete(k.seen, line)
			}
		}
	}
	k.seen[string(key)] = k.count
}

// Mark is a place in the logs of all consoles.
type Mark map[string]uint64

// Mark returns the present place.
func (l *Log) Mark() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := Mark{}
	for _, c := range l.consoles {
		m[c.name] = c.kernel.count
	}
	return m
}

// KernelSince returns the kernel's lines logged since the mark, normalised,
// without repeats, in the order in which they last came; of the very many the
// latest.
//
// A serial port lags behind a virtio console by seconds, so what it prints
// while a case runs may be another's. The lines are therefore those of the
// named console, on which the case itself runs, unless the kernel does not log
// there.
func (l *Log) KernelSince(m Mark, console string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.consoles
	if i := slices.IndexFunc(from, func(c *Console) bool { return c.name == console && c.kernel.count > 0 }); i >= 0 {
		from = from[i : i+1]
	}
	type found struct {
		text string
		last uint64
	}
	var all []found
	for _, c := range from {
		for text, last := range c.kernel.seen {
			if last > m[c.name] && strings.TrimSpace(text) != "" {
				all = append(all, found{strings.ToValidUTF8(text, "\uFFFD"), last})
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(cmp.Compare(a.last, b.last), strings.Compare(a.text, b.text)) })
	var out []string
	for _, f := range all {
		if !slices.Contains(out, f.text) {
			out = append(out, f.text)
		}
	}
	return out[max(0, len(out)-maxSince):]
}

// maxSince bounds what one case can leave in a report.
const maxSince = 200

// Flood says that a kernel logs so much that this alone makes it slow.
type Flood struct {
	Level Level // the level most lines have
	Lines int   // lines of that level or below
	Total int   // all lines of the kernel's
}

// Cause says it in words, with what to do.
func (f Flood) Cause() string {
	if f.Level == LevelNone {
		return "the kernel logs too much: pass quiet or loglevel=4 on its command line"
	}
	return "the kernel's log level is " + strings.ToLower(f.Level.String()) +
		": pass loglevel=error and ostd.log_level=error on its command line"
}

// floodLines is how many lines a boot may log before it can be called a flood:
// Linux logs 400 to 1,500 of them.
const floodLines = 3000

// flood judges the kernel's lines; the lock is held.
func (l *Log) flood() *Flood {
	total, verbose := 0, 0
	for level, n := range l.levels {
		total += n
		if Level(level) >= LevelInfo {
			verbose += n
		}
	}
	switch {
	case verbose > floodLines/6 && verbose > total/2:
		level := LevelInfo
		for _, v := range []Level{LevelDebug, LevelTrace} {
			if l.levels[v] > total/4 {
				level = v
			}
		}
		return &Flood{Level: level, Lines: verbose, Total: total}
	case l.lines > floodLines && l.levels[LevelNone] > total/2:
		return &Flood{Level: LevelNone, Lines: total, Total: total}
	}
	return nil
}
