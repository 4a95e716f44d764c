package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-github/v66/github"
)

// Release is what GitHub is to have.
type Release struct {
	Tag    string
	Commit string // full hash
	Title  string
	Notes  string
	// Prerelease keeps it from being the latest.
	Prerelease bool
	// Dir holds the assets, all of its regular files, SumsFile among them.
	Dir string
}

// Publisher brings a release on GitHub to the state that a Release describes. Every
// step looks before it acts, so that Publish can be run again after a failure
// anywhere and ends in the same release: first a draft, then its assets,
// then the tag, and the draft is published last.
type Publisher struct {
	Client      *github.Client
	Owner, Repo string
	// Note is told what is done, a line at a time; it may be nil.
	Note func(string)
}

// ConflictError is returned when what is on GitHub contradicts the Release:
// somebody has to decide. Nothing was changed.
type ConflictError struct{ What string }

func (e *ConflictError) Error() string { return e.What }

// asset is a release's asset as the API has it today: go-github's type lacks
// the digest.
type asset struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	State  string `json:"state"`
	Digest string `json:"digest"`
}

// file is an asset to be.
type file struct {
	name, path, sum string
	size            int64
}

func (f file) is(a asset) bool {
	return a.State == "uploaded" && a.Size == f.size && (a.Digest == "" || a.Digest == "sha256:"+f.sum)
}

// mark tells our own drafts from those that people make.
func mark(commit string) string { return "<!-- asterbot release " + commit + " -->" }

// Publish does what is still to be done, and returns the release's address.
func (p *Publisher) Publish(ctx context.Context, r Release) (string, error) {
	files, err := assets(r.Dir)
	if err != nil {
		return "", err
	}
	if err := p.checkTag(ctx, r); err != nil {
		return "", err
	}
	rel, err := p.find(ctx, r)
	if err != nil {
		return "", err
	}
	if rel != nil && !rel.GetDraft() {
		return rel.GetHTMLURL(), p.confirm(ctx, rel, r, files)
	}
	if rel, err = p.draft(ctx, rel, r); err != nil {
		return "", err
	}
	if err := p.upload(ctx, rel, files); err != nil {
		return "", err
	}
	if err := p.tag(ctx, r); err != nil {
		return "", err
	}
	p.note("publish %s", r.Tag)
	latest := "true"
	if r.Prerelease {
		latest = "false"
	}
	rel, _, err = p.Client.Repositories.EditRelease(ctx, p.Owner, p.Repo, rel.GetID(), &github.RepositoryRelease{
		Draft: github.Bool(false), Prerelease: github.Bool(r.Prerelease), MakeLatest: &latest, TagName: &r.Tag,
	})
	if err != nil {
		return "", fmt.Errorf("publish release %s: %w", r.Tag, err)
	}
	return rel.GetHTMLURL(), nil
}

func assets(dir string) ([]file, error) {
	sums, err := SumDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the release's assets: %w", err)
	}
	in, err := os.Open(filepath.Join(dir, SumsFile))
	if err != nil {
		return nil, fmt.Errorf("read the release's checksums: %w", err)
	}
	defer in.Close()
	want, err := ParseSums(in)
	if err != nil {
		return nil, err
	}
	var files []file
	for name, sum := range sums {
		if want[name] != sum {
			return nil, &ConflictError{fmt.Sprintf("%s does not say of %s what it is; write the checksums again", SumsFile, name)}
		}
		files = append(files, file{name: name, path: filepath.Join(dir, name), sum: sum})
	}
	for name := range want {
		if _, ok := sums[name]; !ok {
			return nil, &ConflictError{fmt.Sprintf("%s names %s, which is missing", SumsFile, name)}
		}
	}
	sum, _, err := Sum(filepath.Join(dir, SumsFile))
	if err != nil {
		return nil, err
	}
	files = append(files, file{name: SumsFile, path: filepath.Join(dir, SumsFile), sum: sum})
	for i := range files {
		info, err := os.Stat(files[i].path)
		if err != nil {
			return nil, err
		}
		if files[i].size = info.Size(); files[i].size >= MaxAsset {
			return nil, &ConflictError{fmt.Sprintf("%s has %d bytes; GitHub takes assets of less than %d", files[i].name, files[i].size, int64(MaxAsset))}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// tagCommit is the commit a tag names, empty where there is no such tag.
func (p *Publisher) tagCommit(ctx context.Context, tag string) (string, error) {
	ref, resp, err := p.Client.Git.GetRef(ctx, p.Owner, p.Repo, "tags/"+tag)
	if resp != nil && resp.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for tag %s: %w", tag, err)
	}
	obj := ref.GetObject()
	for obj.GetType() == "tag" { // an annotated tag, of a commit or of a tag
		t, _, err := p.Client.Git.GetTag(ctx, p.Owner, p.Repo, obj.GetSHA())
		if err != nil {
			return "", fmt.Errorf("read tag %s: %w", tag, err)
		}
		obj = t.GetObject()
	}
	return obj.GetSHA(), nil
}

func (p *Publisher) checkTag(ctx context.Context, r Release) error {
	at, err := p.tagCommit(ctx, r.Tag)
	if err != nil {
		return err
	}
	if at != "" && at != r.Commit {
		return &ConflictError{fmt.Sprintf("tag %s exists and names commit %s, not %s; delete it, or release under another version", r.Tag, short(at), short(r.Commit))}
	}
	return nil
}

// find returns the release of the tag, drafts included: those are found by
// listing only.
func (p *Publisher) find(ctx context.Context, r Release) (*github.RepositoryRelease, error) {
	opt := &github.ListOptions{PerPage: 100}
	var found []*github.RepositoryRelease
	for {
		page, resp, err := p.Client.Repositories.ListReleases(ctx, p.Owner, p.Repo, opt)
		if err != nil {
			return nil, fmt.Errorf("look for release %s: %w", r.Tag, err)
		}
		for _, rel := range page {
			if rel.GetTagName() == r.Tag {
				found = append(found, rel)
			}
		}
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	for _, rel := range found {
		if !rel.GetDraft() {
			return rel, nil
		}
	}
	for _, rel := range found {
		if strings.Contains(rel.GetBody(), mark(r.Commit)) {
			return rel, nil
		}
	}
	if len(found) > 0 {
		return nil, &ConflictError{fmt.Sprintf("a draft of %s exists that is not of commit %s; publish or delete it first: %s", r.Tag, short(r.Commit), found[0].GetHTMLURL())}
	}
	return nil, nil
}

// confirm compares a release that is published already with what it is to be.
func (p *Publisher) confirm(ctx context.Context, rel *github.RepositoryRelease, r Release, files []file) error {
	at, err := p.tagCommit(ctx, r.Tag)
	if err != nil {
		return err
	}
	if at != r.Commit {
		return &ConflictError{fmt.Sprintf("release %s is published, and its tag names commit %q, not %s", r.Tag, short(at), short(r.Commit))}
	}
	have, err := p.list(ctx, rel.GetID())
	if err != nil {
		return err
	}
	for _, f := range files {
		i := slices.IndexFunc(have, func(a asset) bool { return a.Name == f.name })
		if i < 0 || !f.is(have[i]) {
			return &ConflictError{fmt.Sprintf("release %s is published with another %s; what is published is never changed: release under another version", r.Tag, f.name)}
		}
	}
	p.note("release %s is published already, with the same assets", r.Tag)
	return nil
}

func (p *Publisher) draft(ctx context.Context, rel *github.RepositoryRelease, r Release) (*github.RepositoryRelease, error) {
	body := r.Notes + "\n" + mark(r.Commit) + "\n"
	want := &github.RepositoryRelease{
		TagName: &r.Tag, TargetCommitish: &r.Commit, Name: &r.Title, Body: &body, Draft: github.Bool(true), Prerelease: github.Bool(r.Prerelease),
	}
	var err error
	switch {
	case rel == nil:
		p.note("draft release %s", r.Tag)
		rel, _, err = p.Client.Repositories.CreateRelease(ctx, p.Owner, p.Repo, want)
	case rel.GetBody() != body || rel.GetName() != r.Title || rel.GetTargetCommitish() != r.Commit:
		p.note("correct the draft of %s", r.Tag)
		rel, _, err = p.Client.Repositories.EditRelease(ctx, p.Owner, p.Repo, rel.GetID(), want)
	}
	if err != nil {
		return nil, fmt.Errorf("draft release %s: %w", r.Tag, err)
	}
	return rel, nil
}

func (p *Publisher) list(ctx context.Context, id int64) ([]asset, error) {
	var all []asset
	for page := 1; page != 0; {
		req, err := p.Client.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/releases/%d/assets?per_page=100&page=%d", p.Owner, p.Repo, id, page), nil)
		if err != nil {
			return nil, err
		}
		var some []asset
		resp, err := p.Client.Do(ctx, req, &some)
		if err != nil {
			return nil, fmt.Errorf("list the release's assets: %w", err)
		}
		all = append(all, some...)
		page = resp.NextPage
	}
	return all, nil
}

// upload leaves the draft with exactly the files. An upload that broke off
// leaves an asset in state "starter", which stands in the way of the next.
func (p *Publisher) upload(ctx context.Context, rel *github.RepositoryRelease, files []file) error {
	id := rel.GetID()
	have, err := p.list(ctx, id)
	if err != nil {
		return err
	}
	for _, a := range have {
		if slices.ContainsFunc(files, func(f file) bool { return f.name == a.Name && f.is(a) }) {
			continue
		}
		p.note("remove %s from the draft", a.Name)
		if resp, err := p.Client.Repositories.DeleteReleaseAsset(ctx, p.Owner, p.Repo, a.ID); err != nil && (resp == nil || resp.StatusCode != http.StatusNotFound) {
			return fmt.Errorf("remove asset %s: %w", a.Name, err)
		}
	}
	for _, f := range files {
		if slices.ContainsFunc(have, func(a asset) bool { return f.name == a.Name && f.is(a) }) {
			continue
		}
		p.note("upload %s, %d bytes", f.name, f.size)
		if err := p.put(ctx, rel, f); err != nil {
			return err
		}
	}
	// GitHub's word, not ours, is what the release rests on.
	if have, err = p.list(ctx, id); err != nil {
		return err
	}
	for _, f := range files {
		if !slices.ContainsFunc(have, func(a asset) bool { return f.name == a.Name && f.is(a) }) {
			return fmt.Errorf("upload %s: it did not arrive whole; run this again", f.name)
		}
	}
	return nil
}

func (p *Publisher) put(ctx context.Context, rel *github.RepositoryRelease, f file) error {
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	kind := mime.TypeByExtension(filepath.Ext(f.name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	// The release says itself where its assets go: "https://.../assets{?name,label}".
	at, _, _ := strings.Cut(rel.GetUploadURL(), "{")
	if at == "" {
		at = fmt.Sprintf("repos/%s/%s/releases/%d/assets", p.Owner, p.Repo, rel.GetID())
	}
	at += "?name=" + url.QueryEscape(f.name)
	req, err := p.Client.NewUploadRequest(at, in, f.size, kind)
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) { return os.Open(f.path) }
	if _, err := p.Client.Do(ctx, req, nil); err != nil {
		return fmt.Errorf("upload %s: %w", f.name, err)
	}
	return nil
}

func (p *Publisher) tag(ctx context.Context, r Release) error {
	at, err := p.tagCommit(ctx, r.Tag)
	switch {
	case err != nil:
		return err
	case at == r.Commit:
		return nil
	case at != "":
		return p.checkTag(ctx, r)
	}
	p.note("tag %s as %s", short(r.Commit), r.Tag)
	name := "refs/tags/" + r.Tag
	_, _, err = p.Client.Git.CreateRef(ctx, p.Owner, p.Repo, &github.Reference{Ref: &name, Object: &github.GitObject{SHA: &r.Commit}})
	var already *github.ErrorResponse
	if errors.As(err, &already) && already.Response.StatusCode == http.StatusUnprocessableEntity {
		// Somebody was faster; whether they meant the same commit is what counts.
		return p.checkTag(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("make tag %s: %w", r.Tag, err)
	}
	return nil
}

func (p *Publisher) note(format string, args ...any) {
	if p.Note != nil {
		p.Note(fmt.Sprintf(format, args...))
	}
}
