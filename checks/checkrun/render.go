// Package checkrun turns a checks.Report into GitHub check runs and publishes
// them.
//
//	runs := checkrun.Render(rep, checkrun.Options{ID: id, Whole: address})
//	have, err := p.List(ctx, sha)
//	changed, err := p.Publish(ctx, sha, runs, have)
//
// There are five check runs of fixed names. Four show a stage each; the fifth,
// Verdict, is the one to require. Publishing twice changes nothing: each check
// run carries an ID that says what it shows, and annotations go on where they
// were left.
package checkrun

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// The names of the check runs.
const (
	Evaluate = "asterbot / evaluate"
	Build    = "asterbot / build"
	Install  = "asterbot / install"
	Boot     = "asterbot / boot"
	Verdict  = "asterbot"
)

// Names are the check runs in the order in which they are shown.
var Names = []string{Evaluate, Build, Install, Boot, Verdict}

// stages say which cases a check run shows.
var stages = []struct {
	name    string
	kinds   []checks.Kind
	nothing string
}{
	{Evaluate, []checks.Kind{checks.KindEval, checks.KindLint}, "No attribute was to be evaluated anew"},
	{Build, []checks.Kind{checks.KindBuild}, "Nothing was to be built"},
	{Install, []checks.Kind{checks.KindInstall}, "No image was to be installed"},
	{Boot, []checks.Kind{checks.KindBoot, checks.KindTest}, "Nothing was to be booted"},
}

// GitHub's limits: text in bytes, titles in characters.
const (
	MaxText        = 65535
	MaxTitle       = 255
	MaxAnnotations = 50 // in a request
	// maxAllAnnotations is ours: twenty requests of a check run.
	maxAllAnnotations = 1000
	maxMessage        = 64 << 10
)

// The identifiers of the buttons.
const (
	RerunFailed = "rerun-failed"
	RerunAll    = "rerun-all"
	ExplainIt   = "explain"
)

// Run is a check run as it should be.
type Run struct {
	Name string
	ID   ID
	// Status is "queued", "in_progress" or "completed"; Conclusion belongs to
	// the last.
	Status, Conclusion string
	Title, Summary     string
	Text               string
	Annotations        []*gh.CheckRunAnnotation
	Actions            []*gh.CheckRunAction
	DetailsURL         string
}

// Options say how to show a report.
type Options struct {
	ID ID
	// Whole is the address of the whole report.
	Whole string
	// Note stands below the summary's first line: Markdown of this program's own.
	Note string
	// Lead stands before the title and in the summary's first line: "Draft",
	// "Waived".
	Lead string
	// Verdict is the conclusion of the verdict where policy decides otherwise
	// than the report, such as "action_required".
	Verdict string
	// Text is the verdict's text, below its summary.
	Text string
	// Buttons are shown if the reader of the check run can press them: only
	// the App that made a check run is told.
	Buttons bool
}

// Render makes the check runs of a report.
func Render(r *checks.Report, opt Options) []Run {
	var out []Run
	for _, s := range stages {
		part := *r
		part.Cases = nil
		for _, c := range r.Cases {
			if slices.Contains(s.kinds, c.Kind) {
				part.Cases = append(part.Cases, c)
			}
		}
		part.Notices, part.Errors = nil, nil
		if r.Plan != nil {
			p := *r.Plan
			p.Omitted = nil
			part.Plan = &p
		}
		part.Counts, part.Conclusion = checks.Count(part.Cases), checks.Conclude(part.Cases)
		run := render(s.name, &part, opt)
		run.Text = ""
		if len(part.Cases) == 0 {
			run.Title, run.Summary = s.nothing, s.nothing+"."
			if len(r.Change.Conflicts) > 0 || r.Conclusion == checks.Errored && len(r.Cases) == 0 {
				run.Conclusion, run.Title = conclusion(checks.Errored), title(&part, checks.Errored, "Could not look")
			}
		} else {
			run.Annotations = annotations(r, part.Cases)
			if part.Conclusion == checks.Errored && r.Conclusion == checks.Failure && len(r.Errors) == 0 && !slices.ContainsFunc(part.Cases, func(c checks.Result) bool { return c.Blame == checks.BlameInfra }) {
				// What failed in a stage before is why nobody could look here.
				run.Title = strings.TrimPrefix(run.Title, infrastructure)
			}
		}
		if opt.Verdict == "action_required" && run.Conclusion == "success" {
			// A stage whose results nobody has looked at is not green either.
			run.Conclusion = "action_required"
		}
		out = append(out, run)
	}
	v := render(Verdict, r, opt)
	if opt.Verdict != "" {
		v.Conclusion = opt.Verdict
	}
	return append(out, v)
}

func render(name string, r *checks.Report, opt Options) Run {
	run := Run{Name: name, ID: opt.ID, Status: "completed", Conclusion: conclusion(r.Conclusion), DetailsURL: opt.Whole}
	line := report.Headline(r)
	if opt.Lead != "" {
		line = opt.Lead + ": " + line
	}
	run.Title = title(r, r.Conclusion, line)
	run.Summary = Clip(summary(r, opt), MaxText)
	run.Text = Clip(opt.Text, MaxText)
	if opt.Buttons {
		run.Actions = buttons(r.Conclusion)
	}
	return run
}

// summary is the report below one line that answers; what policy says about it
// belongs into that line, and its reasons stand right below.
func summary(r *checks.Report, opt Options) string {
	lead := report.Escape(opt.Lead)
	text := report.Markdown(r, report.MarkdownOptions{Limit: MaxText - len(opt.Note) - len(lead) - 16, Whole: opt.Whole})
	if opt.Note == "" && lead == "" {
		return text
	}
	answer, rest, _ := strings.Cut(text, "\n")
	if mark, line, ok := strings.Cut(strings.TrimPrefix(answer, "## "), " "); ok && lead != "" {
		if opt.Verdict == "action_required" {
			mark = "⚠️"
		}
		answer = "## " + mark + " " + lead + ": " + line
	}
	if opt.Note != "" {
		answer += "\n\n" + opt.Note + "\n"
	}
	return answer + "\n" + rest
}

func buttons(c checks.Conclusion) []*gh.CheckRunAction {
	button := func(label, description, id string) *gh.CheckRunAction {
		return &gh.CheckRunAction{Label: label, Description: description, Identifier: id}
	}
	all := button("Re-run all", "Run every job of the check again", RerunAll)
	if c == checks.Success || c == checks.Skipped {
		return []*gh.CheckRunAction{all}
	}
	return []*gh.CheckRunAction{
		button("Re-run failed", "Run again what failed", RerunFailed), all,
		button("Explain", "Explain the failures in a comment", ExplainIt),
	}
}

// conclusion is the one table from the project's conclusions to GitHub's. There
// is no neutral: it reads as passed.
func conclusion(c checks.Conclusion) string {
	switch c {
	case checks.Success:
		return "success"
	case checks.Skipped:
		return "skipped"
	default:
		return "failure"
	}
}

const infrastructure = "Infrastructure: "

// title marks what infrastructure kept us from seeing.
func title(r *checks.Report, c checks.Conclusion, line string) string {
	if c == checks.Errored && !slices.ContainsFunc(r.Cases, func(c checks.Result) bool { return c.Verdict == checks.Undecided && c.Now == checks.Fail }) && len(r.Change.Conflicts) == 0 {
		line = infrastructure + line
	}
	return Title(line)
}

// Title makes one line of at most MaxTitle characters.
func Title(s string) string {
	s = report.Plain(s)
	if utf8.RuneCountInString(s) > MaxTitle {
		s = string([]rune(s)[:MaxTitle-1]) + "…"
	}
	return s
}

// Clip cuts Markdown to a number of bytes, between characters and if possible
// after a line, and closes the code block that it cut.
func Clip(s string, limit int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= limit {
		return s
	}
	const end = "\n\n_The rest was left out for want of space._\n"
	room := limit - len(end) - 8
	if room < 0 {
		room = 0
	}
	cut := room
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	if i := strings.LastIndexByte(s[:cut], '\n'); i > cut/2 {
		cut = i + 1
	}
	out := s[:cut]
	if fence := openFence(out); fence != "" && len(fence) <= 7 {
		out = strings.TrimRight(out, "\n") + "\n" + fence
	}
	return out + end
}

// openFence is the fence that is open at the end of a text.
func openFence(s string) string {
	open := ""
	for line := range strings.SplitSeq(s, "\n") {
		t := strings.TrimLeft(line, " ")
		if len(line)-len(t) > 3 || t == "" || t[0] != '`' && t[0] != '~' {
			continue
		}
		n := len(t) - len(strings.TrimLeft(t, t[:1]))
		if n < 3 {
			continue
		}
		switch {
		case open == "":
			open = t[:n]
		case t[0] == open[0] && n >= len(open) && strings.TrimSpace(t[n:]) == "":
			open = ""
		}
	}
	return open
}

// annotations are at the places in the change that are known to explain a
// failure, in a fixed order so that a part of them can be sent later.
func annotations(r *checks.Report, cases []checks.Result) []*gh.CheckRunAnnotation {
	changed := map[string]bool{}
	for _, f := range r.Change.Files {
		changed[f] = true
	}
	crashed := map[string][]checks.Machine{}
	for _, m := range r.Machines {
		if (m.Side == "" || m.Side == "head") && (m.Outcome == checks.MachinePanic || m.Outcome == checks.MachineOops) {
			crashed[m.Name] = append(crashed[m.Name], m)
		}
	}
	var out []*gh.CheckRunAnnotation
	for _, c := range cases {
		if len(out) >= maxAllAnnotations {
			break // the summary has the rest
		}
		if c.Now != checks.Fail || !c.Blocks() && !c.Unsettled() && c.Verdict != checks.StillFailing && c.Verdict != checks.Flaky && c.Waived == "" {
			continue
		}
		level := "failure"
		if !c.Blocks() {
			level = "warning"
		}
		for _, p := range places(crashed[c.Machine], c) {
			if !changed[p.file] || !inside(p.file) {
				continue
			}
			out = append(out, &gh.CheckRunAnnotation{
				Path: gh.String(p.file), StartLine: gh.Int(p.line), EndLine: gh.Int(p.line), AnnotationLevel: gh.String(level),
				Title:   gh.String(Title(report.Sentence(c))),
				Message: gh.String(message(c, p.what)),
			})
			if raw := strings.Join(report.PlainLines(c.Tail), "\n"); raw != "" {
				out[len(out)-1].RawDetails = gh.String(clipBytes(raw, maxMessage-1))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *gh.CheckRunAnnotation) int {
		return strings.Compare(a.GetAnnotationLevel(), b.GetAnnotationLevel()) // failure before warning
	})
	return out
}

type place struct {
	file string
	line int
	what string
}

// panicAt finds where Rust says that it panicked.
var panicAt = regexp.MustCompile(`\b((?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]+\.rs):(\d{1,7})(?::\d+)?`)

// places are the causes of a failure in the change, and where a panic happened.
func places(crashed []checks.Machine, c checks.Result) []place {
	var out []place
	add := func(p place) {
		if p.file = path.Clean(p.file); p.line < 1 || p.line > 10_000_000 {
			p.line = 1
		}
		if !slices.ContainsFunc(out, func(o place) bool { return o.file == p.file && o.line == p.line }) {
			out = append(out, p)
		}
	}
	for _, m := range crashed[:min(len(crashed), 3)] {
		for _, f := range panicAt.FindAllStringSubmatch(m.Reason+" "+m.Title, 3) {
			line, _ := strconv.Atoi(f[2])
			add(place{f[1], line, "the kernel panicked here"})
		}
	}
	for _, f := range panicAt.FindAllStringSubmatch(c.Reason, 3) {
		line, _ := strconv.Atoi(f[2])
		add(place{f[1], line, "named by the failure"})
	}
	for _, cause := range c.Causes {
		if cause.File != "" {
			add(place{cause.File, cause.Line, cause.What})
		}
		if len(out) >= 5 {
			break
		}
	}
	return out
}

// inside reports whether a path stays in the repository.
func inside(p string) bool {
	return p != "" && utf8.ValidString(p) && !path.IsAbs(p) && p == path.Clean(p) && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' })
}

// message says stage, fault and likely cause. Annotations are plain text.
func message(c checks.Result, what string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s → %s (%s).\n", report.Plain(c.Subject+" "+c.Name), orUnknown(c.Was), c.Now, c.Verdict)
	if c.Reason != "" {
		fmt.Fprintf(&b, "Reason: %s\n", report.Plain(clipBytes(c.Reason, 2000)))
	}
	if c.Stage != "" {
		fmt.Fprintf(&b, "Stage: %s\n", report.Plain(c.Stage))
	}
	if f := report.Fault(c); f != "" {
		fmt.Fprintf(&b, "Whose fault: %s\n", f)
	}
	likely := report.Plain(clipBytes(what, 500))
	switch likely {
	case "changed":
		likely = "the change of this file"
	case "new":
		likely = "this file, which is new"
	}
	if len(c.Likely) > 0 {
		likely = strings.TrimPrefix(likely+"; the kernel logged: "+report.Plain(clipBytes(c.Likely[0], 500)), "; ")
	}
	if likely != "" {
		fmt.Fprintf(&b, "Likely cause: %s\n", likely)
	}
	if e := report.Explained(c); e != "" {
		fmt.Fprintf(&b, "What it usually means: %s\n", report.Plain(clipBytes(e, 1000)))
	}
	if c.Waived != "" {
		fmt.Fprintf(&b, "Waived: %s\n", report.Plain(clipBytes(c.Waived, 500)))
	}
	return clipBytes(b.String(), maxMessage-1)
}

func orUnknown(s checks.Status) checks.Status {
	if s == "" {
		return checks.Unknown
	}
	return s
}

func clipBytes(s string, n int) string {
	if s = strings.ToValidUTF8(s, "�"); len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// State makes five check runs that have no report: queued, running, asking for
// something.
func State(id ID, status, conclusion, line, summary, details string) []Run {
	var out []Run
	for _, n := range Names {
		out = append(out, Run{Name: n, ID: id, Status: status, Conclusion: conclusion, Title: Title(line), Summary: Clip(summary, MaxText), DetailsURL: details})
	}
	return out
}
