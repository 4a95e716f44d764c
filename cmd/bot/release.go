package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro/git"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/release"
)

// releaseOptions are what both release commands need to know.
type releaseOptions struct {
	Repo, Rev, Tag   string
	Report, Previous string
	PreviousTag      string
	Images, Again    []string // NAME=PATH
	Differences      []string // NAME=WHY
	Assets           string
	Repository, API  string
	JSON             bool
	NotesFile        string
	From             string
	token            string
}

func releaseCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "release",
		Short: "Judge a release, and publish what passes",
	}
	c.AddCommand(releaseCheckCommand(e), releaseImagesCommand(e), releasePublishCommand(e), releaseUploadCommand(e))
	return c
}

func (o *releaseOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Repo, "repo", ".", "the git `repository`")
	f.StringVar(&o.Rev, "rev", "HEAD", "the `revision` that is released")
	f.StringVar(&o.Tag, "tag", "", "a `tag` that somebody pushed, to be verified")
	f.StringVar(&o.Report, "report", "", "the report.json `file` of a check of everything, of the release flavour")
	f.StringVar(&o.Previous, "previous", "", "the report.json `file` of the release before (default: asked from GitHub)")
	f.StringVar(&o.PreviousTag, "previous-tag", "", "the `tag` of the release before, with --previous")
	f.StringArrayVar(&o.Images, "image", nil, "an image to publish, `NAME=PATH` (repeatable)")
	f.StringArrayVar(&o.Again, "again", nil, "the same image, built a second time, `NAME=PATH` (repeatable)")
	f.StringVar(&o.From, "images", "", "the `folder` that 'bot release images' left, instead of --image and --again")
	f.StringArrayVar(&o.Differences, "difference", nil, "why two builds of an image differ, `NAME=WHY` (repeatable)")
	f.StringVar(&o.Repository, "repository", "", "the repository on GitHub, `OWNER/NAME`; without one, nothing is asked there")
	f.StringVar(&o.API, "api-url", "", "the `address` of GitHub's API")
	f.BoolVar(&o.JSON, "json", false, "print what stands in the way as JSON")
}

func releaseCheckCommand(e *env) *cobra.Command {
	var o releaseOptions
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what stands in the way of a release",
		Long: `Says what would stop a release of this commit: versions that disagree, a report that is missing or red, an image that was not installed and booted,
a regression since the release before without a recorded waiver, an image that cannot be built twice.

Exit codes: 0 it may be released, 1 something is wrong, 2 usage or configuration, 3 something is not known.`,
		Example: "  bot release check\n  bot release check --report out/report.json --image iso=result.iso --again iso=again.iso",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cand, _, err := o.candidate(c.Context(), e)
			if err != nil {
				return err
			}
			return o.say(e, cand)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.NotesFile, "notes", "", "write the release's notes to this `file`")
	return c
}

func releasePublishCommand(e *env) *cobra.Command {
	var o releaseOptions
	c := &cobra.Command{
		Use:   "publish",
		Short: "Release what passes the gate; run it again after any failure",
		Long: `Judges as 'bot release check' does, and if nothing stands in the way makes the release on GitHub: a draft, its assets, the tag, and publishes it last.
Every step looks at what is there before it acts: run it again after a failure, and it ends in the same release. The token is taken from
ASTERBOT_TOKEN or GITHUB_TOKEN (contents: write).

The assets are the images, report.json, SHA256SUMS, and whatever else is in --assets.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.publish(c.Context(), e) },
	}
	o.flags(c)
	c.Flags().StringVar(&o.Assets, "assets", "release-assets", "the `folder` that assets are gathered in")
	return c
}

// candidate gathers what is to be judged.
func (o *releaseOptions) candidate(ctx context.Context, e *env) (release.Candidate, *github.Client, error) {
	none := release.Candidate{}
	repo := git.Repo{Dir: e.path(o.Repo)}
	commit, err := repo.Resolve(ctx, o.Rev)
	if err != nil {
		return none, nil, usage("%w", err)
	}
	c, err := configAt(ctx, repo, commit)
	if err != nil {
		return none, nil, err
	}
	cand := release.Candidate{
		Rules:  release.Rules{Scheme: release.Scheme(c.Release.Scheme), TagPattern: c.Release.Tag, Images: c.Release.Images},
		Commit: commit, Tag: o.Tag,
	}
	if cand.Version, err = versionAt(ctx, repo, commit, c.Release.VersionFile); err != nil {
		return none, nil, err
	}
	if cand.KernelVersion, err = versionAt(ctx, repo, commit, c.Release.KernelVersionFile); err != nil {
		return none, nil, err
	}
	if data, err := repo.Show(ctx, commit, c.Release.Waivers, config.MaxSize); err == nil {
		if cand.Waivers, err = release.ParseWaivers(strings.NewReader(string(data))); err != nil {
			return none, nil, usage("%s: %w", c.Release.Waivers, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return none, nil, couldNotLook(err)
	}
	if o.Report != "" {
		if cand.Report, err = openReport(e.path(o.Report)); err != nil {
			return none, nil, err
		}
	}
	if cand.Images, err = o.images(e); err != nil {
		return none, nil, err
	}
	var client *github.Client
	if o.Repository != "" {
		o.token = e.Getenv("ASTERBOT_TOKEN")
		if o.token == "" {
			o.token = e.Getenv("GITHUB_TOKEN")
		}
		api := o.API
		if api == "https://api.github.com" {
			api = ""
		}
		// An image may take its time.
		if client, err = github.New(github.Options{BaseURL: api, Token: o.token, Wait: 5 * time.Minute, Timeout: 2 * time.Hour}); err != nil {
			return none, nil, usage("%w", err)
		}
	}
	if err := o.previous(ctx, e, client, &cand); err != nil {
		return none, nil, err
	}
	cand.Changes = changesSince(ctx, repo.Dir, cand)
	if owner, name, ok := strings.Cut(o.Repository, "/"); ok {
		var note string
		if cand.Accepted, note, err = accepted(ctx, client, owner, name, repo.Dir, cand); err != nil {
			return none, nil, couldNotLook(err)
		}
		if note != "" {
			fmt.Fprintln(e.Stderr, "note: "+note)
		}
	}
	return cand, client, nil
}

func (o *releaseOptions) previous(ctx context.Context, e *env, client *github.Client, c *release.Candidate) error {
	switch {
	case o.Previous != "":
		version, ok := release.Untag(c.Rules.TagPattern, o.PreviousTag)
		if !ok {
			return usage("--previous-tag %q is no tag of the form %s", o.PreviousTag, c.Rules.TagPattern)
		}
		rep, err := openReport(e.path(o.Previous))
		if err != nil {
			return err
		}
		c.Previous = &release.Previous{Version: version, Tag: o.PreviousTag, Report: rep}
	case client != nil && c.Rules.Scheme.Valid(c.Version) == nil:
		owner, name, ok := strings.Cut(o.Repository, "/")
		if !ok {
			return usage("--repository %q is not of the form OWNER/NAME", o.Repository)
		}
		var err error
		if c.Previous, err = release.FindPrevious(ctx, client.Client, owner, name, c.Rules, c.Version); err != nil {
			return couldNotLook(err)
		}
	}
	return nil
}

// configAt is the configuration of a commit; a release is judged by its own.
func configAt(ctx context.Context, repo git.Repo, commit string) (*config.Config, error) {
	data, err := repo.Show(ctx, commit, config.Path, config.MaxSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	if err != nil {
		return nil, couldNotLook(err)
	}
	return parsePolicy(config.Path, data)
}

func versionAt(ctx context.Context, repo git.Repo, commit string, places config.Places) (string, error) {
	for _, p := range places {
		data, err := repo.Show(ctx, commit, p, 4096)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", couldNotLook(err)
		}
		return strings.TrimSpace(string(data)), nil
	}
	return "", nil
}

func openReport(name string) (*checks.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usage("read the report: %w", err)
	}
	defer f.Close()
	r, err := report.DecodeReport(f)
	if err != nil {
		return nil, couldNotLook(err)
	}
	return r, nil
}

func pairs(list []string, flag string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range list {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" || value == "" {
			return nil, usage("--%s %q is not of the form NAME=...", flag, p)
		}
		out[name] = value
	}
	return out, nil
}

func (o *releaseOptions) images(e *env) ([]release.Image, error) {
	again, err := pairs(o.Again, "again")
	if err != nil {
		return nil, err
	}
	why, err := pairs(o.Differences, "difference")
	if err != nil {
		return nil, err
	}
	if o.From != "" {
		return o.built(e, why)
	}
	var out []release.Image
	for _, p := range o.Images {
		name, file, ok := strings.Cut(p, "=")
		if !ok {
			return nil, usage("--image %q is not of the form NAME=PATH", p)
		}
		if file, err = imageFile(e.path(file)); err != nil {
			return nil, err
		}
		img := release.Image{Name: name, File: filepath.Base(file), Difference: why[name]}
		if img.SHA256, img.Size, err = release.Sum(file); err != nil {
			return nil, couldNotLook(err)
		}
		if second, ok := again[name]; ok {
			if second, err = imageFile(e.path(second)); err != nil {
				return nil, err
			}
			if img.Again, _, err = release.Sum(second); err != nil {
				return nil, couldNotLook(err)
			}
		}
		out = append(out, img)
	}
	return out, nil
}

// built are the images that releaseImages left, and what their second builds gave.
func (o *releaseOptions) built(e *env, why map[string]string) ([]release.Image, error) {
	dir := e.path(o.From)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, usage("read the images: %w", err)
	}
	var out []release.Image
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		name := entry.Name()
		file, err := imageFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		img := release.Image{Name: name, File: filepath.Base(file), Difference: why[name]}
		if img.SHA256, img.Size, err = release.Sum(file); err != nil {
			return nil, couldNotLook(err)
		}
		if sum, err := os.ReadFile(filepath.Join(dir, name+".again")); err == nil {
			img.Again = strings.TrimSpace(string(sum))
		} else if _, err := os.Stat(filepath.Join(dir, name+".differs")); err == nil {
			img.Again = "another"
		}
		out = append(out, img)
		o.Images = append(o.Images, name+"="+file)
	}
	return out, nil
}

// imageFile finds the image that a build left: the file itself, or the one ISO in
// the folder.
func imageFile(p string) (string, error) {
	info, err := os.Stat(p)
	if err != nil {
		return "", usage("read image: %w", err)
	}
	if !info.IsDir() {
		return p, nil
	}
	for _, pattern := range []string{"iso/*.iso", "*.iso"} {
		if found, _ := filepath.Glob(filepath.Join(p, pattern)); len(found) == 1 { // the pattern is well-formed
			return found[0], nil
		}
	}
	return "", usage("read image: there is not exactly one .iso in %s", p)
}

// changesSince are the titles of what was merged since the release before, or,
// where nothing was merged, of all commits. Without the tag here there are none.
func changesSince(ctx context.Context, dir string, c release.Candidate) []string {
	if c.Previous == nil {
		return nil
	}
	log := func(args ...string) []string {
		args = append([]string{"-C", dir, "log", "--first-parent", "-z", "--max-count=500"}, args...)
		out, err := exec.CommandContext(ctx, "git", append(args, "--end-of-options", c.Previous.Tag+".."+c.Commit)...).Output()
		if err != nil {
			return nil
		}
		var titles []string
		for _, t := range strings.Split(strings.Trim(string(out), "\x00\n"), "\x00") {
			if t = strings.TrimSpace(t); t != "" {
				titles = append(titles, t)
			}
		}
		return titles
	}
	if merged := log("--merges", "--format=%b"); len(merged) > 0 {
		for i, m := range merged {
			merged[i], _, _ = strings.Cut(m, "\n")
		}
		return merged
	}
	return log("--format=%s")
}

// say prints what stands in the way.
func (o *releaseOptions) say(e *env, c release.Candidate) error {
	objections := release.Gate(c)
	if o.NotesFile != "" {
		if err := os.WriteFile(e.path(o.NotesFile), []byte(release.Notes(c, o.Repository)), 0o644); err != nil {
			return couldNotLook(err)
		}
	}
	if o.JSON {
		enc := json.NewEncoder(e.Stdout)
		enc.SetIndent("", "  ")
		if objections == nil {
			objections = []release.Objection{}
		}
		doc := judged{Version: c.Version, Commit: c.Commit, Objections: objections}
		if c.Previous != nil {
			doc.Previous = c.Previous.Tag
		}
		if err := enc.Encode(doc); err != nil {
			return couldNotLook(err)
		}
		return gateExit(objections)
	}
	if len(objections) == 0 {
		fmt.Fprintf(e.Stdout, "%s may be released as %s\n", c.Commit, release.Tag(c.Rules.TagPattern, c.Version))
		return nil
	}
	fmt.Fprintf(e.Stdout, "%d things stand in the way of releasing %s:\n", len(objections), orDefault(c.Version, "this commit"))
	for _, ob := range objections {
		mark := "✗"
		if ob.Unknown {
			mark = "?"
		}
		fmt.Fprintf(e.Stdout, "%s %-12s %s\n    %s\n", mark, ob.Rule, report.Plain(ob.What), report.Plain(ob.How))
	}
	return gateExit(objections)
}

func gateExit(objections []release.Objection) error {
	code := 0
	for _, o := range objections {
		if !o.Unknown {
			return &exitError{code: checks.Failure.ExitCode()}
		}
		code = checks.Errored.ExitCode()
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

func (o *releaseOptions) publish(ctx context.Context, e *env) error {
	if o.Repository == "" {
		return usage("say where to publish: --repository OWNER/NAME")
	}
	c, client, err := o.candidate(ctx, e)
	if err != nil {
		return err
	}
	if objections := release.Gate(c); len(objections) > 0 {
		return o.say(e, c)
	}
	if o.token == "" {
		return usage("publishing needs a token in ASTERBOT_TOKEN or GITHUB_TOKEN")
	}
	dir := e.path(o.Assets)
	if err := o.gather(e, c, dir); err != nil {
		return couldNotLook(err)
	}
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok {
		return usage("--repository %q is not of the form OWNER/NAME", o.Repository)
	}
	p := &release.Publisher{Client: client.Client, Owner: owner, Repo: name, Note: func(line string) { fmt.Fprintln(e.Stdout, line) }}
	address, err := p.Publish(ctx, release.Release{
		Tag: release.Tag(c.Rules.TagPattern, c.Version), Commit: c.Commit, Title: c.Version, Notes: release.Notes(c, o.Repository),
		Prerelease: release.Prerelease(c.Version), Dir: dir,
	})
	if err != nil {
		var conflict *release.ConflictError
		if errors.As(err, &conflict) {
			return &exitError{code: checks.Failure.ExitCode(), err: err}
		}
		return couldNotLook(fmt.Errorf("%w; run it again: what is done already is kept", err))
	}
	fmt.Fprintln(e.Stdout, "released:", address)
	return nil
}

// gather puts images, report and checksums into the folder of assets.
func (o *releaseOptions) gather(e *env, c release.Candidate, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range o.Images {
		_, file, _ := strings.Cut(p, "=")
		file, err := imageFile(e.path(file))
		if err != nil {
			return err
		}
		if err := link(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, release.ReportAsset))
	if err != nil {
		return err
	}
	if err := errors.Join(report.Encode(f, c.Report), f.Close()); err != nil {
		return err
	}
	sums, err := release.SumDir(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, release.SumsFile), []byte(release.Sums(sums)), 0o644)
}

// link makes a file appear under another name, without a copy where it can be had.
func link(from, to string) error {
	if abs, err := filepath.EvalSymlinks(from); err == nil {
		from = abs
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.Open(from)
	if err != nil {
		return err
	}
	defer data.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(data)
	return errors.Join(err, out.Close())
}
