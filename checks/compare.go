package checks

import (
	"fmt"
	"time"
)

// Compare puts the outcomes of a case at base and at head together. Blame and
// what explains it are the caller's to add.
func Compare(c Case, pkg string, base, head Outcome) Result {
	shown := head
	if head.Status == Absent {
		shown = Outcome{Status: Absent, Reason: "no longer there", Stage: head.Stage}
	}
	was := base.Status
	if was == Error {
		was = Unknown
	}
	res := Result{
		Case: c, Package: pkg,
		Was: was, Now: head.Status,
		Verdict: Judge(base.side(), head.side()),
		Stage:   shown.Stage, Reason: shown.Reason, Title: shown.Title,
		Attempts: head.Attempts, Passes: head.Passes,
		WasAttempts: base.Attempts, WasPasses: base.Passes,
		Log: shown.Log, Seconds: shown.Seconds, Exit: shown.Exit,
		Tail: shown.Tail, Likely: shown.Likely, Kernel: shown.Kernel,
		Machine: shown.Machine, Trace: shown.Trace, Image: shown.Image,
	}
	if res.Verdict == Fixed {
		// What it was that is mended, and what may have been its cause.
		res.Likely = base.Likely
		if base.Reason != "" {
			res.Reason = "before: " + base.Reason
		}
	}
	if head.Remembered != nil {
		res.Remembered = head.Remembered.UTC().Format(time.RFC3339)
	}
	if base.Status == Error && head.Status == Fail {
		res.Reason += fmt.Sprintf(" (base is not known: %s)", base.Reason)
	}
	return res
}

func (o Outcome) side() Side { return Side{Status: o.Status, Attempts: o.Attempts, Passes: o.Passes} }
