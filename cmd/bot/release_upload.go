package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"
	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/release"
)

type uploadOptions struct {
	Repository, API, Tag, Commit, Assets string
	MoveMajor                            bool
}

// releaseUploadCommand is how asterbot releases itself: it has no images to judge.
func releaseUploadCommand(e *env) *cobra.Command {
	var o uploadOptions
	c := &cobra.Command{
		Use:    "upload",
		Short:  "Publish a folder of files as a release, without a gate; run it again after any failure",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE:   func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	f := c.Flags()
	f.StringVar(&o.Repository, "repository", "", "the repository on GitHub, `OWNER/NAME`")
	f.StringVar(&o.API, "api-url", "", "the `address` of GitHub's API")
	f.StringVar(&o.Tag, "tag", "", "the release's `tag`")
	f.StringVar(&o.Commit, "commit", "", "the `hash` of what is released")
	f.StringVar(&o.Assets, "assets", "dist", "the `folder` of files, SHA256SUMS among them")
	f.BoolVar(&o.MoveMajor, "move-major", false, "move the tag of the major version, v1 of v1.2.3, here too")
	return c
}

func (o uploadOptions) run(ctx context.Context, e *env) error {
	owner, name, ok := strings.Cut(o.Repository, "/")
	version := strings.TrimPrefix(o.Tag, "v")
	if !ok || release.Shared.Valid(version) != nil || o.Commit == "" {
		return usage("--repository OWNER/NAME, --tag v1.2.3 and --commit HASH are needed")
	}
	api := o.API
	if api == "https://api.github.com" {
		api = ""
	}
	client, err := github.New(github.Options{BaseURL: api, Token: e.Getenv("GITHUB_TOKEN"), Wait: 5 * time.Minute, Timeout: time.Hour})
	if err != nil {
		return usage("%w", err)
	}
	notes, err := os.ReadFile(filepath.Join(e.path(o.Assets), "CHANGELOG.md"))
	if err != nil {
		return usage("read the notes: %w", err)
	}
	p := &release.Publisher{Client: client.Client, Owner: owner, Repo: name, Note: func(line string) { fmt.Fprintln(e.Stdout, line) }}
	address, err := p.Publish(ctx, release.Release{
		Tag: o.Tag, Commit: o.Commit, Title: version, Notes: changesOf(string(notes), version), Prerelease: release.Prerelease(version), Dir: e.path(o.Assets),
	})
	if err != nil {
		return couldNotLook(err)
	}
	fmt.Fprintln(e.Stdout, "released:", address)
	if !o.MoveMajor || release.Prerelease(version) {
		return nil
	}
	major, _, _ := strings.Cut(version, ".")
	ref := "refs/tags/v" + major
	r := &gh.Reference{Ref: &ref, Object: &gh.GitObject{SHA: &o.Commit}}
	_, resp, err := client.Git.UpdateRef(ctx, owner, name, r, true)
	if resp != nil && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusUnprocessableEntity) {
		_, _, err = client.Git.CreateRef(ctx, owner, name, r)
	}
	if err != nil {
		return &exitError{code: checks.Errored.ExitCode(), err: errors.Join(fmt.Errorf("move tag v%s", major), err)}
	}
	return nil
}

// changesOf is the part of a changelog about a version.
func changesOf(changelog, version string) string {
	_, rest, ok := strings.Cut(changelog, "\n## "+version)
	if !ok {
		_, rest, ok = strings.Cut(changelog, "\n## ["+version+"]")
	}
	if !ok {
		return "See CHANGELOG.md."
	}
	_, rest, _ = strings.Cut(rest, "\n")
	part, _, _ := strings.Cut(rest, "\n## ")
	return strings.TrimSpace(part)
}
