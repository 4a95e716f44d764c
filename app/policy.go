package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/internal/github"
)

// Policy is what a repository's configuration, on the base branch, says to the
// App.
type Policy struct {
	// Publish and Answer say whether the App is the one to write check runs, and
	// to answer commands.
	Publish, Answer bool
	// Levels are the least permissions for commands.
	Levels map[string]string
}

func (p Policy) level(n command.Name) string {
	if l := p.Levels[string(n)]; l != "" {
		return l
	}
	return command.Default(n)
}

type memoPolicy struct {
	policy Policy
	at     time.Time
	err    error
}

// policy reads the configuration of a branch; it is asked for again after a
// push, and when everything is looked at.
func (a *App) policy(ctx context.Context, c *github.Client, k Key, branch string) (Policy, error) {
	name := k.Owner + "/" + k.Repo + "@" + branch
	a.mu.Lock()
	m, ok := a.policies[name]
	a.mu.Unlock()
	if ok && time.Since(m.at) < a.opt.Resync {
		return m.policy, m.err
	}
	var opt *gh.RepositoryContentGetOptions
	if branch != "" {
		opt = &gh.RepositoryContentGetOptions{Ref: branch}
	}
	file, _, _, err := c.Repositories.GetContents(ctx, k.Owner, k.Repo, a.opt.Config, opt)
	var data []byte
	switch {
	case github.Status(err) == http.StatusNotFound:
	case err != nil:
		return Policy{}, fmt.Errorf("read %s of %s: %w", a.opt.Config, name, err)
	case file == nil:
		return Policy{}, fmt.Errorf("read %s of %s: it is a folder", a.opt.Config, name)
	default:
		s, err := file.GetContent()
		if err != nil {
			return Policy{}, fmt.Errorf("read %s of %s: %w", a.opt.Config, name, err)
		}
		data = []byte(s)
	}
	m = memoPolicy{at: time.Now()}
	m.policy, m.err = a.opt.ParsePolicy(data)
	if m.err != nil {
		// A configuration that cannot be read makes the App silent: it does not
		// know whether it is the one to speak.
		a.log.Error("cannot read the configuration", "repository", k.Owner+"/"+k.Repo, "branch", branch, "error", m.err)
		m.policy, m.err = Policy{}, nil
	}
	a.mu.Lock()
	a.policies[name] = m
	a.mu.Unlock()
	return m.policy, nil
}

func (a *App) forgetPolicies(owner, repo string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.policies {
		if strings.HasPrefix(name, owner+"/"+repo+"@") {
			delete(a.policies, name)
		}
	}
}
