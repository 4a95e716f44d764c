package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Places is a list of paths of which the first that exists counts. In YAML it
// is a string or a list.
type Places []string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *Places) UnmarshalYAML(n ast.Node) error { return oneOrMany((*[]string)(p), n) }

// First returns the first place that exists, as the caller sees it; false if
// none does.
func (p Places) First(exists func(path string) bool) (string, bool) {
	for _, place := range p {
		if exists(place) {
			return place, true
		}
	}
	return "", false
}

// Globs is a list of patterns for slash-separated paths relative to the
// repository's root, as in .gitignore files: * stays within a folder, ** does
// not, and of the patterns that match a path the last decides: one that
// starts with ! takes it out. In YAML it is a string or a list.
type Globs []string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (g *Globs) UnmarshalYAML(n ast.Node) error { return oneOrMany((*[]string)(g), n) }

// Match reports whether the patterns select the path.
func (g Globs) Match(path string) bool {
	var selected bool
	for _, pattern := range g {
		positive, exclude := strings.CutPrefix(pattern, "!")
		// A malformed pattern was refused by Parse.
		if ok, _ := doublestar.Match(positive, path); ok {
			selected = !exclude
		}
	}
	return selected
}

func oneOrMany(into *[]string, n ast.Node) error {
	if n.Type() == ast.SequenceType {
		var many []string
		if err := yaml.NodeToValue(n, &many, yaml.Strict()); err != nil {
			return err
		}
		*into = many
		return nil
	}
	var one string
	if err := scalar(n, &one, "a string or a list of strings"); err != nil {
		return err
	}
	*into = []string{one}
	return nil
}

// Duration is a length of time, written as in 90s, 20m or 1h30m.
type Duration time.Duration

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	const want = "a duration such as 90s, 20m or 1h30m"
	var s string
	if err := scalar(n, &s, want); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return at(n, "%q is not %s", s, want)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML implements yaml.InterfaceMarshaler.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	s, _ = strings.CutSuffix(s, "m0s")
	if len(s) < len(time.Duration(d).String()) {
		s += "m"
	}
	if hours, ok := strings.CutSuffix(s, "h0m"); ok {
		s = hours + "h"
	}
	return s
}

// Date is a day, written as in 2026-12-31.
type Date struct{ time.Time }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *Date) UnmarshalYAML(n ast.Node) error {
	const want = "a date such as 2026-12-31"
	var s string
	if err := scalar(n, &s, want); err != nil {
		return err
	}
	v, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return at(n, "%q is not %s", s, want)
	}
	d.Time = v
	return nil
}

// MarshalYAML implements yaml.InterfaceMarshaler.
func (d Date) MarshalYAML() (any, error) { return d.String(), nil }

func (d Date) String() string { return d.Format(time.DateOnly) }

// Past reports whether the whole day is over at a time, in UTC.
func (d Date) Past(now time.Time) bool { return !now.UTC().Before(d.AddDate(0, 0, 1)) }

// Permission is a collaborator's permission on a repository, as GitHub names
// them.
type Permission string

// The permissions, least first.
const (
	PermissionNone     Permission = "none"
	PermissionRead     Permission = "read"
	PermissionTriage   Permission = "triage"
	PermissionWrite    Permission = "write"
	PermissionMaintain Permission = "maintain"
	PermissionAdmin    Permission = "admin"
)

var permissions = []Permission{PermissionNone, PermissionRead, PermissionTriage, PermissionWrite, PermissionMaintain, PermissionAdmin}

// Allows reports whether someone who has permission has may do what needs p. An
// unknown permission allows nothing.
func (p Permission) Allows(has Permission) bool {
	need, got := -1, -1
	for i, q := range permissions {
		if q == p {
			need = i
		}
		if q == has {
			got = i
		}
	}
	return need >= 0 && got >= need
}

// ScopeName is a scope that files can be mapped to: every distro.Scope but
// kernel and other.
type ScopeName string

// scalar decodes a scalar as the text it was written as: 20 is "20", a date
// stays a date.
func scalar(n ast.Node, into *string, want string) error {
	s, ok := n.(ast.ScalarNode)
	if !ok {
		return at(n, "expected %s", want)
	}
	if str, ok := s.(*ast.StringNode); ok {
		*into = str.Value
		return nil
	}
	if lit, ok := s.(*ast.LiteralNode); ok {
		*into = lit.Value.Value
		return nil
	}
	*into = n.GetToken().Value
	return nil
}

// at is an error with the place of a node.
func at(n ast.Node, format string, args ...any) error {
	return &yaml.SyntaxError{Message: fmt.Sprintf(format, args...), Token: n.GetToken()}
}
