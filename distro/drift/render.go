package drift

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// JSON writes the report as a document.
func JSON(w io.Writer, r Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for a terminal.
func Text(w io.Writer, r Report) error {
	fmt.Fprintf(w, "overlays against %s: %s\n\n", r.Nixpkgs, headline(r))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range r.Packages {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.Status, p.Name, versions(p), p.Reason)
		for _, q := range p.Patches {
			fmt.Fprintf(t, "\t  %s\t%s\t%s\n", q.Status, q.File, q.Detail)
		}
	}
	return t.Flush()
}

// Markdown writes the report as the text of an issue, which is the same text as long
// as nothing changes.
func Markdown(w io.Writer, r Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Overlays against nixpkgs `%s`: **%s**\n\n", cell(r.Nixpkgs), headline(r))
	b.WriteString("| | package | versions | what to do |\n| --- | --- | --- | --- |\n")
	for _, p := range r.Packages {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.Status, place(p), cell(versions(p)), cell(p.Reason))
		for _, q := range p.Patches {
			if q.Status != Applies {
				fmt.Fprintf(&b, "| | | | %s: `%s` %s |\n", q.Status, cell(q.File), cell(q.Detail))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func headline(r Report) string {
	count := map[Status]int{}
	for _, p := range r.Packages {
		count[p.Status]++
	}
	var out []string
	for _, s := range []Status{Broken, Behind, Needless, Unknown, Missing, Added, Current} {
		if count[s] > 0 {
			out = append(out, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	if out == nil {
		return "no overlay changes a package"
	}
	return strings.Join(out, ", ")
}

func versions(p Package) string {
	switch {
	case p.Theirs == "" && p.Ours == "":
		return ""
	case p.Theirs == "" || p.Theirs == p.Ours:
		return p.Ours
	default:
		return p.Ours + " (nixpkgs " + p.Theirs + ")"
	}
}

func place(p Package) string {
	if p.File == "" {
		return "`" + cell(p.Name) + "`"
	}
	return fmt.Sprintf("`%s` (`%s:%d`)", cell(p.Name), cell(p.File), p.Line)
}

// cell keeps text from ending a cell, a line or a code span of a table, and from calling anyone.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "`", "'", "@", "@\u200b", "<", "&lt;").Replace(s)
}
