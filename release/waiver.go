package release

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/asterinas/asterbot/checks"
)

// Waiver lets one release have a failure. It is recorded in a file of the
// repository, so that review and history say who allowed what, and it ends
// with the release it names.
type Waiver struct {
	// Pattern says which cases: KIND/SUBJECT/NAME, where * stands for any
	// characters but a slash.
	Pattern string `yaml:"case"`
	// Version is the release it is for.
	Version string `yaml:"version"`
	// Reason is printed in the release's notes.
	Reason string `yaml:"reason"`
	// Tracker is where the failure is followed up.
	Tracker string `yaml:"tracker"`
	// By is who allowed it.
	By string `yaml:"by"`
}

// ParseWaivers reads a file of waivers: a YAML list, strictly.
func ParseWaivers(r io.Reader) ([]Waiver, error) {
	var ws []Waiver
	err := yaml.NewDecoder(io.LimitReader(r, 1<<20), yaml.Strict()).Decode(&ws)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read waivers: %w", err)
	}
	return ws, nil
}

// Match reports whether the waiver is about a case.
func (w Waiver) Match(c checks.Case) bool {
	// A case's name may have slashes of its own.
	kind, rest, _ := strings.Cut(w.Pattern, "/")
	subject, name, _ := strings.Cut(rest, "/")
	return glob(kind, string(c.Kind)) && glob(subject, c.Subject) && glob(name, c.Name)
}

func glob(pattern, s string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(s, "/", "\x00"))
	return ok && err == nil
}

func (w Waiver) valid() error {
	switch {
	case strings.Count(w.Pattern, "/") < 2:
		return errors.New("its case is not of the form KIND/SUBJECT/NAME")
	case strings.Trim(w.Pattern, "*/") == "":
		return errors.New("it would waive everything")
	case w.Version == "":
		return errors.New("it names no version")
	case w.Reason == "":
		return errors.New("it gives no reason")
	case w.Tracker == "":
		return errors.New("it names no tracker")
	case w.By == "":
		return errors.New("it does not say who allowed it")
	}
	return nil
}
