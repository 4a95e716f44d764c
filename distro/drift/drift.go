// Package drift says how far a distribution's overlays have drifted from a
// package set: which patches still apply, which versions are behind, which overrides
// change nothing any more.
//
//	r, err := drift.Check{Overlays: "distro/asternixos/overlays", Nixpkgs: dir}.Run(ctx)
//	drift.Text(os.Stdout, r)
//
// Nothing is built but sources, which are fetched, unpacked and patched in a
// temporary folder. What cannot be looked at is unknown, with the reason.
package drift

import (
	"cmp"
	"strconv"
	"strings"
)

// Schema is the name and version of the document.
const Schema = "asterbot/drift/1"

// Report is what came of a check.
type Report struct {
	Schema string `json:"schema"`
	// Nixpkgs is the package set that was looked at: a revision or a folder.
	Nixpkgs  string    `json:"nixpkgs"`
	Packages []Package `json:"packages"`
}

// Package is one package that an overlay changes or adds.
type Package struct {
	Overlay string `json:"overlay"`
	Name    string `json:"package"`
	// File and Line are where the overlay defines it.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Theirs is the package set's version, Ours the overlay's; empty where there
	// is none.
	Theirs string `json:"theirs,omitempty"`
	Ours   string `json:"ours,omitempty"`
	Status Status `json:"status"`
	// Reason says what is to be done, or why nothing could be said.
	Reason  string  `json:"reason,omitempty"`
	Patches []Patch `json:"patches,omitempty"`
}

// Status is how a package fares.
type Status string

// The statuses, worst first.
const (
	// Broken: a patch no longer applies.
	Broken Status = "broken"
	// Behind: the overlay's version is older than the package set's.
	Behind Status = "behind"
	// Needless: the overlay changes nothing, or only what upstream has by now.
	Needless Status = "needless"
	// Unknown: it could not be looked at.
	Unknown Status = "unknown"
	// Missing: the package set does not have the package.
	Missing Status = "missing"
	// Added: the overlay adds the package, and there is nothing to drift from.
	Added Status = "added"
	// Current: nothing to do.
	Current Status = "current"
)

// Patch is how one patch of an overlay fares.
type Patch struct {
	File   string      `json:"file"`
	Status PatchStatus `json:"status"`
	// Detail is what patch said, or why it could not be tried.
	Detail string `json:"detail,omitempty"`
}

// PatchStatus is how a patch fares.
type PatchStatus string

// The statuses of patches.
const (
	Applies  PatchStatus = "applies"
	Shifted  PatchStatus = "shifted" // applies, but not where it was made for
	Fails    PatchStatus = "fails"
	Upstream PatchStatus = "upstream" // the source has it already
	Untried  PatchStatus = "untried"
)

// Drifted reports whether anything is to be done.
func (r Report) Drifted() bool {
	for _, p := range r.Packages {
		switch p.Status {
		case Broken, Behind, Needless:
			return true
		}
	}
	return false
}

// Looked reports whether everything could be looked at.
func (r Report) Looked() bool {
	for _, p := range r.Packages {
		if p.Status == Unknown {
			return false
		}
	}
	return true
}

// described is a package as drift.nix describes it.
type described struct {
	Version string `json:"version"`
	Drv     string `json:"drv"`
	Src     string `json:"src"`
	SrcDrv  string `json:"srcDrv"`
	Patches []struct {
		Path string `json:"path"`
		Drv  string `json:"drv"`
	} `json:"patches"`
}

// judge settles a package's status; its patches are settled already.
func judge(p *Package, theirs, ours *described) {
	switch {
	case ours == nil:
		p.Status, p.Reason = Missing, "the package set does not have it"
		return
	case theirs == nil:
		p.Status, p.Ours = Added, ours.Version
		return
	}
	p.Theirs, p.Ours = theirs.Version, ours.Version
	if theirs.Drv == ours.Drv {
		p.Status, p.Reason = Needless, "the override changes nothing: it can go"
		return
	}
	var fails, upstream, untried []string
	for _, q := range p.Patches {
		switch q.Status {
		case Fails:
			fails = append(fails, q.File)
		case Upstream:
			upstream = append(upstream, q.File)
		case Untried:
			untried = append(untried, q.Detail)
		}
	}
	switch {
	case len(fails) > 0:
		p.Status, p.Reason = Broken, "no longer applies: "+strings.Join(fails, ", ")+"; make the patch anew for "+theirs.Version
	case older(ours.Version, theirs.Version):
		p.Status, p.Reason = Behind, "the overlay has "+ours.Version+", the package set "+theirs.Version+": take the newer one, or say why not"
	case len(upstream) > 0:
		p.Status, p.Reason = Needless, "upstream has it already: "+strings.Join(upstream, ", ")+" can go"
	case len(untried) > 0:
		p.Status, p.Reason = Unknown, untried[0]
	default:
		p.Status = Current
	}
}

// older compares versions part by part, numbers as numbers, as Nix does for what
// versions of releases look like.
func older(a, b string) bool {
	x, y := parts(a), parts(b)
	for i := 0; i < len(x) || i < len(y); i++ {
		var p, q string
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if c := comparePart(p, q); c != 0 {
			return c < 0
		}
	}
	return false
}

func comparePart(p, q string) int {
	m, errP := strconv.Atoi(p)
	n, errQ := strconv.Atoi(q)
	switch {
	case errP == nil && errQ == nil:
		return cmp.Compare(m, n)
	case p == q:
		return 0
	// 1.0pre is before 1.0, and 1.0 before 1.0.1 and 1.0a.
	case p == "pre" || p == "" && q != "pre":
		return -1
	case q == "pre" || q == "":
		return 1
	case errP == nil:
		return 1
	case errQ == nil:
		return -1
	}
	return strings.Compare(p, q)
}

// parts splits at dots and dashes, and between digits and letters.
func parts(version string) []string {
	var out []string
	kind := 0
	for _, r := range version {
		k := 2
		switch {
		case r == '.' || r == '-':
			k = 0
		case r >= '0' && r <= '9':
			k = 1
		}
		if k != 0 && k != kind {
			out = append(out, "")
		}
		if k != 0 {
			out[len(out)-1] += string(r)
		}
		kind = k
	}
	return out
}
