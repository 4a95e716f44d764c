// Package command is the grammar of comment commands, for the App and the
// workflow alike.
//
//	commands, problems := command.Parse(body)
//	fmt.Println(command.Help(levels))
//
// A command stands at the start of a line, outside code, quotations and HTML,
// as CommonMark understands them. What it says is checked against a strict set
// of characters here; whether such a package exists, and whether the author may
// ask for it, is for the caller to find out.
package command

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// Name is what a command does.
type Name string

// The commands.
const (
	Rebuild Name = "rebuild"
	Cancel  Name = "cancel"
	Explain Name = "explain"
	Waive   Name = "waive"
	Help    Name = "help"
)

// Command is one command of a comment.
type Command struct {
	Name Name
	// All asks for everything, not only what failed.
	All bool
	// Targets are what to rebuild; none means the pull request's own run.
	Targets []Target
	// Subject is what to explain or to waive: a package, or a case.
	Subject string
	// Reason is why a case is waived: hostile text.
	Reason string
	// Head is the commit that the comment names, at least seven digits of it;
	// empty where it names none.
	Head string
	// Line is the line of the comment, from 1.
	Line int
}

// Target is something to rebuild.
type Target struct {
	Kind string // "package", "image" or "suite"
	Name string
}

func (t Target) String() string { return t.Kind + ":" + t.Name }

// Problem is a command that cannot be understood. Message is safe to show.
type Problem struct {
	Line    int
	Message string
}

// MaxComment bounds a comment that is looked at, MaxCommands and MaxTargets what
// it may ask for. CommonMark takes time by the square of nested quotations and
// the like: 64 kB, which GitHub takes, can be seven seconds, 16 kB half of one.
const (
	MaxComment  = 16 << 10
	MaxCommands = 5
	MaxTargets  = 20
)

// Syntax is one row of the table that parses and explains.
type Syntax struct {
	Name  Name
	Words []string // that start it, without the slash
	Usage [][2]string
	// Level is the least permission that may use it, where nothing is configured.
	Level string
	parse func(*Command, []string) error
}

// Table are the commands, in the order of the help.
var Table = []Syntax{
	{Rebuild, []string{"rebuild", "retry"}, [][2]string{
		{"/rebuild", "run again what failed (`/retry` is the same)"},
		{"/rebuild all", "run everything again"},
		{"/rebuild PACKAGE...", "build these packages again, and test what has them"},
		{"/rebuild iso", "build and install the image again"},
		{"/rebuild suite NAME", "run a suite again"},
	}, "triage", parseRebuild},
	{Cancel, []string{"cancel"}, [][2]string{{"/cancel", "stop what is running"}}, "triage", parseNothing},
	{Explain, []string{"explain"}, [][2]string{{"/explain PACKAGE|CASE", "say why it is affected, and why it failed"}}, "read", parseExplain},
	{Waive, []string{"waive"}, [][2]string{{"/waive CASE REASON", "let this commit pass in spite of that case; the reason is shown and goes into the release notes"}}, "maintain", parseWaive},
	{Help, []string{"help"}, [][2]string{{"/help", "show this"}}, "read", parseNothing},
}

var (
	nameRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9+._-]{0,127}$`)
	caseRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9+._/: -]{0,255}$`)
	headRE = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
)

// Parse finds the commands of a comment. Words that are nobody's command here
// are left alone: they may be another bot's.
func Parse(body string) ([]Command, []Problem) {
	if len(body) > MaxComment || !strings.Contains(body, "/") || !utf8.ValidString(body) {
		return nil, nil
	}
	var commands []Command
	var problems []Problem
	for _, l := range lines(body) {
		word, rest, _ := strings.Cut(strings.TrimPrefix(strings.ReplaceAll(l.text, "\t", " "), "/"), " ")
		i := slices.IndexFunc(Table, func(s Syntax) bool { return slices.Contains(s.Words, strings.ToLower(word)) })
		if i < 0 {
			continue
		}
		if len(commands)+len(problems) == MaxCommands {
			return commands, append(problems, Problem{l.number, fmt.Sprintf("a comment may hold %d commands; the rest was not looked at", MaxCommands)})
		}
		c := Command{Name: Table[i].Name, Line: l.number}
		words, err := split(rest)
		if err == nil {
			words, err = c.takeHead(words)
		}
		if err == nil {
			err = Table[i].parse(&c, words)
		}
		if err != nil {
			problems = append(problems, Problem{l.number, fmt.Sprintf("`/%s`: %v. Usage: `%s`", Table[i].Words[0], err, Table[i].Usage[0][0])})
			continue
		}
		commands = append(commands, c)
	}
	return commands, problems
}

// takeHead removes head=SHA, which binds the command to a commit.
func (c *Command) takeHead(words []string) ([]string, error) {
	var out []string
	for _, w := range words {
		sha, ok := strings.CutPrefix(w, "head=")
		switch {
		case !ok || c.Name == Waive && len(out) > 0:
			// In a reason it is a word like any other.
			out = append(out, w)
		case !headRE.MatchString(sha):
			return nil, fmt.Errorf("head= wants 7 to 40 hexadecimal digits")
		default:
			c.Head = sha
		}
	}
	return out, nil
}

// split cuts a line into words; one in double quotes may hold blanks.
func split(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return out, nil
		}
		if rest, ok := strings.CutPrefix(s, `"`); ok && len(out) == 0 {
			word, after, ok := strings.Cut(rest, `"`)
			if !ok {
				return nil, fmt.Errorf("a quotation mark is not closed")
			}
			out, s = append(out, word), after
			continue
		}
		word, after, _ := strings.Cut(s, " ")
		out, s = append(out, word), after
	}
}

func parseNothing(_ *Command, words []string) error {
	if len(words) > 0 {
		return fmt.Errorf("takes no arguments")
	}
	return nil
}

func parseRebuild(c *Command, words []string) error {
	switch {
	case len(words) == 0:
		return nil
	case words[0] == "all" && len(words) == 1:
		c.All = true
		return nil
	}
	kind := "package"
	if words[0] == "suite" || words[0] == "suites" {
		if kind, words = "suite", words[1:]; len(words) == 0 {
			return fmt.Errorf("which suite?")
		}
	}
	if len(words) > MaxTargets {
		return fmt.Errorf("at most %d at once", MaxTargets)
	}
	for _, w := range words {
		if !nameRE.MatchString(w) {
			return fmt.Errorf("a name may hold letters, digits and + . _ -")
		}
		t := Target{kind, w}
		if kind == "package" && w == "iso" {
			t.Kind = "image"
		}
		if !slices.Contains(c.Targets, t) {
			c.Targets = append(c.Targets, t)
		}
	}
	return nil
}

func parseExplain(c *Command, words []string) error {
	c.Subject = strings.Join(words, " ")
	if c.Subject == "" {
		return fmt.Errorf("which package or case?")
	}
	if !caseRE.MatchString(c.Subject) {
		return fmt.Errorf("a name may hold letters, digits, blanks and + . _ / : -")
	}
	return nil
}

func parseWaive(c *Command, words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("needs a case and a reason")
	}
	c.Subject = words[0]
	if !caseRE.MatchString(c.Subject) {
		return fmt.Errorf("a case may hold letters, digits, blanks (in quotation marks) and + . _ / : -")
	}
	c.Reason = strings.Join(words[1:], " ")
	if n := utf8.RuneCountInString(c.Reason); n < 3 || n > 300 {
		return fmt.Errorf("the reason needs 3 to 300 characters")
	}
	return nil
}

type line struct {
	number int
	text   string
}

// lines are the lines that start with a slash, in paragraphs of the document
// itself, outside code spans and HTML.
func lines(body string) []line {
	src := []byte(strings.ReplaceAll(body, "\r\n", "\n"))
	doc := goldmark.DefaultParser().Parse(text.NewReader(src))
	var out []line
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		if n.Kind() != ast.KindParagraph {
			continue
		}
		hidden := verbatim(n)
		segments := n.Lines()
		for i := range segments.Len() {
			seg := segments.At(i)
			s := strings.TrimSpace(string(seg.Value(src)))
			if !strings.HasPrefix(s, "/") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' }) {
				continue
			}
			start := seg.Start + strings.IndexByte(string(seg.Value(src)), '/')
			if slices.ContainsFunc(hidden, func(h [2]int) bool { return start >= h[0] && start < h[1] }) {
				continue
			}
			out = append(out, line{1 + strings.Count(string(src[:seg.Start]), "\n"), s})
		}
	}
	return out
}

// verbatim are the parts of a paragraph that are code or HTML.
func verbatim(paragraph ast.Node) [][2]int {
	var out [][2]int
	ast.Walk(paragraph, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.CodeSpan:
			first, ok1 := n.FirstChild().(*ast.Text)
			last, ok2 := n.LastChild().(*ast.Text)
			if ok1 && ok2 {
				out = append(out, [2]int{first.Segment.Start, last.Segment.Stop})
			}
		case *ast.RawHTML:
			if n.Segments.Len() > 0 {
				out = append(out, [2]int{n.Segments.At(0).Start, n.Segments.At(n.Segments.Len() - 1).Stop})
			}
		}
		return ast.WalkContinue, nil
	})
	return out
}

// Manual is the help, in Markdown, made from the table that parses. level gives
// the permission that a command needs; nil takes the table's.
func Manual(level func(Name) string) string {
	var b strings.Builder
	b.WriteString("| command | what it does | who |\n|---|---|---|\n")
	for _, s := range Table {
		who := s.Level
		if level != nil {
			if l := level(s.Name); l != "" {
				who = l
			}
		}
		for _, u := range s.Usage {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(u[0], "|", "\\|"), u[1], who)
		}
	}
	b.WriteString("\nCommands stand at the start of a line of a new comment; edits are not looked at. `head=SHA` after a command binds it to that commit.\n")
	return b.String()
}

// Default is the least permission for a command where nothing is configured.
func Default(n Name) string {
	for _, s := range Table {
		if s.Name == n {
			return s.Level
		}
	}
	return "admin"
}

// Allows reports whether someone with the permission has may do what needs
// level. An unknown permission allows nothing.
func Allows(level, has string) bool {
	order := []string{"none", "read", "triage", "write", "maintain", "admin"}
	need, got := slices.Index(order, level), slices.Index(order, has)
	return need >= 0 && got >= need
}
