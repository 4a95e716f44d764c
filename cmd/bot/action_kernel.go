package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro/git"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// kernelJob is a kernel that a job of its own has to build: it runs the change's
// code outside any sandbox.
type kernelJob struct {
	Side string `json:"side"`
	// Ref is what is checked out: a commit that GitHub has.
	Ref string `json:"ref"`
	// Key names the image in the cache: it changes when an input of the build does.
	Key     string `json:"key"`
	Runner  string `json:"runner"`
	Timeout int    `json:"timeout"` // minutes
}

// kernelBuild is how they are built: the policy, which the jobs do not have.
type kernelBuild struct {
	Command   string `json:"command"`
	Image     string `json:"image"`
	Symbols   string `json:"symbols"`
	Container string `json:"container"`
	Minutes   int    `json:"minutes"`
	MaxSize   int    `json:"max-size"` // MiB
}

// kernelPolicy is the policy on building kernels; nil where nothing builds one.
func (s *step) kernelPolicy(c *config.Config) *config.KernelBuild {
	b := c.Kernel.Build
	if b != nil && s.input("flavour") == "release" && c.Release.KernelCommand != "" {
		flavour := *b
		flavour.Command = c.Release.KernelCommand
		b = &flavour
	}
	return b
}

// kernels are the kernels to build for a plan: none where the entry names its
// own, or where nothing boots; only head's where base's would be the same.
func (s *step) kernels(ctx context.Context, plan *checks.Plan, c *config.Config) ([]kernelJob, error) {
	b := s.kernelPolicy(c)
	boots := false
	for _, p := range plan.Cases {
		boots = boots || p.Kind == checks.KindBoot || p.Kind == checks.KindInstall || p.Kind == checks.KindTest
	}
	if b == nil || !boots {
		return []kernelJob{}, nil
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
			Side: side.side, Ref: side.ref, Key: key, Runner: b.Runner, Timeout: int(time.Duration(b.Timeout)/time.Minute) + 10,
		})
	}
	return jobs, nil
}

// announceKernels says what jobs that build kernels need to know, and plans that
// a kernel builds.
func (s *step) announceKernels(plan *checks.Plan, c *config.Config, jobs []kernelJob) error {
	b := s.kernelPolicy(c)
	if len(jobs) == 0 {
		return s.files.Output("kernel-build", "{}")
	}
	doc, err := json.Marshal(kernelBuild{
		Command: b.Command, Image: b.Image, Symbols: b.Symbols, Container: b.Container, Minutes: int(time.Duration(b.Timeout) / time.Minute), MaxSize: b.MaxSize,
	})
	if err != nil {
		return err
	}
	if b.Container == "" && s.event.Untrusted {
		s.log.Annotate(action.Annotation{Level: action.Warning, Title: "kernel.build.container is not set",
			Message: "the kernel is built on the runner itself, where its build can reach the runner's own processes: name a container by digest in " + config.Path})
	}
	s.log.Annotate(action.Annotation{Level: action.Notice, Title: "kernel", Message: fmt.Sprintf("%d kernels to build or to find in the cache, with %s", len(jobs), report.Plain(b.Command))})
	if s.input("only") == "" { // else another run builds it, or did
		plan.Cases = append(plan.Cases, checks.PlannedCase{Case: kernelCase, Why: "everything that boots needs it"})
	}
	return s.files.Output("kernel-build", string(doc))
}

// kernel builds the kernel of one side, unless the cache had it, and leaves the image
// in the folder out and how it went in the folder results.
func (s *step) kernel(ctx context.Context) error {
	var b kernelBuild
	if err := json.Unmarshal([]byte(s.input("kernel-build")), &b); err != nil || b.Command == "" {
		return usage("input kernel-build: it is not what a plan step said of kernels")
	}
	side := s.input("side")
	if side != "head" && side != "base" {
		return usage("input side: it is head or base")
	}
	out, results := s.path("out"), s.path("results")
	began := time.Now()
	var o checks.Outcome
	if isFile(filepath.Join(out, "image")) {
		o = kernelOutcome(nil)
		fmt.Fprintf(s.foreign(), "the kernel of %s is in the cache\n", side)
	} else {
		err := s.buildKernel(ctx, b, out, results)
		if ctx.Err() != nil {
			return couldNotLook(ctx.Err())
		}
		if o = kernelOutcome(err); err != nil {
			s.log.Annotate(action.Annotation{Level: action.Warning, Title: "the kernel of " + side, Message: report.Plain(o.Reason)})
		}
		o.Log = "logs/kernel.log"
	}
	o.Seconds = time.Since(began).Seconds()
	r := kernelResult(o, checks.Side{Status: checks.Unknown})
	if o.Status == checks.Fail {
		commit := s.event.Head
		if s.event.Number == 0 && side == "base" {
			commit = s.event.Base
		}
		r.Repro = append(r.Repro, fmt.Sprintf("git checkout %.12s && sh -ec %s", orDefault(commit, "HEAD"), suite.Quote([]string{b.Command})))
	}
	if err := os.MkdirAll(results, 0o755); err != nil {
		return couldNotLook(err)
	}
	if err := saveResults(results, &checks.Results{Schema: checks.SchemaResults, Machines: []checks.Machine{}, Cases: []checks.Result{r}}); err != nil {
		return couldNotLook(err)
	}
	switch o.Status {
	case checks.Pass:
		return nil
	case checks.Fail:
		return &exitError{code: checks.Failure.ExitCode()}
	}
	return &exitError{code: checks.Errored.ExitCode()}
}

func (s *step) buildKernel(ctx context.Context, b kernelBuild, out, results string) error {
	logs := filepath.Join(results, "logs")
	for _, dir := range []string{out, logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(logs, "kernel.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	img, err := kernel.Build{
		Dir: s.path("path"), Command: b.Command, Image: b.Image, Symbols: b.Symbols, Container: b.Container,
		Timeout: time.Duration(b.Minutes) * time.Minute, MaxBytes: int64(b.MaxSize) << 20, Log: io.MultiWriter(&upTo{w: log, left: maxAdopted}, s.foreign()),
	}.Run(ctx)
	if err != nil {
		return err
	}
	for name, from := range map[string]string{"image": img.Path, "symbols": img.Symbols} {
		if from == "" {
			continue
		}
		if err := copyImage(from, filepath.Join(out, name)); err != nil {
			return err
		}
	}
	return nil
}

// upTo is a writer that takes no more than so many bytes, and drops the rest.
type upTo struct {
	w    io.Writer
	left int
}

func (u *upTo) Write(p []byte) (int, error) {
	n := min(len(p), u.left)
	u.left -= n
	if _, err := u.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// mergeKernels judges that the kernel builds, from what the jobs of both sides left in
// a folder.
func mergeKernels(dir, base, head string, plan *checks.Plan) error {
	read := func(name string) (*checks.Result, error) {
		if name == "" {
			return nil, nil
		}
		rs, err := readDocument(filepath.Join(dir, name, "results.json"), report.DecodeResults)
		if err != nil || len(rs.Cases) != 1 || rs.Cases[0].Case != kernelCase {
			return nil, errors.Join(fmt.Errorf("%s is not what a job leaves that builds a kernel", name), err)
		}
		return &rs.Cases[0], nil
	}
	b, err := read(base)
	if err != nil {
		return err
	}
	h, err := read(head)
	if err != nil || h == nil {
		return err
	}
	was := checks.Side{Status: checks.Unknown}
	switch {
	case b != nil:
		was = checks.Side{Status: b.Now, Attempts: b.Attempts, Passes: b.Passes}
	case plan.Kernel != nil && plan.Kernel.Status == pipeline.KernelUnchanged:
		was = checks.Side{Status: h.Now, Attempts: h.Attempts, Passes: h.Passes} // one image for both
	}
	h.Was, h.WasAttempts, h.WasPasses = was.Status, was.Attempts, was.Passes
	h.Verdict = checks.Judge(was, checks.Side{Status: h.Now, Attempts: h.Attempts, Passes: h.Passes})
	if base != "" {
		if err := os.RemoveAll(filepath.Join(dir, base)); err != nil {
			return err
		}
	}
	return saveResults(filepath.Join(dir, head), &checks.Results{Schema: checks.SchemaResults, Machines: []checks.Machine{}, Cases: []checks.Result{*h}})
}

// takeKernels turns the folder of images that jobs built into flags. wanted are the
// sides that have one of their own: one that is missing could not be built, and
// nothing is booted with another.
func (s *step) takeKernels(wanted []kernelJob) []string {
	dir := s.path("kernels")
	if dir == "" && len(wanted) == 0 {
		return nil
	}
	limit, err := strconv.Atoi(orDefault(s.input("kernels-attempt"), s.Getenv("GITHUB_RUN_ATTEMPT")))
	if err != nil {
		limit = 1
	}
	newest := func(side string) (found string) {
		for n := 1; n <= limit; n++ {
			if p := filepath.Join(dir, fmt.Sprintf("asterbot-kernel-%s-%d", side, n), "image"); isFile(p) {
				found = p
			}
		}
		return found
	}
	var args []string
	head, base := newest("head"), newest("base")
	for _, job := range wanted {
		if job.Side == "head" && head == "" || job.Side == "base" && base == "" {
			args = append(args, "--no-kernel", job.Side)
		}
	}
	if head == "" {
		return args
	}
	args = append(args, "--kernel", head)
	if symbols := filepath.Join(filepath.Dir(head), "symbols"); isFile(symbols) {
		args = append(args, "--symbols", symbols)
	}
	if base != "" {
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
