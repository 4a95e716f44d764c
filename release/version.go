package release

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// Scheme is how versions are made.
type Scheme string

// The schemes.
const (
	// Shared: the distribution carries the kernel's version.
	Shared Scheme = "shared"
	// CalVer: YY.MM, or YY.MM.N for a further release of that month; the
	// kernel's version is recorded beside it.
	CalVer Scheme = "calver"
)

var (
	calver = regexp.MustCompile(`^([0-9]{2})\.(0[1-9]|1[0-2])(?:\.([1-9][0-9]*))?$`)
	strict = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$`)
)

// Valid returns an error that says what a version of the scheme looks like, for
// one that is none.
func (s Scheme) Valid(version string) error {
	switch s {
	case Shared:
		if !strict.MatchString(version) || !semver.IsValid("v"+version) {
			return fmt.Errorf("%q is no version of the form 1.2.3 or 1.2.3-rc.1", version)
		}
	case CalVer:
		if !calver.MatchString(version) {
			return fmt.Errorf("%q is no version of the form 26.03 or 26.03.1", version)
		}
	default:
		return fmt.Errorf("%q is no version scheme; there are shared and calver", s)
	}
	return nil
}

// Compare orders two valid versions of the scheme: -1, 0, +1.
func (s Scheme) Compare(a, b string) int {
	if s == CalVer {
		a, b = calverKey(a), calverKey(b)
	}
	return semver.Compare("v"+a, "v"+b)
}

// calverKey is the semantic version that orders as a calendar version does.
func calverKey(v string) string {
	m := calver.FindStringSubmatch(v)
	if m == nil {
		return v
	}
	if m[3] == "" {
		m[3] = "0"
	}
	return strings.TrimLeft(m[1], "0") + "." + strings.TrimLeft(m[2], "0") + "." + m[3]
}

// Prerelease reports whether a version comes before a release: 1.2.3-rc.1.
func Prerelease(version string) bool { return strings.Contains(version, "-") }

// Tag is the name of a version's tag; pattern has {version} in it.
func Tag(pattern, version string) string { return strings.ReplaceAll(pattern, "{version}", version) }

// Untag returns the version that a tag names, and whether it names one.
func Untag(pattern, tag string) (string, bool) {
	before, after, ok := strings.Cut(pattern, "{version}")
	if !ok || len(tag) <= len(before)+len(after) || !strings.HasPrefix(tag, before) || !strings.HasSuffix(tag, after) {
		return "", false
	}
	return tag[len(before) : len(tag)-len(after)], true
}
