package testvm

import (
	"fmt"
	"time"
)

// watchdog decides when a machine that does not end has to be ended. It only
// computes: whoever owns it tells it what happened, and when.
//
// All times are since the start of the machine, on the host's monotonic clock;
// the guest's may jump or stand still.
type watchdog struct {
	// doing says what the deadline is for: "boot", "case NAME", "power-off".
	doing string
	// began is when that began, deadline when it must have ended (zero: no
	// deadline), silence how long nothing at all may happen (zero: for ever).
	began, deadline, silence time.Duration
	// limit is the time it had at first, weighed when credit was last asked for.
	limit, weighed time.Duration
	// bytes is when a console last said something, progress when the last
	// new stage was reached or disk was used.
	bytes, progress time.Duration
	// pardon is how much longer it may be silent since pardonFrom, its last sign of
	// life: so long the host kept it waiting.
	pardon, pardonFrom time.Duration
	// said is how many bytes the consoles said since it began.
	said int64
	// stage is the last stage of the boot.
	stage string
	// resets of the guest, and how many are all right.
	resets, allowed int
}

func (w *watchdog) begin(doing string, now, limit, silence time.Duration) {
	*w = watchdog{doing: doing, began: now, limit: limit, weighed: now, silence: silence, bytes: now, progress: now, stage: w.stage, resets: w.resets, allowed: w.allowed}
	if limit > 0 {
		w.deadline = now + limit
	}
}

// rest stops watching: a guest at its prompt may be as silent as it likes.
func (w *watchdog) rest() { w.doing, w.deadline, w.silence = "", 0, 0 }

// maxCredit bounds how much longer than its limit anything may take on a host
// that has no time for it, so that it ends there too.
const maxCredit = 3

// alive is when it last gave a sign of life.
func (w *watchdog) alive() time.Duration { return max(w.bytes, w.progress) }

// silenceEnds is when it has been silent for too long.
func (w *watchdog) silenceEnds() time.Duration {
	if w.pardonFrom == w.alive() {
		return w.alive() + w.silence + w.pardon
	}
	return w.alive() + w.silence
}

// credit gives a guest the time that it waited for a processor of the host,
// since it was last asked. It reports false for one that waited for none to speak
// of, or has had enough.
func (w *watchdog) credit(now, waited time.Duration) bool {
	end := w.began + (1+maxCredit)*w.limit
	waited = min(waited, now-w.weighed)
	enough := waited < (now-w.weighed)/10 || w.deadline > 0 && now >= end
	w.weighed = now
	if enough {
		return false
	}
	// Only what it waited since it last gave a sign of life explains silence.
	alive := w.alive()
	if alive != w.pardonFrom {
		w.pardon, w.pardonFrom = 0, alive
	}
	w.pardon += min(waited, now-alive)
	if w.deadline > 0 {
		w.deadline = min(w.deadline+waited, end)
	}
	return true
}

func (w *watchdog) heard(now time.Duration, n int) {
	w.bytes = now
	w.said += int64(n)
}

// floodRate is the rate of console output, in bytes a second, from which on a
// machine that is too slow is told to be slow because of it: a kernel that
// logs every system call wrote 20 KB/s and booted 28 times slower.
const floodRate = 8 << 10

// verdict returns why the machine has to be ended, or nil, and when to ask
// again (zero: when something happens).
func (w *watchdog) verdict(now time.Duration) (*cause, time.Duration) {
	if w.allowed > 0 && w.resets > w.allowed {
		return &cause{Reboot, "reboot loop", fmt.Sprintf("the guest reset itself %d times", w.resets)}, 0
	}
	if w.doing == "" {
		return nil, 0
	}
	if w.silence > 0 && now >= w.silenceEnds() {
		return &cause{Hang, w.title("hang"), fmt.Sprintf("no sign of life for %.0f s during %s, after stage %s", (now - w.alive()).Seconds(), w.doing, orNone(w.stage))}, 0
	}
	if w.deadline > 0 && now >= w.deadline {
		return w.late(now), 0
	}
	next := w.deadline
	if w.silence > 0 && (next == 0 || w.silenceEnds() < next) {
		next = w.silenceEnds()
	}
	if next == 0 {
		return nil, 0
	}
	return nil, next - now
}

// late tells slow from dead: a deadline that passes in silence is a hang. What
// said a word at its beginning and nothing for three quarters of its time counts
// as silent.
func (w *watchdog) late(now time.Duration) *cause {
	spent := now - w.began
	if silent := now - w.alive(); silent >= spent/4*3 {
		return &cause{Hang, w.title("hang"), fmt.Sprintf("%s said nothing for %.0f of its %.0f s, after stage %s", w.doing, silent.Seconds(), spent.Seconds(), orNone(w.stage))}
	}
	c := &cause{Timeout, w.title("timeout"), fmt.Sprintf("%s was not done after %.0f s, though the console went on, after stage %s", w.doing, spent.Seconds(), orNone(w.stage))}
	if rate := float64(w.said) / spent.Seconds(); rate >= floodRate {
		c.title = w.title("console flood")
		c.reason += fmt.Sprintf("; it was flooded with %d bytes (%.0f KB/s): the kernel's log level is the likely cause, try loglevel=error", w.said, rate/1000)
	}
	return c
}

func (w *watchdog) title(what string) string {
	if w.doing == "boot" {
		return fmt.Sprintf("%s after stage %s", what, orNone(w.stage))
	}
	return what + " during " + w.doing
}

func orNone(stage string) string {
	if stage == "" {
		return "none"
	}
	return stage
}
