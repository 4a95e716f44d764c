package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/internal/memo"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// comparison evaluates the sides that are not remembered, and compares.
type comparison struct {
	w          *workspace
	stats      *checks.Stats
	drvs       *nix.Drvs
	base, head *distro.Set
	diff       *distro.Diff // nil: nothing that may be read changed
	notes      []string
}

func (c *comparison) close() {
	if c.drvs != nil {
		_ = c.drvs.Remove()
	}
}

// sides are the two that are compared.
var sides = []pipeline.Side{pipeline.Base, pipeline.Head}

// run compares. needHead asks for the attributes of head though nothing
// changed: to name the suites that a kernel selects.
func (c *comparison) run(ctx context.Context, needHead bool) error {
	w := c.w
	version, err := w.nix.Version(ctx)
	if err != nil {
		return couldNotLook(err)
	}
	if w.Untrusted {
		if err := version.Safe(); err != nil {
			return couldNotLook(err)
		}
	}
	trees := map[pipeline.Side]string{}
	for _, s := range sides {
		if trees[s], err = c.inside(ctx, s); err != nil {
			return couldNotLook(err)
		}
	}
	same := trees[pipeline.Base] == trees[pipeline.Head]
	if same {
		c.notes = append(c.notes, "no file that the evaluation may read has changed: packages and images are what they were")
		if !needHead {
			// Nor need a large package set be looked at for that.
			c.stats.Remembered = true
			return nil
		}
	}
	outside, err := c.outside(version)
	if err != nil {
		return couldNotLook(err)
	}
	cache := nix.Cache{Dir: filepath.Join(w.cache, "sets")}
	defer func() {
		if _, err := (&memo.Store{Dir: cache.Dir}).Prune(memoAge, memoBytes); err != nil {
			c.notes = append(c.notes, "remembered evaluations could not be pruned: "+err.Error())
		}
	}()
	keys := map[pipeline.Side]string{}
	sets := map[pipeline.Side]*distro.Set{}
	for _, s := range sides {
		keys[s] = nix.Key(append([]string{trees[s]}, outside...)...)
		sets[s] = cache.Load(keys[s])
	}
	if err := c.evaluate(ctx, cache, keys, sets, same); err != nil {
		return err
	}
	c.base, c.head = sets[pipeline.Base], sets[pipeline.Head]
	if err := c.listed(); err != nil || same {
		return err
	}
	// Why is remembered too: the places of it depend on both commits.
	why := nix.Key("diff", keys[pipeline.Base], keys[pipeline.Head], w.change.Base, w.change.Merged)
	if c.diff = cache.LoadDiff(why); c.diff != nil {
		return nil
	}
	c.diff = distro.Compare(c.base, c.head)
	notes := len(c.notes)
	if err := c.explain(ctx); err != nil {
		return err
	}
	if len(c.notes) == notes {
		cache.StoreDiff(why, c.diff)
	}
	return nil
}

// listed says which sides could not be listed. Where neither could, nothing can be
// said of the change.
func (c *comparison) listed() error {
	say := func(f *distro.Failure) string {
		if f.File != "" {
			return fmt.Sprintf("%s (%s:%d)", f.Message, f.File, f.Line)
		}
		return f.Message
	}
	base, head := c.base.Failure, c.head.Failure
	switch {
	case base != nil && head != nil:
		return couldNotLook(fmt.Errorf("list what the distribution has, %s: %s", head.Reason, say(head)))
	case base != nil:
		c.notes = append(c.notes, "what base has could not be listed, so nothing is known to be new or changed: "+say(base))
	case head != nil:
		c.notes = append(c.notes, "the change breaks the listing of what the distribution has: "+say(head))
	}
	var lacking []string
	for _, a := range c.head.Attrs {
		if a.Failure != nil && a.Failure.Reason == distro.FailUnavailable {
			lacking = append(lacking, a.Name)
		}
	}
	if len(lacking) > 0 {
		c.notes = append(c.notes, "not looked at, since this package set lacks what it takes: "+someOf(lacking, 8))
	}
	return nil
}

// evaluate evaluates the sides that the cache does not have, at the same time where the
// machine has room.
func (c *comparison) evaluate(ctx context.Context, cache nix.Cache, keys map[pipeline.Side]string, sets map[pipeline.Side]*distro.Set, same bool) error {
	var missing []pipeline.Side
	for _, s := range sides {
		if sets[s] == nil && !(same && s == pipeline.Base) {
			missing = append(missing, s)
		}
	}
	c.stats.Remembered = len(missing) == 0
	if len(missing) > 0 {
		if err := c.w.export(ctx); err != nil {
			return err
		}
		if err := c.place(ctx); err != nil {
			return err
		}
		var hint []nix.Ref
		if base := sets[pipeline.Base]; base != nil {
			hint = nix.Failing(base)
		}
		got, err := c.each(ctx, missing, func(e *nix.Evaluation) { e.Failing = hint })
		if err != nil {
			return err
		}
		for _, s := range missing {
			sets[s] = got[s].Set
			if err := c.imports(ctx, s, sets[s]); err != nil {
				return err
			}
			cache.Store(keys[s], sets[s])
		}
	}
	if same {
		sets[pipeline.Base] = sets[pipeline.Head]
	}
	return nil
}

// imports evaluates again what has to build while it is evaluated, where that is
// allowed. Those derivations go to the real store: they are built from it.
func (c *comparison) imports(ctx context.Context, s pipeline.Side, set *distro.Set) error {
	var refs []nix.Ref
	for _, a := range set.Attrs {
		if a.Failure != nil && a.Failure.Reason == distro.FailImportFrom && c.w.importing() && c.w.config.Trust.MayImport(a.Name) {
			refs = append(refs, nix.Ref{Kind: a.Kind, Name: a.Name})
		}
	}
	if len(refs) == 0 {
		return nil
	}
	e, err := c.w.evaluation(s)
	if err != nil {
		return couldNotLook(err)
	}
	e.Only = refs
	c.w.allowImports(&e)
	got, err := c.w.nix.Evaluate(ctx, e)
	if err != nil {
		return couldNotLook(fmt.Errorf("%s, with what may import: %w", s, err))
	}
	for i, a := range set.Attrs {
		if now, ok := got.Set.Lookup(a.Kind, a.Name); ok {
			set.Attrs[i] = now
		}
	}
	c.stats.PeakMiB = max(c.stats.PeakMiB, got.PeakMiB)
	return nil
}

func (c *comparison) place(ctx context.Context) (err error) {
	if c.drvs == nil {
		if c.drvs, err = nix.NewDrvs(); err != nil {
			return couldNotLook(err)
		}
		if c.drvs.Store, err = c.w.nix.StoreDir(ctx); err != nil {
			return couldNotLook(err)
		}
	}
	return nil
}

// each evaluates sides, within the machine's means.
func (c *comparison) each(ctx context.Context, list []pipeline.Side, adapt func(*nix.Evaluation)) (map[pipeline.Side]*nix.Side, error) {
	budget := nix.MachineBudget()
	parallel := budget.Parallel()
	gate := make(chan struct{}, min(parallel, len(list)))
	out := map[pipeline.Side]*nix.Side{}
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			e, err := c.evaluation(s)
			var got *nix.Side
			if missing := (*noEntryError)(nil); errors.As(err, &missing) && s == pipeline.Base {
				// Not a distribution that is broken: there was none yet.
				got, err = &nix.Side{Set: &distro.Set{}}, nil
				mu.Lock()
				c.notes = append(c.notes, "base has no Nix entry yet: everything is new")
				mu.Unlock()
			} else if missing != nil {
				got, err = &nix.Side{Set: &distro.Set{Failure: &distro.Failure{Reason: distro.FailMissing, Message: err.Error()}}}, nil
			} else if err == nil {
				e.Workers = max(1, parallel/len(list))
				e.Heap = budget.Heap(parallel)
				adapt(&e)
				got, err = c.w.nix.Evaluate(ctx, e)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = couldNotLook(fmt.Errorf("%s: %w", s, err))
			}
			if err == nil {
				out[s] = got
				c.stats.PeakMiB = max(c.stats.PeakMiB, got.PeakMiB)
			}
		})
	}
	wg.Wait()
	return out, failed
}

// evaluation is that of a side for comparing: with the stub kernel.
func (c *comparison) evaluation(s pipeline.Side) (nix.Evaluation, error) {
	e, err := c.w.evaluation(s)
	if err != nil {
		return e, err
	}
	e.Drvs = c.drvs
	return e, nil
}

// inside names what a side's evaluation may read of the repository.
func (c *comparison) inside(ctx context.Context, s pipeline.Side) (string, error) {
	w := c.w
	commit := w.change.Merged
	if s == pipeline.Base {
		commit = w.change.Base
	}
	reads := []string(w.config.Reads)
	if len(reads) == 0 {
		reads = []string{"."}
	}
	reads = append(slices.Clone(reads), w.config.Entry...)
	if p := w.config.Nixpkgs.Path; w.nixpkgs == "" && p != "" {
		reads = append(reads, p)
	}
	trees, err := w.repo.Trees(ctx, commit, reads)
	if err != nil {
		return "", err
	}
	inside := fmt.Sprint(reads, trees)
	if p := w.pinned[s]; p != "" {
		mark, err := nix.Fingerprint(p)
		if err != nil {
			return "", err
		}
		inside += fmt.Sprint(p, mark)
	}
	return inside, nil
}

// outside names everything else that an evaluation may depend on. It is the same on both
// sides.
func (c *comparison) outside(version nix.Version) ([]string, error) {
	w := c.w
	parts := []string{"nix", version.String(), "system", "x86_64-linux", "profile", w.profileName()}
	if w.importing() {
		parts = append(parts, "imports", fmt.Sprint(w.config.Trust.ImportFromDerivation))
	}
	var files []string
	if w.Config != "" {
		for _, p := range w.config.Entry {
			files = append(files, filepath.Join(filepath.Dir(w.Config), p))
		}
	}
	if w.nixpkgs != "" {
		files = append(append(files, w.nixpkgs), nix.References(w.nixpkgs)...)
	}
	for _, p := range files {
		mark, err := nix.Fingerprint(p)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p, mark)
	}
	return parts, nil
}

// explain finds root causes, and the places in the change that did it.
func (c *comparison) explain(ctx context.Context) error {
	refs, removed := c.changed()
	if len(refs) == 0 {
		return nil
	}
	if err := c.w.export(ctx); err != nil {
		return err
	}
	if err := c.record(ctx, refs, removed); err != nil {
		return err
	}
	if removed {
		distro.Referrers(c.diff, c.base, c.head, c.drvs)
	}
	a := distro.Attribute(c.diff, c.base, c.head, distro.NewRootCauses(c.drvs, c.drvs))
	ev, err := c.evidence(ctx, a)
	if err != nil {
		return err
	}
	a.Fill(ev)
	return nil
}

// changed are the attributes whose derivations are compared.
func (c *comparison) changed() (refs []nix.Ref, removed bool) {
	c.diff.Each(func(kind distro.Kind, a *distro.AttrDiff) {
		if a.Status == distro.StatusEvalStillFailing || a.Status == distro.StatusUnknown {
			return // nothing to compare
		}
		removed = removed || a.Status == distro.StatusRemoved
		refs = append(refs, nix.Ref{Kind: kind, Name: a.Attr})
	})
	return refs, removed
}

// record has the derivations of what changed written down, where evaluating did
// not do so already: of a side that was remembered, or evaluated in one go.
func (c *comparison) record(ctx context.Context, refs []nix.Ref, everything bool) error {
	if err := c.place(ctx); err != nil {
		return err
	}
	var missing []pipeline.Side
	for s, set := range map[pipeline.Side]*distro.Set{pipeline.Base: c.base, pipeline.Head: c.head} {
		for _, a := range set.Attrs {
			wanted := everything || slices.Contains(refs, nix.Ref{Kind: a.Kind, Name: a.Name})
			if wanted && a.Drv != "" && !c.drvs.Has(a.Drv) {
				missing = append(missing, s)
				break
			}
		}
	}
	slices.Sort(missing)
	_, err := c.each(ctx, missing, func(e *nix.Evaluation) {
		if !everything {
			e.Only = refs
		}
	})
	return err
}
