package site

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

//go:embed templates
var templates embed.FS

// imageHash is what stands for a kernel that was an image of no known version.
var imageHash = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

// search is the only script, of the first page: it filters the table by what is
// typed. The page's policy allows it by its hash and nothing else.
//
//go:embed templates/search.js
var search string

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"plain": report.Plain,
	"lines": func(l []string) string { return strings.Join(report.PlainLines(l), "\n") },
	"short": func(s string) string { return s[:min(10, len(s))] },
	// A kernel is known by its version, or by its image's hash.
	"kernel": func(s string) string {
		if imageHash.MatchString(s) {
			return "image " + s[:10]
		}
		return s
	},
	"date": func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.DateOnly)
	},
	"state":  func(s State) string { return s.Text() },
	"many":   func(s State, n int) string { return s.of(n) },
	"states": func() []State { return States },
	"file":   func(name string) string { return url.PathEscape(name) },
	"mark":   func(s State) string { return marks[s] },
	"status": func(s checks.Status) string { return statusMarks[s] },
	"script": func() template.JS { return template.JS(search) },
	"scriptHash": func() template.HTMLAttr {
		sum := sha256.Sum256([]byte(search))
		return template.HTMLAttr(`content="default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; script-src 'sha256-` + base64.StdEncoding.EncodeToString(sum[:]) + `'; base-uri 'none'; form-action 'none'"`)
	},
}).ParseFS(templates, "templates/*"))

var marks = map[State]string{Works: "✓", Kernel: "✗", Package: "✗", Broken: "✗", Unclear: "?", Untried: "–"}

var statusMarks = map[checks.Status]string{checks.Pass: "✓", checks.Fail: "✗", checks.Skip: "–"}

// Write leaves the site in a folder: index.html and missing.html, a page for
// each package below packages/, a badge for each below badges/, and the same as
// data in index.json, missing.json and packages/. Each file appears as a whole.
// Pages of packages that are gone are removed.
func (s *Site) Write(dir string) error {
	files := map[string][]byte{}
	page := func(name, tmpl string, data any) error {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, tmpl, data); err != nil {
			return fmt.Errorf("write site: %s: %w", name, err)
		}
		files[name] = b.Bytes()
		return nil
	}
	data := func(name string, v any) error {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("write site: %s: %w", name, err)
		}
		files[name] = append(b, '\n')
		return nil
	}
	err := errors.Join(
		page("index.html", "index.html", s),
		page("missing.html", "missing.html", s),
		data("index.json", s.index()),
		data("missing.json", s.Missing),
	)
	for _, p := range s.Packages {
		err = errors.Join(err,
			page("packages/"+p.File+".html", "package.html", struct {
				Entry
				Site *Site
			}{p, s}),
			data("packages/"+p.File+".json", p),
		)
		files["badges/"+p.File+".svg"] = []byte(badge(report.Plain(p.Name), p.State))
	}
	if err != nil {
		return err
	}
	for _, sub := range []string{"packages", "badges"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("write site: %w", err)
		}
		old, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return fmt.Errorf("write site: %w", err)
		}
		for _, f := range old {
			if _, still := files[sub+"/"+f.Name()]; !still && f.Type().IsRegular() {
				if err := os.Remove(filepath.Join(dir, sub, f.Name())); err != nil {
					return fmt.Errorf("write site: %w", err)
				}
			}
		}
	}
	for name, content := range files {
		if err := write(filepath.Join(dir, filepath.FromSlash(name)), content); err != nil {
			return fmt.Errorf("write site: %w", err)
		}
	}
	return nil
}

// index is the site as data without what the packages' own files hold.
func (s *Site) index() *Site {
	c := *s
	c.Packages = make([]Entry, len(s.Packages))
	for i, p := range s.Packages {
		p.Cases, p.History = []Case{}, []Moment{}
		c.Packages[i] = p
	}
	return &c
}

// write makes a file appear as a whole.
func write(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

var badgeColours = map[State]string{Works: "#1a7f37", Kernel: "#c1121f", Package: "#9a6700", Broken: "#7d4e00", Unclear: "#8250df", Untried: "#6e7781"}

// badge is an SVG of two fields: the package's name and its state.
func badge(name string, state State) string {
	if utf8.RuneCountInString(name) > 40 {
		name = string([]rune(name)[:39]) + "…"
	}
	text := state.Text()
	// DejaVu Sans at 11 px is 6.6 px wide on average; textLength makes it fit.
	width := func(s string) int { return utf8.RuneCountInString(s)*13/2 + 12 }
	left, right := width(name), width(text)
	name, text = template.HTMLEscapeString(name), template.HTMLEscapeString(text)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="20" role="img" aria-label="%[2]s: %[3]s">
<title>%[2]s: %[3]s</title>
<clipPath id="r"><rect width="%[1]d" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="%[4]d" height="20" fill="#3d444d"/><rect x="%[4]d" width="%[5]d" height="20" fill="%[6]s"/></g>
<g fill="#fff" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11">
<text x="6" y="14" textLength="%[7]d" lengthAdjust="spacingAndGlyphs">%[2]s</text>
<text x="%[8]d" y="14" textLength="%[9]d" lengthAdjust="spacingAndGlyphs">%[3]s</text>
</g>
</svg>
`, left+right, name, text, left, right, badgeColours[state], left-12, left+6, right-12)
}
