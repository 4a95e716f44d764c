package report_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
)

const (
	fieldsBegin = "<!-- generated from packages checks and distro: go test ./checks/report -update -->\n"
	fieldsEnd   = "<!-- end of what is generated -->\n"
)

// TestTheFormatsAreDocumentedFieldByField holds docs/formats.md: its tables are
// the comments of the types, so none can be missing.
func TestTheFormatsAreDocumentedFieldByField(t *testing.T) {
	const path = "../../docs/formats.md"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), fieldsBegin)
	require.True(t, ok, "%s has no place for the fields", path)
	_, after, ok := strings.Cut(rest, fieldsEnd)
	require.True(t, ok, "%s has no end of the fields", path)
	want := before + fieldsBegin + fields(t) + fieldsEnd + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run: go test ./checks/report -update")
}

// fields writes a table for each type of the documents.
func fields(t *testing.T) string {
	t.Helper()
	comments := map[string]string{}
	readComments(t, "..", comments)
	readComments(t, "../../distro", comments)
	var b strings.Builder
	queue := []reflect.Type{reflect.TypeFor[checks.Plan](), reflect.TypeFor[checks.Results](), reflect.TypeFor[checks.Report]()}
	done := map[reflect.Type]bool{}
	for len(queue) > 0 {
		typ := queue[0]
		queue = queue[1:]
		if done[typ] {
			continue
		}
		done[typ] = true
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| field | type | meaning |\n| --- | --- | --- |\n", typ.Name(), oneLine(comments[typ.Name()]))
		queue = append(queue, rows(t, &b, comments, typ)...)
	}
	return b.String()
}

// readComments collects the comments of a package's types and fields.
func readComments(t *testing.T, dir string, into map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.TypeSpec)
				into[spec.Name.Name] = decl.Doc.Text()
				fields, ok := spec.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						into[spec.Name.Name+"."+name.Name] = f.Doc.Text() + f.Comment.Text()
					}
				}
			}
		}
	}
}

// rows writes a type's fields and returns the types below it.
func rows(t *testing.T, b *strings.Builder, comments map[string]string, typ reflect.Type) (below []reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			below = append(below, rows(t, b, comments, f.Type)...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		comment := oneLine(comments[typ.Name()+"."+f.Name])
		assert.NotEmpty(t, comment, "%s.%s has no comment", typ, f.Name)
		kind, inner := words(f.Type)
		if inner != nil {
			below = append(below, inner)
		}
		if strings.Contains(options, "omit") {
			kind += ", optional"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, strings.ReplaceAll(comment, "|", "\\|"))
	}
	return below
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// words names a type in the words of JSON; inner is the object in it, if any.
func words(t reflect.Type) (name string, inner reflect.Type) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time (RFC 3339)", nil
	case t.Kind() == reflect.Pointer:
		return words(t.Elem())
	case t.Kind() == reflect.Slice:
		name, inner = words(t.Elem())
		return "list of " + name, inner
	case t.Kind() == reflect.Map:
		name, inner = words(t.Elem())
		return "object: name to " + name, inner
	case t.Kind() == reflect.Struct:
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name())), t
	case t.Kind() == reflect.Bool:
		return "boolean", nil
	case slices.Contains([]reflect.Kind{reflect.Int, reflect.Float64}, t.Kind()):
		return "number", nil
	}
	if t.PkgPath() != "" {
		return fmt.Sprintf("[%s](#words)", t.Name()), nil
	}
	return "string", nil
}
