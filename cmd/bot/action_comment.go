package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/internal/config"
)

// comment obeys the comment that started the run: the parser and the table of
// the App, with the effects that a workflow's token can have.
func (s *step) comment(ctx context.Context) error {
	e := s.event
	if e.Comment == nil || e.Comment.Author.Bot || e.Sender.Bot || e.Sender.ID != e.Comment.Author.ID {
		return nil
	}
	asked, problems := command.Parse(e.Comment.Body)
	if len(asked)+len(problems) == 0 {
		return nil
	}
	c, err := s.policyOnDisk()
	if err != nil {
		return err
	}
	if c.Commands != config.HandleWorkflow {
		s.note(fmt.Sprintf("%s says commands: %s, so the comment is not answered here", config.Path, c.Commands))
		return nil
	}
	client, owner, repo, err := s.github()
	if err != nil {
		return err
	}
	a := &answerer{client: client, owner: owner, repo: repo, event: e, config: c}
	return a.answer(ctx, asked, problems)
}

// policyOnDisk is the configuration of the default branch, which is checked out.
func (s *step) policyOnDisk() (*config.Config, error) {
	data, err := os.ReadFile(filepath.Join(s.path("path"), config.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	if err != nil {
		return nil, err
	}
	return parsePolicy(config.Path, data)
}
