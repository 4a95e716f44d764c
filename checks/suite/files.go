package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// slug is a file name for a case's name, which is hostile: different names
// have different slugs.
func slug(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, name)
	clean = strings.TrimLeft(clean, ".-")
	if clean == name && len(name) <= 80 {
		return clean
	}
	sum := sha256.Sum256([]byte(name))
	return clean[:min(len(clean), 60)] + "-" + hex.EncodeToString(sum[:4])
}

// save writes a file of the job, and returns how a report refers to it; the
// empty string if it could not be kept.
func (r *run) save(name string, content []byte) string {
	if r.Dir == "" {
		return ""
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return ""
	}
	if err := os.WriteFile(filepath.Join(r.Dir, name), content, 0o644); err != nil {
		return ""
	}
	return filepath.ToSlash(filepath.Join(r.Prefix, name))
}

// saveCase writes down a failed attempt.
func (r *run) saveCase(c distro.CaseSpec, o checks.Outcome, attempt int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "case %s, attempt %d\n%s\n\n$ %s\n", c.Name, attempt, o.Reason, c.Run)
	for _, line := range o.Tail {
		b.WriteString(line + "\n")
	}
	if o.Exit != nil {
		fmt.Fprintf(&b, "\nexit status %d\n", *o.Exit)
	}
	if len(o.Kernel) > 0 {
		b.WriteString("\nthe kernel logged meanwhile:\n")
		for _, line := range o.Kernel {
			b.WriteString("  " + line + "\n")
		}
	}
	for i, f := range o.Trace {
		fmt.Fprintf(&b, "%4d: %s %s\n", i, f.Function, f.Address)
	}
	return r.save(fmt.Sprintf("%s.%d.log", slug(c.Name), attempt), []byte(b.String()))
}
