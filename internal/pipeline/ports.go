// Package pipeline settles the cases of a plan: build, boot, judge.
//
// Check.Settle takes a checks.Plan and leaves checks.Results. What it needs of
// the world it declares here as small interfaces: a Distribution that
// evaluates, a Builder, Machines, a Memo and a Progress; cmd/bot wires them.
// A failing attribute, build, boot or case never stops the others.
package pipeline

import (
	"context"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// Side is one of the three systems a case is settled on.
type Side string

// The sides. Control is head on a kernel known to be good.
const (
	Head    Side = "head"
	Base    Side = "base"
	Control Side = "control"
)

// Ref names an attribute.
type Ref struct {
	Kind distro.Kind
	Name string
}

// Distribution evaluates the Nix entry of one side with the kernel that side
// is to boot: the kernel under test, or the control.
type Distribution interface {
	// Evaluate returns the named attributes; those that fail carry their
	// Failure, those that do not exist are missing from the Set. An error means
	// that we could not look.
	Evaluate(ctx context.Context, side Side, attrs []Ref) (*distro.Set, error)
}

// Want is a derivation to be built.
type Want struct {
	Side Side
	Attr distro.Attr
}

// Builder realises derivations.
type Builder interface {
	// Build builds all of them, each whatever becomes of the others, and
	// calls done for each as it is settled, from one goroutine at a time.
	Build(ctx context.Context, wants []Want, done func(Want, checks.Outcome)) error
}

// Job is a suite or an image whose cases are to be settled in machines.
type Job struct {
	Side Side
	// Of is distro.KindSuite or distro.KindImage, Name the attribute's name.
	Of   distro.Kind
	Name string
	// Output is the store path of the system or the image.
	Output string
	// Suite holds the cases to run, and how.
	Suite distro.Suite
	// Command marks a suite that runs through a configured command instead of
	// in a machine of ours. Output is empty then.
	Command bool
	// Attempts is how often at least each case is to be run; zero means once,
	// and again where it fails.
	Attempts int
}

// Ran is what came of a Job.
type Ran struct {
	Outcomes map[checks.Case]checks.Outcome
	Machines []checks.Machine
}

// Machines boots systems and settles their cases.
type Machines interface {
	// Run settles a Job. done is called for each case as it is settled. An
	// error means that we could not look; what is in Ran holds all the same.
	Run(ctx context.Context, job Job, done func(checks.Case, checks.Outcome)) (Ran, error)
	// Profile describes everything about the machines of a job that its
	// outcomes depend on beside the job itself: profile, QEMU, firmware,
	// accelerator.
	Profile(job Job) string
}

// Memo remembers outcomes by key. Keys are of any length.
type Memo interface {
	Load(key string) (checks.Outcome, bool)
	// Store keeps an outcome that may be remembered; it drops others.
	Store(key string, o checks.Outcome)
}

// Progress is told what happens, from any goroutine.
type Progress interface {
	// Stage begins a part of the work with so many cases to be settled.
	Stage(name string, cases int)
	// Settled tells of a case on one side.
	Settled(side Side, c checks.Case, o checks.Outcome)
	// Note is a line for the reader.
	Note(text string)
}

// NoMemo remembers nothing.
type NoMemo struct{}

// Load finds nothing.
func (NoMemo) Load(string) (checks.Outcome, bool) { return checks.Outcome{}, false }

// Store keeps nothing.
func (NoMemo) Store(string, checks.Outcome) {}

// NoProgress tells nobody.
type NoProgress struct{}

// Stage does nothing.
func (NoProgress) Stage(string, int) {}

// Settled does nothing.
func (NoProgress) Settled(Side, checks.Case, checks.Outcome) {}

// Note does nothing.
func (NoProgress) Note(string) {}
