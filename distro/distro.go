// Package distro holds the nouns of a distribution: its attributes, what they
// evaluate to, and what differs between two commits.
//
// Everything here is data and judgement without I/O: package distro/nix fills
// a Set, package distro/git fills a Change, and Compare turns two Sets into
// a Diff.
package distro

// Change is what a pull request does to a repository: the commit it is
// compared with, the commit that is judged, and the files between them.
type Change struct {
	// Base is the full hash of the commit compared with.
	Base string `json:"base"`
	// Head is the full hash of the tip the pull request offers.
	Head string `json:"head"`
	// Merged names what is judged: the merge of Head into Base, which is Head
	// itself where Head descends from Base. It is a commit hash.
	Merged string `json:"merged,omitempty"`
	// Files are the paths that differ between Base and Merged, relative to the
	// root of the repository, slash separated, sorted. Both the old and
	// the new path of a renamed file are listed.
	Files []string `json:"files"`
	// Conflicts are the files that cannot be merged. With any, there is
	// nothing to judge and Merged is empty.
	Conflicts []string `json:"conflicts,omitempty"`
}

// LineRange is a range of lines of a file, from 1, both ends included.
type LineRange struct{ First, Last int }

// Kind tells the three things a distribution promises, and the kernel under
// them, apart.
type Kind string

// The kinds of attributes.
const (
	KindPackage Kind = "package"
	KindImage   Kind = "image"
	KindSuite   Kind = "suite"
	KindKernel  Kind = "kernel"
)

// Attr is an attribute the distribution promises, as one commit has it.
// Either Drv or Failure is set.
type Attr struct {
	Kind Kind `json:"kind"`
	// Name is the attribute's name below packages, images or suites of the
	// Nix entry. It comes from the repository: hostile.
	Name string `json:"name"`
	// Drv is the store path of the derivation: of the package, the image, or
	// a suite's system.
	Drv string `json:"drv,omitempty"`
	// Outputs are the store paths it produces, by output name.
	Outputs map[string]string `json:"outputs,omitempty"`
	Meta    Meta              `json:"meta"`
	// Suite is the rest of a suite: what to run in its system. It is nil for
	// packages. An image may have one too: what to run on the disk
	// that it installed.
	Suite *Suite `json:"suite,omitempty"`
	// Failure says why there is no derivation.
	Failure *Failure `json:"failure,omitempty"`
}

// Meta is what a package says of itself.
type Meta struct {
	Name        string `json:"name,omitempty"`
	Pname       string `json:"pname,omitempty"`
	Version     string `json:"version,omitempty"`
	Description string `json:"description,omitempty"`
	// Position is "file:line" of the definition, relative to the repository's
	// root where it lies inside, else absolute.
	Position string `json:"position,omitempty"`
	// Hash covers all of meta that can be serialised, so that a change
	// of meta alone is seen.
	Hash string `json:"hash,omitempty"`
}

// Failure says why an attribute has no derivation.
type Failure struct {
	Reason FailureReason `json:"reason"` // its class
	// Message is Nix's own words, stripped of escape sequences, bounded.
	Message string `json:"message"`
	// File and Line are where it happened, when Nix says so. File is relative
	// to the repository's root where it lies inside.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // the line in File; zero where it is unknown
}

// FailureReason classifies a Failure.
type FailureReason string

// The reasons an attribute has no derivation.
const (
	FailThrow         FailureReason = "throw"         // throw or assert
	FailAbort         FailureReason = "abort"         // builtins.abort
	FailRecursion     FailureReason = "recursion"     // infinite recursion, or the stack ran out
	FailMissing       FailureReason = "missing"       // an attribute, variable or file that is not there
	FailType          FailureReason = "type"          // a value of the wrong type, a wrong argument
	FailSyntax        FailureReason = "syntax"        // a file that does not parse
	FailImportFrom    FailureReason = "needs-ifd"     // needs import-from-derivation, which is disabled
	FailRestricted    FailureReason = "restricted"    // asked for something restricted evaluation forbids
	FailTimeout       FailureReason = "timeout"       // exhausted its time
	FailMemory        FailureReason = "out-of-memory" // exhausted its memory
	FailUnavailable   FailureReason = "unavailable"   // the package set does not have this package; not a defect
	FailNotDerivation FailureReason = "not-a-derivation"
	FailOther         FailureReason = "other"
)

// Suite is what to run in a bootable system.
type Suite struct {
	// Machine says how the cases share machines: MachineShared (the default),
	// MachineFresh or MachineOrdered.
	Machine MachineSharing `json:"machine,omitempty"`
	// Cases are the tests.
	Cases []CaseSpec `json:"cases,omitempty"`
	// Profile names the machine profile, where the suite needs another one
	// than the kernel under test has. Mostly empty.
	Profile string `json:"profile,omitempty"`
	// Memory is what the guest gets, in MiB; zero is the profile's default.
	Memory int `json:"memory,omitempty"`
	// Timeout bounds the boot of the system, in seconds, before scaling by the
	// accelerator's factor; zero is the profile's default.
	Timeout int `json:"timeout,omitempty"`
	// Owner is who looks after the suite.
	Owner string `json:"owner,omitempty"`
	// Graphical suites end with a screenshot.
	Graphical bool `json:"graphical,omitempty"`
	// Network is "" for none, or "restrict" for a user-mode network that
	// cannot leave the machine.
	Network string `json:"network,omitempty"`
	// Marks are the installer's words, of an image only.
	Installer *Installer `json:"installer,omitempty"`
}

// MachineSharing says how the cases of a suite share machines.
type MachineSharing string

// The ways to share machines.
const (
	// MachineShared: independent cases, one machine; after a panic the rest
	// goes on in a new one.
	MachineShared MachineSharing = "shared"
	// MachineFresh: a fresh machine for each case.
	MachineFresh MachineSharing = "fresh"
	// MachineOrdered: cases build on each other, in order, in one machine.
	// After a panic the rest is an error.
	MachineOrdered MachineSharing = "ordered"
)

// CaseSpec is one test of a suite, as the Nix entry or a cases file declares
// it.
type CaseSpec struct {
	Name string `json:"name"`
	// Run is a shell command for the guest.
	Run string `json:"run,omitempty"`
	// Status is the exit status expected; zero is the default.
	Status int `json:"status,omitempty"`
	// Expect is a regular expression (RE2, multi-line) that must match the
	// output. Empty expects nothing of it.
	Expect string `json:"expect,omitempty"`
	// Timeout in seconds, before scaling by the accelerator's factor; zero is
	// the profile's default.
	Timeout int `json:"timeout,omitempty"`
	// Package is the package under test, where there is one.
	Package string `json:"package,omitempty"`
	// Screen, "not blank", makes this a case that looks at the screen.
	Screen string `json:"screen,omitempty"`
	// Smoke marks the cases that must pass on a control before it may say
	// anything, and that are run on an installed disk.
	Smoke bool `json:"smoke,omitempty"`
}

// Installer tells success from failure of an installation by what the
// installer prints.
type Installer struct {
	// Success is a regular expression that the installer prints when and only
	// when it succeeded.
	Success string `json:"success,omitempty"`
	// Failure is one that it prints when it failed.
	Failure string `json:"failure,omitempty"`
	// Stages are regular expressions in the order in which a good
	// installation prints them.
	Stages []string `json:"stages,omitempty"`
	// Disk is the size of the blank disk in MiB.
	Disk int `json:"disk,omitempty"`
}

// Set is what a distribution evaluates to at one commit.
type Set struct {
	// Attrs are sorted by kind and name.
	Attrs []Attr `json:"attrs"`
	// Failure says that the attributes could not even be listed.
	Failure *Failure `json:"failure,omitempty"`
}

// Lookup returns the attribute of that kind and name.
func (s *Set) Lookup(kind Kind, name string) (Attr, bool) {
	for _, a := range s.Attrs {
		if a.Kind == kind && a.Name == name {
			return a, true
		}
	}
	return Attr{}, false
}

// Status says what happened to an attribute between base and head.
type Status string

// The statuses an attribute can have.
const (
	StatusUnchanged        Status = "unchanged"
	StatusRebuilt          Status = "rebuilt" // an output path changed
	StatusRefetch          Status = "refetch" // only the derivation of something fetched changed
	StatusAdded            Status = "added"
	StatusRemoved          Status = "removed"
	StatusRenamed          Status = "renamed" // the same outputs under another name
	StatusMeta             Status = "meta"    // only meta changed
	StatusEvalFailed       Status = "eval-failed"
	StatusEvalFixed        Status = "eval-fixed"
	StatusEvalStillFailing Status = "eval-still-failing"
	StatusUnknown          Status = "unknown" // base could not be listed, so nothing can be said
)

// AttrDiff is what a change does to one attribute, and why.
type AttrDiff struct {
	Attr   string `json:"attr"`   // the attribute's name
	Status Status `json:"status"` // what happened to it
	// Root reports whether the derivation changed by itself, not only
	// because an input of it did.
	Root bool `json:"root"`
	// Causes say what changed, in the change's own files where that is known.
	Causes []Cause `json:"causes"`
	// Via is the shortest path of attributes or derivation names to a root,
	// nearest first, the root last. It is empty for a root.
	Via []string `json:"via"`
	// Failure is set for eval-failed and eval-still-failing.
	Failure *Failure `json:"failure,omitempty"`
	// From is the old name of a renamed attribute.
	From string `json:"from,omitempty"`
	// Referrers are the attributes that still refer to a removed one.
	Referrers []string `json:"referrers,omitempty"`
}

// Cause is one reason for a change.
type Cause struct {
	// File is relative to the repository's root; empty where it is unknown.
	File string `json:"file"`
	// Line is the first line of the cause in File at head; zero where it is
	// unknown.
	Line int `json:"line"`
	// What says it in words: "patches +0003-x.patch", "version 1 -> 2".
	What string `json:"what"`
}

// Scope is a part of the distribution that a change touches.
type Scope string

// The scopes.
const (
	ScopeKernel    Scope = "kernel"
	ScopeOverlay   Scope = "overlay"
	ScopeModules   Scope = "modules"
	ScopeInstaller Scope = "installer"
	ScopeImage     Scope = "image"
	ScopeTests     Scope = "tests"
	ScopeDocs      Scope = "docs"
	ScopeCI        Scope = "ci"
	ScopeRelease   Scope = "release"
	ScopeOther     Scope = "other"
)
