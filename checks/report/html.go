package report

import (
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

//go:embed templates
var templates embed.FS

// The limits of what a page embeds; the whole files lie beside it.
const (
	maxConsole = 256 << 10 // of each console, its end
	maxImage   = 4 << 20   // of each screenshot
	maxEmbed   = 24 << 20  // of all of them
)

// HTML writes a report as one page that needs no other file, no script and no
// network. files is the report's folder, from which consoles and screenshots
// are embedded; nil embeds none. Everything from elsewhere is escaped by
// html/template, and the page's own policy forbids scripts and requests.
func HTML(w io.Writer, r *checks.Report, files fs.FS) error {
	v := htmlView{view: arrange(r), files: files, room: maxEmbed}
	v.Machines = v.machines()
	for _, row := range v.Rows {
		if row.Rank < rankNew {
			v.Bad = append(v.Bad, row)
		} else {
			v.Calm = append(v.Calm, row)
		}
	}
	// What was not embedded is said, not left out in silence.
	if err := page.ExecuteTemplate(w, "report.html", &v); err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	return nil
}

var page = template.Must(template.New("").Funcs(template.FuncMap{
	"plain":    Plain,
	"lines":    func(l []string) string { return strings.Join(PlainLines(l), "\n") },
	"code":     proseHTML,
	"short":    short,
	"duration": duration,
	"cause":    cause,
	"omission": omission,
	"word":     word,
	"trace":    func(f []checks.Frame) string { return strings.Join(trace(f), "\n") },
	"scopes":   func(s []distro.Scope) string { return and(list(s...)) },
	"tally":    tally,
	"link":     link,
	"day":      func(s string) string { d, _, _ := strings.Cut(s, "T"); return Plain(d) },
	"count":    count,
	"of":       ofWord,
	"sorted":   func(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) },
	"mark":     func(c checks.Conclusion) string { return conclusionMark[c] },
	"ctone":    func(c checks.Conclusion) string { return conclusionTone[c] },
	"names": func(cs []checks.Result) string {
		var names []string
		for _, c := range cs {
			names = append(names, c.Subject+" "+c.Name)
		}
		return some(names, 20, "")
	},
	"shell": func(args []string) string {
		quoted := make([]string, len(args))
		for i, a := range args {
			quoted[i] = shellQuote(Plain(a))
		}
		return strings.Join(quoted, " ")
	},
}).ParseFS(templates, "templates/*"))

// htmlView is a view with what is read from the report's folder.
type htmlView struct {
	view
	// Bad are the rows to look at, Calm the others.
	Bad, Calm []row
	Machines  []htmlMachine

	files fs.FS
	room  int
}

// ID is a failure's place in the page.
func (f failure) ID() string { return anchor(f.Case) }

func anchor(c checks.Case) string {
	return url.PathEscape(strings.ReplaceAll(fmt.Sprintf("%s-%s-%s-%s", c.Kind, c.Of, c.Subject, c.Name), " ", "_"))
}

// link is a relative address of a file of the report's folder; a path that is
// none gives nothing to follow.
func link(p string) string {
	if p == "" || path.IsAbs(p) || strings.HasPrefix(path.Clean(p), "..") {
		return ""
	}
	parts := strings.Split(path.Clean(p), "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return "./" + strings.Join(parts, "/")
}

// Image embeds a screenshot as a data address.
func (v *htmlView) Image(p string) template.URL {
	data := v.read(p, maxImage, false)
	kind := http.DetectContentType(data)
	if data == nil || kind != "image/png" && kind != "image/jpeg" {
		return ""
	}
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data))
}

// read takes a file of the report's folder, or the end of one, as long as there
// is room.
func (v *htmlView) read(p string, limit int, end bool) []byte {
	if v.files == nil || p == "" || !fs.ValidPath(p) {
		return nil
	}
	f, err := v.files.Open(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || !end && info.Size() > int64(limit) {
		return nil
	}
	if s, ok := f.(io.Seeker); ok && end && info.Size() > int64(limit) {
		if _, err := s.Seek(-int64(limit), io.SeekEnd); err != nil {
			return nil
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(min(limit, v.room))))
	if err != nil || len(data) == 0 {
		return nil
	}
	v.room -= len(data)
	return data
}

// htmlMachine is a machine with its timeline and consoles.
type htmlMachine struct {
	checks.Machine
	Bars     []bar
	Width    float64 // of the time line, in the unit of the bars
	Consoles []htmlConsole
}

// Tone is the machine's colour.
func (m htmlMachine) Tone() string {
	switch m.Outcome {
	case checks.MachineOK:
		return "good"
	case checks.MachineInfra:
		return "unknown"
	}
	return "bad"
}

// Boot says how far it came, in words.
func (m htmlMachine) Boot() string {
	if n := len(m.Stages); n > 0 && m.Stages[n-1].Stage == "ready" {
		return "ready after " + duration(m.Stages[n-1].Seconds)
	}
	if m.Stage != "" {
		return "reached " + Plain(m.Stage)
	}
	return "nothing seen"
}

// bar is one stage of a boot in a time line.
type bar struct {
	Stage    string
	From, To float64 // seconds
	X, W     float64 // place in the picture
	Stuck    bool    // it should have reached a next stage and did not
}

// Title is the bar in words.
func (b bar) Title() string {
	if b.Stuck {
		return fmt.Sprintf("%s: no further until the end at %s", b.Stage, duration(b.To))
	}
	return fmt.Sprintf("%s: %s to %s", b.Stage, duration(b.From), duration(b.To))
}

// Class is the bar's colour: one of the stages that all kernels share.
func (b bar) Class() string {
	if b.Stuck {
		return "stuck"
	}
	if i := slices.Index(stages, b.Stage); i >= 0 {
		return "s" + fmt.Sprint(i)
	}
	return "s0"
}

var stages = []string{"firmware", "loader", "kernel", "components", "rootfs", "init", "ready"}

// Stages are the names for the time line's key.
func (v *htmlView) Stages() []string { return stages }

type htmlConsole struct {
	Device, Path string
	Text         template.HTML
	Cut          bool
}

const timelineWidth = 1000

func (v *htmlView) machines() []htmlMachine {
	var longest float64
	for _, m := range v.Report.Machines {
		longest = max(longest, bootEnd(m))
	}
	// The machines of failures have the first claim on room.
	failing := map[string]bool{}
	for _, f := range v.Failures {
		failing[f.Result.Machine] = true
	}
	machines := slices.Clone(v.Report.Machines)
	slices.SortStableFunc(machines, func(a, b checks.Machine) int {
		key := func(m checks.Machine) int {
			switch {
			case m.Outcome != checks.MachineOK:
				return 0
			case failing[m.Name]:
				return 1
			}
			return 2
		}
		return key(a) - key(b)
	})
	var out []htmlMachine
	for _, m := range machines {
		h := htmlMachine{Machine: m, Width: timelineWidth, Bars: bars(m, longest)}
		for _, device := range slices.Sorted(maps.Keys(m.Consoles)) {
			p := m.Consoles[device]
			data := v.read(p, maxConsole, true)
			h.Consoles = append(h.Consoles, htmlConsole{Device: device, Path: p, Text: Console(data), Cut: len(data) >= maxConsole})
		}
		out = append(out, h)
	}
	return out
}

// bootEnd is when the part of a machine's life ends that the time line shows.
func bootEnd(m checks.Machine) float64 {
	if n := len(m.Stages); n > 0 && m.Stages[n-1].Stage == "ready" {
		return m.Stages[n-1].Seconds
	}
	return m.Seconds
}

// bars are the stages of a boot: each lasts from when it was reached until the
// next one was.
func bars(m checks.Machine, longest float64) []bar {
	if longest <= 0 || len(m.Stages) == 0 {
		return nil
	}
	var out []bar
	scale := timelineWidth / longest
	for i, s := range m.Stages {
		b := bar{Stage: Plain(s.Stage), From: s.Seconds, To: bootEnd(m)}
		if i+1 < len(m.Stages) {
			b.To = m.Stages[i+1].Seconds
		} else if s.Stage == "ready" {
			break
		} else {
			// An installer works in its last stage and ends there as it should.
			b.Stuck = m.Outcome != checks.MachineOK
		}
		b.X = b.From * scale
		b.W = max(1, (b.To-b.From)*scale)
		out = append(out, b)
	}
	return out
}

// proseHTML renders sentences of this package that quote names between
// backticks.
func proseHTML(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(Plain(s), "`") {
		if i%2 == 1 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
		} else {
			b.WriteString(template.HTMLEscapeString(part))
		}
	}
	return template.HTML(b.String())
}

// shellQuote quotes an argument for a POSIX shell where that is needed.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
