package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxSize bounds a configuration file, in bytes. It may come from a pull
// request.
const MaxSize = 64 << 10

// maxDepth bounds brackets in brackets: the parser's time grows with the square
// of the depth (measured: 20,000 of them take a second).
const maxDepth = 50

// Error says what is wrong with a configuration file, and where.
type Error struct {
	File string
	// Line and Column count from one; zero where the whole file is meant.
	Line, Column int
	Message      string
	// Snippet shows the place: the line with its number, the one before it,
	// and a caret below. Control characters are replaced.
	Snippet string
}

func (e *Error) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	msg := fmt.Sprintf("read configuration: %s: %s", place, e.Message)
	if e.Snippet != "" {
		msg += "\n" + e.Snippet
	}
	return msg
}

// Load reads the configuration at a path of a repository. A file that is not
// there is an error that wraps fs.ErrNotExist; a caller that wants
// the defaults then says so with Default.
func Load(repo fs.FS, path string) (*Config, error) {
	data, err := fs.ReadFile(repo, path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse decodes a configuration over Default. Every error is an *Error; file
// is its name there.
func Parse(file string, data []byte) (*Config, error) {
	c := Default()
	doc, err := decode(file, data, c)
	if err != nil {
		return nil, err
	}
	c.complete()
	if p := c.problem(); p != nil {
		return nil, doc.error(p.path, p.message)
	}
	return c, nil
}

// ParseKnownFailures decodes a file of known failures: a list.
func ParseKnownFailures(file string, data []byte) ([]KnownFailure, error) {
	var list []KnownFailure
	doc, err := decode(file, data, &list)
	if err != nil {
		return nil, err
	}
	for i, k := range list {
		if p := k.problem(fmt.Sprintf("$[%d]", i)); p != nil {
			return nil, doc.error(p.path, p.message)
		}
	}
	return list, nil
}

// document is a parsed file that can place errors.
type document struct {
	file string
	data []byte
	root *ast.File
}

func decode(file string, data []byte, into any) (*document, error) {
	doc := &document{file: file, data: data}
	if len(data) > MaxSize {
		return nil, &Error{File: file, Message: fmt.Sprintf("%d bytes are more than the %d a configuration may have", len(data), MaxSize)}
	}
	if !utf8.Valid(data) {
		good := bytes.ToValidUTF8(data, nil)
		line := 1
		for i := range data {
			if i >= len(good) || data[i] != good[i] {
				break
			}
			if data[i] == '\n' {
				line++
			}
		}
		return nil, &Error{File: file, Line: line, Column: 1, Message: "not valid UTF-8"}
	}
	if line := tooDeep(data); line > 0 {
		return nil, &Error{File: file, Line: line, Column: 1, Message: fmt.Sprintf("more than %d brackets in each other", maxDepth)}
	}
	root, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, doc.place(err)
	}
	doc.root = root
	for i, d := range root.Docs {
		if i > 0 && d.Body != nil {
			return nil, doc.place(at(d.Body, "a second YAML document; only one is allowed"))
		}
	}
	if len(root.Docs) == 0 || root.Docs[0].Body == nil || root.Docs[0].Body.Type() == ast.NullType {
		return doc, nil // nothing but comments: all defaults
	}
	if err := plain(root.Docs[0].Body); err != nil {
		return nil, doc.place(err)
	}
	if err := yaml.NodeToValue(root.Docs[0].Body, into, yaml.Strict()); err != nil {
		return nil, doc.place(err)
	}
	return doc, nil
}

// tooDeep returns the line on which brackets are nested too deeply, zero if they
// never are. It counts those in quotes too, which need not be balanced, but
// fifty more of one kind than of the other are no configuration either.
func tooDeep(data []byte) int {
	line, depth := 1, 0
	for _, b := range data {
		switch b {
		case '\n':
			line++
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth > maxDepth {
			return line
		}
	}
	return 0
}

// plain refuses what a configuration has no need of: aliases grow without
// bound, and a key without a value silently undoes its defaults.
func plain(body ast.Node) error {
	var bad error
	ast.Walk(visitor(func(n ast.Node) {
		if bad != nil {
			return
		}
		switch n := n.(type) {
		case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
			bad = at(n, "anchors and aliases are not allowed here")
		case *ast.TagNode:
			bad = at(n, "tags are not allowed here")
		case *ast.MappingValueNode:
			if n.Value == nil || n.Value.Type() == ast.NullType {
				bad = at(n.Key, "%s has no value; give it one, or remove it to have the default", n.Key.String())
			}
		}
	}), body)
	return bad
}

type visitor func(ast.Node)

func (v visitor) Visit(n ast.Node) ast.Visitor { v(n); return v }

// place turns an error of the YAML library into one of ours.
func (d *document) place(err error) error {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return &Error{File: d.file, Message: err.Error()}
	}
	msg := y.GetMessage()
	var mismatch *yaml.TypeError
	var node *yaml.UnexpectedNodeTypeError
	switch {
	case errors.As(err, &mismatch):
		msg = fmt.Sprintf("expected %s here, found %s", describe(mismatch.DstType), describe(mismatch.SrcType))
	case errors.As(err, &node):
		msg = fmt.Sprintf("expected a %s here, found a %s", strings.ToLower(node.Expected.YAMLName()), strings.ToLower(node.Actual.YAMLName()))
	}
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		if near := nearest(y.GetToken().Value); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
	}
	return d.at(y.GetToken(), msg)
}

// describe names a type in the words of YAML.
func describe(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return describe(t.Elem())
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Float32, reflect.Float64:
		return "a number with a fraction"
	default:
		return "a whole number"
	}
}

// error places a message at a YAML path; where that is not in the file, at the
// nearest part of it that is.
func (d *document) error(path, message string) error {
	for p := path; d.root != nil && p != ""; {
		if yp, err := yaml.PathString(p); err == nil {
			if n, err := yp.FilterFile(d.root); err == nil && n != nil {
				return d.at(n.GetToken(), message)
			}
		}
		p = p[:max(0, strings.LastIndexAny(p, ".["))]
	}
	return &Error{File: d.file, Message: message}
}

func (d *document) at(t *token.Token, message string) error {
	e := &Error{File: d.file, Line: t.Position.Line, Column: t.Position.Column, Message: printable(message)}
	lines := strings.Split(string(d.data), "\n")
	if e.Line < 1 || e.Line > len(lines) {
		return e
	}
	var b strings.Builder
	if e.Line > 1 {
		fmt.Fprintf(&b, "%5d | %s\n", e.Line-1, printable(lines[e.Line-2]))
	}
	fmt.Fprintf(&b, "%5d | %s\n      | %s^", e.Line, printable(lines[e.Line-1]), strings.Repeat(" ", min(max(0, e.Column-1), snippetWidth)))
	e.Snippet = b.String()
	return e
}

const snippetWidth = 160

// printable makes text from the file safe for a terminal: one line, one column
// per character.
func printable(line string) string {
	runes := []rune(strings.TrimSuffix(line, "\r"))
	if len(runes) > snippetWidth {
		runes = append(runes[:snippetWidth-1], '…')
	}
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case !unicode.IsPrint(r):
			runes[i] = '�'
		}
	}
	return string(runes)
}

// nearest returns the field name that is most like a misspelt one.
func nearest(name string) string {
	best, distance := "", 3
	for _, f := range fieldNames(reflect.TypeFor[Config](), nil) {
		if d := levenshtein.Distance(name, f, nil); d < distance && d < len(name) {
			best, distance = f, d
		}
	}
	return best
}

// fieldNames are the YAML names of a type's fields, and of the types in them.
func fieldNames(t reflect.Type, names []string) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fieldNames(t.Elem(), names)
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			if name == "" {
				continue
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			names = fieldNames(t.Field(i).Type, names)
		}
	}
	return names
}
