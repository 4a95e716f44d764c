package distro

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Texts gives the text of a derivation by its store path.
type Texts interface {
	Drv(path string) (string, error)
}

// A Root is a derivation that changed by itself.
type Root struct {
	// Base and Head are its store paths; Base is empty for a new one.
	Base, Head string
	// Name is its name without version.
	Name string
	// Fields are the parts of it that differ.
	Fields []Field
}

// Field is a part of a derivation that differs by itself, in words.
type Field struct {
	// Name is the variable of the builder's environment, or "builder", "args",
	// "system", "outputs".
	Name string
	// What says how: "patches +0003-x.patch", "version 4.16.0 -> 4.18.0".
	What string
	// Sources are the names of source files and folders that are new or changed;
	// Gone those that are no longer there. Both are store paths.
	Sources, Gone []string
	// InPlace reports that sources changed where they stand, and nothing else of it: no Nix
	// code did that.
	InPlace bool
}

// Step is a derivation on the way from an attribute to a root.
type Step struct{ Base, Head, Name string }

// Reason is why a derivation changed.
type Reason struct {
	// Root is set where it changed by itself.
	Root *Root
	// Through are the inputs that changed, the one nearest to a root first.
	Through []Through
}

// Through is a root that a derivation was changed by, and the way there: the last
// step is the root.
type Through struct {
	Root *Root
	Via  []Step
}

// maxThrough bounds how many roots are kept of one derivation. The nearest are.
const maxThrough = 8

// RootCauses walks two graphs of derivations pairwise. Where what is left of two
// derivations after the inputs that changed were replaced by placeholders is
// equal, the change came through an input; where it is not, the derivation is a
// root.
//
// Each pair is looked at once, so the cost grows with the number of derivations
// that changed.
type RootCauses struct {
	base, head Texts
	pairs      map[string]*pair // by the derivation at head
	parser     drvParser
}

// NewRootCauses returns a walk over the derivations of base and head.
func NewRootCauses(base, head Texts) *RootCauses {
	return &RootCauses{base: base, head: head, pairs: map[string]*pair{}}
}

// pair is a derivation of base and the one that took its place.
type pair struct {
	base, head string
	name       string
	other      *pair // with the same head and another base
	root       *Root
	inputs     []*pair     // that changed
	roots      []way       // nearest first
	outputs    [][2]string // at head and at base, where they differ
	same       bool        // the outputs are the same
	fixed      bool        // it only fetches
	err        error
	busy       bool
}

// way is a root and the first step towards it.
type way struct {
	root *Root
	next *pair // nil: the pair itself
	dist int
}

// Explain says why the derivation at head differs from the one at base.
func (r *RootCauses) Explain(base, head string) (Reason, error) {
	p := r.walk(base, head)
	if p.err != nil {
		return Reason{}, p.err
	}
	reason := Reason{Root: p.root}
	for _, w := range p.roots {
		if w.next == nil {
			continue
		}
		t := Through{Root: w.root}
		for at := w.next; at != nil; {
			t.Via = append(t.Via, Step{at.base, at.head, at.name})
			at = at.towards(w.root)
		}
		reason.Through = append(reason.Through, t)
	}
	return reason, nil
}

// towards is the next step to a root; nil at the root itself.
func (p *pair) towards(root *Root) *pair {
	for _, w := range p.roots {
		if w.root == root {
			return w.next
		}
	}
	return nil
}

func (r *RootCauses) walk(base, head string) *pair {
	for p := r.pairs[head]; p != nil; p = p.other {
		if p.base == base {
			return p
		}
	}
	p := &pair{base: base, head: head, name: packageName(StoreName(head)), busy: true, other: r.pairs[head]}
	r.pairs[head] = p
	b, err := r.parser.read(r.base, base)
	if err == nil {
		var h *Drv
		if h, err = r.parser.read(r.head, head); err == nil {
			r.compare(p, b, h)
		}
	}
	p.err = err
	p.busy = false
	return p
}

func (p *drvParser) read(from Texts, path string) (*Drv, error) {
	text, err := from.Drv(path)
	if err != nil {
		return nil, err
	}
	d, err := p.parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func (r *RootCauses) compare(p *pair, b, h *Drv) {
	p.fixed = h.Fixed()
	p.same = sameOutputs(b, h)
	same := &placeholders{}
	for _, o := range h.Outputs {
		for _, q := range b.Outputs {
			if o.Name == q.Name && o.Path != q.Path {
				same.put(o.Path, q.Path)
				p.outputs = append(p.outputs, [2]string{o.Path, q.Path})
			}
		}
	}
	pairs, added, removed := pairInputs(b, h)
	var fetched map[string]*pair // what is fetched and changed, by its output at head
	for _, in := range pairs {
		child := r.walk(in[0].Drv, in[1].Drv)
		if child.err != nil {
			// Nothing of it is known, so the change is taken to come through it.
			child.root = cmp.Or(child.root, &Root{Base: child.base, Head: child.head, Name: child.name,
				Fields: []Field{{Name: "derivation", What: "changed (its text is not at hand)"}}})
			child.roots = []way{{root: child.root}}
		}
		if child.fixed && fetched == nil {
			fetched = map[string]*pair{}
		}
		child.alike(same, fetched)
		if child.fixed && !child.same && child.err == nil {
			// What is fetched belongs to the one who asks for it.
			continue
		}
		p.inputs = append(p.inputs, child)
	}
	fields := fieldChanges(b, h, same, fetched)
	fields = append(fields, inputChanges(added, removed, fields)...)
	if len(fields) > 0 {
		p.root = &Root{Base: p.base, Head: p.head, Name: p.name, Fields: fields}
	}
	p.collect()
}

// alike makes placeholders of an input's outputs, unless it is what is fetched that
// changed.
func (c *pair) alike(same *placeholders, fetched map[string]*pair) {
	same.put(c.head, c.base)
	for _, o := range c.outputs {
		if c.fixed {
			fetched[o[0]] = c
		} else {
			same.put(o[0], o[1])
		}
	}
}

// collect merges the roots of the inputs, nearest first.
func (p *pair) collect() {
	if p.root != nil {
		p.roots = append(p.roots, way{root: p.root})
	}
	var through []way
	seen := func(r *Root) int { return slices.IndexFunc(through, func(w way) bool { return w.root == r }) }
	if len(p.inputs) > 16 {
		index := map[*Root]int{}
		seen = func(r *Root) int {
			for i := len(index); i < len(through); i++ {
				index[through[i].root] = i
			}
			if i, ok := index[r]; ok {
				return i
			}
			return -1
		}
	}
	for _, in := range p.inputs {
		if in.busy || in.same && !p.same {
			// An input whose outputs are what they were changes only the
			// derivation's path, not what it produces.
			continue
		}
		for _, w := range in.roots {
			if i := seen(w.root); i >= 0 {
				if through[i].dist > w.dist+1 {
					through[i].dist, through[i].next = w.dist+1, in
				}
				continue
			}
			through = append(through, way{w.root, in, w.dist + 1})
		}
	}
	slices.SortStableFunc(through, func(a, b way) int {
		return cmp.Or(cmp.Compare(a.dist, b.dist), cmp.Compare(a.root.Name, b.root.Name))
	})
	p.roots = append(p.roots, through[:min(len(through), maxThrough)]...)
}

func sameOutputs(b, h *Drv) bool {
	if len(b.Outputs) != len(h.Outputs) {
		return false
	}
	for i := range h.Outputs {
		if b.Outputs[i].Name != h.Outputs[i].Name || b.Outputs[i].Path != h.Outputs[i].Path || h.Outputs[i].Path == "" {
			return false
		}
	}
	return true
}

// placeholders replaces store paths of head by their counterparts at base.
type placeholders struct {
	of     [][2]string // at head, at base
	sorted bool        // the longest first: a path may be the beginning of another
}

func (p *placeholders) put(head, base string) {
	if head != base && head != "" && base != "" {
		p.of = append(p.of, [2]string{head, base})
		p.sorted = false
	}
}

// apply replaces all of them. There are few, and most values mention none: that is
// three times as fast as building a strings.Replacer for each derivation.
func (p *placeholders) apply(s string) string {
	if len(p.of) == 0 || len(s) < 34 {
		return s
	}
	if !p.sorted {
		slices.SortFunc(p.of, func(a, b [2]string) int { return cmp.Or(cmp.Compare(len(b[0]), len(a[0])), cmp.Compare(a[0], b[0])) })
		p.sorted = true
	}
	for _, k := range p.of {
		if strings.Contains(s, k[0]) {
			s = strings.ReplaceAll(s, k[0], k[1])
		}
	}
	return s
}

// pairInputs pairs the inputs that changed: by name, then by name without
// version. What has no counterpart was added or removed.
func pairInputs(b, h *Drv) (pairs [][2]DrvInput, added, removed []DrvInput) {
	i, j := 0, 0 // both are sorted by path
	for i < len(b.Inputs) || j < len(h.Inputs) {
		switch {
		case j == len(h.Inputs) || i < len(b.Inputs) && b.Inputs[i].Drv < h.Inputs[j].Drv:
			removed = append(removed, b.Inputs[i])
			i++
		case i == len(b.Inputs) || h.Inputs[j].Drv < b.Inputs[i].Drv:
			added = append(added, h.Inputs[j])
			j++
		default:
			i++
			j++
		}
	}
	for _, nameOf := range []func(string) string{StoreName, func(p string) string { return packageName(StoreName(p)) }} {
		if len(added) == 0 || len(removed) == 0 {
			break
		}
		byName := map[string][]DrvInput{}
		for _, in := range removed {
			byName[nameOf(in.Drv)] = append(byName[nameOf(in.Drv)], in)
		}
		var left []DrvInput
		paired := map[string]bool{}
		for _, in := range added {
			candidates := byName[nameOf(in.Drv)]
			if len(candidates) == 0 {
				left = append(left, in)
				continue
			}
			pairs = append(pairs, [2]DrvInput{candidates[0], in})
			paired[candidates[0].Drv] = true
			byName[nameOf(in.Drv)] = candidates[1:]
		}
		added = left
		removed = slices.DeleteFunc(removed, func(in DrvInput) bool { return paired[in.Drv] })
	}
	return pairs, added, removed
}

// inputChanges are inputs that appeared or vanished and that no other field
// tells of.
func inputChanges(added, removed []DrvInput, fields []Field) []Field {
	told := func(name string) bool {
		for _, f := range fields {
			if strings.Contains(f.What, name) {
				return true
			}
		}
		return false
	}
	var words []string
	for _, in := range added {
		if name := StoreName(in.Drv); !told(name) {
			words = append(words, "+"+name)
		}
	}
	for _, in := range removed {
		if name := StoreName(in.Drv); !told(name) {
			words = append(words, "-"+name)
		}
	}
	if len(words) == 0 || len(fields) > 0 {
		// With other fields the inputs only follow.
		return nil
	}
	return []Field{{Name: "inputs", What: "inputs " + few(words, 5)}}
}
