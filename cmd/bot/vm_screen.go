package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// vmScreen tells a person what happens, a line at a time. Everything of the
// guest's is behind words of ours, with control characters removed: a CI
// system takes lines for commands by how they begin.
type vmScreen struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	stages map[console.Stage]bool // told of this job's machines
	notRun map[string]int         // cases by the reason

	crash   string // told last
	crashAt time.Duration
}

func newVMScreen(e *env) *vmScreen {
	return &vmScreen{notRun: map[string]int{}, out: e.Stdout, colour: terminalWidth(e.Stdout) > 0 && e.Getenv("NO_COLOR") == ""}
}

func (s *vmScreen) line(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// begin announces the machines of a job.
func (s *vmScreen) begin(j suite.Job, m testvm.Machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stages = map[console.Stage]bool{}
	what := "the first disk"
	if m.Kernel != nil {
		what = filepath.Base(m.Kernel.Image)
	}
	s.line("%s: %s, profile %s, %s", j.Machine, report.Plain(what), m.Profile.Name, m.Accel.Accelerator)
}

// event tells of the first machine's stages, and of every crash.
func (s *vmScreen) event(e console.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case console.EventStage:
		if !s.stages[e.Stage] {
			s.stages[e.Stage] = true
			s.line("  %7.2f s  %s", e.At.Seconds(), e.Stage)
		}
	case console.EventCrash:
		if e.Crash.Kind == console.KindPanic || e.Crash.Kind == console.KindOops {
			// The header alone is known yet, and the other console has it too.
			said := string(e.Crash.Kind)
			if e.Crash.Message != "" {
				said += ": " + report.Plain(e.Crash.Title)
			}
			if said == s.crash && e.At-s.crashAt < time.Second && e.At >= s.crashAt {
				return
			}
			s.crash, s.crashAt = said, e.At
			s.line("  %7.2f s  %s", e.At.Seconds(), s.paint(red, said))
		}
	}
}

// settled tells of what was not tried: the boot, and what came of it.
func (s *vmScreen) settled(c checks.Case, o checks.Outcome) {
	switch {
	case c.Kind == checks.KindBoot:
		s.tried(c, o)
	case o.Attempts == 0:
		s.mu.Lock()
		s.notRun[o.Reason]++
		s.mu.Unlock()
	}
}

// tried tells of an attempt at a case.
func (s *vmScreen) tried(c checks.Case, o checks.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	colour := green
	switch o.Status {
	case checks.Fail:
		colour = red
	case checks.Error:
		colour = yellow
	}
	s.line("%s  %-24s %6.1f s  %s", s.paint(colour, fmt.Sprintf("%-5s", o.Status)), report.Plain(c.Name), o.Seconds, report.Plain(o.Reason))
}

// answer ends with what a person wants to know.
func (s *vmScreen) answer(results *checks.Results, headline, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line("")
	for _, c := range results.Cases {
		switch {
		case c.Now == checks.Fail:
			s.line("%s %s: %s", s.paint(red, "fail"), report.Plain(c.Name), report.Plain(c.Reason))
		case c.Verdict == checks.Fixed:
			s.line("%s %s: %s", s.paint(green, "fixed"), report.Plain(c.Name), report.Plain(c.Reason))
		default:
			continue
		}
		if words := blameWords[c.Blame]; words != "" {
			s.line("     %s", words)
		}
		for _, l := range c.Likely {
			s.line("     likely cause: the kernel logged %q", report.Plain(l))
		}
		if c.Kind == checks.KindBoot && len(c.Trace) == 0 {
			for _, l := range report.PlainLines(c.Tail[max(0, len(c.Tail)-6):]) {
				s.line("     | %s", l)
			}
		}
		for i, f := range c.Trace {
			if i == 8 {
				s.line("     ... %d more frames", len(c.Trace)-i)
				break
			}
			s.line("     %2d: %s", i, report.Plain(f.Function))
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(s.notRun)) {
		s.line("%s %d cases: %s", s.paint(yellow, "error"), s.notRun[reason], report.Plain(reason))
	}
	for _, m := range results.Machines {
		s.line("%s: %s; %.1f s, %d boots, %d forks (%s)", m.Name, vmBoot(m), m.Seconds, m.Boots, m.Forks, strings.TrimSpace(m.Method+" "+m.Accelerator))
		for _, n := range m.Notes {
			s.line("     note: %s", report.Plain(n))
		}
	}
	s.line("%s", headline)
	s.line("results: %s", path)
}

// blameWords say whose a failure is.
var blameWords = map[checks.Blame]string{
	checks.BlameKernel:  "it passes on the control kernel: this kernel's fault",
	checks.BlamePackage: "it fails on the control kernel in the same way: not this kernel's fault",
	checks.BlameInfra:   "our own surroundings failed",
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s *vmScreen) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
