package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/asterinas/asterbot/checks"
)

// Write leaves a report in a folder, which it makes: report.md, report.html,
// report.json and junit.xml. logs/ and what else the report refers to
// should be there already; consoles and screenshots are embedded into the page.
// Each file appears as a whole. Every file is tried: one that cannot be written
// does not keep the others from it.
func Write(dir string, r *checks.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if r.Headline == "" {
		c := *r
		c.Headline = Headline(r)
		r = &c
	}
	// The folder may hold what a guest left: nothing outside it is followed.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer root.Close()
	var errs []error
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"report.json", func(w io.Writer) error { return Encode(w, r) }},
		{"report.md", func(w io.Writer) error {
			_, err := io.WriteString(w, Markdown(r, MarkdownOptions{Link: link}))
			return err
		}},
		{"junit.xml", func(w io.Writer) error { return JUnit(w, r) }},
		{"report.html", func(w io.Writer) error { return HTML(w, r, root.FS()) }},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.write); err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", f.name, err))
		}
	}
	return errors.Join(errs...)
}

// writeFile makes a file appear as a whole.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
