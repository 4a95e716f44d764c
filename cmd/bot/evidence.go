package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// Limits of the search for places.
const (
	maxLocated   = 200
	maxLineFiles = 200
	maxFilesRead = 8
)

// evidence gathers what is known of the change's files.
func (c *comparison) evidence(ctx context.Context, a *distro.Attribution) (*distro.Evidence, error) {
	w := c.w
	store, err := w.nix.StoreDir(ctx)
	if err != nil {
		return nil, couldNotLook(err)
	}
	ev := &distro.Evidence{Files: w.change.Files, Sources: map[string]string{}}
	text := map[string]string{}
	for _, s := range sides {
		for _, f := range w.change.Files {
			path := filepath.Join(w.trees[s], filepath.FromSlash(f))
			info, err := os.Lstat(path)
			if err != nil || !info.Mode().IsRegular() || info.Size() > 8<<20 {
				continue
			}
			content, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			text[f] += string(content)
			ev.Sources[nix.SourcePath(store, filepath.Base(f), content, info.Mode()&0o100 != 0)] = f
		}
	}
	ev.Mentions = func(file, word string) bool { return word != "" && strings.Contains(text[file], word) }
	lines := w.change.Files
	if ev.Lines, err = w.repo.Lines(ctx, w.change.Base, w.change.Merged, lines[:min(len(lines), maxLineFiles)]); err != nil {
		return nil, couldNotLook(err)
	}
	ev.Read = c.filesRead(ctx, a)
	return ev, c.locate(ctx, a, ev)
}

// filesRead asks which files a root's attribute reads, at both sides, for a
// few roots.
func (c *comparison) filesRead(ctx context.Context, a *distro.Attribution) func(*distro.Root) []string {
	known := map[nix.Ref][]string{}
	return func(r *distro.Root) []string {
		kind, name := a.Of(r)
		ref := nix.Ref{Kind: kind, Name: name}
		files, ok := known[ref]
		if ok || name == "" || len(known) >= maxFilesRead {
			return files
		}
		for _, s := range sides {
			e, err := c.evaluation(s)
			if err != nil {
				continue // a side without an entry reads nothing
			}
			read, err := c.w.nix.FilesRead(ctx, e, ref)
			if err == nil {
				files = append(files, read...)
			}
		}
		known[ref] = files
		return files
	}
}

// locate asks Nix where the roots are defined, at head and at base.
func (c *comparison) locate(ctx context.Context, a *distro.Attribution, ev *distro.Evidence) error {
	roots := a.Roots()
	roots = roots[:min(len(roots), maxLocated)]
	found := map[*distro.Root][]nix.Found{}
	for _, s := range []pipeline.Side{pipeline.Head, pipeline.Base} {
		set := c.head
		if s == pipeline.Base {
			set = c.base
		}
		refOf := map[string]nix.Ref{}
		for _, at := range set.Attrs {
			if at.Drv != "" {
				refOf[at.Drv] = nix.Ref{Kind: at.Kind, Name: at.Name}
			}
		}
		var queries []nix.Query
		var of []*distro.Root
		for _, r := range roots {
			drv := r.Head
			if s == pipeline.Base {
				drv = r.Base
			}
			if drv == "" || placed(found[r], c.w.change.Files) {
				continue
			}
			q := nix.Query{Ref: refOf[drv], Name: r.Name, Drv: drv}
			for _, f := range r.Fields {
				q.Fields = append(q.Fields, f.Name)
			}
			queries, of = append(queries, q), append(of, r)
		}
		if len(queries) == 0 {
			continue
		}
		e, err := c.evaluation(s)
		if err != nil {
			continue // a side without an entry has no places
		}
		places, err := c.w.nix.Locate(ctx, e, queries)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.notes = append(c.notes, "the places of what changed could not be asked for: "+err.Error())
			continue
		}
		for i, r := range of {
			if s == pipeline.Base {
				atHead(&places[i], ev.Lines)
			}
			found[r] = append(found[r], places[i])
		}
	}
	ev.Fields = func(r *distro.Root, field string) (out []distro.Place) {
		for _, f := range found[r] {
			if p, ok := f.Fields[field]; ok {
				out = append(out, p)
			}
		}
		return out
	}
	ev.Attr = func(r *distro.Root) (out []distro.Place) {
		for _, f := range found[r] {
			if f.Attr.File != "" {
				out = append(out, f.Attr)
			}
		}
		return out
	}
	return nil
}

// atHead gives places of base a line of head: of what changed in the file the nearest, since
// lines have moved.
func atHead(f *nix.Found, changed map[string][]distro.LineRange) {
	move := func(p distro.Place) distro.Place {
		best, was := -1, p.Line
		for _, r := range changed[p.File] {
			if far := max(r.First-was, was-r.Last, 0); best < 0 || far < best {
				best, p.Line = far, min(max(was, r.First), r.Last)
			}
		}
		return p
	}
	f.Attr = move(f.Attr)
	for name, p := range f.Fields {
		f.Fields[name] = move(p)
	}
}

// placed reports whether one of the places lies in a changed file: then the other side
// need not be asked.
func placed(found []nix.Found, files []string) bool {
	for _, f := range found {
		if slices.Contains(files, f.Attr.File) {
			return true
		}
		for _, p := range f.Fields {
			if slices.Contains(files, p.File) {
				return true
			}
		}
	}
	return false
}
