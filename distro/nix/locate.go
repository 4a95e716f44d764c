package nix

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/proc"
)

// Query asks where something of a derivation is defined.
type Query struct {
	// Ref is the attribute; where it has no Name, the package called Name of what
	// the entry shows as pkgs is meant, if it is the derivation Drv.
	Ref    Ref
	Name   string
	Drv    string
	Fields []string
}

// Found is where something is defined. Files are relative to the checkout where they lie
// inside.
type Found struct {
	// Attr is where an overlay sets the attribute, else where the entry does.
	Attr distro.Place
	// Fields are where arguments of the derivation are set; what is not known
	// is missing.
	Fields map[string]distro.Place
}

// askable is a name that may be part of an expression.
var askable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'+.?=-]*$`)

// position is what builtins.unsafeGetAttrPos returns.
type position struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Locate asks where attributes and arguments of derivations are set. What
// cannot be found is empty.
func (n *Nix) Locate(ctx context.Context, e Evaluation, queries []Query) ([]Found, error) {
	found := make([]Found, len(queries))
	if len(queries) == 0 {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.Limits.orDefault().Time)
	defer cancel()
	v, done, err := n.newEvaluator(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("locate: %w", err)
	}
	defer done()
	w := &worker{evaluator: v}
	defer w.end(ctx)
	index := map[Ref]int{}
	for _, kind := range kinds {
		if err := w.list(ctx, kind); err != nil {
			return nil, fmt.Errorf("locate: %w", err)
		}
		for i, name := range v.names[kind] {
			index[Ref{kind, name}] = i
		}
	}
	for i, q := range queries {
		var fields, quoted []string
		for _, f := range q.Fields {
			if askable.MatchString(f) {
				fields = append(fields, f)
				quoted = append(quoted, `"`+f+`"`)
			}
		}
		list := "[ " + strings.Join(quoted, " ") + " ]"
		var expr string
		if at, ok := index[q.Ref]; ok {
			expr = fmt.Sprintf("asterbot.where %q %d %s", q.Ref.Kind, at, list)
		} else if q.Ref.Name == "" && askable.MatchString(q.Name) {
			expr = fmt.Sprintf("asterbot.find %q %s", q.Name, list)
		} else {
			continue
		}
		value, failure, err := w.ask(ctx, expr)
		if err != nil {
			return nil, fmt.Errorf("locate: %w", err)
		}
		var got struct {
			Drv    string      `json:"drv"`
			O      *position   `json:"overlay"`
			E      *position   `json:"entry"`
			Fields []*position `json:"fields"`
		}
		if failure != nil || json.Unmarshal([]byte(value), &got) != nil {
			continue
		}
		if q.Ref.Name == "" && got.Drv != q.Drv {
			continue
		}
		place := func(p *position) distro.Place {
			if p == nil {
				return distro.Place{}
			}
			return distro.Place{File: relative(p.File, v.e.Root), Line: p.Line}
		}
		found[i].Attr = place(got.O)
		if found[i].Attr.File == "" {
			found[i].Attr = place(got.E)
		}
		found[i].Fields = map[string]distro.Place{}
		for j, f := range fields {
			if j < len(got.Fields) && got.Fields[j] != nil {
				found[i].Fields[f] = place(got.Fields[j])
			}
		}
	}
	return found, nil
}

// readMessage is what Nix says with -vv of a file that it reads.
var readMessage = regexp.MustCompile(`(?m)^(?:evaluating file|copied source) '([^'\n]+)'`)

// FilesRead lists the files of the checkout that evaluating an attribute reads as Nix
// code or copies, relative to it. Listings and questions whether a file exists leave no trace: it
// is evidence, and nothing to conclude from alone.
func (n *Nix) FilesRead(ctx context.Context, e Evaluation, ref Ref) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Limits.orDefault().Attr)
	defer cancel()
	e.Only, e.Failing = []Ref{ref}, nil
	v, done, err := n.newEvaluator(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("list the files read: %w", err)
	}
	defer done()
	w := &worker{evaluator: v}
	defer w.end(ctx)
	if err := w.list(ctx, ref.Kind); err != nil {
		return nil, fmt.Errorf("list the files read: %w", err)
	}
	i := slices.Index(v.names[ref.Kind], ref.Name)
	if i < 0 {
		return nil, nil
	}
	out := &bounded{limit: 16 << 20}
	cmd := &proc.Cmd{
		Path: n.program("nix-instantiate"),
		Args: append([]string{"--eval", "--readonly-mode", "-vv", "-E", fmt.Sprintf("(import %s).bare %q %d", filepath.Join(v.dir, "ask", "eval.nix"), ref.Kind, i)}, v.options(false)...),
		Env:  v.env(), Dir: v.dir, Grace: -1, MemoryBytes: v.e.Limits.Memory, Stderr: out,
	}
	if err := cmd.Start(ctx); err != nil {
		return nil, fmt.Errorf("list the files read: %w", err)
	}
	restrain(cmd.Pid())
	// One that fails has read what it read.
	if err := cmd.Wait(ctx); ctx.Err() != nil {
		return nil, fmt.Errorf("list the files read: %w", err)
	}
	var files []string
	for _, m := range readMessage.FindAllStringSubmatch(out.String(), -1) {
		if rel, ok := strings.CutPrefix(m[1], v.e.Root+"/"); ok && !slices.Contains(files, rel) {
			files = append(files, rel)
		}
	}
	return files, nil
}
