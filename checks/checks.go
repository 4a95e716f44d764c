// Package checks holds the nouns of a check and its judgement: which cases
// there are, how they went before and now, and what that says of a change.
//
// A package evaluating, a package building, an image installing and a guest
// test passing are all Cases, so comparing, retrying, reporting and publishing
// are written once. Nothing here does I/O.
package checks

import (
	"time"

	"github.com/asterinas/asterbot/distro"
)

// Kind says what settles a case.
type Kind string

// The kinds of cases.
const (
	KindEval    Kind = "eval"    // an attribute evaluates to a derivation
	KindBuild   Kind = "build"   // a derivation builds
	KindInstall Kind = "install" // an image installs onto a blank disk
	KindBoot    Kind = "boot"    // a system, or an installed disk, comes up
	KindTest    Kind = "test"    // a command in a guest does what it should
	KindLint    Kind = "lint"    // the distribution's own rules hold
)

// Case is one thing that holds or does not. Its identity is all of its fields.
type Case struct {
	Kind Kind `json:"kind"` // what settles it
	// Of tells what Subject is: a package, an image, a suite, the kernel. They
	// may share names.
	Of distro.Kind `json:"of,omitempty"`
	// Subject is the attribute it is about: a package, an image, a suite.
	Subject string `json:"subject"`
	// Name tells the cases of one kind and subject apart. It is the test's
	// name, or what the case claims: "evaluates", "builds", "installs",
	// "boots".
	Name string `json:"name"`
}

// Status is how a case went.
type Status string

// The statuses. StatusError says that we could not look: infrastructure, never
// blamed on the change and never green. StatusUnknown is of a base only.
const (
	Pass    Status = "pass"
	Fail    Status = "fail"
	Skip    Status = "skip"
	Error   Status = "error"
	Unknown Status = "unknown"
	// Absent: the case does not exist on that side.
	Absent Status = "absent"
)

// Outcome is how a case went on one side, and what was seen.
type Outcome struct {
	Status Status `json:"status"`
	// Stage is how far it came: a boot stage, "evaluate", "build" or "test".
	Stage string `json:"stage,omitempty"`
	// Reason is one sentence; always set unless Status is Pass.
	Reason string `json:"reason,omitempty"`
	// Title is the reason with addresses, numbers and times replaced: two
	// failures are the same failure when Exit and Title are equal.
	Title string `json:"title,omitempty"`
	// Exit is the exit status of the command, where there was one.
	Exit *int `json:"exit,omitempty"`
	// Seconds is how long the last attempt took.
	Seconds float64 `json:"seconds,omitempty"`
	// Attempts and Passes count the runs on this side.
	Attempts int `json:"attempts,omitempty"`
	Passes   int `json:"passes,omitempty"`
	// Log is the path of the whole log, Tail its last lines.
	Log  string   `json:"log,omitempty"`
	Tail []string `json:"tail,omitempty"`
	// Kernel are the kernel's lines logged while the case ran, normalised,
	// without repeats.
	Kernel []string `json:"kernel,omitempty"`
	// Likely are those of Kernel that no passing case of the same machine
	// logged, likeliest first, at most three.
	Likely []string `json:"likely,omitempty"`
	// Machine names the machine it ran in.
	Machine string `json:"machine,omitempty"`
	// Trace is the stack of a panic or oops that ended it.
	Trace []Frame `json:"trace,omitempty"`
	// Image is a screenshot's path.
	Image string `json:"image,omitempty"`
	// Remembered is when the outcome was established, if not in this run.
	Remembered *time.Time `json:"remembered,omitempty"`
	// Infra marks a failure of our surroundings; Status is Error then.
	Infra bool `json:"infra,omitempty"`
	// TimedOut marks an outcome that time had a part in: a deadline or a
	// silence that the host measured. It is never remembered.
	TimedOut bool `json:"timed_out,omitempty"`
}

// Frame is one entry of a stack trace, innermost first.
type Frame struct {
	Function string `json:"function"` // its name, as far as it is known
	Address  string `json:"address"`  // where it is, in hexadecimal
}

// Blame says whose a failure is.
type Blame string

// The blames, as far as a control kernel can tell.
const (
	BlameNone    Blame = ""
	BlameKernel  Blame = "kernel"  // the control passes
	BlamePackage Blame = "package" // the control fails in the same way
	BlameInfra   Blame = "infra"   // our surroundings failed
	BlameUnknown Blame = "unknown" // the control fails differently, or could not tell
)

// Verdict is what base and head say together.
type Verdict string

// The verdicts.
const (
	Regressed    Verdict = "regressed"
	Fixed        Verdict = "fixed"
	StillFailing Verdict = "still-failing"
	Passing      Verdict = "passing"
	New          Verdict = "new"
	Removed      Verdict = "removed"
	Flaky        Verdict = "flaky"
	Undecided    Verdict = "unknown"
)

// Result is a judged case, as report.json and results.json have it.
type Result struct {
	Case
	// Package is the package a test is about.
	Package string `json:"package,omitempty"`
	// Version is the version, at head, of the package that the case is about.
	Version string `json:"version,omitempty"`
	// Was is the status at base.
	Was     Status `json:"was"`
	Now     Status `json:"now"`               // the status at head
	Control Status `json:"control,omitempty"` // the status on the control kernel; empty where it was not asked

	Verdict Verdict `json:"verdict"` // what base and head say together
	Blame   Blame   `json:"blame"`   // whose the failure is
	Stage   string  `json:"stage"`   // how far it came: a boot stage, "evaluate", "build" or "test"
	// Reason says in one sentence what happened, for a case that is not
	// passing. For one that is fixed it says, as Likely does, what was before.
	Reason string `json:"reason"`
	// Attempts counts the runs at head.
	Attempts    int `json:"attempts"`
	Passes      int `json:"passes,omitempty"`       // how many runs at head passed
	WasAttempts int `json:"was_attempts,omitempty"` // the runs at base
	WasPasses   int `json:"was_passes,omitempty"`   // how many of them passed
	// Remembered is when the outcome at head was established, RFC 3339, if it
	// was not in this run.
	Remembered string `json:"remembered"`
	// Log is relative to the report.
	Log     string  `json:"log"`
	Seconds float64 `json:"seconds,omitempty"` // how long the last run at head took
	// Exit is the exit status of the command at head.
	Exit *int `json:"exit,omitempty"`
	// Title is the normalised reason.
	Title   string   `json:"title,omitempty"`
	Tail    []string `json:"tail,omitempty"`    // the last lines of the log
	Likely  []string `json:"likely,omitempty"`  // the kernel's lines that may be the cause, likeliest first, at most three
	Kernel  []string `json:"kernel,omitempty"`  // the kernel's lines logged while it ran
	Machine string   `json:"machine,omitempty"` // the name of the machine it ran in
	Trace   []Frame  `json:"trace,omitempty"`   // the stack of the panic or oops that ended it, innermost first
	Image   string   `json:"image,omitempty"`   // the path of a screenshot
	// Causes are the places in the change that explain it.
	Causes []distro.Cause `json:"causes,omitempty"`
	Via    []string       `json:"via,omitempty"` // the way from the attribute to the root cause
	// Repro are the commands that reproduce a failure: with Nix first, then
	// without.
	Repro []string `json:"repro,omitempty"`
	// Known is the tracker's address of a known failure.
	Known string `json:"known,omitempty"`
	// Waived is the reason of a maintainer who waived it.
	Waived string `json:"waived,omitempty"`
}

// MachineOutcome is how a machine ended.
type MachineOutcome string

// The outcomes of a machine.
const (
	MachineOK       MachineOutcome = "ok"
	MachinePanic    MachineOutcome = "panic"
	MachineOops     MachineOutcome = "oops"
	MachineHang     MachineOutcome = "hang"    // silence
	MachineTimeout  MachineOutcome = "timeout" // progress, too slow
	MachineReboot   MachineOutcome = "reboot"
	MachineShutdown MachineOutcome = "shutdown" // it ended otherwise than it should have
	MachineInfra    MachineOutcome = "infra"
)

// Machine is how one machine fared.
type Machine struct {
	Name    string         `json:"name"`    // unique within the document, together with side
	Profile string         `json:"profile"` // the machine profile
	Outcome MachineOutcome `json:"outcome"` // how it ended
	// Stage is the last stage reached: firmware, loader, kernel, components,
	// rootfs, init, ready.
	Stage string `json:"stage"`
	// Title is the normalised title of what ended it: two machines that ended in
	// the same way have the same.
	Title  string  `json:"title"`
	Reason string  `json:"reason,omitempty"` // what ended it, in one sentence
	Trace  []Frame `json:"trace"`            // the stack of the panic or oops that ended it, innermost first
	// Exit is QEMU's exit status; -1 where it was killed.
	Exit    int     `json:"exit"`
	Seconds float64 `json:"seconds"` // how long it ran
	Boots   int     `json:"boots"`   // how often it was booted
	Forks   int     `json:"forks"`   // how many machines were forked from its snapshot
	// Side is "base", "head" or "control".
	Side string `json:"side,omitempty"`
	// Stages are the times at which stages were reached.
	Stages []StageTime `json:"stages,omitempty"`
	// Accelerator is "kvm" or "tcg".
	Accelerator string `json:"accelerator,omitempty"`
	Method      string `json:"method,omitempty"` // how it came up: "cold", "fork" or "migrate"
	// Consoles are the paths of the raw consoles by device (hvc0, ttyS0).
	Consoles    map[string]string `json:"consoles,omitempty"`
	Screenshots []string          `json:"screenshots,omitempty"` // paths of pictures of its screen
	Command     []string          `json:"command,omitempty"`     // the command line that starts the same machine
	Evidence    []string          `json:"evidence,omitempty"`    // what was gathered of a hang: registers, status
	// Notes are things a reader should know: a fallback taken, bytes dropped.
	Notes []string `json:"notes,omitempty"`
}

// StageTime is when a boot reached a stage, in seconds since its start.
type StageTime struct {
	Stage   string  `json:"stage"`   // one of the boot stages
	Seconds float64 `json:"seconds"` // since the machine started
}

// Results is the document that a stage of a check leaves: what was run.
type Results struct {
	Schema   string    `json:"schema"`   // "asterbot/results/1"
	Machines []Machine `json:"machines"` // those that ran, of all sides
	Cases    []Result  `json:"cases"`    // those that were to be settled here
	// Headline is the answer in a line.
	Headline string `json:"headline,omitempty"`
}

// Plan says which cases to run, and why.
type Plan struct {
	Schema string         `json:"schema"` // "asterbot/plan/1"
	Change distro.Change  `json:"change"` // what is compared with what
	Scope  []distro.Scope `json:"scope"`  // the parts of the distribution that the change touches
	// Why says for each scope which files put the change there.
	Why      []ScopeReason     `json:"why,omitempty"`
	Packages []distro.AttrDiff `json:"packages"`         // what became of them; without the unchanged ones unless asked for
	Images   []distro.AttrDiff `json:"images"`           // the same of images
	Suites   []SuitePlan       `json:"suites"`           // all of them: which run, and why
	Kernel   *KernelPlan       `json:"kernel,omitempty"` // what the change does to the kernel; missing where nobody asked
	// Cases are all that are to be settled.
	Cases []PlannedCase `json:"cases,omitempty"`
	// Settled are the results of those cases that planning settled itself: rules
	// that ask for no machine.
	Settled []Result `json:"settled,omitempty"`
	// Known are the known failures that both base and head list and that have not
	// expired: what reports are judged by.
	Known []KnownFailure `json:"known,omitempty"`
	// Omitted says what was left out and why: partial coverage.
	Omitted []Omission `json:"omitted,omitempty"`
	// Notes are things a reader should know.
	Notes []string `json:"notes,omitempty"`
	// Stats are measurements of the evaluation.
	Stats *Stats `json:"stats,omitempty"`
}

// ScopeReason says why a change is in a scope.
type ScopeReason struct {
	Scope distro.Scope `json:"scope"`           // one of the scopes of the plan
	Files []string     `json:"files,omitempty"` // the files that put the change there
	Why   string       `json:"why"`             // the reason, in words
}

// SuitePlan says whether a suite runs, and why.
type SuitePlan struct {
	Name string `json:"name"` // its attribute
	Run  bool   `json:"run"`  // whether it runs
	Why  string `json:"why"`  // why it runs, or why not
	// Status, Causes and Via are those of its system.
	Status  distro.Status   `json:"status,omitempty"`
	Root    bool            `json:"root,omitempty"`    // whether its system changed by itself
	Causes  []distro.Cause  `json:"causes,omitempty"`  // what changed
	Via     []string        `json:"via,omitempty"`     // the way to the root
	Failure *distro.Failure `json:"failure,omitempty"` // why its system does not evaluate
	// Command marks a suite that runs through a configured command: which cases
	// it has shows only when it runs. The plan has the one case that it
	// runs at all (kind boot, name "runs").
	Command bool `json:"command,omitempty"`
}

// KernelPlan says what the change does to the kernel under test.
type KernelPlan struct {
	// Status is "unchanged", "changed", "identical" (inputs changed, image did
	// not) or "unknown" (not built yet).
	Status string `json:"status"`
	Why    string `json:"why"` // the reason, in words
	// Base and Head are the SHA-256 of the images, where known.
	Base string `json:"base,omitempty"`
	Head string `json:"head,omitempty"` // the same of head
}

// PlannedCase is a case to settle, and why.
type PlannedCase struct {
	Case
	Package string `json:"package,omitempty"` // the package that a test is about
	Why     string `json:"why"`               // why it is to be settled
	// Tier is 0 for what must be answered first; higher runs later or only on
	// demand.
	Tier int `json:"tier,omitempty"`
	// Seconds is how long it took the last time, where that is known.
	Seconds float64 `json:"seconds,omitempty"`
}

// KnownFailure is an entry of the list of known failures.
type KnownFailure struct {
	Pattern string `json:"pattern"` // which cases: KIND/SUBJECT/NAME, where * stands for any characters
	Tracker string `json:"tracker"` // the address where it is followed up
}

// Omission says what was not looked at.
type Omission struct {
	Count int    `json:"count"`         // how many
	What  string `json:"what"`          // of what
	Why   string `json:"why"`           // for which reason
	How   string `json:"how,omitempty"` // what to do to have it
}

// Stats are measurements of an evaluation.
type Stats struct {
	Seconds    float64 `json:"seconds"`              // how long the evaluation took
	PeakMiB    int     `json:"peak_mib,omitempty"`   // the most memory it had
	Remembered bool    `json:"remembered,omitempty"` // no side was evaluated anew
}

// Report is everything a reader or a program needs to know of one check.
type Report struct {
	Schema     string        `json:"schema"`     // "asterbot/report/1"
	Change     distro.Change `json:"change"`     // what was compared with what
	Conclusion Conclusion    `json:"conclusion"` // the answer
	// Headline is the answer in a line.
	Headline string `json:"headline"`
	// Counts are the number of cases by verdict, and "total", "skip", "error".
	Counts map[string]int `json:"counts"`
	Cases  []Result       `json:"cases"` // every case that was planned, judged
	// Machines are the machines that ran, of all sides.
	Machines []Machine `json:"machines,omitempty"`
	Plan     *Plan     `json:"plan,omitempty"` // what was to be looked at, and why
	// Notices are what a reader should see though it blocks nothing.
	Notices []string `json:"notices,omitempty"`
	// Errors are the stages that could not look.
	Errors []string `json:"errors,omitempty"`
	// Versions are those of the tools that were used, and under "kernel" that of
	// the kernel under test, where it is known.
	Versions map[string]string `json:"versions,omitempty"`
	Started  time.Time         `json:"started,omitzero"`  // when the check began
	Seconds  float64           `json:"seconds,omitempty"` // how long it took
}

// Conclusion is the answer of a whole check.
type Conclusion string

// The conclusions.
const (
	Success Conclusion = "success"
	Failure Conclusion = "failure"
	Errored Conclusion = "error"
	Skipped Conclusion = "skipped"
)

// The names and versions of the documents.
const (
	SchemaPlan    = "asterbot/plan/1"
	SchemaResults = "asterbot/results/1"
	SchemaReport  = "asterbot/report/1"
)
