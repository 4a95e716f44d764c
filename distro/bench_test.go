package distro_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/distro"
)

// synthetic makes two sides of n derivations, each with four inputs and an environment
// of about the size of a real one, where the one that everything is built from
// has changed.
func synthetic(n int) (b, h graph, base, head *distro.Set) {
	side := func(flags string) (graph, *distro.Set) {
		g := graph{}
		set := &distro.Set{}
		var all []made
		for i := range n {
			s := spec{name: fmt.Sprintf("package%d-1.%d", i, i%7), env: map[string]string{
				"buildPhase": "make -j$NIX_BUILD_CORES " + fmt.Sprint(i), "configureFlags": "--prefix --with-a --with-b --disable-c",
				"meta": "0123456789012345678901234567890123456789012345678901234567890123456789", "version": fmt.Sprint("1.", i%7),
			}}
			if i == 0 {
				s.env["configureFlags"] += flags
			} else {
				inputs := ""
				for _, j := range []int{i - 1, i / 2, i / 3, i / 5} {
					if len(s.in) == 0 || s.in[len(s.in)-1].drv != all[j].drv {
						s.in = append(s.in, all[j])
						inputs += all[j].out + " "
					}
				}
				s.env["buildInputs"] = inputs
			}
			m := g.add(s)
			all = append(all, m)
			set.Attrs = append(set.Attrs, distro.Attr{Kind: distro.KindPackage, Name: fmt.Sprintf("package%d", i), Drv: m.drv, Outputs: map[string]string{"out": m.out}})
		}
		return g, set
	}
	b, base = side("")
	h, head = side(" --changed")
	return b, h, base, head
}

// cpuTime is what this process has used: a busy machine does not change it.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDiff compares two sides in which every derivation changed through one, and
// finds that one for each.
func BenchmarkDiff(b *testing.B) {
	for _, n := range []int{12_500, 25_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			gb, gh, base, head := synthetic(n)
			ev := &distro.Evidence{
				Fields: func(*distro.Root, string) []distro.Place { return nil }, Attr: func(*distro.Root) []distro.Place { return nil },
				Mentions: func(string, string) bool { return false },
			}
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := cpuTime()
			b.ResetTimer()
			for b.Loop() {
				d := distro.Compare(base, head)
				a := distro.Attribute(d, base, head, distro.NewRootCauses(gb, gh))
				a.Fill(ev)
				if len(d.Packages) != n || d.Packages[n-1].Root || d.Packages[n-1].Causes[0].What != "package0: configureFlags +--changed" {
					b.Fatalf("wrong: %+v", d.Packages[n-1])
				}
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.Sys)/(1<<20), "MiB-in-all")
			b.ReportMetric((cpuTime()-began).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/derivation")
		})
	}
}
