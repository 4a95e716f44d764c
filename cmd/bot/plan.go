package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/memo"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/progress"
)

// planOptions are the flags of bot plan.
type planOptions struct {
	subject
	Format string
	JSON   bool
	All    bool
}

func planCommand(e *env) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a change affects, and why",
		Long: `Evaluates the distribution before and after a change and says which packages, images and suites differ, which file and line did it, and what there is to run.
Nothing is built or booted, and nothing is written to the Nix store, but for what trust.import-from-derivation allows.

Exit codes: 0 the plan is complete, 2 usage or configuration, 3 could not look.`,
		Example: `  bot plan                          # HEAD against the main branch
  bot plan --base v1 --head main --json
  bot plan --repo ~/asterinas --config examples/asterinas/asterbot.yml --nixpkgs ~/nixpkgs`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPlan(c.Context(), e, o) },
	}
	o.subject.flags(c)
	c.Flags().StringVar(&o.Format, "format", "text", "what to print: `text`, json, or matrix (shards for GitHub Actions)")
	c.Flags().BoolVar(&o.JSON, "json", false, "the same as --format json")
	c.Flags().BoolVar(&o.All, "all", false, "plan what did not change as well, and mass rebuilds in full")
	return c
}

func runPlan(ctx context.Context, e *env, o planOptions) error {
	if o.JSON {
		o.Format = "json"
	}
	if !slices.Contains([]string{"text", "json", "matrix"}, o.Format) {
		return usage("--format is %q: it can be text, json or matrix", o.Format)
	}
	w, err := o.subject.look(ctx, e)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer w.close()
	if o.Kernel != "" || o.BuildKernel {
		if err := w.setTested(ctx); err != nil {
			return interrupted(ctx, err)
		}
	}
	screen := progress.New(e.Stderr, terminalWidth(e.Stderr))
	plan, err := w.affected(ctx, o.All, false)
	screen.Close()
	if err != nil {
		return interrupted(ctx, err)
	}
	switch o.Format {
	case "json":
		return report.Encode(e.Stdout, plan)
	case "matrix":
		return json.NewEncoder(e.Stdout).Encode(map[string]any{"include": pipeline.Shards(plan)})
	}
	width := terminalWidth(e.Stdout)
	return report.PlanTerminal(e.Stdout, plan, report.TerminalOptions{Colour: width > 0 && e.Getenv("NO_COLOR") == "", Width: width})
}

// plan is the plan of a check, which knows its kernels.
func (w *workspace) plan(ctx context.Context, all bool) (*checks.Plan, error) {
	if err := w.setKernels(ctx); err != nil {
		return nil, err
	}
	plan, err := w.affected(ctx, all, true)
	if err == nil {
		w.settleKernel(plan)
	}
	return plan, err
}

// affected finds out what the change affects, and plans it. With build it may
// build the kernels that the entry makes.
func (w *workspace) affected(ctx context.Context, all, build bool) (*checks.Plan, error) {
	began := time.Now()
	in := pipeline.Affected{
		Change: w.change, ScopeOf: w.config.ScopeOf, Smoke: w.config.Smoke, MaxRebuilds: w.config.Budget.MaxRebuilds,
		All: all, Only: w.Only, Notes: w.notes, Base: &distro.Set{}, Head: &distro.Set{}, Stats: &checks.Stats{},
	}
	for _, s := range w.config.Suites {
		c := pipeline.CommandSuite{Name: s.Name, Owner: s.Owner}
		if len(s.Paths) > 0 {
			c.Match = s.Paths.Match
		}
		in.Commands = append(in.Commands, c)
	}
	c := &comparison{w: w, stats: in.Stats}
	defer c.close()
	if err := c.run(ctx, all || w.kernelInputs() != nil); err != nil {
		return nil, err
	}
	in.Diff, in.Notes = c.diff, append(in.Notes, c.notes...)
	w.sets = map[pipeline.Side]*distro.Set{pipeline.Base: c.base, pipeline.Head: c.head}
	if c.base != nil {
		in.Base = c.base
	}
	if c.head != nil {
		in.Head = c.head
	}
	if build {
		if err := w.ownKernels(ctx, c.diff); err != nil {
			return nil, err
		}
	}
	in.Kernel = w.kernelPlan(c.diff, sameParameters(in.Base, in.Head))
	took := &memo.Store{Dir: filepath.Join(w.cache, "memo")}
	in.Took = func(c checks.Case) float64 {
		o, _ := took.Load(pipeline.DurationKey(c))
		return o.Seconds
	}
	in.Stats.Seconds = time.Since(began).Seconds()
	plan := pipeline.MakePlan(in)
	if err := w.settleRules(ctx, plan, c.diff != nil || all); err != nil {
		return nil, err
	}
	return plan, nil
}

// kernelInputs are the changed files that the kernel is made of.
func (w *workspace) kernelInputs() []string {
	var out []string
	for _, f := range w.change.Files {
		if w.config.ScopeOf(f) == distro.ScopeKernel {
			out = append(out, f)
		}
	}
	return out
}

// sameParameters reports whether the entries' own kernels are used alike: parameters, initial RAM
// disk and the like.
func sameParameters(base, head *distro.Set) bool {
	was, _ := base.Lookup(distro.KindKernel, "kernel")
	is, _ := head.Lookup(distro.KindKernel, "kernel")
	return was.Meta.Hash == is.Meta.Hash
}

// kernelPlan says what the change does to the kernel under test. alike: the
// entries' own kernels have the same parameters.
func (w *workspace) kernelPlan(diff *distro.Diff, alike bool) checks.KernelPlan {
	inputs := w.kernelInputs()
	base, head := w.images[pipeline.Base], w.images[pipeline.Head]
	k := checks.KernelPlan{Base: base.SHA256, Head: head.SHA256}
	which := ""
	if len(inputs) > 0 {
		which = fmt.Sprintf("%d of its inputs changed (%s)", len(inputs), someOf(inputs, 3))
	}
	own := diff != nil && diff.Kernel != nil
	switch {
	case w.Kernel != "" && w.BaseKernel == "":
		// One image was handed in for both sides: nobody knows base's.
		k.Base = ""
		k.Status, k.Why = pipeline.KernelUnchanged, "an image was handed in, and both sides boot it"
		if len(inputs) > 0 {
			k.Status, k.Why = pipeline.KernelChanged, which+"; the image that was handed in is booted"
		}
	case head.SHA256 != "" && base.SHA256 == head.SHA256:
		k.Status, k.Why = pipeline.KernelUnchanged, "the image is what it was"
		if len(inputs) > 0 {
			k.Status, k.Why = pipeline.KernelIdentical, which+", and the image is the same, byte for byte"
		}
	case head.SHA256 != "":
		k.Status, k.Why = pipeline.KernelChanged, "its image is another one"
		if which != "" {
			k.Why = which + ", and its image is another one"
		}
	case own && diff.Kernel.Failure != nil:
		k.Status, k.Why = pipeline.KernelUnknown, "it does not evaluate"
	case own && len(w.hashes) > 0:
		k.Base, k.Head = w.hashes[pipeline.Base], w.hashes[pipeline.Head]
		switch {
		case k.Base != k.Head:
			k.Status, k.Why = pipeline.KernelChanged, "what it is made from changed, and its image is another one"
		case !alike:
			k.Status, k.Why = pipeline.KernelChanged, "its image is the same, and its parameters changed"
		default:
			k.Status, k.Why = pipeline.KernelIdentical, "what it is made from changed, and the image is the same, byte for byte"
		}
	case own:
		k.Status, k.Why = pipeline.KernelUnknown, "what it is made from changed; it is not built yet"
		if diff.Kernel.Status == distro.StatusMeta {
			k.Status, k.Why = pipeline.KernelChanged, "its parameters changed"
		}
		if len(inputs) > 0 {
			k.Why += " (" + someOf(inputs, 3) + ")"
		}
	case len(inputs) > 0 && w.config.Kernel.Build != nil:
		k.Status, k.Why = pipeline.KernelUnknown, which+"; it is not built yet"
	case len(inputs) > 0:
		k.Status, k.Why = pipeline.KernelIdentical, which+", and its derivation is what it was"
	default:
		k.Status, k.Why = pipeline.KernelUnchanged, "none of its inputs changed"
	}
	return k
}

func someOf(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], ", "), len(words)-n)
}

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

// noEntryError says that a side has no Nix entry.
type noEntryError struct {
	places []string
	side   pipeline.Side
}

func (e *noEntryError) Error() string {
	return fmt.Sprintf("find the Nix entry: none of %s exists at %s; set 'entry' in %s", strings.Join(e.places, ", "), e.side, config.Path)
}
