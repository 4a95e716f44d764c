package suite

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// screenNotBlank is what a case that looks at the screen asks for.
const screenNotBlank = "not blank"

// try runs a case once. When the machine ended, the outcome has no status
// yet: only its ending tells whose fault that was.
func (r *run) try(ctx context.Context, m Machine, c distro.CaseSpec) (checks.Outcome, bool) {
	start := time.Now()
	o := checks.Outcome{Stage: "test"}
	if c.Run != "" {
		res, err := m.Run(ctx, testvm.Command{Name: c.Name, Run: c.Run, Timeout: time.Duration(c.Timeout) * time.Second})
		o.Kernel, o.Tail = res.Kernel, tail(res.Output)
		o.Seconds = time.Since(start).Seconds()
		switch {
		case ctx.Err() != nil:
			o.Status, o.Infra, o.Reason = checks.Error, true, "stopped while it ran"
			return o, false
		case errors.Is(err, testvm.ErrGuestEnded):
			return o, false
		case errors.Is(err, testvm.ErrNotRun):
			// A case before it left the machine so: this one gets a fresh one.
			o.Status, o.Infra, o.Reason = checks.Error, true, firstLine(err.Error())
			return o, false
		case errors.Is(err, testvm.ErrShellGone):
			o.Status, o.Reason, o.Title = checks.Fail, "the shell that ran it is gone", "the shell is gone"
			return o, false
		case err != nil:
			o.Status, o.Reason = checks.Fail, firstLine(err.Error())
			o.Title = title(o.Reason)
			return o, false
		}
		exit := res.Status
		o.Exit = &exit
		judge(c, res, &o)
		if crash := m.Oops(); crash != nil {
			// Whatever the command made of it: a kernel in this state proves
			// nothing more, so the others go on in a fresh machine.
			o.Status, o.Title, o.Trace = checks.Fail, crash.Title, frames(crash.Trace)
			o.Reason = "the kernel reported an oops while it ran: " + crash.Reason()
			return o, false
		}
	} else {
		o.Status = checks.Pass
	}
	if c.Screen == screenNotBlank && o.Status == checks.Pass {
		r.look(ctx, m, c, &o)
	}
	if o.Status == checks.Fail && r.Suite.Graphical && o.Image == "" {
		if png, err := m.Screenshot(ctx); err == nil {
			o.Image = r.save("screen-"+slug(c.Name)+".png", png)
		}
	}
	o.Seconds = time.Since(start).Seconds()
	return o, true
}

// judge compares what a command did with what the case expects.
func judge(c distro.CaseSpec, res testvm.Result, o *checks.Outcome) {
	output := string(console.Strip(res.Output))
	said := message(output)
	o.Status = checks.Pass
	if res.Status != c.Status {
		o.Status = checks.Fail
		o.Reason = fmt.Sprintf("exit status %d", res.Status)
		if c.Status != 0 {
			o.Reason += fmt.Sprintf(" instead of %d", c.Status)
		}
		o.Title = title(said)
		if said != "" {
			o.Reason += ": " + said
		} else {
			o.Title = "no output"
		}
		return
	}
	re, err := expectation(c)
	if err != nil { // Check refuses it before
		o.Status, o.Reason = checks.Error, err.Error()
		return
	}
	if re != nil && !re.MatchString(strings.ReplaceAll(output, "\r\n", "\n")) {
		o.Status = checks.Fail
		o.Reason = fmt.Sprintf("the output does not match %s", c.Expect)
		if said != "" {
			o.Reason += ", it ends in: " + said
		}
		o.Title = "unexpected output: " + title(said)
	}
}

// endedIn says what it means for a case that the machine ended while it ran.
func (r *run) endedIn(c distro.CaseSpec, o checks.Outcome, e testvm.Ending) checks.Outcome {
	if e.Outcome == testvm.Infra {
		o.Status, o.Infra, o.Reason = checks.Error, true, e.Reason
		return o
	}
	o.Status = checks.Fail
	o.Title = e.Title
	o.Trace = frames(e.Trace)
	switch e.Outcome {
	case testvm.Panic, testvm.Oops:
		o.Reason = fmt.Sprintf("%s: %s", e.Outcome, e.Reason)
		if e.Title != "" && !strings.Contains(console.Normalize(e.Reason), e.Title) {
			o.Reason = fmt.Sprintf("%s: %s (%s)", e.Outcome, e.Title, e.Reason)
		}
	case testvm.OK:
		o.Reason, o.Title = "the machine powered off while it ran", "the machine powered off"
	default:
		o.Reason = fmt.Sprintf("%s: %s", e.Outcome, e.Reason)
		o.TimedOut = timedOut(e)
	}
	if len(e.Screenshot) > 0 && r.Suite.Graphical {
		o.Image = r.save("screen-"+slug(c.Name)+".png", e.Screenshot)
	}
	return o
}

// screenPatience is how long a screen may take to show something.
const screenPatience = 20 * time.Second

// look waits for the screen to show something.
func (r *run) look(ctx context.Context, m Machine, c distro.CaseSpec, o *checks.Outcome) {
	patience := screenPatience
	if c.Timeout > 0 {
		patience = time.Duration(c.Timeout) * time.Second
	}
	until := time.Now().Add(patience)
	for {
		png, err := m.Screenshot(ctx)
		blank := true
		if err == nil {
			blank, err = testvm.Blank(png)
		}
		if err != nil {
			o.Status, o.Infra, o.Reason = checks.Error, true, "no screenshot could be taken: "+firstLine(err.Error())
			return
		}
		if blank && time.Now().Before(until) {
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
				continue
			}
		}
		o.Image = r.save("screen-"+slug(c.Name)+".png", png)
		if blank {
			o.Status, o.Title = checks.Fail, "the screen is blank"
			o.Reason = fmt.Sprintf("the screen is blank after %.0f s", patience.Seconds())
		}
		return
	}
}

// message is what a command said last: its last lines if it said only a few,
// else the last one, which is where programs put what went wrong.
func message(output string) string {
	lines := lastLines(output, 4)
	if len(lines) > 3 {
		lines = lines[3:]
	}
	return strings.Join(lines, "; ")
}

// title makes two reports of the same failure equal.
func title(said string) string { return scratchName.ReplaceAllString(console.Normalize(said), "$1*") }

// scratchName is a name that mktemp(1) made.
var scratchName = regexp.MustCompile(`(\btmp[._-]|/tmp/(?:[A-Za-z0-9_-]+[._-])?)[A-Za-z0-9]{6,}\b`)

const (
	tailLines    = 20
	maxLineBytes = 500
)

// tail is the end of an output as it may stand in a report.
func tail(output []byte) []string {
	const enough = tailLines * maxLineBytes
	return lastLines(string(console.Strip(output[max(0, len(output)-4*enough):])), tailLines)
}

// lastLines are the last n lines that are not empty, each bounded.
func lastLines(text string, n int) []string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\r", "\n"), "\uFFFD")
	var out []string
	for len(out) < n && text != "" {
		i := strings.LastIndexByte(text, '\n')
		line := strings.TrimRight(text[i+1:], " \t")
		text = text[:max(i, 0)]
		if strings.TrimSpace(line) == "" {
			continue
		}
		if len(line) > maxLineBytes {
			line = strings.ToValidUTF8(line[:maxLineBytes], "") + "…"
		}
		out = append([]string{line}, out...)
	}
	return out
}

func frames(trace []console.Frame) []checks.Frame {
	var out []checks.Frame
	for _, f := range trace {
		out = append(out, checks.Frame{Function: f.Function, Address: f.Address})
	}
	return out
}
