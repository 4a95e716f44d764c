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
	"regexp"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/internal/proc"
)

// reproBudget bounds what a shard keeps of its failures, in bytes: artifacts are
// paid for, and a kernel developer's line is no runner's.
const reproBudget = 1 << 30

// reproManifest is repro.json of the artifact that 'bot repro' fetches: systems
// by the hash of what they consist of, and the cases that failed in them.
type reproManifest struct {
	Schema  string                 `json:"schema"` // asterbot/repro/1
	Systems map[string]reproSystem `json:"systems"`
	Cases   []reproCase            `json:"cases"`
}

type reproSystem struct {
	Profile string `json:"profile"`
	Params  string `json:"params"`
	// Files are the system's, by role (kernel, initrd, disk, symbols) and their
	// SHA-256, before compression. Each is FILES/SHA256.zst.
	Files map[string]string `json:"files"`
}

type reproCase struct {
	Case   checks.Case `json:"case"`
	System string      `json:"system"`
	// Spec is the list of the one case, as bot vm takes it; empty for a boot.
	Spec json.RawMessage `json:"spec,omitempty"`
}

const reproSchema = "asterbot/repro/1"

var (
	vmKernel = regexp.MustCompile(`^bot vm --profile ([a-z0-9-]+) --kernel (/nix/store/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+)/kernel( |$)`)
	vmCases  = regexp.MustCompile(` --cases ('[^']*'|\S+)`)
)

// localKernel is an image on this runner, which is gone when somebody reads of it.
var localKernel = regexp.MustCompile(` --kernel ('[^']*'|\S+)`)

// keepRepros keeps what the failures of a shard need to be run again elsewhere,
// those that block first, and puts the command that does it in the place of the
// one that only this runner could run. A failure that does not fit into the
// budget keeps the command that builds it again.
func (s *step) keepRepros(ctx context.Context, results *checks.Results) error {
	dir := s.path("results") + "-repro"
	m := reproManifest{Schema: reproSchema, Systems: map[string]reproSystem{}}
	used := int64(0)
	for _, blocking := range []bool{true, false} {
		for i := range results.Cases {
			r := &results.Cases[i]
			if r.Now != checks.Fail || r.Blocks() != blocking {
				continue
			}
			n, err := s.keepRepro(ctx, dir, r, &m, reproBudget-used)
			if err != nil {
				return err
			}
			used += n
		}
	}
	if len(m.Cases) == 0 {
		return nil
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "repro.json"), text, 0o644)
}

// keepRepro does so for one case, within left bytes.
func (s *step) keepRepro(ctx context.Context, dir string, r *checks.Result, m *reproManifest, left int64) (used int64, err error) {
	var repro []string
	for _, cmd := range r.Repro {
		match := vmKernel.FindStringSubmatch(cmd)
		if match == nil {
			if s.path("kernels") != "" {
				cmd = localKernel.ReplaceAllString(cmd, " --build-kernel")
			}
			repro = append(repro, cmd)
			continue
		}
		id, n, err := keepSystem(ctx, dir, system{match[2], match[1], s.symbols()}, m, left)
		if err != nil {
			return used, err
		}
		if used += n; id == "" {
			s.note(fmt.Sprintf("%s is not kept for 'bot repro': the budget of %d MiB is spent", report.Plain(r.Subject), reproBudget>>20))
			continue
		}
		c := reproCase{Case: r.Case, System: id}
		if file := vmCases.FindStringSubmatch(cmd); file != nil {
			if c.Spec, err = os.ReadFile(strings.Trim(file[1], "'")); err != nil {
				return used, fmt.Errorf("keep case %s: %w", r.Name, err)
			}
		}
		m.Cases = append(m.Cases, c)
		if run := s.Getenv("GITHUB_RUN_ID"); run != "" {
			repro = append(repro, fmt.Sprintf("bot repro --repository %s %s %s", suite.Quote([]string{s.Getenv("GITHUB_REPOSITORY")}), run, suite.Quote([]string{caseID(r.Case)})))
		}
	}
	r.Repro = repro
	return used, nil
}

func caseID(c checks.Case) string {
	return strings.Join([]string{string(c.Kind), c.Subject, c.Name}, "/")
}

// system is what a failure was booted from.
type system struct {
	dir, profile string
	symbols      string // of the kernel under test; empty where there are none
}

// files are a system's files by role, those that there are.
func (s system) files() (roles []string, at map[string]string) {
	at = map[string]string{
		"kernel": filepath.Join(s.dir, "kernel"), "initrd": filepath.Join(s.dir, "initrd"), "disk": filepath.Join(s.dir, "disk.img"), "symbols": s.symbols,
	}
	for _, role := range reproRoles {
		if at[role] != "" && exists(at[role]) {
			roles = append(roles, role)
		}
	}
	return roles, at
}

// reproRoles are also the flags of bot vm.
var reproRoles = []string{"kernel", "initrd", "disk", "symbols"}

// symbols are those of the kernel under test, if a job built it and left them.
func (s *step) symbols() string {
	args := s.takeKernels(nil)
	if i := slices.Index(args, "--symbols"); i >= 0 {
		return args[i+1]
	}
	return ""
}

// keepSystem keeps the files of a bootable system. id is empty where they would
// not fit into left bytes.
func keepSystem(ctx context.Context, dir string, from system, m *reproManifest, left int64) (id string, used int64, err error) {
	files := map[string]string{}
	ids := sha256.New()
	roles, at := from.files()
	for _, role := range roles {
		sum, err := fileSum(at[role])
		if err != nil {
			return "", 0, err
		}
		files[role] = sum
		fmt.Fprintf(ids, "%s %s\n", role, sum)
	}
	params, err := os.ReadFile(filepath.Join(from.dir, "kernel-params"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", 0, err
	}
	s := reproSystem{Profile: from.profile, Params: strings.TrimSpace(string(params)), Files: files}
	fmt.Fprintf(ids, "%s\n%s\n", s.Profile, s.Params)
	id = hex.EncodeToString(ids.Sum(nil))
	if _, ok := m.Systems[id]; ok {
		return id, 0, nil
	}
	store := filepath.Join(dir, "files")
	if err := os.MkdirAll(store, 0o755); err != nil {
		return "", 0, err
	}
	for _, role := range roles {
		to := filepath.Join(store, files[role]+".zst")
		if exists(to) {
			continue
		}
		// Level 3: an artifact is compressed once, and fetched seldom.
		cmd := &proc.Cmd{Path: "zstd", Args: []string{"-q", "-3", "-T0", "--no-progress", "-f", "-o", to, at[role]}}
		if err := cmd.Run(ctx); err != nil {
			return "", used, fmt.Errorf("keep %s of a system: %w", role, err)
		}
		info, err := os.Stat(to)
		if err != nil {
			return "", used, err
		}
		if used += info.Size(); used > left {
			return "", used - info.Size(), os.Remove(to)
		}
	}
	m.Systems[id] = s
	return id, used, nil
}

func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
