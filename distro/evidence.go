package distro

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Place is a line of a file.
type Place struct {
	File string
	Line int
}

// Evidence is what is known of a change beside the derivations: where it could have
// come from.
type Evidence struct {
	// Files are the changed files, Lines which of their lines at head changed.
	Files []string
	Lines map[string][]LineRange
	// Sources are the changed files by the store path that each has as a source,
	// at base and at head: name and content together.
	Sources map[string]string
	// Fields returns where an argument of a derivation is set: at head, and at
	// base.
	Fields func(r *Root, field string) []Place
	// Attr returns where a derivation's attribute is set.
	Attr func(r *Root) []Place
	// Read returns the files that evaluating a derivation's attribute reads; empty where that is
	// not known. It is asked where the place is not known otherwise.
	Read func(r *Root) []string
	// Mentions reports whether a changed file has a word, at head or at base.
	Mentions func(file, word string) bool
}

// Causes says which places in the change explain a root, the one that says most first.
func (e *Evidence) Causes(r *Root) []Cause {
	var out []Cause
	add := func(c Cause) {
		if !slices.ContainsFunc(out, func(d Cause) bool { return d.File == c.File && d.What == c.What }) {
			out = append(out, c)
		}
	}
	for _, f := range r.Fields {
		places := e.places(r, f)
		for _, p := range places {
			add(Cause{File: p.File, Line: p.Line, What: f.about(p.File)})
		}
		if len(places) == 0 {
			add(Cause{What: f.What})
		}
	}
	// One place is enough for what only follows from another field.
	known := slices.ContainsFunc(out, func(c Cause) bool { return c.File != "" })
	if known {
		for i := range out {
			if out[i].File == "" {
				if p, ok := e.guess(r, ""); ok {
					out[i].File, out[i].Line = p.File, p.Line
				}
			}
		}
	}
	return out
}

// about is what a field says of one file, where that is a source of its own: of
// five patches only the one.
func (f Field) about(file string) string {
	name := path.Base(file)
	if len(f.Sources)+len(f.Gone) < 2 || strings.HasSuffix(file, ".nix") {
		return f.What
	}
	for _, sign := range []string{"+", "~", "-"} {
		for _, word := range strings.Fields(f.What) {
			if word == sign+name {
				return f.Name + " " + word
			}
		}
	}
	for _, src := range f.Sources {
		if StoreName(src) == name {
			return f.Name + " +" + name
		}
	}
	return f.What
}

// maxCausesPerField bounds the files that explain one field.
const maxCausesPerField = 8

// places are where a field's change comes from: its source files that changed, and the
// Nix file that sets it, if that changed.
func (e *Evidence) places(r *Root, f Field) []Place {
	var out []Place
	set := e.Fields(r, f.Name)
	for _, src := range append(slices.Clone(f.Sources), f.Gone...) {
		for _, file := range e.sourceFiles(src, set) {
			out = append(out, Place{file, e.firstLine(file)})
		}
	}
	out = out[:min(len(out), maxCausesPerField)]
	// Where the attribute is defined says little when what it is made of is known: an
	// entry lists every package, and some other line of it may have changed.
	where := set
	switch {
	case f.InPlace && len(out) > 0:
		return out
	case len(out) == 0:
		where = slices.Concat(set, e.Attr(r))
	}
	for _, p := range where {
		if slices.Contains(e.Files, p.File) {
			if !slices.ContainsFunc(out, func(q Place) bool { return q.File == p.File }) {
				out = append(out, Place{p.File, e.lineFrom(p)})
			}
			break
		}
	}
	if len(out) == 0 {
		if p, ok := e.guess(r, f.Name); ok {
			out = append(out, p)
		}
	}
	return out
}

// sourceFiles are the changed files that a source in the store is made of.
func (e *Evidence) sourceFiles(src string, set []Place) []string {
	if file, ok := e.Sources[src]; ok {
		return []string{file}
	}
	name := StoreName(src)
	var same, below []string
	for _, f := range e.Files {
		if path.Base(f) == name {
			same = append(same, f)
		}
		for dir := path.Dir(f); dir != "."; dir = path.Dir(dir) {
			if path.Base(dir) == name {
				below = append(below, f)
				break
			}
		}
	}
	if len(same) > 1 {
		// The one beside the file that names it.
		for _, p := range set {
			near := slices.DeleteFunc(slices.Clone(same), func(f string) bool {
				return p.File == "" || !strings.HasPrefix(f, path.Dir(p.File)+"/")
			})
			if len(near) > 0 {
				return near
			}
		}
	}
	if len(same) > 0 {
		return same
	}
	return below[:min(len(below), maxCausesPerField)]
}

// lineFrom is the first line that changed in a file from a place on: that is nearer
// to the cause than where the attribute begins.
func (e *Evidence) lineFrom(p Place) int {
	for _, r := range e.Lines[p.File] {
		if r.Last >= p.Line {
			return max(r.First, p.Line)
		}
	}
	return p.Line
}

func (e *Evidence) firstLine(file string) int {
	if r := e.Lines[file]; len(r) > 0 {
		return r[0].First
	}
	return 0
}

// guess finds the changed Nix file that most likely did it, where Nix does not say:
// one that mentions the field and the package, else the package, else the only
// one.
func (e *Evidence) guess(r *Root, field string) (Place, bool) {
	var nixFiles []string
	for _, f := range e.Files {
		if strings.HasSuffix(f, ".nix") {
			nixFiles = append(nixFiles, f)
		}
	}
	if len(nixFiles) > 1 && e.Read != nil {
		// What was not read did nothing.
		read := e.Read(r)
		if used := slices.DeleteFunc(slices.Clone(nixFiles), func(f string) bool { return !slices.Contains(read, f) }); len(used) > 0 {
			nixFiles = used
		}
	}
	score := func(f string) (n int) {
		if e.Mentions(f, r.Name) {
			n += 4
		}
		if slices.Contains(strings.Split(f, "/"), r.Name) {
			n += 2
		}
		if field != "" && e.Mentions(f, field) {
			n++
		}
		return n
	}
	if len(nixFiles) == 0 {
		return Place{}, false
	}
	slices.SortStableFunc(nixFiles, func(a, b string) int { return cmp.Compare(score(b), score(a)) })
	best := nixFiles[0]
	if len(nixFiles) > 1 && score(best) < 2 {
		return Place{}, false
	}
	return Place{best, e.firstLine(best)}, true
}
