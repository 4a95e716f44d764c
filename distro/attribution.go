package distro

import (
	"cmp"
	"fmt"
	"slices"
)

// Attribution says why the attributes of a Diff changed. Roots are what there is to
// find places for; Fill puts everything into the Diff.
type Attribution struct {
	diff       *Diff
	base, head *Set
	subjects   []subject
	// names are what attributes call derivations at head.
	names map[string]string
	// pseudo are roots for attributes that have no two derivations to compare.
	roots []*Root
	// of names for each root an attribute that it is a part of.
	of map[*Root]*subject
}

// subject is an attribute of the Diff and what is known of it.
type subject struct {
	kind   Kind
	diff   *AttrDiff
	was    *Attr // never nil: one without anything, where it was not there
	is     *Attr
	reason Reason
	err    error
}

// Attribute finds the root causes of what changed.
func Attribute(d *Diff, base, head *Set, rc *RootCauses) *Attribution {
	e := &Attribution{diff: d, base: base, head: head, names: map[string]string{}, of: map[*Root]*subject{}}
	old, now := base.index(), head.index()
	for i := range head.Attrs {
		a := &head.Attrs[i]
		if a.Kind == KindPackage && a.Drv != "" {
			// Of several names for one derivation the shortest is its own, the others
			// are aliases.
			if n, ok := e.names[a.Drv]; !ok || len(a.Name) < len(n) {
				e.names[a.Drv] = a.Name
			}
		}
	}
	note := func(r *Root, s *subject) {
		if r != nil && e.of[r] == nil {
			e.of[r] = s
			e.roots = append(e.roots, r)
		}
	}
	d.Each(func(kind Kind, a *AttrDiff) {
		s := subject{kind: kind, diff: a, was: old[attrKey{kind, a.Attr}], is: now[attrKey{kind, a.Attr}]}
		s.was, s.is = cmp.Or(s.was, &Attr{}), cmp.Or(s.is, &Attr{})
		switch a.Status {
		case StatusRebuilt, StatusRefetch:
			if s.was.Drv == "" || s.is.Drv == "" {
				s.reason = Reason{Root: &Root{Name: a.Attr, Fields: []Field{{Name: "image", What: "its file changed"}}}}
				break
			}
			s.reason, s.err = rc.Explain(s.was.Drv, s.is.Drv)
		case StatusAdded:
			s.reason = Reason{Root: &Root{Head: s.is.Drv, Name: a.Attr, Fields: []Field{{What: "new"}}}}
		case StatusRemoved:
			s.reason = Reason{Root: &Root{Base: s.was.Drv, Name: a.Attr, Fields: []Field{{What: "removed"}}}}
		case StatusRenamed:
			s.reason = Reason{Root: &Root{Head: s.is.Drv, Name: a.Attr, Fields: []Field{{What: "was called " + a.From}}}}
		case StatusEvalFixed:
			s.reason = Reason{Root: &Root{Head: s.is.Drv, Name: a.Attr, Fields: []Field{{What: "evaluates again"}}}}
		case StatusMeta:
			what := "meta"
			if words := SuiteChanges(s.was.Suite, s.is.Suite); words != "" {
				what = words
			}
			s.reason = Reason{Root: &Root{Base: s.was.Drv, Head: s.is.Drv, Name: a.Attr, Fields: []Field{{Name: "meta", What: what}}}}
		case StatusEvalFailed:
			s.reason = Reason{Root: &Root{Base: s.was.Drv, Name: a.Attr, Fields: []Field{{What: s.stops()}}}}
		}
		note(s.reason.Root, &s)
		for _, t := range s.reason.Through {
			note(t.Root, &s)
		}
		e.subjects = append(e.subjects, s)
	})
	slices.SortStableFunc(e.subjects, func(a, b subject) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.diff.Attr, b.diff.Attr))
	})
	return e
}

// stops says what it means that it does not evaluate.
func (s *subject) stops() string {
	if s.was.Name == "" {
		return "is new and does not evaluate"
	}
	return "stops evaluating"
}

// Of names an attribute that a root is a part of.
func (e *Attribution) Of(r *Root) (Kind, string) {
	if s := e.of[r]; s != nil {
		return s.kind, s.diff.Attr
	}
	return "", ""
}

// Roots are the derivations that changed by themselves.
func (e *Attribution) Roots() []*Root { return e.roots }

// NameOf is what people call a root: the attribute's name, else the derivation's.
func (e *Attribution) NameOf(head, name string) string {
	if n, ok := e.names[head]; ok {
		return n
	}
	return name
}

// Limits of what is said of one attribute.
const (
	maxCauses = 12
)

// Fill writes roots, causes and ways into the Diff.
func (e *Attribution) Fill(ev *Evidence) {
	for _, s := range e.subjects {
		a := s.diff
		if s.err != nil {
			a.Causes = append(a.Causes, Cause{What: "changed; why could not be told: " + s.err.Error()})
			continue
		}
		if r := s.reason.Root; r != nil {
			a.Root = true
			a.Causes = append(a.Causes, e.causes(ev, s, r)...)
		}
		for i, t := range s.reason.Through {
			if len(t.Via) == 0 {
				continue
			}
			last := e.NameOf(t.Via[len(t.Via)-1].Head, t.Via[len(t.Via)-1].Name)
			if i == 0 && s.reason.Root == nil {
				for _, step := range t.Via {
					a.Via = append(a.Via, e.NameOf(step.Head, step.Name))
				}
			}
			for _, c := range ev.Causes(t.Root) {
				c.What = last + ": " + c.What
				if s.reason.Root != nil {
					c.What = "input " + c.What
				}
				a.Causes = append(a.Causes, c)
			}
		}
		if n := len(a.Causes); n > maxCauses {
			a.Causes = append(a.Causes[:maxCauses-1], Cause{What: fmt.Sprintf("and %d more", n-maxCauses+1)})
		}
	}
}

// causes are those of an attribute that is a root itself.
func (e *Attribution) causes(ev *Evidence, s subject, r *Root) []Cause {
	if f := s.diff.Failure; s.diff.Status == StatusEvalFailed && f != nil && slices.Contains(ev.Files, f.File) {
		return []Cause{{File: f.File, Line: f.Line, What: s.stops()}}
	}
	return ev.Causes(r)
}
