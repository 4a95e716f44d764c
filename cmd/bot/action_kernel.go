package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro/git"
	"github.com/asterinas/asterbot/internal/config"
)

// kernelJob is a kernel that a job of its own has to build: it runs the change's
// code outside any sandbox.
type kernelJob struct {
	Side string `json:"side"`
	// Ref is what is checked out: a commit that GitHub has.
	Ref string `json:"ref"`
	// Key names the image in the cache: it changes when an input of the build does.
	Key       string `json:"key"`
	Runner    string `json:"runner"`
	Container string `json:"container"`
	Timeout   int    `json:"timeout"` // minutes
	MaxSize   int    `json:"max-size"`
}

// kernels are the kernels to build for a plan: none where the entry names its
// own, or where nothing boots; only head's where base's would be the same.
func (s *step) kernels(ctx context.Context, plan *checks.Plan, c *config.Config) ([]kernelJob, error) {
	b := c.Kernel.Build
	if b != nil && s.input("flavour") == "release" && c.Release.KernelCommand != "" {
		flavour := *b
		flavour.Command = c.Release.KernelCommand
		b = &flavour
	}
	boots := false
	for _, p := range plan.Cases {
		boots = boots || p.Kind == checks.KindBoot || p.Kind == checks.KindInstall || p.Kind == checks.KindTest
	}
	if b == nil || !boots {
		return []kernelJob{}, nil
	}
	if b.Container == "" && s.event.Untrusted {
		s.log.Annotate(action.Annotation{Level: action.Warning, Title: "kernel.build.container is not set",
			Message: "the kernel is built on the runner itself; name a container by digest in " + config.Path + " to know what it is built with"})
	}
	commits := []struct{ side, commit, ref string }{
		{"head", orDefault(plan.Change.Merged, plan.Change.Head), orDefault(s.event.Merge, plan.Change.Head)},
		{"base", plan.Change.Base, plan.Change.Base},
	}
	var jobs []kernelJob
	for _, side := range commits {
		key, err := kernelKey(ctx, git.Repo{Dir: s.path("path")}, side.commit, c.Kernel.Inputs, b)
		if err != nil {
			return nil, err
		}
		if len(jobs) > 0 && jobs[0].Key == key {
			continue
		}
		jobs = append(jobs, kernelJob{
			Side: side.side, Ref: side.ref, Key: key, Runner: b.Runner, Container: b.Container,
			Timeout: int(time.Duration(b.Timeout)/time.Minute) + 5, MaxSize: b.MaxSize,
		})
	}
	for name, value := range map[string]string{"kernel-command": b.Command, "kernel-image": b.Image, "kernel-symbols": b.Symbols} {
		if err := s.files.Output(name, value); err != nil {
			return nil, err
		}
	}
	s.log.Annotate(action.Annotation{Level: action.Notice, Title: "kernel", Message: fmt.Sprintf("%d kernels to build or to find in the cache, with %s", len(jobs), report.Plain(b.Command))})
	return jobs, nil
}

// takeKernels turns the folder of images that jobs built into flags.
func (s *step) takeKernels() []string {
	dir := s.path("kernels")
	if dir == "" {
		return nil
	}
	newest := func(side string) string {
		var found string
		limit, err := strconv.Atoi(orDefault(s.input("kernels-attempt"), s.Getenv("GITHUB_RUN_ATTEMPT")))
		if err != nil {
			limit = 1
		}
		for n := 1; n <= limit; n++ {
			p := filepath.Join(dir, fmt.Sprintf("asterbot-kernel-%s-%d", side, n), "image")
			if isFile(p) {
				found = p
			}
		}
		return found
	}
	head := newest("head")
	if head == "" {
		// Where the configuration has a kernel built by a command, its absence is
		// an error of every stage: nothing is tested with another one.
		return nil
	}
	args := []string{"--kernel", head}
	if symbols := filepath.Join(filepath.Dir(head), "symbols"); isFile(symbols) {
		args = append(args, "--symbols", symbols)
	}
	if base := newest("base"); base != "" {
		args = append(args, "--base-kernel", base)
	}
	return args
}

// kernelKey is a hash of everything that configuration says a kernel is made of.
func kernelKey(ctx context.Context, repo git.Repo, commit string, inputs config.Globs, b *config.KernelBuild) (string, error) {
	blobs, err := repo.Blobs(ctx, commit, inputs.Match)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", b.Command, b.Image, b.Symbols, b.Container)
	for _, f := range blobs {
		fmt.Fprintf(h, "%q %s\n", f.Path, f.Hash)
	}
	return "asterbot-kernel-" + hex.EncodeToString(h.Sum(nil))[:32], nil
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
