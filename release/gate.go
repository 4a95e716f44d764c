package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// MaxAsset is the size from which on GitHub refuses an asset of a release.
const MaxAsset = 2 << 30

// Rules are a repository's rules for releases.
type Rules struct {
	Scheme Scheme
	// TagPattern is the name of a tag, with {version}.
	TagPattern string
	// Images are the names of the images that a release publishes.
	Images []string
}

// Image is an image that is to be published.
type Image struct {
	Name string
	// File is its name as an asset.
	File   string
	Size   int64
	SHA256 string
	// Again is the SHA-256 of the same image, built a second time; empty if it
	// was not.
	Again string
	// Difference explains why the two builds differ, where somebody has said so.
	Difference string
}

// Candidate is what is to be released, and what is known of it.
type Candidate struct {
	Rules Rules
	// Version is what the version file says, KernelVersion what the kernel's
	// does; empty where there is no such file.
	Version, KernelVersion string
	// Tag is the tag somebody pushed; empty when the tag is yet to be made.
	Tag string
	// Commit is what is released, a full hash.
	Commit string
	// Report has all cases of the candidate's release flavour; nil if there is none.
	Report *checks.Report
	// Previous is the last release before this one; nil for the first.
	Previous *Previous
	Waivers  []Waiver
	Images   []Image
	// Changes are the titles of what was merged since the previous release,
	// newest first.
	Changes []string
	// Accepted are the failures with which maintainers let pull requests be
	// merged since the previous release. They are told; what still fails needs a
	// Waiver of its own.
	Accepted []Accepted
}

// Accepted is a case that a maintainer waived on a pull request.
type Accepted struct {
	Pull             int
	Case, Reason, By string
}

// Previous is a release that was published.
type Previous struct {
	Version, Tag string
	// Report is its report.json.
	Report *checks.Report
}

// Objection is one reason not to release.
type Objection struct {
	// Rule is the name of what is violated: version, tag, image, case, report, asset,
	// waiver, reproducible.
	Rule string `json:"rule"`
	// What is wrong, in a sentence without a full stop.
	What string `json:"what"`
	// How to mend it.
	How string `json:"how"`
	// Unknown marks what could not be established, as opposed to what is wrong.
	Unknown bool `json:"unknown,omitempty"`
}

// Gate returns everything that stops a release; nothing means that it may be
// made.
func Gate(c Candidate) []Objection {
	var g gate
	g.versions(c)
	g.report(c)
	g.images(c)
	g.waivers(c)
	return g.out
}

type gate struct{ out []Objection }

func (g *gate) no(rule, how, format string, args ...any) {
	g.out = append(g.out, Objection{Rule: rule, What: fmt.Sprintf(format, args...), How: how})
}

func (g *gate) unknown(rule, how, format string, args ...any) {
	g.no(rule, how, format, args...)
	g.out[len(g.out)-1].Unknown = true
}

func (g *gate) versions(c Candidate) {
	if c.Version == "" {
		g.no("version", "write the version into it, or name another with release.version-file", "the version file is missing or empty")
		return
	}
	if err := c.Rules.Scheme.Valid(c.Version); err != nil {
		g.no("version", "correct the version file", "the distribution's version: %v", err)
		return
	}
	switch c.Rules.Scheme {
	case Shared:
		if c.KernelVersion != "" && c.KernelVersion != c.Version {
			g.no("version", "set both to the same version: under the shared scheme the distribution carries the kernel's",
				"the distribution is %s, the kernel %s", c.Version, c.KernelVersion)
		}
	case CalVer:
		if c.KernelVersion == "" {
			g.no("version", "set release.kernel-version-file", "the kernel's version is not recorded, as the calver scheme wants it")
		} else if err := Shared.Valid(c.KernelVersion); err != nil {
			g.no("version", "correct the kernel's version file", "the kernel's version: %v", err)
		}
	}
	if want := Tag(c.Rules.TagPattern, c.Version); c.Tag != "" && c.Tag != want {
		g.no("tag", "delete the tag, or correct the version file and tag again", "the tag is %s, but the version file says %s, whose tag is %s", c.Tag, c.Version, want)
	}
	if p := c.Previous; p != nil {
		if err := c.Rules.Scheme.Valid(p.Version); err == nil && c.Rules.Scheme.Compare(c.Version, p.Version) <= 0 {
			g.no("version", "raise the version", "%s is not newer than %s, which is released", c.Version, p.Version)
		}
	}
}

func (g *gate) report(c Candidate) {
	if c.Report == nil {
		g.unknown("report", "run the release workflow, or 'bot check --all' and pass its report.json", "there is no report of this commit")
		return
	}
	if got := commit(c.Report); c.Commit != "" && got != c.Commit {
		g.no("report", "check this commit again", "the report is about commit %s, not %s", short(got), short(c.Commit))
	}
	if c.Previous != nil && c.Previous.Report == nil {
		g.unknown("report", "attach its report.json to it", "the previous release %s has no report to compare with", c.Previous.Tag)
	}
	if p := c.Report.Plan; p != nil {
		for _, s := range p.Suites {
			if !s.Run && s.Failure == nil && s.Status != distro.StatusRemoved {
				g.unknown("report", "run everything: bot check --all", "suite %s was not run: %s", s.Name, s.Why)
			}
		}
		for _, o := range p.Omitted {
			g.unknown("report", "run everything: bot check --all", "%d %s were left out: %s", o.Count, o.What, o.Why)
		}
	}
	for _, r := range Judged(c) {
		name := caseName(r.Case)
		switch {
		case r.Waived != "":
		case r.Blocks():
			g.no("case", strings.TrimSpace("mend it, or record a waiver for "+orElse(c.Version, "the version")), "%s: %s", name, orElse(r.Reason, string(r.Verdict)))
		case r.Unsettled(), r.Now == checks.Absent && r.Verdict != checks.Removed:
			g.unknown("case", "run it again", "%s could not be established: %s", name, orElse(r.Reason, string(r.Now)))
		}
	}
}

func (g *gate) images(c Candidate) {
	for _, name := range c.Rules.Images {
		for _, want := range []struct {
			kind checks.Kind
			verb string
		}{{checks.KindBuild, "built"}, {checks.KindInstall, "installed"}, {checks.KindBoot, "booted from the installed disk"}} {
			if c.Report == nil {
				continue
			}
			i := slices.IndexFunc(c.Report.Cases, func(r checks.Result) bool {
				return r.Of == distro.KindImage && r.Subject == name && r.Kind == want.kind
			})
			switch {
			case i < 0:
				g.unknown("image", "run everything: bot check --all", "image %s was not %s", name, want.verb)
			case c.Report.Cases[i].Now != checks.Pass:
				// No waiver opens this: an image that does not install is no release.
				g.no("image", "mend it; this cannot be waived", "image %s was not %s: %s", name, want.verb, orElse(c.Report.Cases[i].Reason, string(c.Report.Cases[i].Now)))
			}
		}
		i := slices.IndexFunc(c.Images, func(img Image) bool { return img.Name == name })
		if i < 0 {
			g.unknown("asset", "build it", "image %s is not at hand", name)
			continue
		}
		img := c.Images[i]
		if img.Size >= MaxAsset {
			g.no("asset", "make it smaller, or publish it in parts", "%s has %d bytes; GitHub takes assets of less than %d", img.File, img.Size, int64(MaxAsset))
		}
		switch {
		case img.Again == "":
			g.unknown("reproducible", "build it a second time", "image %s was built only once", name)
		case img.Again != img.SHA256 && img.Difference == "":
			g.no("reproducible", "find what differs (diffoscope), mend or explain it", "two builds of image %s differ: %s and %s", name, short(img.SHA256), short(img.Again))
		}
	}
}

func (g *gate) waivers(c Candidate) {
	for _, w := range c.Waivers {
		if err := w.valid(); err != nil {
			g.no("waiver", "complete it", "waiver of %s: %v", w.Pattern, err)
		}
	}
}

// Judged are the candidate's cases compared with the previous release, with
// the waivers that apply. Without a previous release every case is new.
func Judged(c Candidate) []checks.Result {
	if c.Report == nil {
		return nil
	}
	was := map[checks.Case]checks.Result{}
	if c.Previous != nil && c.Previous.Report != nil {
		for _, r := range c.Previous.Report.Cases {
			was[r.Case] = r
		}
	}
	var out []checks.Result
	seen := map[checks.Case]bool{}
	for _, r := range c.Report.Cases {
		seen[r.Case] = true
		old, known := was[r.Case]
		before := checks.Side{Status: checks.Absent}
		if known {
			before = checks.Side{Status: old.Now, Attempts: old.Attempts, Passes: old.Passes}
		} else if c.Previous != nil && c.Previous.Report == nil {
			before.Status = checks.Unknown
		}
		r.Was, r.WasAttempts, r.WasPasses = before.Status, before.Attempts, before.Passes
		r.Verdict = checks.Judge(before, checks.Side{Status: r.Now, Attempts: r.Attempts, Passes: r.Passes})
		r.Waived = ""
		if w := waived(c, r.Case); w != nil {
			r.Waived = w.Reason
		}
		out = append(out, r)
	}
	if c.Previous != nil && c.Previous.Report != nil {
		for _, old := range c.Previous.Report.Cases {
			if !seen[old.Case] && old.Now != checks.Absent {
				out = append(out, checks.Result{Case: old.Case, Package: old.Package, Was: old.Now, Now: checks.Absent, Verdict: checks.Removed})
			}
		}
	}
	return out
}

func waived(c Candidate, which checks.Case) *Waiver {
	for i, w := range c.Waivers {
		if w.Version == c.Version && w.valid() == nil && w.Match(which) {
			return &c.Waivers[i]
		}
	}
	return nil
}

func caseName(c checks.Case) string {
	return strings.Join([]string{string(c.Kind), c.Subject, c.Name}, "/")
}

func commit(r *checks.Report) string {
	if r.Change.Merged != "" {
		return r.Change.Merged
	}
	return r.Change.Head
}

func short(h string) string { return h[:min(len(h), 12)] }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
