package checks

// ExitCode is what a process that ran the check ends with: the one table from
// conclusions to exit codes.
func (c Conclusion) ExitCode() int {
	switch c {
	case Success, Skipped:
		return 0
	case Failure:
		return 1
	default:
		return 3
	}
}

// ExitUsage is the exit code for wrong usage or configuration.
const ExitUsage = 2

// Side is how a case went over all its attempts on one side.
type Side struct {
	Status Status
	// Attempts and Passes count the runs; a side that both passed and failed
	// is flaky.
	Attempts, Passes int
}

func (s Side) mixed() bool { return s.Passes > 0 && s.Passes < s.Attempts }

// Judge says what base and head mean together.
//
//   - A case that is not at head was removed; one that is not at base is new.
//   - What could not be looked at is unknown, whatever the other side says; so
//     is a failure whose base is unknown. A case that passes while its base is
//     unknown is passing, never fixed.
//   - A case that fails now and then on both sides is flaky. One that does at
//     head and never did at base has regressed.
func Judge(was, now Side) Verdict {
	switch now.Status {
	case Absent:
		return Removed
	case Error, Unknown, Skip:
		return Undecided
	}
	if now.mixed() && was.mixed() {
		return Flaky
	}
	failing := now.Status == Fail || now.mixed()
	switch was.Status {
	case Absent:
		return New
	case Error, Unknown, "":
		if failing {
			return Undecided
		}
		return Passing
	case Skip:
		if failing {
			return New
		}
		return Passing
	case Fail:
		switch {
		case !failing:
			if was.mixed() {
				return Passing
			}
			return Fixed
		case was.mixed() && now.Passes == 0:
			// It used to pass now and then; now it never does.
			return Regressed
		default:
			return StillFailing
		}
	}
	if failing {
		if was.mixed() && now.mixed() {
			return Flaky
		}
		return Regressed
	}
	return Passing
}

// Decide says whose a failure is. It compares the failure at head with the
// outcome of the same case on a control kernel; controlReady reports whether
// the control got far enough to say anything (it booted and its smoke cases
// passed).
func Decide(head, control Outcome, controlReady bool) Blame {
	switch {
	case head.Status == Pass || head.Status == Skip:
		return BlameNone
	case head.Status == Error:
		if head.Infra {
			return BlameInfra
		}
		return BlameUnknown
	case !controlReady:
		return BlameUnknown
	}
	switch control.Status {
	case Pass:
		return BlameKernel
	case Fail:
		if sameExit(head.Exit, control.Exit) && head.Title == control.Title {
			return BlamePackage
		}
	}
	return BlameUnknown
}

func sameExit(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Conclude is the one table from cases to a conclusion.
//
// Any case that regressed, or is new and fails, makes a failure, also when
// others could not be looked at. Else an error or unknown makes an error. A
// case that is skipped now and was not passing before decides nothing. No
// cases at all conclude in skipped.
func Conclude(cases []Result) Conclusion {
	if len(cases) == 0 {
		return Skipped
	}
	var unknown bool
	for _, c := range cases {
		if c.Blocks() {
			return Failure
		}
		if c.Unsettled() {
			unknown = true
		}
	}
	if unknown {
		return Errored
	}
	return Success
}

// Blocks reports whether the case by itself makes a failure of the check.
func (r Result) Blocks() bool {
	if r.Waived != "" {
		return false
	}
	return r.Verdict == Regressed || r.Verdict == New && r.Now == Fail
}

// Unsettled reports whether the case was not established, so that a check
// without failures cannot succeed.
func (r Result) Unsettled() bool {
	if r.Waived != "" {
		return false
	}
	if r.Now == Skip {
		return r.Was == Pass
	}
	return r.Now == Error || r.Verdict == Undecided
}

// Count fills a report's counts: cases by verdict, and by the statuses that
// have no verdict of their own.
func Count(cases []Result) map[string]int {
	n := map[string]int{
		"total": len(cases), "skip": 0, "error": 0,
		string(Regressed): 0, string(Fixed): 0, string(StillFailing): 0, string(Passing): 0,
		string(New): 0, string(Removed): 0, string(Flaky): 0, string(Undecided): 0,
	}
	for _, c := range cases {
		n[string(c.Verdict)]++
		switch c.Now {
		case Skip:
			n["skip"]++
		case Error:
			n["error"]++
		}
	}
	return n
}
