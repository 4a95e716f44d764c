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
	return nix.Evaluation{Root: dir, Entry: entry, Workers: 2}
}

// TestCorpusEvaluation measures what evaluating a large set with many bad
// attributes costs, against one clean pass over its good attributes; all in turn,
// several times, medians.
func TestCorpusEvaluation(t *testing.T) {
	e := corpus(t)
	n := &nix.Nix{}
	ctx := context.Background()
	cold, err := n.Evaluate(ctx, fresh(t, e))
	require.NoError(t, err)
	reasons := map[distro.FailureReason]int{}
	var good []string
	for _, a := range cold.Set.Attrs {
		if a.Failure != nil {
			reasons[a.Failure.Reason]++
		} else {
			good = append(good, a.Name)
		}
	}
	t.Logf("%d attributes, %d derivations, failures: %v, %d restarts", len(cold.Set.Attrs), len(good), reasons, cold.Restarts)
	warm := e
	warm.Failing = nix.Failing(cold.Set)

	list := filepath.Join(t.TempDir(), "clean.nix")
	var b strings.Builder
	fmt.Fprintf(&b, "let p = import %s { system = \"x86_64-linux\"; }; in map (n: let v = p.${n}; in { d = v.drvPath; o = map (o: v.${o}.outPath or \"\") (v.outputs or [ ]); }) [\n", filepath.Join(e.Root, "corepkgs"))
	for _, name := range good {
		fmt.Fprintf(&b, "%q\n", name)
	}
	b.WriteString("]\n")
	require.NoError(t, os.WriteFile(list, []byte(b.String()), 0o644))

	times := map[string][]time.Duration{}
	timed := func(name string, f func()) {
		began := time.Now()
		f()
		times[name] = append(times[name], time.Since(began))
	}
	for range 3 {
		timed("clean pass", func() {
			out, err := exec.Command("nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", list).Output()
			require.NoError(t, err)
			require.NotEmpty(t, out)
		})
		timed("cold", func() {
			side, err := n.Evaluate(ctx, fresh(t, e))
			require.NoError(t, err)
			require.Equal(t, cold.Set, side.Set)
		})
		timed("warm", func() {
			side, err := n.Evaluate(ctx, fresh(t, warm))
			require.NoError(t, err)
			require.Equal(t, cold.Set, side.Set)
		})
	}
	clean := median(times["clean pass"])
	for _, name := range []string{"clean pass", "cold", "warm"} {
		t.Logf("%-10s %6.2fs  %.2fx", name, median(times[name]).Seconds(), float64(median(times[name]))/float64(clean))
	}
	t.Logf("peak %d MiB", cold.PeakMiB)
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

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
