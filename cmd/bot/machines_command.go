package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// command settles a suite that runs through a configured command, in the tree of
// its side. Which suites there are and what they run is the base branch's to
// say; what that runs in turn is the change's own code.
func (m *machines) command(ctx context.Context, job pipeline.Job, done func(checks.Case, checks.Outcome)) (pipeline.Ran, error) {
	suites := m.w.config.Suites
	i := slices.IndexFunc(suites, func(s config.CommandSuite) bool { return s.Name == job.Name })
	if i < 0 {
		return pipeline.Ran{}, fmt.Errorf("run suite %s: the configuration has no such suite", job.Name)
	}
	s := suites[i]
	dir, prefix := m.logs(job)
	c := suite.Command{
		Name: s.Name, Run: s.Command, Dir: m.w.trees[job.Side], Format: string(s.Format), Output: s.Output, Timeout: time.Duration(s.Timeout),
		LogDir: dir, Prefix: prefix, Env: []string{"ASTERBOT_KERNEL=" + m.w.images[job.Side].Path},
	}
	if !m.o.AllowCommands {
		skip := checks.Outcome{Status: checks.Skip, Stage: "boot", Reason: "it runs the change's own code outside any sandbox: allow that with --allow-commands"}
		return pipeline.Ran{Outcomes: map[checks.Case]checks.Outcome{c.Runs(): skip}}, nil
	}
	outcomes, err := c.Settle(ctx, done)
	return pipeline.Ran{Outcomes: outcomes}, err
}
