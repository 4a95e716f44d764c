package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

// maxNotes is what GitHub takes as the body of a release, in bytes.
const maxNotes = 120_000

// Notes are a release's notes in Markdown, made of the candidate's data alone.
// repository is OWNER/NAME; it is used to say how to verify the images.
func Notes(c Candidate, repository string) string {
	var b strings.Builder
	cases := Judged(c)
	fmt.Fprintf(&b, "Commit `%s`", c.Commit)
	if c.KernelVersion != "" {
		fmt.Fprintf(&b, ", kernel %s", report.Escape(c.KernelVersion))
	}
	if c.Previous != nil {
		fmt.Fprintf(&b, ", compared with %s", report.Escape(c.Previous.Tag))
	}
	b.WriteString(".\n")

	section(&b, "What changed", titles(c.Changes))
	section(&b, "New packages", packages(c.Report, distro.StatusAdded))
	section(&b, "Removed packages", packages(c.Report, distro.StatusRemoved))
	section(&b, "Fixed", named(cases, func(r checks.Result) bool { return r.Verdict == checks.Fixed }, nil))
	section(&b, "Patches dropped from the overlay", droppedPatches(c.Report))
	b.WriteString("\n## Compatibility\n\n")
	table(&b, cases, c.Previous)
	section(&b, "Known failures", named(cases, func(r checks.Result) bool {
		return r.Waived == "" && (r.Now == checks.Fail) && !r.Blocks()
	}, func(r checks.Result) string { return r.Reason }))
	section(&b, "Waived for this release", named(cases, func(r checks.Result) bool { return r.Waived != "" && r.Now != checks.Pass }, func(r checks.Result) string {
		w := waived(c, r.Case)
		return fmt.Sprintf("%s (%s, allowed by %s)", w.Reason, w.Tracker, w.By)
	}))
	var accepted []string
	for _, a := range c.Accepted {
		accepted = append(accepted, fmt.Sprintf("%s in #%d: %s \\(allowed by %s\\)", report.Code(report.Plain(a.Case)), a.Pull, report.Escape(report.Plain(a.Reason)), report.Escape(report.Plain(a.By))))
	}
	section(&b, "Waived when pull requests were merged", accepted)
	verify(&b, c, repository)
	text := b.String()
	if len(text) > maxNotes {
		text = text[:strings.LastIndexByte(text[:maxNotes-200], '\n')+1] + "\n…the rest is in report.json among the assets.\n"
	}
	return text
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for i, line := range lines {
		if i == 200 {
			fmt.Fprintf(b, "- and %d more\n", len(lines)-i)
			break
		}
		fmt.Fprintf(b, "- %s\n", line)
	}
}

func titles(changes []string) []string {
	var out []string
	for _, c := range changes {
		out = append(out, report.Escape(report.Plain(c)))
	}
	return out
}

func packages(r *checks.Report, s distro.Status) []string {
	if r == nil || r.Plan == nil {
		return nil
	}
	var out []string
	for _, p := range r.Plan.Packages {
		if p.Status == s {
			out = append(out, report.Code(p.Attr))
		}
	}
	slices.Sort(out)
	return out
}

func named(cases []checks.Result, which func(checks.Result) bool, why func(checks.Result) string) []string {
	var out []string
	for _, r := range cases {
		if !which(r) {
			continue
		}
		line := report.Code(caseName(r.Case))
		if why != nil {
			if w := why(r); w != "" {
				line += ": " + report.Escape(report.Plain(w))
			}
		}
		out = append(out, line)
	}
	return out
}

// droppedPatches are the patches that packages had at the previous release and
// have no more: what the kernel has learnt since.
func droppedPatches(r *checks.Report) []string {
	if r == nil || r.Plan == nil {
		return nil
	}
	var out []string
	for _, p := range r.Plan.Packages {
		for _, cause := range p.Causes {
			rest, ok := strings.CutPrefix(cause.What, "patches ")
			if !ok {
				continue
			}
			for word := range strings.FieldsSeq(strings.ReplaceAll(rest, ",", " ")) {
				if patch, dropped := strings.CutPrefix(word, "-"); dropped {
					out = append(out, report.Code(p.Attr)+": "+report.Code(patch))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// table has a row for each kind of case and a column for before and now.
func table(b *strings.Builder, cases []checks.Result, previous *Previous) {
	type row struct{ was, wasAll, now, nowAll, regressed, fixed int }
	rows := map[checks.Kind]*row{}
	for _, r := range cases {
		t := rows[r.Kind]
		if t == nil {
			t = &row{}
			rows[r.Kind] = t
		}
		if r.Was == checks.Pass || r.Was == checks.Fail {
			t.wasAll++
		}
		if r.Was == checks.Pass {
			t.was++
		}
		if r.Now == checks.Pass || r.Now == checks.Fail {
			t.nowAll++
		}
		if r.Now == checks.Pass {
			t.now++
		}
		switch r.Verdict {
		case checks.Regressed:
			t.regressed++
		case checks.Fixed:
			t.fixed++
		}
	}
	before := "before"
	if previous != nil {
		before = report.Escape(previous.Tag)
	}
	fmt.Fprintf(b, "| | %s | now | fixed | regressed |\n| --- | ---: | ---: | ---: | ---: |\n", before)
	for _, k := range []struct {
		kind checks.Kind
		name string
	}{
		{checks.KindEval, "packages that evaluate"}, {checks.KindBuild, "derivations that build"}, {checks.KindInstall, "images that install"},
		{checks.KindBoot, "systems that boot"}, {checks.KindTest, "tests that pass"}, {checks.KindLint, "rules that hold"},
	} {
		t := rows[k.kind]
		if t == nil {
			continue
		}
		was := "–"
		if t.wasAll > 0 {
			was = fmt.Sprintf("%d of %d", t.was, t.wasAll)
		}
		fmt.Fprintf(b, "| %s | %s | %d of %d | %d | %d |\n", k.name, was, t.now, t.nowAll, t.fixed, t.regressed)
	}
}

func verify(b *strings.Builder, c Candidate, repository string) {
	if len(c.Images) == 0 {
		return
	}
	b.WriteString("\n## Images\n\n")
	for _, img := range c.Images {
		fmt.Fprintf(b, "- `%s`, %d bytes, SHA-256 `%s`", img.File, img.Size, img.SHA256)
		switch {
		case img.Again == img.SHA256:
			b.WriteString("; a second build gave the same bytes")
		case img.Again != "":
			fmt.Fprintf(b, "; a second build differed: %s", report.Escape(report.Plain(img.Difference)))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "\nTo verify what you downloaded:\n\n```sh\nsha256sum --check --ignore-missing %s\ngh attestation verify %s --repo %s\n```\n", SumsFile, c.Images[0].File, repository)
}
