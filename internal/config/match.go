package config

import (
	"slices"
	"strings"

	"github.com/asterinas/asterbot/distro"
)

// ScopeOf says which part of the distribution a file belongs to.
func (c *Config) ScopeOf(file string) distro.Scope {
	if c.Kernel.Inputs.Match(file) {
		return distro.ScopeKernel
	}
	for _, s := range Scopes {
		if c.Scopes[s].Match(file) {
			return distro.Scope(s)
		}
	}
	return distro.ScopeOther
}

// Matches reports whether the entry is about a case.
func (k KnownFailure) Matches(kind, subject, name string) bool {
	return wildcard(k.Pattern, kind+"/"+subject+"/"+name)
}

// MayImport reports whether an attribute of trusted code may build while it is
// evaluated.
func (t Trust) MayImport(name string) bool {
	return slices.ContainsFunc(t.ImportFromDerivation, func(pattern string) bool { return wildcard(pattern, name) })
}

// wildcard matches * against any characters, / included: a case's name is no
// path. Greedy from the left, with one place to come back to, so it is
// quadratic at worst.
func wildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	for _, middle := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, middle)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// Profile returns the overrides of a profile, from its base outwards, and the
// name of the built-in profile they apply to.
func (c *Config) Profile(name string) (builtin string, overrides []Profile) {
	for {
		p, own := c.Profiles[name]
		if own {
			overrides = append(overrides, p)
		}
		if slices.Contains(BuiltinProfiles, name) {
			break
		}
		if name = p.Base; name == "" {
			name = "linux"
		}
	}
	slices.Reverse(overrides)
	return name, overrides
}
