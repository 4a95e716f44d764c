package distro_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
)

// attrs makes a set of packages from words: "name drv out" and perhaps "meta=x",
// or "name !reason".
func attrs(lines ...string) *distro.Set {
	s := &distro.Set{}
	for _, line := range lines {
		words := strings.Fields(line)
		a := distro.Attr{Kind: distro.KindPackage, Name: words[0]}
		if reason, ok := strings.CutPrefix(words[1], "!"); ok {
			a.Failure = &distro.Failure{Reason: distro.FailureReason(reason), Message: reason}
		} else {
			a.Drv, a.Outputs = words[1], map[string]string{"out": words[2]}
			if len(words) > 3 {
				a.Meta.Hash = words[3]
			}
		}
		s.Attrs = append(s.Attrs, a)
	}
	return s
}

func unlisted(s *distro.Set) *distro.Set {
	s.Failure = &distro.Failure{Reason: distro.FailThrow, Message: "cannot say"}
	return s
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		name       string
		base, head *distro.Set
		want       string
		unchanged  int
	}{
		{"nothing changes", attrs("a d1 o1"), attrs("a d1 o1"), "", 1},
		{"an output changes: it is rebuilt", attrs("a d1 o1"), attrs("a d2 o2"), "a rebuilt", 0},
		{"the derivation changes and what it produces does not: refetched", attrs("a d1 o1"), attrs("a d2 o1"), "a refetch", 0},
		{"only what it says of itself changes", attrs("a d1 o1 m1"), attrs("a d1 o1 m2"), "a meta", 0},
		{"a new one", attrs("a d1 o1"), attrs("a d1 o1", "b d2 o2"), "b added", 1},
		{"one that is gone", attrs("a d1 o1", "b d2 o2"), attrs("a d1 o1"), "b removed", 1},
		{"the same outputs under another name: renamed, not added and removed", attrs("a d1 o1"), attrs("b d1 o1"), "b renamed from a", 0},
		{"renamed, and fetched anew", attrs("a d1 o1"), attrs("b d2 o1"), "b renamed from a", 0},
		{"an alias of one that stays is new", attrs("a d1 o1"), attrs("a d1 o1", "b d1 o1"), "b added", 1},
		{"renamed and changed is one gone and one new", attrs("a d1 o1"), attrs("b d2 o2"), "a removed, b added", 0},
		{"it stops evaluating: a failure, no removal", attrs("a d1 o1"), attrs("a !abort"), "a eval-failed", 0},
		{"it evaluates again", attrs("a !abort"), attrs("a d1 o1"), "a eval-fixed", 0},
		{"it fails as before", attrs("a !abort"), attrs("a !abort"), "a eval-still-failing", 0},
		{"a new one that does not evaluate", attrs(), attrs("a !type"), "a eval-failed", 0},
		{"what the package set lacks is nobody's doing", attrs("a !unavailable"), attrs("a !unavailable", "b !unavailable"), "", 2},
		{"base could not be listed: unknown, not new", unlisted(attrs()), attrs("a d1 o1"), "a unknown", 0},
		{"head cannot be listed: a failure, no removal", attrs("a d1 o1"), unlisted(attrs()), "a eval-failed", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := distro.Compare(tc.base, tc.head)
			var got []string
			for _, a := range d.Packages {
				words := fmt.Sprintf("%s %s", a.Attr, a.Status)
				if a.From != "" {
					words += " from " + a.From
				}
				got = append(got, words)
				if a.Status == distro.StatusEvalFailed {
					assert.NotNil(t, a.Failure)
				}
			}
			assert.Equal(t, tc.want, strings.Join(got, ", "))
			assert.Equal(t, tc.unchanged, d.Unchanged[distro.KindPackage])
		})
	}
}

// TestReferrers: who is still built from what was removed, through others too.
func TestReferrers(t *testing.T) {
	b, h := graph{}, graph{}
	build := func(g graph, version string, list bool) *distro.Set {
		old := g.add(spec{name: "oldlib-" + version})
		user := g.add(spec{name: "user-1", in: []made{old}})
		far := g.add(spec{name: "far-1", in: []made{user}})
		other := g.add(spec{name: "other-1"})
		s := &distro.Set{}
		for _, a := range []struct {
			name string
			made
		}{{"far", far}, {"oldlib", old}, {"other", other}, {"user", user}} {
			if a.name != "oldlib" || list {
				s.Attrs = append(s.Attrs, distro.Attr{Kind: distro.KindPackage, Name: a.name, Drv: a.drv, Outputs: map[string]string{"out": a.out}})
			}
		}
		return s
	}
	for name, version := range map[string]string{"from the very derivation": "1", "from one of its name": "2"} {
		t.Run(name, func(t *testing.T) {
			base, head := build(b, "1", true), build(h, version, false)
			d := distro.Compare(base, head)
			distro.Referrers(d, base, head, h)
			var removed distro.AttrDiff
			for _, a := range d.Packages {
				if a.Status == distro.StatusRemoved {
					removed = a
				}
			}
			require.Equal(t, "oldlib", removed.Attr)
			assert.Equal(t, []string{"far", "user"}, removed.Referrers)
		})
	}
}

// TestCauses: the file and line of the change that did it.
func TestCauses(t *testing.T) {
	patch := storePath("0002-b.patch", "file B")
	root := func(fields ...distro.Field) *distro.Root {
		return &distro.Root{Base: "b", Head: "h", Name: "runc", Fields: fields}
	}
	none := func(*distro.Root, string) []distro.Place { return nil }
	at := func(places ...distro.Place) func(*distro.Root, string) []distro.Place {
		return func(*distro.Root, string) []distro.Place { return places }
	}
	for _, tc := range []struct {
		name string
		root *distro.Root
		ev   distro.Evidence
		want []distro.Cause
	}{
		{"a patch by name and content, and the overlay that lists it",
			root(distro.Field{Name: "patches", What: "patches +0002-b.patch", Sources: []string{patch}}),
			distro.Evidence{Files: []string{"o/0002-b.patch", "o/default.nix"}, Sources: map[string]string{patch: "o/0002-b.patch"},
				Fields: at(distro.Place{File: "o/default.nix", Line: 3}), Lines: map[string][]distro.LineRange{"o/default.nix": {{First: 5, Last: 6}}}},
			[]distro.Cause{{File: "o/0002-b.patch", What: "patches +0002-b.patch"}, {File: "o/default.nix", Line: 5, What: "patches +0002-b.patch"}}},
		{"of two files of that name the one with that content",
			root(distro.Field{Name: "patches", What: "patches ~0002-b.patch", Sources: []string{patch}}),
			distro.Evidence{Files: []string{"o/0002-b.patch", "other/0002-b.patch"}, Sources: map[string]string{patch: "other/0002-b.patch"}, Fields: none},
			[]distro.Cause{{File: "other/0002-b.patch", What: "patches ~0002-b.patch"}}},
		{"the line that sets the argument",
			root(distro.Field{Name: "version", What: "version 1 -> 2"}),
			distro.Evidence{Files: []string{"o/default.nix"}, Fields: at(distro.Place{File: "o/default.nix", Line: 7}), Lines: map[string][]distro.LineRange{"o/default.nix": {{First: 1, Last: 1}, {First: 7, Last: 7}}}},
			[]distro.Cause{{File: "o/default.nix", Line: 7, What: "version 1 -> 2"}}},
		{"a file that did not change is no cause",
			root(distro.Field{Name: "version", What: "version 1 -> 2"}),
			distro.Evidence{Files: []string{"README.md"}, Fields: at(distro.Place{File: "o/default.nix", Line: 7})},
			[]distro.Cause{{What: "version 1 -> 2"}}},
		{"where Nix does not say, the changed file that names the package",
			root(distro.Field{Name: "env", What: "env changed"}),
			distro.Evidence{Files: []string{"a.nix", "b.nix"}, Fields: none, Lines: map[string][]distro.LineRange{"b.nix": {{First: 9, Last: 9}}},
				Mentions: func(file, word string) bool { return file == "b.nix" && word == "runc" }},
			[]distro.Cause{{File: "b.nix", Line: 9, What: "env changed"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ev := tc.ev
			ev.Attr = func(*distro.Root) []distro.Place { return nil }
			if ev.Mentions == nil {
				ev.Mentions = func(string, string) bool { return false }
			}
			assert.Equal(t, tc.want, ev.Causes(tc.root))
		})
	}
}
