package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/doctor"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/testvm"
)

// leastMemoryMiB is a machine and the firmware, emulator and build beside it.
const leastMemoryMiB = 2 << 10

// diagnosis is what bot doctor found out, as --json prints it. Sizes are in MiB.
type diagnosis struct {
	OK          bool                `json:"ok"`
	Tools       []doctor.Tool       `json:"tools"`
	Accelerator *testvm.Accelerated `json:"accelerator,omitempty"`
	Sandbox     string              `json:"sandbox"` // "works", or why not
	Processors  int                 `json:"processors"`
	MemoryMiB   uint64              `json:"memory_mib"`
	Disks       []disk              `json:"disks"`
	Cache       string              `json:"cache"`
	CacheReady  bool                `json:"cache_ready"`
	Problems    []string            `json:"problems"`
}

// disk is the room in a folder that asterbot fills.
type disk struct {
	Path    string `json:"path"`
	For     string `json:"for"`
	FreeMiB uint64 `json:"free_mib"`
}

// doctorCommand says what this machine can do, and how to mend it.
func doctorCommand(e *env) *cobra.Command {
	var asJSON, install bool
	var look gitHubLook
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do, and how to mend it",
		Long: `Show each tool asterbot uses, its version, what needs it and how to get it; the accelerator that really works (a /dev/kvm that
exists proves nothing: a small guest is run); whether Nix builds in a sandbox; memory and disk.

With --install, first install what is missing through apt, as root or with sudo, unpack a Debian kernel into the cache (never onto
the host), import into the Nix store what the embedded package set builds from, and build what every check needs of it.

With --github OWNER/REPO, look at that repository instead: rulesets, approval policy, token defaults, the App's permissions, configuration and
workflows, read live with the administrator's token in GH_TOKEN or GITHUB_TOKEN, and what is unsafe there or will not work.

Exit status: 0 if a check can run here, 3 if not; with --github 1 if something is unsafe or broken, 3 if it could not be seen.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if look.Repository != "" {
				return examineGitHub(c.Context(), e, look)
			}
			if install {
				if err := installNeeds(c.Context(), e); err != nil {
					return interrupted(c.Context(), err)
				}
			}
			d := diagnose(c.Context(), e)
			if err := c.Context().Err(); err != nil {
				return couldNotLook(err)
			}
			if asJSON {
				enc := json.NewEncoder(e.Stdout)
				enc.SetIndent("", "  ")
				if err := enc.Encode(d); err != nil {
					return couldNotLook(err)
				}
			} else if err := d.table(e); err != nil {
				return couldNotLook(err)
			}
			if !d.OK {
				return couldNotLook(fmt.Errorf("a check cannot run here; 'bot doctor --install' mends what can be installed: %s", strings.Join(d.Problems, "; ")))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&install, "install", false, "first install what is missing")
	c.Flags().StringVar(&look.Repository, "github", "", "look at `OWNER/REPO` on GitHub instead of at this machine")
	c.Flags().StringVar(&look.API, "api-url", e.Getenv("ASTERBOT_API_URL"), "with --github: the `URL` of a GitHub Enterprise Server's API")
	c.Flags().Int64Var(&look.AppID, "app-id", 0, "with --github: the `id` of the App that the check must come from (default: --app's)")
	c.Flags().StringVar(&look.App, "app", "asterbot-app", "with --github: the `folder` that 'bot setup' wrote, to see what the App may do there")
	return c
}

// installNeeds runs the set-up, then builds what every check on the embedded package set needs.
func installNeeds(ctx context.Context, e *env) error {
	cache := kernel.Cache(e.Getenv)
	if err := doctor.Install(ctx, cache, e.Stderr); err != nil {
		return err
	}
	dir, err := tinypkgs.Extract(cache)
	if err != nil {
		return err
	}
	// The log matters only if a build fails; the error has its end.
	return tinypkgs.Prepare(ctx, cache, dir, io.Discard)
}

func diagnose(ctx context.Context, e *env) *diagnosis {
	cache := kernel.Cache(e.Getenv)
	d := &diagnosis{
		Tools:      doctor.Examine(ctx),
		Processors: runtime.NumCPU(),
		MemoryMiB:  memoryMiB(),
		Cache:      cache,
		CacheReady: doctor.Ready(ctx, cache) == nil,
		Problems:   []string{},
	}
	problem := func(format string, args ...any) { d.Problems = append(d.Problems, fmt.Sprintf(format, args...)) }

	have := map[string]bool{}
	for _, t := range d.Tools {
		have[t.Probe] = t.Path != ""
		if t.Missing() {
			problem("%s is missing: %s", t.Probe, t.Get)
		}
	}
	if have["qemu-system-x86_64"] {
		if a, err := testvm.Accelerate(ctx, "", false); err != nil {
			problem("no guest runs here: %v", err)
		} else {
			d.Accelerator = &a
		}
	}
	switch err := (&nix.Nix{}).ProbeSandbox(ctx); {
	case !have["nix-store"]:
		d.Sandbox = "no Nix"
	case err != nil:
		d.Sandbox = err.Error()
		problem("Nix does not build in a sandbox: %v", err)
	default:
		d.Sandbox = "works"
	}
	if !d.CacheReady {
		problem("%s lacks the kernel or the package set's inputs, or they are of other packages than this machine has: bot doctor --install", d.Cache)
	}
	if d.MemoryMiB < leastMemoryMiB {
		problem("%d MiB of memory; machines and builds need %d", d.MemoryMiB, leastMemoryMiB)
	}
	for _, place := range []struct{ path, what string }{{"/nix/store", "builds"}, {d.Cache, "kernels, outcomes"}, {os.TempDir(), "disks of machines"}} {
		free, err := freeMiB(place.path)
		if err != nil {
			problem("look for room in %s: %v", place.path, err)
			continue
		}
		d.Disks = append(d.Disks, disk{place.path, place.what, free})
		if free < diskNeeded>>20 {
			problem("%d MiB free in %s, for %s; it takes %d", free, place.path, place.what, diskNeeded>>20)
		}
	}
	d.OK = len(d.Problems) == 0
	return d
}

func (d *diagnosis) table(e *env) error {
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOOL\tVERSION\tFOR\tWHAT IT DOES\tGET IT")
	for _, t := range d.Tools {
		version := t.Version
		switch {
		case t.Path == "":
			version = "missing"
		case version == "":
			version = "there"
		}
		if r := []rune(version); len(r) > 44 {
			version = string(r[:43]) + "…"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", filepath.Base(t.Probe), version, t.For, t.What, t.Get)
	}
	fmt.Fprintln(w)
	accelerator := "none"
	if a := d.Accelerator; a != nil {
		accelerator = string(a.Accelerator)
		if a.Why != "" {
			accelerator += fmt.Sprintf(" (times are multiplied by %.1f): %s", a.Factor, a.Why)
		}
	}
	fmt.Fprintf(w, "accelerator\t%s\n", accelerator)
	fmt.Fprintf(w, "Nix's sandbox\t%s\n", d.Sandbox)
	fmt.Fprintf(w, "processors\t%d\n", d.Processors)
	fmt.Fprintf(w, "memory\t%d MiB\n", d.MemoryMiB)
	for _, p := range d.Disks {
		fmt.Fprintf(w, "disk\t%d MiB free in %s (%s)\n", p.FreeMiB, p.Path, p.For)
	}
	ready := "ready"
	if !d.CacheReady {
		ready = "not up to date"
	}
	fmt.Fprintf(w, "cache\t%s: %s\n", d.Cache, ready)
	return w.Flush()
}

// memoryMiB is what the kernel says can be had without swapping; zero where it does not say.
func memoryMiB() uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 1 && fields[0] == "MemAvailable:" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kib >> 10
		}
	}
	return 0
}

// freeMiB is the room for this user in the file system that a folder is in, or will be in.
func freeMiB(path string) (uint64, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(path, &s)
		if err == unix.ENOENT && path != "/" {
			path = filepath.Dir(path)
			continue
		}
		return s.Bavail * uint64(s.Bsize) >> 20, err
	}
}
