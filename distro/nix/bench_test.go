package nix_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
)

// corpus makes an evaluation of corepkgs from CORPUS, a folder that holds
// checkouts of ekala-project/corepkgs and ekala-project/nix-lib.
func corpus(tb testing.TB) nix.Evaluation {
	tb.Helper()
	from := os.Getenv("CORPUS")
	if from == "" {
		tb.Skip("needs CORPUS: a folder with checkouts of ekala-project/corepkgs (corepkgs) and ekala-project/nix-lib (nix-lib)")
	}
	dir := tb.TempDir()
	for _, name := range []string{"corepkgs", "nix-lib"} {
		out, err := exec.Command("cp", "-r", filepath.Join(from, name), filepath.Join(dir, name)).CombinedOutput()
		require.NoError(tb, err, "%s", out)
	}
	// Its own pin fetches the library.
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "corepkgs/pins.nix"), []byte("{ lib = ../nix-lib; }\n"), 0o644))
	entry := filepath.Join(dir, "entry.nix")
	require.NoError(tb, os.WriteFile(entry, []byte("{ system, ... }: { packages = import ./corepkgs { inherit system; }; }\n"), 0o644))
	budget := nix.MachineBudget()
	return nix.Evaluation{Root: dir, Entry: entry, Workers: budget.Parallel(), Heap: budget.Heap(budget.Parallel())}
}

// BenchmarkCorpus measures what evaluating a large set with many bad attributes costs,
// against one clean pass over its good attributes; all in turn, several times,
// medians, since absolute times drift.
func BenchmarkCorpus(b *testing.B) {
	e := corpus(b)
	n := &nix.Nix{}
	ctx := context.Background()
	cold, err := n.Evaluate(ctx, fresh(b, e))
	require.NoError(b, err)
	var good []string
	reasons := map[distro.FailureReason]int{}
	for _, a := range cold.Set.Attrs {
		if a.Failure != nil {
			reasons[a.Failure.Reason]++
		} else {
			good = append(good, a.Name)
		}
	}
	b.Logf("%d attributes, %d derivations, others: %v", len(cold.Set.Attrs), len(good), reasons)
	warm := e
	warm.Failing = nix.Failing(cold.Set)

	// The clean pass: what nobody can do without.
	list := filepath.Join(b.TempDir(), "clean.nix")
	var text strings.Builder
	fmt.Fprintf(&text, "let p = import %s { system = \"x86_64-linux\"; }; in map (n: let v = p.${n}; in { d = v.drvPath; o = map (o: v.${o}.outPath or \"\") (v.outputs or [ ]); }) [\n", filepath.Join(e.Root, "corepkgs"))
	for _, name := range good {
		fmt.Fprintf(&text, "%q\n", name)
	}
	text.WriteString("]\n")
	require.NoError(b, os.WriteFile(list, []byte(text.String()), 0o644))

	times, cpu := map[string][]time.Duration{}, map[string][]time.Duration{}
	timed := func(name string, f func()) {
		began, used := time.Now(), childrenTime()
		f()
		times[name] = append(times[name], time.Since(began))
		cpu[name] = append(cpu[name], childrenTime()-used)
	}
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for b.Loop() {
		for range rounds {
			timed("clean", func() {
				out, err := exec.Command("nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", list).Output()
				require.NoError(b, err)
				require.NotEmpty(b, out)
			})
			timed("cold", func() {
				side, err := n.Evaluate(ctx, fresh(b, e))
				require.NoError(b, err)
				require.Equal(b, cold.Set, side.Set)
			})
			timed("warm", func() {
				side, err := n.Evaluate(ctx, fresh(b, warm))
				require.NoError(b, err)
				require.Equal(b, cold.Set, side.Set)
			})
		}
	}
	for unit, of := range map[string]map[string][]time.Duration{"": times, "cpu-": cpu} {
		clean := median(of["clean"])
		b.ReportMetric(clean.Seconds(), "clean-"+unit+"s")
		b.ReportMetric(float64(median(of["cold"]))/float64(clean), "cold-"+unit+"x")
		b.ReportMetric(float64(median(of["warm"]))/float64(clean), "warm-"+unit+"x")
	}
	b.ReportMetric(float64(cold.PeakMiB), "peak-MiB")
}

// fresh gives an evaluation a place for derivations that is empty.
func fresh(tb testing.TB, e nix.Evaluation) nix.Evaluation {
	tb.Helper()
	d, err := nix.NewDrvs()
	require.NoError(tb, err)
	tb.Cleanup(func() { d.Remove() })
	e.Drvs = d
	return e
}

// childrenTime is the processor time of all processes that were started and have ended.
func childrenTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
