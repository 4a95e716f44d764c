package config

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// problem is what is wrong with a value, and the YAML path of it.
type problem struct{ path, message string }

// BuiltinProfiles are the machine profiles that exist without configuration.
var BuiltinProfiles = []string{"linux", "asterinas"}

// Scopes are the names that scopes may map, in the order in which they are
// tried.
var Scopes = []ScopeName{"docs", "ci", "release", "tests", "installer", "image", "modules", "overlay"}

// problem returns the first thing that is wrong, in the order of the struct.
func (c *Config) problem() *problem {
	checks := []*problem{
		filled("$.entry", c.Entry),
		inside("$.entry", c.Entry...),
		inside("$.nixpkgs.pin", c.Nixpkgs.Pin...),
		globs("$.kernel.inputs", c.Kernel.Inputs),
		c.Kernel.Build.problem("$.kernel.build"),
		c.knowsProfile("$.kernel.profile", c.Kernel.Profile),
		oneOf("$.kernel.protocol", c.Kernel.Protocol, "", "bzimage", "multiboot"),
		c.knowsProfile("$.control.profile", c.Control.Profile),
		words("$.kernel.params", c.Kernel.Params),
		words("$.control.params", c.Control.Params),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Scopes)) {
		at := "$.scopes." + key(string(name))
		checks = append(checks, oneOf(at, name, Scopes...), globs(at, c.Scopes[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		at := "$.profiles." + key(name)
		checks = append(checks, identifier(at, name), c.Profiles[name].problem(at, name, c))
	}
	seen := map[string]bool{}
	for i, s := range c.Suites {
		at := fmt.Sprintf("$.suites[%d]", i)
		checks = append(checks, s.problem(at))
		if seen[s.Name] {
			checks = append(checks, &problem{at + ".name", fmt.Sprintf("a second suite called %q", s.Name)})
		}
		seen[s.Name] = true
	}
	for i, k := range c.KnownFailures {
		checks = append(checks, k.problem(fmt.Sprintf("$.known-failures[%d]", i)))
	}
	checks = append(checks,
		optionalInside("$.known-failures-file", c.KnownFailuresFile),
		between("$.retries", c.Retries, 0, 20),
		oneOf("$.release.scheme", c.Release.Scheme, SchemeShared, SchemeCalVer),
		filled("$.release.version-file", c.Release.VersionFile),
		inside("$.release.version-file", c.Release.VersionFile...),
		inside("$.release.kernel-version-file", c.Release.KernelVersionFile...),
		inside("$.release.waivers", c.Release.Waivers),
		when(strings.Count(c.Release.Tag, "{version}") != 1, "$.release.tag", "a tag names {version} once, as in v{version}"),
		oneOf("$.publish", c.Publish, PublishApp, PublishToken, PublishSummary),
		oneOf("$.commands", c.Commands, HandleApp, HandleWorkflow),
	)
	commands := slices.Sorted(maps.Keys(Default().Permissions))
	for _, name := range slices.Sorted(maps.Keys(c.Permissions)) {
		at := "$.permissions." + key(name)
		checks = append(checks, oneOf(at, name, commands...), oneOf(at, c.Permissions[name], permissions...))
	}
	checks = append(checks,
		between("$.budget.minutes", c.Budget.Minutes, 1, 1<<20),
		between("$.budget.max-parallel", c.Budget.MaxParallel, 1, 256),
		between("$.budget.max-rebuilds", c.Budget.MaxRebuilds, 1, 1<<30),
		between("$.limits.eval-memory", c.Limits.EvalMemory, 64, 1<<30),
		between("$.limits.build-log", c.Limits.BuildLog, 1, 1<<20),
		refs("$.trust.refs", c.Trust.Refs),
		refs("$.trust.import-from-derivation", c.Trust.ImportFromDerivation),
	)
	return first(checks)
}

func (b *KernelBuild) problem(at string) *problem {
	if b == nil {
		return nil
	}
	return first([]*problem{
		when(b.Command == "", at, "kernel.build needs a command"),
		when(b.Image == "", at, "kernel.build needs an image: where the command leaves the kernel"),
		inside(at+".image", b.Image),
		optionalInside(at+".symbols", b.Symbols),
		when(b.Container != "" && !digest.MatchString(b.Container), at+".container", "name the container image by digest, as in NAME@sha256:..., so that nobody can exchange it"),
		between(at+".max-size", b.MaxSize, 1, 1<<20),
	})
}

var digest = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$`)

func (p Profile) problem(at, name string, c *Config) *problem {
	all := []*problem{
		c.knowsProfile(at+".base", p.Base),
		when(p.Base != "" && slices.Contains(BuiltinProfiles, name), at+".base", name+" is built in and has no other base"),
		oneOf(at+".firmware", p.Firmware, "", "bios", "uefi"),
		oneOf(at+".console", p.Console, "", "hvc0", "ttyS0"),
		when(p.Processors < 0 || p.Processors > 255, at+".processors", "between 1 and 255 processors"),
		when(p.Memory != 0 && p.Memory < 16, at+".memory", "memory is in MiB, at least 16"),
		words(at+".params", p.Params),
		words(at+".log-params", p.LogParams),
	}
	for i, pattern := range p.Panic {
		if _, err := regexp.Compile(pattern); err != nil {
			all = append(all, &problem{fmt.Sprintf("%s.panic[%d]", at, i), err.Error()})
		}
	}
	// A chain of bases that bites its tail would never end.
	for base, steps := p.Base, 0; base != ""; base, steps = c.Profiles[base].Base, steps+1 {
		if steps > len(c.Profiles) {
			all = append(all, &problem{at + ".base", "a circle of profiles that are each other's base"})
			break
		}
	}
	return first(all)
}

func (s CommandSuite) problem(at string) *problem {
	return first([]*problem{
		when(s.Name == "", at, "a suite needs a name"),
		identifier(at+".name", s.Name),
		when(s.Command == "", at, "suite needs a command"),
		when(s.Format == "", at, "suite needs a format: nixos-test, tap or junit"),
		oneOf(at+".format", s.Format, FormatNixOSTest, FormatTAP, FormatJUnit),
		globs(at+".paths", s.Paths),
		optionalInside(at+".output", s.Output),
	})
}

func (k KnownFailure) problem(at string) *problem {
	u, err := url.Parse(k.Tracker)
	return first([]*problem{
		when(k.Pattern == "", at, "a known failure needs a pattern: KIND/SUBJECT/NAME"),
		when(strings.Count(k.Pattern, "/") < 2, at+".pattern", "a pattern is KIND/SUBJECT/NAME, as in test/network/ip*"),
		when(k.Tracker == "", at, "a known failure needs a tracker: the address where it is followed up"),
		when(err != nil || u != nil && u.Scheme != "https" && u.Scheme != "http", at+".tracker", "a tracker is an address such as https://github.com/OWNER/REPO/issues/1"),
		when(k.Expires.IsZero(), at, "a known failure needs the day on which it expires, as in expires: 2026-12-31"),
	})
}

func (c *Config) knowsProfile(at, name string) *problem {
	_, own := c.Profiles[name]
	if name == "" || own || slices.Contains(BuiltinProfiles, name) {
		return nil
	}
	known := slices.Concat(BuiltinProfiles, slices.Sorted(maps.Keys(c.Profiles)))
	return &problem{at, fmt.Sprintf("unknown machine profile %q; known are %s", name, strings.Join(known, ", "))}
}

func first(all []*problem) *problem {
	for _, p := range all {
		if p != nil {
			return p
		}
	}
	return nil
}

func when(bad bool, at, message string) *problem {
	if !bad {
		return nil
	}
	return &problem{at, message}
}

func filled[T any](at string, list []T) *problem {
	return when(len(list) == 0, at, "the list is empty")
}

// inside refuses paths that leave the repository.
func inside(at string, paths ...string) *problem {
	for _, p := range paths {
		if p == "" || path.IsAbs(p) || p == ".." || strings.HasPrefix(path.Clean(p), "../") || strings.ContainsRune(p, 0) {
			return &problem{at, fmt.Sprintf("%q is not a path inside the repository", p)}
		}
	}
	return nil
}

func optionalInside(at, p string) *problem {
	if p == "" {
		return nil
	}
	return inside(at, p)
}

func globs(at string, g Globs) *problem {
	for i, pattern := range g {
		if p := strings.TrimPrefix(pattern, "!"); p == "" || !doublestar.ValidatePattern(p) {
			return &problem{fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is not a pattern", pattern)}
		}
	}
	return nil
}

func refs(at string, patterns []string) *problem {
	for i, p := range patterns {
		if p == "" || !doublestar.ValidatePattern(p) {
			return &problem{fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is not a pattern", p)}
		}
	}
	return nil
}

// words refuses kernel parameters that would be two, or end the line.
func words(at string, params []string) *problem {
	for i, p := range params {
		if p == "" || strings.ContainsAny(p, " \t\r\n\x00") {
			return &problem{fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is not one kernel parameter: no blanks; one entry for each", p)}
		}
	}
	return nil
}

var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

func identifier(at, name string) *problem {
	return when(!word.MatchString(name) || len(name) > 100, at, fmt.Sprintf("%q is not a name: letters, digits and . _ + - only", name))
}

func between(at string, v, low, high int) *problem {
	return when(v < low || v > high, at, fmt.Sprintf("%d is not between %d and %d", v, low, high))
}

func oneOf[T ~string](at string, v T, allowed ...T) *problem {
	if slices.Contains(allowed, v) {
		return nil
	}
	var names []string
	for _, a := range allowed {
		if a != "" {
			names = append(names, string(a))
		}
	}
	return &problem{at, fmt.Sprintf("%q is not one of %s", string(v), strings.Join(names, ", "))}
}

// key quotes a map's key for a YAML path where that is needed.
func key(name string) string {
	if word.MatchString(name) && !strings.Contains(name, ".") {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `\'`) + "'"
}
