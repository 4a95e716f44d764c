package distro

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Diff is what differs between two Sets, by kind. Attributes that did not change are
// left out; they are counted.
type Diff struct {
	Packages, Images, Suites []AttrDiff
	// Kernel is nil where neither side has one.
	Kernel *AttrDiff
	// Unchanged counts attributes by kind.
	Unchanged map[Kind]int
}

// Each calls f with every AttrDiff, which it may change.
func (d *Diff) Each(f func(Kind, *AttrDiff)) {
	for kind, list := range map[Kind][]AttrDiff{KindPackage: d.Packages, KindImage: d.Images, KindSuite: d.Suites} {
		for i := range list {
			f(kind, &list[i])
		}
	}
	if d.Kernel != nil {
		f(KindKernel, d.Kernel)
	}
}

// Compare says what became of each attribute. Both derivation and output paths
// are compared: a derivation that changed without any change of what it produces is one to
// fetch anew, not one to build.
//
// A side that could not be listed is no evidence: what only the other has is
// unknown where base could not be, and failed where head could not.
func Compare(base, head *Set) *Diff {
	d := &Diff{Packages: []AttrDiff{}, Images: []AttrDiff{}, Suites: []AttrDiff{}, Unchanged: map[Kind]int{}}
	old, now := base.index(), head.index()
	keys := make([]attrKey, 0, len(now))
	for k := range now {
		keys = append(keys, k)
	}
	for k := range old {
		if now[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b attrKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	// What is gone, by what it produced: it may be there under another name.
	gone := map[string]string{}
	for _, k := range keys {
		if now[k] == nil && old[k].Failure == nil {
			gone[string(k.kind)+" "+outputKey(old[k])] = k.name
		}
	}
	renamed := map[attrKey]bool{}
	byKind := map[Kind][]AttrDiff{}
	for _, k := range keys {
		was, is := old[k], now[k]
		hadBase, hasHead := was != nil, is != nil
		a := AttrDiff{Attr: k.name, Causes: []Cause{}, Via: []string{}}
		switch {
		case hadBase && hasHead:
			a.Status, a.Failure = both(was, is)
		case hasHead && unavailable(is.Failure):
			// The package set does not have it: nobody's doing.
			a.Status = StatusUnchanged
		case hasHead && is.Failure != nil && base.Failure == nil:
			a.Status, a.Failure = StatusEvalFailed, is.Failure
		case hasHead && base.Failure != nil:
			a.Status, a.Failure = StatusUnknown, is.Failure
		case hasHead:
			a.Status = StatusAdded
			if from, ok := gone[string(k.kind)+" "+outputKey(is)]; ok && len(is.Outputs) > 0 {
				a.Status, a.From = StatusRenamed, from
				renamed[attrKey{k.kind, from}] = true
			}
		case head.Failure != nil:
			a.Status, a.Failure = StatusEvalFailed, head.Failure
		default:
			a.Status = StatusRemoved
		}
		if a.Status == StatusUnchanged {
			d.Unchanged[k.kind]++
			continue
		}
		byKind[k.kind] = append(byKind[k.kind], a)
	}
	for kind, list := range byKind {
		list = slices.DeleteFunc(list, func(a AttrDiff) bool {
			return a.Status == StatusRemoved && renamed[attrKey{kind, a.Attr}]
		})
		switch kind {
		case KindPackage:
			d.Packages = list
		case KindImage:
			d.Images = list
		case KindSuite:
			d.Suites = list
		case KindKernel:
			if len(list) > 0 {
				d.Kernel = &list[0]
			}
		}
	}
	return d
}

// attrKey names an attribute.
type attrKey struct {
	kind Kind
	name string
}

// index finds the attributes of a set by name.
func (s *Set) index() map[attrKey]*Attr {
	m := make(map[attrKey]*Attr, len(s.Attrs))
	for i := range s.Attrs {
		m[attrKey{s.Attrs[i].Kind, s.Attrs[i].Name}] = &s.Attrs[i]
	}
	return m
}

func unavailable(f *Failure) bool { return f != nil && f.Reason == FailUnavailable }

func both(was, is *Attr) (Status, *Failure) {
	switch {
	case unavailable(was.Failure) && unavailable(is.Failure):
		return StatusUnchanged, nil
	case was.Failure != nil && is.Failure != nil:
		return StatusEvalStillFailing, is.Failure
	case is.Failure != nil:
		return StatusEvalFailed, is.Failure
	case was.Failure != nil:
		return StatusEvalFixed, nil
	case was.Drv == is.Drv && maps.Equal(was.Outputs, is.Outputs):
		if was.Meta.Hash != is.Meta.Hash || !sameSuite(was.Suite, is.Suite) {
			return StatusMeta, nil
		}
		return StatusUnchanged, nil
	case maps.Equal(was.Outputs, is.Outputs) && len(is.Outputs) > 0:
		return StatusRefetch, nil
	}
	return StatusRebuilt, nil
}

// outputKey tells attributes apart by what they produce.
func outputKey(a *Attr) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.Outputs)) {
		fmt.Fprintf(&b, "%q=%q ", name, a.Outputs[name])
	}
	return b.String()
}

func sameSuite(a, b *Suite) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// SuiteChanges says in words how what is run in a system differs; "" if it does
// not.
func SuiteChanges(was, is *Suite) string {
	if sameSuite(was, is) {
		return ""
	}
	cases := func(s *Suite) map[string]CaseSpec {
		m := map[string]CaseSpec{}
		if s != nil {
			for _, c := range s.Cases {
				m[c.Name] = c
			}
		}
		return m
	}
	a, b := cases(was), cases(is)
	var words []string
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if old, ok := a[name]; !ok {
			words = append(words, "+"+name)
		} else if old != b[name] {
			words = append(words, "~"+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[name]; !ok {
			words = append(words, "-"+name)
		}
	}
	if len(words) == 0 {
		return "how its cases are run"
	}
	return "cases " + few(words, 5)
}

// few joins the first n of a list of words and says how many more there are.
func few(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], " "), len(words)-n)
}
