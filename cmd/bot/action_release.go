package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/release"
)

// release judges or publishes a release. Its input release says which: state (is
// there anything to release?), images, check, publish.
func (s *step) release(ctx context.Context) error {
	args := []string{"--repo", s.path("path"), "--rev", orDefault(s.event.Head, "HEAD")}
	if s.input("release") == "images" {
		rev := orDefault(s.event.Head, "HEAD")
		args = append([]string{"release", "images", "--repo", s.path("path"), "--base", rev, "--head", rev, "--fresh", "--out", s.path("assets")}, s.takeKernels(nil)...)
		return s.bot(ctx, s.foreign(), args...)
	}
	if s.event.Tag {
		args = append(args, "--tag", s.event.Ref)
	}
	if repository := orDefault(s.event.Repository, s.Getenv("GITHUB_REPOSITORY")); repository != "" && s.input("token") != "" {
		args = append(args, "--repository", repository, "--api-url", s.input("api-url"))
	}
	if s.input("release") == "state" {
		return s.releaseState(ctx, args)
	}
	// On an ordinary pull request there are neither, which the gate says.
	if rep := filepath.Join(s.path("out"), "report.json"); s.input("release") == "publish" || isFile(rep) {
		args = append(args, "--report", rep)
	}
	if s.input("release") == "publish" || exists(s.path("assets")) {
		args = append(args, "--images", s.path("assets"))
	}
	if s.input("release") == "publish" {
		err := s.bot(ctx, s.foreign(), append([]string{"release", "publish", "--assets", s.path("assets") + "-published"}, args...)...)
		conclusion := checks.Success
		if err != nil {
			conclusion = checks.Failure
		}
		if out := s.files.Output("conclusion", string(conclusion)); out != nil {
			return out
		}
		return err
	}
	_, err := s.gate(ctx, args)
	return err
}

// judged is what 'bot release check --json' prints.
type judged struct {
	Version    string              `json:"version"`
	Commit     string              `json:"commit"`
	Previous   string              `json:"previous,omitempty"` // the tag of the release before
	Objections []release.Objection `json:"objections"`
}

// gate shows what stands in the way, as annotations and in the summary.
func (s *step) gate(ctx context.Context, args []string) (judged, error) {
	var doc bytes.Buffer
	ran := s.bot(ctx, &doc, append([]string{"release", "check", "--json"}, args...)...)
	var j judged
	if err := json.Unmarshal(doc.Bytes(), &j); err != nil {
		return j, ran
	}
	var b strings.Builder
	b.WriteString("### Release gate\n\n")
	if len(j.Objections) == 0 {
		b.WriteString("Nothing stands in the way of releasing " + report.Escape(j.Version) + ".\n")
	}
	for _, o := range j.Objections {
		s.log.Annotate(action.Annotation{Level: action.Failure, Title: "release: " + report.Plain(o.Rule), Message: report.Plain(o.What) + "\n" + report.Plain(o.How)})
		b.WriteString("- **" + report.Escape(o.Rule) + ":** " + report.Escape(report.Plain(o.What)) + " – " + report.Escape(report.Plain(o.How)) + "\n")
	}
	conclusion := checks.Success
	if len(j.Objections) > 0 {
		conclusion = checks.Failure
	}
	if err := s.files.Summary(b.String()); err != nil {
		return j, err
	}
	if err := s.files.Output("conclusion", string(conclusion)); err != nil {
		return j, err
	}
	if ran != nil {
		ran = &exitError{code: exitCode(ran)}
	}
	return j, ran
}

// releaseState says which version the commit has, and whether that is there to be
// released: versions that disagree stop it here, before hours of building.
func (s *step) releaseState(ctx context.Context, args []string) error {
	var doc bytes.Buffer
	ran := s.bot(ctx, &doc, append([]string{"release", "check", "--json"}, args...)...)
	var j judged
	if err := json.Unmarshal(doc.Bytes(), &j); err != nil {
		return ran
	}
	stop := false
	for _, o := range j.Objections {
		if o.Rule != "version" && o.Rule != "tag" && o.Rule != "waiver" {
			continue
		}
		stop = true
		s.log.Annotate(action.Annotation{Level: action.Failure, Title: "release: " + report.Plain(o.Rule), Message: report.Plain(o.What) + "\n" + report.Plain(o.How)})
	}
	if err := errors.Join(s.files.Output("version", j.Version), s.files.Output("previous", j.Previous)); err != nil {
		return err
	}
	if stop {
		return &exitError{code: checks.Failure.ExitCode()}
	}
	return nil
}
