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
	Kind Kind `json:"kind"`
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
	Function string `json:"function"`
	Address  string `json:"address"`
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
	// Was is the status at base, Now at head, Control on the control kernel
	// (empty where it was not asked).
	Was     Status `json:"was"`
	Now     Status `json:"now"`
	Control Status `json:"control,omitempty"`

	Verdict Verdict `json:"verdict"`
	Blame   Blame   `json:"blame"`
	Stage   string  `json:"stage"`
	// Reason says in one sentence what happened, for a case that is not
	// passing.
	Reason string `json:"reason"`
	// Attempts and Passes count the runs at head; WasAttempts and WasPasses
	// those at base.
	Attempts    int `json:"attempts"`
	Passes      int `json:"passes,omitempty"`
	WasAttempts int `json:"was_attempts,omitempty"`
	WasPasses   int `json:"was_passes,omitempty"`
	// Remembered is when the outcome at head was established, RFC 3339, if it
	// was not in this run.
	Remembered string `json:"remembered"`
	// Log is relative to the report.
	Log     string  `json:"log"`
	Seconds float64 `json:"seconds,omitempty"`
	// Exit is the exit status of the command at head.
	Exit *int `json:"exit,omitempty"`
	// Title is the normalised reason.
	Title   string   `json:"title,omitempty"`
	Tail    []string `json:"tail,omitempty"`
	Likely  []string `json:"likely,omitempty"`
	Kernel  []string `json:"kernel,omitempty"`
	Machine string   `json:"machine,omitempty"`
	Trace   []Frame  `json:"trace,omitempty"`
	Image   string   `json:"image,omitempty"`
	// Causes are the places in the change that explain it.
	Causes []distro.Cause `json:"causes,omitempty"`
	Via    []string       `json:"via,omitempty"`
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
	Name    string         `json:"name"`
	Profile string         `json:"profile"`
	Outcome MachineOutcome `json:"outcome"`
	// Stage is the last stage reached: firmware, loader, kernel, components,
	// rootfs, init, ready.
	Stage string `json:"stage"`
	// Title is the normalised title of what ended it; Reason one sentence.
	Title  string  `json:"title"`
	Reason string  `json:"reason,omitempty"`
	Trace  []Frame `json:"trace"`
	// Exit is QEMU's exit status; -1 where it was killed.
	Exit    int     `json:"exit"`
	Seconds float64 `json:"seconds"`
	Boots   int     `json:"boots"`
	Forks   int     `json:"forks"`
	// Side is "base", "head" or "control".
	Side string `json:"side,omitempty"`
	// Stages are the times at which stages were reached.
	Stages []StageTime `json:"stages,omitempty"`
	// Accelerator is "kvm" or "tcg", Method "cold", "fork" or "migrate".
	Accelerator string `json:"accelerator,omitempty"`
	Method      string `json:"method,omitempty"`
	// Consoles are the paths of the raw consoles by device (hvc0, ttyS0), Command is the
	// command line that reproduces the machine, Evidence what was gathered of a hang.
	Consoles    map[string]string `json:"consoles,omitempty"`
	Screenshots []string          `json:"screenshots,omitempty"`
	Command     []string          `json:"command,omitempty"`
	Evidence    []string          `json:"evidence,omitempty"`
	// Notes are things a reader should know: a fallback taken, bytes dropped.
	Notes []string `json:"notes,omitempty"`
}

// StageTime is when a boot reached a stage, in seconds since its start.
type StageTime struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
}

// Results is the document that a stage of a check leaves: what was run.
type Results struct {
	Schema   string    `json:"schema"` // SchemaResults
	Machines []Machine `json:"machines"`
	Cases    []Result  `json:"cases"`
	// Headline is the answer in a line.
	Headline string `json:"headline,omitempty"`
}

// Plan says which cases to run, and why.
type Plan struct {
	Schema string         `json:"schema"` // SchemaPlan
	Change distro.Change  `json:"change"`
	Scope  []distro.Scope `json:"scope"`
	// Why says for each scope which files put the change there.
	Why      []ScopeReason     `json:"why,omitempty"`
	Packages []distro.AttrDiff `json:"packages"`
	Images   []distro.AttrDiff `json:"images"`
	Suites   []SuitePlan       `json:"suites"`
	Kernel   *KernelPlan       `json:"kernel,omitempty"`
	// Cases are all that are to be settled.
	Cases []PlannedCase `json:"cases,omitempty"`
	// Omitted says what was left out and why: partial coverage.
	Omitted []Omission `json:"omitted,omitempty"`
	// Notes are things a reader should know.
	Notes []string `json:"notes,omitempty"`
	// Stats are measurements of the evaluation.
	Stats *Stats `json:"stats,omitempty"`
}

// ScopeReason says why a change is in a scope.
type ScopeReason struct {
	Scope distro.Scope `json:"scope"`
	Files []string     `json:"files,omitempty"`
	Why   string       `json:"why"`
}

// SuitePlan says whether a suite runs, and why.
type SuitePlan struct {
	Name string `json:"name"`
	Run  bool   `json:"run"`
	Why  string `json:"why"`
	// Status, Causes and Via are those of its system.
	Status  distro.Status   `json:"status,omitempty"`
	Root    bool            `json:"root,omitempty"`
	Causes  []distro.Cause  `json:"causes,omitempty"`
	Via     []string        `json:"via,omitempty"`
	Failure *distro.Failure `json:"failure,omitempty"`
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
	Why    string `json:"why"`
	// Base and Head are the SHA-256 of the images, where known.
	Base string `json:"base,omitempty"`
	Head string `json:"head,omitempty"`
}

// PlannedCase is a case to settle, and why.
type PlannedCase struct {
	Case
	Package string `json:"package,omitempty"`
	Why     string `json:"why"`
	// Tier is 0 for what must be answered first; higher runs later or only on
	// demand.
	Tier int `json:"tier,omitempty"`
}

// Omission says what was not looked at.
type Omission struct {
	Count int    `json:"count"`
	What  string `json:"what"`
	Why   string `json:"why"`
	How   string `json:"how,omitempty"` // what to do to have it
}

// Stats are measurements of an evaluation.
type Stats struct {
	Seconds    float64 `json:"seconds"`
	PeakMiB    int     `json:"peak_mib,omitempty"`
	Remembered bool    `json:"remembered,omitempty"` // no side was evaluated anew
}

// Report is everything a reader or a program needs to know of one check.
type Report struct {
	Schema     string        `json:"schema"` // SchemaReport
	Change     distro.Change `json:"change"`
	Conclusion Conclusion    `json:"conclusion"`
	// Headline is the answer in a line.
	Headline string `json:"headline"`
	// Counts are the number of cases by verdict, and "total", "skip", "error".
	Counts map[string]int `json:"counts"`
	Cases  []Result       `json:"cases"`
	// Machines are the machines that ran, of all sides.
	Machines []Machine `json:"machines,omitempty"`
	Plan     *Plan     `json:"plan,omitempty"`
	// Notices are what a reader should see though it blocks nothing.
	Notices []string `json:"notices,omitempty"`
	// Errors are the stages that could not look.
	Errors []string `json:"errors,omitempty"`
	// Versions are those of the tools that were used, and under "kernel" that of
	// the kernel under test, where it is known.
	Versions map[string]string `json:"versions,omitempty"`
	Started  time.Time         `json:"started,omitzero"`
	Seconds  float64           `json:"seconds,omitempty"`
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
