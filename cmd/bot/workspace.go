package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/git"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/tempdir"
)

// subject says what is to be checked. It is what the flags of plan, check and
// the stages have in common.
type subject struct {
	Repo, Base, Head string
	Config           string // a file outside the repository
	Nixpkgs          string
	Kernel           string
	BaseKernel       string
	Symbols          string
	Profile          string
	ControlKernel    string
	ControlModules   string
	BuildKernel      bool // run the repository's kernel command, outside any sandbox
	Untrusted        bool
	Only             []string
	NoKernel         []string // sides whose kernel could not be built
	Fresh            bool     // for a release: nothing that the default branch remembered or cached
}

func (s *subject) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.Repo, "repo", ".", "the git `repository`")
	f.StringVar(&s.Base, "base", "", "the `revision` compared with (default: the main branch)")
	f.StringVar(&s.Head, "head", "HEAD", "the `revision` to judge, merged with base")
	f.StringVar(&s.Config, "config", "", "a configuration `file` instead of the repository's "+config.Path)
	f.StringVar(&s.Nixpkgs, "nixpkgs", "", "the `folder` of the package set (default: the configuration's, else the embedded one)")
	f.StringVar(&s.Kernel, "kernel", "", "a kernel `image` to test, instead of the repository's")
	f.StringVar(&s.BaseKernel, "base-kernel", "", "the kernel `image` to compare it with (default: the same)")
	f.StringVar(&s.Symbols, "symbols", "", "the unstripped kernel `ELF`, which names the functions of a stack trace")
	f.StringVar(&s.Profile, "profile", "", "the machine `profile` of the kernel under test: linux, asterinas, or one of the configuration")
	f.StringVar(&s.ControlKernel, "control-kernel", "", "a kernel `image` known to be good (default: the configuration's, else the one that the set-up unpacked)")
	f.StringVar(&s.ControlModules, "control-modules", "", "the `folder` of its modules")
	f.BoolVar(&s.BuildKernel, "build-kernel", false, "run the configured kernel command; it runs the change's own code outside any sandbox")
	f.BoolVar(&s.Untrusted, "untrusted", false, "the change is nobody's whom you trust: refuse to run anything without a safe Nix and a sandbox")
	f.StringArrayVar(&s.Only, "only", nil, "look at this `name` only (repeatable)")
	f.StringArrayVar(&s.NoKernel, "no-kernel", nil, "the kernel of this `side`, head or base, could not be built: what boots it is an error, and is not booted with another one (repeatable)")
	f.BoolVar(&s.Fresh, "fresh", false, "look past everything that is remembered, and read no binary cache of the configuration: for a release")
	for _, name := range []string{"config", "kernel", "base-kernel", "symbols", "control-kernel"} {
		_ = c.MarkFlagFilename(name) // only fails for a flag that does not exist
	}
	for _, name := range []string{"repo", "nixpkgs", "control-modules"} {
		_ = c.MarkFlagDirname(name)
	}
}

// workspace is a change laid out on disk: both trees exported under folders of
// one name, the policy that judges it, and the kernels.
type workspace struct {
	subject
	repo    git.Repo
	change  *distro.Change
	config  *config.Config
	scratch string
	trees   map[pipeline.Side]string // control is head's
	nix     *nix.Nix
	nixpkgs string
	pinned  map[pipeline.Side]string // the package set that each side pins; empty where it pins none
	cache   string
	kernels map[pipeline.Side]*nix.Kernel // nil: the entry's own
	images  map[pipeline.Side]kernel.Image
	unbuilt map[pipeline.Side]error // why a kernel does not build
	mu      sync.Mutex
	built   map[string]bool                 // head's store paths that were built
	hashes  map[pipeline.Side]string        // of the kernels that the entry makes, where they were compared
	specs   map[checks.Case]distro.CaseSpec // head's, for reproducing
	sets    map[pipeline.Side]*distro.Set   // what the comparison evaluated, where it did
	notes   []string
	undo    []func() error // what close has to take back
}

// open lays a change out. The caller calls close whatever happens.
func (s subject) open(ctx context.Context, e *env) (*workspace, error) {
	w, err := s.look(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := w.export(ctx); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// export writes both trees out, once.
func (w *workspace) export(ctx context.Context) error {
	if len(w.trees) > 0 {
		return nil
	}
	trees := map[pipeline.Side]string{}
	for side, commit := range map[pipeline.Side]string{pipeline.Base: w.change.Base, pipeline.Head: w.change.Merged} {
		dir := filepath.Join(w.scratch, string(side), "source")
		if err := w.repo.Export(ctx, commit, dir); err != nil {
			return couldNotLook(err)
		}
		trees[side] = dir
	}
	trees[pipeline.Control] = trees[pipeline.Head]
	w.trees = trees
	return nil
}

// look is open without the trees: enough to say that nothing is affected.
func (s subject) look(ctx context.Context, e *env) (_ *workspace, err error) {
	w := &workspace{
		subject: s, trees: map[pipeline.Side]string{}, kernels: map[pipeline.Side]*nix.Kernel{},
		images: map[pipeline.Side]kernel.Image{}, unbuilt: map[pipeline.Side]error{}, pinned: map[pipeline.Side]string{}, built: map[string]bool{}, specs: map[checks.Case]distro.CaseSpec{}, cache: kernel.Cache(e.Getenv),
	}
	for _, p := range []*string{&w.Repo, &w.Config, &w.Nixpkgs, &w.Kernel, &w.BaseKernel, &w.Symbols, &w.ControlKernel, &w.ControlModules} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(e.Dir, *p)
		}
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.repo = git.Repo{Dir: w.Repo}
	root, err := w.repo.Root(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, usage("%s is not a git repository (%w); name one with --repo", w.Repo, err)
	}
	w.repo.Dir = root
	if w.Base == "" {
		if w.Base, err = mainBranch(ctx, w.repo); err != nil {
			return nil, err
		}
	}
	if w.change, err = w.repo.Change(ctx, w.Base, w.Head); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, usage("%w", err)
	}
	if len(w.change.Conflicts) > 0 {
		return nil, couldNotLook(fmt.Errorf("merge %.12s into %.12s: conflicts in %s; merge or rebase the change and try again",
			w.change.Head, w.change.Base, strings.Join(w.change.Conflicts, ", ")))
	}
	if w.config, err = w.policy(ctx); err != nil {
		return nil, err
	}
	folder, err := tempdir.New("", "asterbot-check-")
	if err != nil {
		return nil, couldNotLook(err)
	}
	w.scratch, w.undo = folder.Path, append(w.undo, folder.Remove)
	return w, w.packageSet(ctx)
}

// close removes everything the workspace made.
func (w *workspace) close() {
	for _, undo := range slices.Backward(w.undo) {
		_ = undo()
	}
}

// mainBranch finds what a change is most likely made against.
func mainBranch(ctx context.Context, repo git.Repo) (string, error) {
	candidates := []string{"origin/HEAD", "origin/main", "origin/master", "main", "master"}
	for _, rev := range candidates {
		if _, err := repo.Resolve(ctx, rev); err == nil {
			return rev, nil
		}
	}
	return "", usage("none of %s exists here; say what to compare with: --base REVISION", strings.Join(candidates, ", "))
}

// policy reads the configuration: the file named, else base's, so that a change
// cannot rewrite the rules that judge it. A change that brings the first
// configuration is judged by it.
func (w *workspace) policy(ctx context.Context) (*config.Config, error) {
	if w.Config != "" {
		data, err := os.ReadFile(w.Config)
		if err != nil {
			return nil, usage("read configuration: %w", err)
		}
		return parsePolicy(w.Config, data)
	}
	data, err := w.repo.Show(ctx, w.change.Base, config.Path, config.MaxSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = w.repo.Show(ctx, w.change.Merged, config.Path, config.MaxSize+1)
		if err == nil {
			w.notes = append(w.notes, "base has no "+config.Path+": the change's own is used, and its verdict is advisory")
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("read configuration: there is no %s at base %.12s; write one with 'bot init', or name one with --config", config.Path, w.change.Base)
	}
	if err != nil {
		return nil, couldNotLook(err)
	}
	return parsePolicy(config.Path, data)
}

func parsePolicy(name string, data []byte) (*config.Config, error) {
	c, err := config.Parse(name, data)
	if err != nil {
		return nil, usage("%w", err)
	}
	return c, nil
}

// packageSet finds the package set that entries are evaluated with: the one
// named, the configured folder, the one that the repository pins, else the
// embedded one.
func (w *workspace) packageSet(ctx context.Context) error {
	w.nix = &nix.Nix{}
	switch {
	case w.Nixpkgs != "":
		if _, err := os.Stat(w.Nixpkgs); err != nil {
			return usage("read package set: %w", err)
		}
		w.nixpkgs = w.Nixpkgs
	case w.config.Nixpkgs.Path != "":
		w.nixpkgs = w.config.Nixpkgs.Path
		if !filepath.IsAbs(w.nixpkgs) {
			// Inside the repository each side has its own.
			w.nixpkgs = ""
		}
	default:
		if found, err := w.fetchPins(ctx); err != nil || found {
			return err
		}
		dir, err := tinypkgs.Extract(w.cache)
		if errors.Is(err, tinypkgs.ErrNotSetUp) {
			return couldNotLook(fmt.Errorf("no package set: pin one with nixpkgs.pin in %s (docs/adopt.md), or install the embedded one with 'bot doctor --install' (%w)", config.Path, err))
		}
		if err != nil {
			return couldNotLook(err)
		}
		w.nixpkgs = dir
	}
	return nil
}

// entry finds the Nix entry of a side: the first configured place that exists
// there. A configuration from outside names its entry relative to itself.
func (w *workspace) entry(side pipeline.Side) (string, error) {
	tree := w.trees[side]
	if p, ok := w.config.Entry.First(func(p string) bool { return isFile(filepath.Join(tree, p)) }); ok {
		return filepath.Join(tree, p), nil
	}
	if w.Config != "" {
		dir := filepath.Dir(w.Config)
		if p, ok := w.config.Entry.First(func(p string) bool { return isFile(filepath.Join(dir, p)) }); ok {
			return filepath.Join(dir, p), nil
		}
	}
	return "", &noEntryError{w.config.Entry, side}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// setKernels finds the kernels of all sides.
func (w *workspace) setKernels(ctx context.Context) error {
	if err := w.setTested(ctx); err != nil {
		return err
	}
	return w.setControl()
}

// setTested finds the kernels under test, of base and head.
func (w *workspace) setTested(ctx context.Context) error {
	k := w.config.Kernel
	under := func(img kernel.Image) *nix.Kernel {
		protocol := k.Protocol
		if protocol == "" && img.ELF {
			protocol = "multiboot"
		}
		return &nix.Kernel{Image: img.Path, Params: k.Params, Protocol: protocol, Profile: w.profileName()}
	}
	switch {
	case w.lacks(pipeline.Head):
	case w.Kernel != "":
		head, err := kernel.Open(w.Kernel, w.Symbols)
		if err != nil {
			return usage("%w", err)
		}
		base := head
		if w.BaseKernel != "" {
			if base, err = kernel.Open(w.BaseKernel, ""); err != nil {
				return usage("%w", err)
			}
		}
		w.images[pipeline.Head], w.images[pipeline.Base] = head, base
		w.kernels[pipeline.Head], w.kernels[pipeline.Base] = under(head), under(base)
	case k.Build != nil && w.BuildKernel:
		for _, side := range []pipeline.Side{pipeline.Base, pipeline.Head} {
			img, err := w.buildKernel(ctx, side)
			if errors.Is(err, kernel.ErrBuild) {
				w.NoKernel = append(w.NoKernel, string(side))
				w.unbuilt[side] = err
				continue
			}
			if err != nil {
				return fmt.Errorf("build the kernel of %s: %w", side, err)
			}
			w.images[side], w.kernels[side] = img, under(img)
		}
	case k.Build != nil:
		return usage("the kernel under test is made by a command that runs the change's own code outside any sandbox (%s: kernel.build); "+
			"allow it with --build-kernel, or hand an image in with --kernel IMAGE", config.Path)
	}
	return nil
}

func (w *workspace) profileName() string {
	if w.Profile != "" {
		return w.Profile
	}
	if w.config.Kernel.Profile != "" {
		return w.config.Kernel.Profile
	}
	if w.Kernel != "" || w.config.Kernel.Build != nil {
		return "asterinas"
	}
	return ""
}

// setControl finds the control kernel, if there is one.
func (w *workspace) setControl() error {
	c := w.config.Control
	image, modules := w.ControlKernel, w.ControlModules
	if image == "" && c.Kernel != "" {
		image, modules = w.inRepo(c.Kernel), w.inRepo(c.Modules)
	}
	if image == "" {
		var ok bool
		if image, modules, ok = kernel.Control(w.cache); !ok {
			w.notes = append(w.notes, "no control kernel: failures are not told apart into the kernel's and the packages'; 'bot doctor --install' unpacks one")
			return nil
		}
	}
	img, err := kernel.Open(image, "")
	if err != nil {
		return usage("%w", err)
	}
	w.images[pipeline.Control] = img
	w.kernels[pipeline.Control] = &nix.Kernel{Image: img.Path, Modules: modules, Initrd: w.inRepo(c.Initrd), Params: c.Params, Profile: c.Profile}
	return nil
}

// inRepo resolves a path of the configuration against base's tree.
func (w *workspace) inRepo(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(w.trees[pipeline.Base], p)
}

func (w *workspace) buildKernel(ctx context.Context, side pipeline.Side) (kernel.Image, error) {
	b := w.config.Kernel.Build
	log, err := os.Create(filepath.Join(w.scratch, "kernel-"+string(side)+".log"))
	if err != nil {
		return kernel.Image{}, err
	}
	defer log.Close()
	// Not in the tree that Nix reads: what a build leaves there would change every
	// derivation. And as a working tree, since kernels ask git for their version.
	commit := w.change.Merged
	if side == pipeline.Base {
		commit = w.change.Base
	}
	tree := filepath.Join(w.scratch, "kernel-"+string(side))
	remove, err := w.repo.Worktree(ctx, commit, tree)
	if err != nil {
		return kernel.Image{}, err
	}
	w.undo = append(w.undo, remove)
	return kernel.Build{
		Dir: tree, Timeout: time.Duration(b.Timeout), Command: b.Command, Image: b.Image, Symbols: b.Symbols,
		MaxBytes: int64(b.MaxSize) << 20, Log: log,
	}.Run(ctx)
}

// noEntryError says that a side has no Nix entry.
type noEntryError struct {
	places []string
	side   pipeline.Side
}

func (e *noEntryError) Error() string {
	return fmt.Sprintf("find the Nix entry: none of %s exists at %s; set 'entry' in %s", strings.Join(e.places, ", "), e.side, config.Path)
}
