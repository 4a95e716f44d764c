// Package arch holds the import table of ARCHITECTURE.md.
//
// Check parses every Go file of a tree in process and reports each import that
// the table does not allow, so that the tests fail when a room reaches for
// something above it.
package arch

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Table says which rooms a room may import. A room that may import everything
// has the single entry "everything".
type Table map[string][]string

var code = regexp.MustCompile("`([^`]+)`")

// ParseTable reads the table of rooms out of the text of ARCHITECTURE.md: rows
// of three cells under the header "room | what it is | may import".
func ParseTable(markdown []byte) (Table, error) {
	t := Table{}
	var inside bool
	for line := range bytes.Lines(markdown) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(string(line)), "|"), "|")
		if len(cells) != 3 {
			inside = false
			continue
		}
		if strings.TrimSpace(cells[0]) == "room" {
			inside = true
			continue
		}
		m := code.FindStringSubmatch(cells[0])
		if !inside || m == nil {
			continue
		}
		room := m[1]
		if _, twice := t[room]; twice {
			return nil, fmt.Errorf("read table of rooms: %s has two rows", room)
		}
		t[room] = []string{}
		if strings.TrimSpace(cells[2]) == "everything" {
			t[room] = []string{"everything"}
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			t[room] = append(t[room], m[1])
		}
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("read table of rooms: no table headed %q", "room | what it is | may import")
	}
	return t, nil
}

// room returns the longest row that covers the folder.
func (t Table) room(dir string) (string, bool) {
	for d := dir; d != "." && d != "/"; d = path.Dir(d) {
		if _, ok := t[d]; ok {
			return d, true
		}
	}
	return "", false
}

// Check reports, sorted, every import in the tree that the table does not
// allow, and every folder with Go code that has no row. module is the path of
// the tree's module.
//
// Test files are held to the same rule, but may in addition import
// internal/githubtest, and external tests (package x_test) anything.
func Check(tree fs.FS, module string, t Table) ([]string, error) {
	var broken []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := path.Base(name); name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from, ok := t.room(path.Dir(name))
		if !ok {
			broken = append(broken, fmt.Sprintf("%s: %s has no row in the table of rooms", name, path.Dir(name)))
			return nil
		}
		if strings.HasSuffix(file.Name.Name, "_test") || slices.Contains(t[from], "everything") {
			return nil
		}
		for _, imp := range file.Imports {
			target, inside := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module+"/")
			if !inside {
				continue
			}
			to, ok := t.room(target)
			switch {
			case ok && (to == from || slices.Contains(t[from], to)):
			case to == "internal/githubtest" && strings.HasSuffix(name, "_test.go"):
			default:
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", name, from, target))
			}
		}
		return nil
	})
	slices.Sort(broken)
	return broken, err
}
