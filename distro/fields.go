package distro

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// fieldChanges are the parts of a derivation that differ by themselves.
func fieldChanges(b, h *Drv, same *placeholders, fetched map[string]*pair) []Field {
	srcOf := pairSources(b, h)
	var out []Field
	for _, part := range []struct{ name, old, now string }{
		{"system", b.System, h.System}, {"builder", b.Builder, h.Builder},
	} {
		if now := same.apply(part.now); part.old != now {
			out = append(out, Field{Name: part.name, What: change(part.name, part.old, now)})
		}
	}
	old, now := environment(b), environment(h)
	was, is := lookup(old, "version"), lookup(now, "version")
	for _, n := range differing(old, now) {
		replaced := same.apply(n.now)
		if n.old == replaced {
			continue
		}
		if n.name == "name" && is != "" && was != is {
			continue // says the same as the version
		}
		out = append(out, fieldChange(n.name, n.old, replaced, srcOf, fetched))
	}
	if !slices.Equal(b.Args, h.Args) {
		before, after := strings.Join(b.Args, " "), same.apply(strings.Join(h.Args, " "))
		if before != after {
			out = append(out, fieldChange("args", before, after, srcOf, fetched))
		}
	}
	if len(out) == 0 {
		out = append(out, unmentioned(srcOf)...)
	}
	if len(out) == 0 && h.Fixed() && b.Fixed() && b.Outputs[0].Hash != h.Outputs[0].Hash {
		out = append(out, Field{Name: "outputHash", What: "hash " + change("", b.Outputs[0].Hash, h.Outputs[0].Hash)})
	}
	sortFields(out)
	return out
}

// environment is a builder's environment, sorted by name. Structured attributes,
// which Nix keeps in one variable as JSON, are taken apart.
func environment(d *Drv) []EnvVar {
	text, ok := d.Lookup("__json")
	if !ok {
		return d.Env
	}
	var attrs map[string]any
	if json.Unmarshal([]byte(text), &attrs) != nil {
		return d.Env
	}
	env := slices.DeleteFunc(slices.Clone(d.Env), func(v EnvVar) bool { return v.Name == "__json" })
	for name, value := range attrs {
		switch v := value.(type) {
		case string:
			env = append(env, EnvVar{name, v})
		case []any:
			var words []string
			for _, e := range v {
				words = append(words, fmt.Sprint(e))
			}
			env = append(env, EnvVar{name, strings.Join(words, " ")})
		default:
			if plain, err := json.Marshal(v); err == nil {
				env = append(env, EnvVar{name, string(plain)})
			}
		}
	}
	slices.SortStableFunc(env, func(a, b EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return env
}

func lookup(env []EnvVar, name string) string {
	for _, v := range env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

type twoValues struct{ name, old, now string }

// differing merges two sorted environments and leaves what differs.
func differing(old, now []EnvVar) []twoValues {
	var out []twoValues
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case j == len(now) || i < len(old) && old[i].Name < now[j].Name:
			out = append(out, twoValues{old[i].Name, old[i].Value, ""})
			i++
		case i == len(old) || now[j].Name < old[i].Name:
			out = append(out, twoValues{now[j].Name, "", now[j].Value})
			j++
		default:
			if old[i].Value != now[j].Value {
				out = append(out, twoValues{now[j].Name, old[i].Value, now[j].Value})
			}
			i++
			j++
		}
	}
	return out
}

// sources are the source files of two derivations: what was added, removed, and what
// took the place of another of the same name.
type sources struct {
	added, removed map[string]bool
	was            map[string]string // by the path at head
}

func pairSources(b, h *Drv) *sources {
	if slices.Equal(b.Sources, h.Sources) {
		return &sources{}
	}
	s := &sources{map[string]bool{}, map[string]bool{}, map[string]string{}}
	for _, p := range b.Sources {
		s.removed[p] = true
	}
	for _, p := range h.Sources {
		if s.removed[p] {
			delete(s.removed, p)
		} else {
			s.added[p] = true
		}
	}
	byName := map[string]string{}
	for p := range s.removed {
		byName[StoreName(p)] = p
	}
	for p := range s.added {
		if was, ok := byName[StoreName(p)]; ok {
			s.was[p] = was
			delete(byName, StoreName(p))
		}
	}
	return s
}

// unmentioned are sources that changed though nothing in the environment says
// so.
func unmentioned(s *sources) []Field {
	if len(s.added)+len(s.removed) == 0 {
		return nil
	}
	f := Field{Name: "sources"}
	f.What = "sources " + f.sourceWords(slices.Sorted(maps.Keys(s.added)), slices.Sorted(maps.Keys(s.removed)), s)
	return []Field{f}
}

// sourceWords says which sources came, went and changed, and notes their paths.
func (f *Field) sourceWords(added, removed []string, s *sources) string {
	var words []string
	replaced := map[string]bool{}
	for _, p := range unique(added) {
		f.Sources = append(f.Sources, p)
		if was := s.was[p]; was != "" && slices.Contains(removed, was) {
			replaced[was] = true
			words = append(words, "~"+StoreName(p))
		} else {
			words = append(words, "+"+StoreName(p))
		}
	}
	for _, p := range unique(removed) {
		if !replaced[p] {
			f.Gone = append(f.Gone, p)
			words = append(words, "-"+StoreName(p))
		}
	}
	return few(words, 6)
}

// fieldChange says how a variable differs.
func fieldChange(name, old, now string, s *sources, fetched map[string]*pair) Field {
	f := Field{Name: name}
	was, is := strings.Fields(old), strings.Fields(now)
	added, removed := minus(is, was), minus(was, is)
	if paths(added) && paths(removed) && len(added)+len(removed) > 0 && len(was)+len(is) <= 2000 {
		f.What = name + " " + f.pathWords(added, removed, s, fetched)
		return f
	}
	// A text that mentions sources.
	for p := range s.added {
		if strings.Contains(now, p) {
			f.Sources = append(f.Sources, p)
		}
	}
	for p := range s.removed {
		if strings.Contains(old, p) && !strings.Contains(now, p) {
			f.Gone = append(f.Gone, p)
		}
	}
	slices.Sort(f.Sources)
	slices.Sort(f.Gone)
	if len(f.Sources) > 0 && strings.Contains(now, f.Sources[0]) {
		text := now
		for _, p := range f.Sources {
			if w := s.was[p]; w != "" {
				text = strings.ReplaceAll(text, p, w)
			}
		}
		if text == old {
			f.InPlace = true
			g := Field{}
			f.What = name + ": " + g.sourceWords(f.Sources, olds(f.Sources, s), s)
			return f
		}
	}
	switch {
	case old == "":
		f.What = "+" + name
		if short(now) {
			f.What += " " + quoted(now)
		}
	case now == "":
		f.What = "-" + name
	case len(added)+len(removed) <= 6 && !strings.Contains(old+now, "\n") && len(was)+len(is) > 2:
		f.What = name + " " + tokens(added, removed)
	default:
		f.What = change(name, old, now)
	}
	return f
}

// unique drops repetitions, in order.
func unique(words []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool {
		again := seen[w]
		seen[w] = true
		return again
	})
}

func olds(paths []string, s *sources) []string {
	var out []string
	for _, p := range paths {
		if w := s.was[p]; w != "" {
			out = append(out, w)
		}
	}
	return out
}

// pathWords says which store paths of a list came, went and changed: sources, what is
// fetched, and inputs.
func (f *Field) pathWords(added, removed []string, s *sources, fetched map[string]*pair) string {
	var src, gone, words []string
	newFetch := map[string]bool{}
	oldNames := map[string]string{}
	for _, p := range removed {
		oldNames[packageName(StoreName(p))] = StoreName(p)
	}
	for _, p := range added {
		root := storeRoot(p)
		switch {
		case s.added[root]:
			src = append(src, root)
		case fetched[root] != nil:
			newFetch[StoreName(p)] = true
			if c := fetched[root]; c.root != nil {
				var parts []string
				for _, g := range c.root.Fields {
					parts = append(parts, g.What)
				}
				words = append(words, fmt.Sprintf("~%s (%s)", StoreName(p), few(parts, 2)))
			} else {
				words = append(words, "~"+StoreName(p))
			}
			delete(oldNames, packageName(StoreName(p)))
		default:
			name := StoreName(p)
			if was, ok := oldNames[packageName(name)]; ok && was != name {
				words = append(words, was+" -> "+name)
				delete(oldNames, packageName(name))
				newFetch[was] = true
				continue
			}
			words = append(words, "+"+name)
		}
	}
	for _, p := range removed {
		root := storeRoot(p)
		if s.removed[root] {
			gone = append(gone, root)
		} else if name := StoreName(p); !newFetch[name] {
			words = append(words, "-"+name)
		}
	}
	if len(src)+len(gone) > 0 {
		others := len(words)
		words = append([]string{f.sourceWords(src, gone, s)}, words...)
		replaced := slices.DeleteFunc(slices.Clone(src), func(p string) bool { return s.was[p] == "" })
		f.InPlace = others == 0 && len(f.Gone) == 0 && len(replaced) == len(src)
	}
	if len(words) == 0 {
		return "in another order"
	}
	return few(words, 6)
}

// paths reports whether all words are store paths.
func paths(words []string) bool {
	for _, w := range words {
		if !strings.HasPrefix(w, "/") || storeRoot(w) == "" {
			return false
		}
	}
	return true
}

// storeRoot is the store path that a path lies in; "" if there is none.
func storeRoot(p string) string {
	for i := 0; i < len(p); {
		j := strings.IndexByte(p[i:], '/')
		if j < 0 {
			return ""
		}
		i += j + 1
		if len(p) > i+33 && p[i+32] == '-' && isHash(p[i:i+32]) {
			if end := strings.IndexByte(p[i:], '/'); end >= 0 {
				return p[:i+end]
			}
			return p
		}
	}
	return ""
}

func isHash(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// minus are the words of a that b has not, each as often as a has more of it.
func minus(a, b []string) []string {
	n := map[string]int{}
	for _, w := range b {
		n[w]++
	}
	var out []string
	for _, w := range a {
		if n[w] > 0 {
			n[w]--
			continue
		}
		out = append(out, w)
	}
	return out
}

func tokens(added, removed []string) string {
	var words []string
	for _, w := range added {
		words = append(words, "+"+clip(shortPath(w)))
	}
	for _, w := range removed {
		words = append(words, "-"+clip(shortPath(w)))
	}
	if len(words) == 0 {
		return "in another order"
	}
	return few(words, 6)
}

// change is "name old -> new" where both are short, else the first line that
// differs.
func change(name, old, now string) string {
	sep := ""
	if name != "" {
		sep = " "
	}
	if short(old) && short(now) {
		return name + sep + shortPath(old) + " -> " + shortPath(now)
	}
	was, is := strings.Split(old, "\n"), strings.Split(now, "\n")
	gone, came := minus(was, is), minus(is, was)
	switch {
	case len(came) > 0 && len(gone) > 0 && !short(came[0]):
		// Of a long line only what differs.
		if less, more := tokenDiff(gone[0], came[0]); less+more != "" {
			return name + " changed:" + less + more
		}
		return name + " changed: + " + quoted(came[0])
	case len(came) > 0 && strings.TrimSpace(came[0]) != "":
		return name + " changed: + " + quoted(came[0])
	case len(gone) > 0 && strings.TrimSpace(gone[0]) != "":
		return name + " changed: - " + quoted(gone[0])
	}
	return name + " changed"
}

// tokenDiff is what differs of two lines between where they begin to differ and where they
// are alike again, in words.
func tokenDiff(old, now string) (less, more string) {
	was, is := strings.Fields(old), strings.Fields(now)
	for len(was) > 0 && len(is) > 0 && was[0] == is[0] {
		was, is = was[1:], is[1:]
	}
	for len(was) > 0 && len(is) > 0 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	if len(was) > 0 {
		less = " - " + quoted(strings.Join(was, " "))
	}
	if len(is) > 0 {
		more = " + " + quoted(strings.Join(is, " "))
	}
	return less, more
}

const shortText = 60

func short(s string) bool { return len(s) <= shortText && !strings.Contains(s, "\n") }

func quoted(s string) string { return clip(shortPath(strings.TrimSpace(s))) }

// shortPath leaves out what a reader does not need of store paths.
func shortPath(s string) string {
	for {
		i := strings.Index(s, "/nix/store/")
		if i < 0 || len(s) < i+44 || s[i+43] != '-' {
			return s
		}
		s = s[:i] + s[i+44:]
	}
}

func clip(s string) string {
	if len(s) <= shortText {
		return s
	}
	s = s[:shortText]
	for !utf8.ValidString(s) && len(s) > 0 {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// first are the fields that tell most.
var first = []string{"version", "patches", "src", "srcs", "name", "pname", "urls", "url"}

// sortFields puts what tells most first, and drops what only follows from a version.
func sortFields(fields []Field) {
	rank := func(f Field) int {
		if i := slices.Index(first, f.Name); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(fields, func(a, b Field) int { return rank(a) - rank(b) })
}
