package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"
	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
)

type reproOptions struct {
	Repository, API, From, Out string
}

func reproCommand(e *env) *cobra.Command {
	var o reproOptions
	c := &cobra.Command{
		Use:   "repro [--repository OWNER/NAME] RUN CASE",
		Short: "Run a failure from CI again, here, without Nix",
		Long: `Fetches what a failed case of a workflow run needs - kernel, initramfs, disk, the case - and runs it with 'bot vm'.
RUN is the run's number or address, CASE is KIND/SUBJECT/NAME as the report has it, or the beginning of it. A token (GITHUB_TOKEN or
ASTERBOT_TOKEN) is needed: GitHub hands artifacts to nobody else.

What was downloaded is held against its hashes, and kept in the cache.`,
		Example: "  bot repro --repository asterinas/asterinas 123456789 test/network/ping",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, args[0], args[1]) },
	}
	f := c.Flags()
	f.StringVar(&o.Repository, "repository", "", "the repository on GitHub, `OWNER/NAME`")
	f.StringVar(&o.API, "api-url", "", "the `address` of GitHub's API")
	f.StringVar(&o.From, "from", "", "a `folder` that an artifact was unpacked into, instead of GitHub")
	f.StringVar(&o.Out, "out", "repro", "the `folder` for results.json and consoles")
	return c
}

var runAddress = regexp.MustCompile(`^(?:https://[^/]+/([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)/actions/runs/)?([0-9]+)(?:/.*)?$`)

func (o *reproOptions) run(ctx context.Context, e *env, run, wanted string) error {
	dir := e.path(o.From)
	if o.From == "" {
		m := runAddress.FindStringSubmatch(run)
		if m == nil {
			return usage("%q is no number or address of a run", run)
		}
		if o.Repository == "" {
			o.Repository = m[1]
		}
		id, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return usage("%q is no number of a run", m[2])
		}
		fetched, err := o.fetch(ctx, e, id)
		if err != nil {
			return err
		}
		defer fetched.Remove()
		dir = fetched.Path
	}
	found, system, err := findRepro(dir, wanted)
	if err != nil {
		return err
	}
	out := e.path(o.Out)
	args, err := unpackRepro(ctx, filepath.Dir(system.manifest), found, system.reproSystem, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.Stderr, "bot %s\n", strings.Join(args, " "))
	if code := runCommand(ctx, e, args); code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// runCommand is run, kept apart for the initialisation of commands.
func runCommand(ctx context.Context, e *env, args []string) int { return run(ctx, e, args) }

type keptSystem struct {
	reproSystem
	manifest string
}

// findRepro looks for a case in the manifests below a folder.
func findRepro(dir, wanted string) (reproCase, keptSystem, error) {
	manifests, err := filepath.Glob(filepath.Join(dir, "*", "repro.json"))
	if err != nil {
		return reproCase{}, keptSystem{}, err
	}
	manifests = append(manifests, filepath.Join(dir, "repro.json"))
	var names []string
	for _, name := range manifests {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return reproCase{}, keptSystem{}, couldNotLook(err)
		}
		var m reproManifest
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&m); err != nil || m.Schema != reproSchema {
			return reproCase{}, keptSystem{}, couldNotLook(fmt.Errorf("read %s: it is no %s (%w)", name, reproSchema, err))
		}
		for _, c := range m.Cases {
			id := caseID(c.Case)
			names = append(names, id)
			if id == wanted || strings.HasPrefix(id, wanted) || strings.HasPrefix(id[strings.IndexByte(id, '/')+1:], wanted) {
				s, ok := m.Systems[c.System]
				if !ok {
					return reproCase{}, keptSystem{}, couldNotLook(fmt.Errorf("read %s: case %s has no system", name, id))
				}
				return c, keptSystem{s, name}, nil
			}
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return reproCase{}, keptSystem{}, usage("the run kept no failure that can be run again")
	}
	return reproCase{}, keptSystem{}, usage("the run kept no failure %q; there are:\n  %s", wanted, strings.Join(slices.Compact(names), "\n  "))
}

var (
	hexSum  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	profile = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
)

// unpackRepro unpacks a system's files, holds them against their hashes, and
// returns the arguments of bot vm. What it unpacks came from a job that ran
// a pull request's code.
func unpackRepro(ctx context.Context, from string, c reproCase, s reproSystem, out string) ([]string, error) {
	if !profile.MatchString(s.Profile) {
		return nil, couldNotLook(fmt.Errorf("the profile %q is no name", s.Profile))
	}
	files := filepath.Join(out, "system")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return nil, usage("%w", err)
	}
	args := []string{"vm", "--profile", s.Profile}
	for _, role := range reproRoles {
		sum, ok := s.Files[role]
		if !ok {
			continue
		}
		if !hexSum.MatchString(sum) {
			return nil, couldNotLook(fmt.Errorf("the %s has no hash", role))
		}
		to := filepath.Join(files, role)
		if got, err := fileSum(to); err != nil || got != sum {
			cmd := &proc.Cmd{Path: "zstd", Args: []string{"-q", "-d", "-f", "--no-progress", "--sparse", "-o", to, filepath.Join(from, "files", sum+".zst")}}
			if err := cmd.Run(ctx); err != nil {
				return nil, couldNotLook(fmt.Errorf("unpack the %s: %w", role, err))
			}
			if got, err = fileSum(to); err != nil || got != sum {
				return nil, couldNotLook(fmt.Errorf("the %s that was downloaded is not what its hash says", role))
			}
		}
		args = append(args, "--"+role, to)
	}
	if s.Params != "" {
		args = append(args, "--append", s.Params)
	}
	if len(c.Spec) > 0 {
		file := filepath.Join(files, "case.json")
		if err := os.WriteFile(file, c.Spec, 0o644); err != nil {
			return nil, couldNotLook(err)
		}
		args = append(args, "--cases", file)
	}
	return append(args, "--out", out), nil
}

// fetch downloads the artifacts that hold failures.
func (o *reproOptions) fetch(ctx context.Context, e *env, run int64) (*tempdir.Folder, error) {
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok {
		return nil, usage("say which repository: --repository OWNER/NAME")
	}
	token := e.Getenv("GITHUB_TOKEN")
	if token == "" {
		token = e.Getenv("ASTERBOT_TOKEN")
	}
	client, err := github.New(github.Options{BaseURL: o.API, Token: token, Wait: time.Minute, Timeout: time.Hour})
	if err != nil {
		return nil, usage("%w", err)
	}
	list, _, err := client.Actions.ListWorkflowRunArtifacts(ctx, owner, name, run, &gh.ListOptions{PerPage: 100})
	if err != nil {
		return nil, couldNotLook(fmt.Errorf("list what run %d left: %w", run, err))
	}
	dir, err := tempdir.New("", "asterbot-repro-")
	if err != nil {
		return nil, couldNotLook(err)
	}
	for _, a := range list.Artifacts {
		if !strings.HasPrefix(a.GetName(), "asterbot-repro-") || a.GetExpired() {
			continue
		}
		fmt.Fprintf(e.Stderr, "fetching %s, %d MiB\n", a.GetName(), a.GetSizeInBytes()>>20)
		if err := o.unzip(ctx, client, owner, name, a.GetID(), filepath.Join(dir.Path, strconv.FormatInt(a.GetID(), 10))); err != nil {
			_ = dir.Remove()
			return nil, couldNotLook(fmt.Errorf("fetch %s: %w", a.GetName(), err))
		}
	}
	return dir, nil
}

// unzip unpacks an artifact: regular files of expected names only, within
// twice the budget that a shard has.
func (o *reproOptions) unzip(ctx context.Context, client *github.Client, owner, name string, id int64, to string) error {
	at, _, err := client.Actions.DownloadArtifact(ctx, owner, name, id, 3)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Plain().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the download answered %s", resp.Status)
	}
	packed, err := os.CreateTemp("", fmt.Sprintf("asterbot-%d-zip-", os.Getpid()))
	if err != nil {
		return err
	}
	defer os.Remove(packed.Name())
	defer packed.Close()
	n, err := io.Copy(packed, io.LimitReader(resp.Body, 2*reproBudget))
	if err != nil {
		return err
	}
	z, err := zip.NewReader(packed, n)
	if err != nil {
		return err
	}
	left := int64(2 * reproBudget)
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if !reproName.MatchString(f.Name) {
			return fmt.Errorf("it holds %q, which no shard leaves", f.Name)
		}
		if err := unzipFile(f, filepath.Join(to, filepath.FromSlash(f.Name)), &left); err != nil {
			return err
		}
	}
	return nil
}

var reproName = regexp.MustCompile(`^(?:repro\.json|files/[0-9a-f]{64}\.zst)$`)

func unzipFile(f *zip.File, to string, left *int64) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, *left+1))
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if *left -= n; *left < 0 {
		return errors.New("it unpacks to more than a shard may keep")
	}
	return nil
}
