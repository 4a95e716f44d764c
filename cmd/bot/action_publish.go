package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/github"
)

// github is the client of the step's token, and the repository it works on.
func (s *step) github() (client *github.Client, owner, repo string, err error) {
	token := s.input("token")
	if token == "" {
		return nil, "", "", usage("input token: this command needs one")
	}
	name := s.event.Repository
	if name == "" {
		name = s.Getenv("GITHUB_REPOSITORY")
	}
	owner, repo, ok := strings.Cut(name, "/")
	if !ok {
		return nil, "", "", usage("the event names no repository")
	}
	base := s.input("api-url")
	if base == "https://api.github.com" {
		base = ""
	}
	client, err = github.New(github.Options{BaseURL: base, Token: token, Wait: 2 * time.Minute, Timeout: time.Hour})
	return client, owner, repo, err
}

// publish writes a report as check runs. Repository, pull request and commit are
// the event's; of the report only the content is taken.
func (s *step) publish(ctx context.Context) error {
	if s.event.Fork {
		s.note("a fork's token can only read: the report is in the run's summary, and the App publishes it where there is one")
		return nil
	}
	client, owner, repo, err := s.github()
	if err != nil {
		return err
	}
	c, err := remotePolicy(ctx, client, owner, repo, s.event.Base)
	if err != nil {
		return err
	}
	if c == nil {
		s.note("base has no " + config.Path + " yet: the verdict by the change's own is advisory, and stands in the run's summary alone")
		return nil
	}
	if c.Publish != config.PublishToken {
		s.note(fmt.Sprintf("%s says publish: %s, so no check runs are written here", config.Path, c.Publish))
		return nil
	}
	f, err := os.Open(filepath.Join(s.path("out"), "report.json"))
	if err != nil {
		return couldNotLook(fmt.Errorf("read the report: %w", err))
	}
	rep, err := report.DecodeReport(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return couldNotLook(err)
	}
	sha := s.event.Head
	if rep.Change.Head != sha {
		return couldNotLook(fmt.Errorf("the report is about commit %.12s, and this run about %.12s: nothing was published", rep.Change.Head, sha))
	}
	run, _ := strconv.ParseInt(s.Getenv("GITHUB_RUN_ID"), 10, 64) // zero where there is none
	attempt, _ := strconv.Atoi(s.Getenv("GITHUB_RUN_ATTEMPT"))
	id := checkrun.ID{Run: run, Attempt: attempt, Base: rep.Change.Base, Merge: rep.Change.Merged}
	if s.event.Number != 0 {
		pr, _, err := client.PullRequests.Get(ctx, owner, repo, s.event.Number)
		if err != nil {
			return couldNotLook(fmt.Errorf("read pull request %d: %w", s.event.Number, err))
		}
		if pr.GetHead().GetSHA() != sha {
			s.note(fmt.Sprintf("the pull request is at %.12s by now: the results of %.12s are late and were not published", pr.GetHead().GetSHA(), sha))
			return nil
		}
		id.Pulls = []string{fmt.Sprintf("%d@%s", s.event.Number, pr.GetBase().GetRef())}
	}
	p := &checkrun.Publisher{Client: client, Owner: owner, Repo: repo}
	have, err := p.List(ctx, sha)
	if err != nil {
		return couldNotLook(err)
	}
	runs := tokenRuns(rep, id, s.runAddress(), tokenWaivers(have))
	if _, err := p.Publish(ctx, sha, runs, have); err != nil {
		return couldNotLook(err)
	}
	return s.files.Output("conclusion", string(rep.Conclusion))
}

func (s *step) runAddress() string {
	return fmt.Sprintf("%s/%s/actions/runs/%s", s.Getenv("GITHUB_SERVER_URL"), s.Getenv("GITHUB_REPOSITORY"), s.Getenv("GITHUB_RUN_ID"))
}

func (s *step) note(text string) {
	s.log.Annotate(action.Annotation{Level: action.Notice, Message: text})
}

// remotePolicy reads the configuration at a commit from GitHub; nil where there is
// none.
func remotePolicy(ctx context.Context, client *github.Client, owner, repo, ref string) (*config.Config, error) {
	file, _, resp, err := client.Repositories.GetContents(ctx, owner, repo, config.Path, &gh.RepositoryContentGetOptions{Ref: ref})
	if resp != nil && resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, couldNotLook(fmt.Errorf("read %s: %w", config.Path, err))
	}
	text, err := file.GetContent()
	if err != nil {
		return nil, couldNotLook(fmt.Errorf("read %s: %w", config.Path, err))
	}
	return parsePolicy(config.Path, []byte(text))
}
