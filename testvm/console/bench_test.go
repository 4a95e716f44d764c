package console_test

import (
	"bytes"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/asterinas/asterbot/testvm/console"
)

// outputs are what a console may be full of.
var outputs = []struct {
	name string
	make func() []byte
}{
	{"a boot and a suite", func() []byte {
		var b bytes.Buffer
		b.WriteString("OSTD initialized. Preparing components.\n[kernel] rootfs is ready\nReleased under Mozilla Public License v2.0\n")
		for i := range 20000 {
			switch i % 4 {
			case 0:
				fmt.Fprintf(&b, "\x1b[32m[%10.3f]\x1b[0m \x1b[93mWARN  \x1b[0m: \x1b[39m\x1b[0m\x1b[39mUnimplemented syscall number: %d\x1b[0m\r\n", float64(i)/100, 300+i%40)
			case 1:
				fmt.Fprintf(&b, "ok %d - case of the suite # 12.27-15.2\r\n", i)
			default:
				fmt.Fprintf(&b, "make[%d]: Entering directory '/build/source/lib/part-%d', compiling with -O2 -g\r\n", i%9, i)
			}
		}
		return b.Bytes()
	}},
	{"a kernel's log at level debug", func() []byte {
		var b bytes.Buffer
		b.WriteString("OSTD initialized. Preparing components.\n")
		for i := range 20000 {
			fmt.Fprintf(&b, "\x1b[32m[%10.3f]\x1b[0m \x1b[92mDEBUG \x1b[0m: \x1b[39m\x1b[0m\x1b[39mallocate free region, map_size = %#x, offset = Fixed(%x)\x1b[0m\r\n", float64(i)/100, 4096*i, 4096*i)
		}
		return b.Bytes()
	}},
	{"coloured art", func() []byte {
		var b bytes.Buffer
		for i := range 100000 {
			fmt.Fprintf(&b, "\x1b[38;2;%d;187;250m+\x1b[39m", i%256)
			if i%60 == 0 {
				b.WriteByte('\n')
			}
		}
		return b.Bytes()
	}},
	{"text", func() []byte {
		return bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, BUG: none; [ok]\n"), 1<<14)
	}},
	{"binary", func() []byte {
		b := make([]byte, 1<<20)
		x := uint32(1)
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = byte(x >> 24)
		}
		return b
	}},
	{"one endless line", func() []byte { return bytes.Repeat([]byte("abcdefg hijk "), 1<<16) }},
}

// cpu is the processor time that this process has used: other processes' load
// does not count.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for itself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLog is the speed of the matcher. It has to be above 100 MB/s on one
// core whatever comes, since a virtio console brings 10 MB/s.
func BenchmarkLog(b *testing.B) {
	for _, o := range outputs {
		b.Run(o.name, func(b *testing.B) {
			data := o.make()
			l := console.NewLog(console.Asterinas(), func() time.Duration { return 0 })
			c := l.Console("hvc0")
			b.SetBytes(int64(len(data)))
			start, n := cpu(), 0
			for b.Loop() {
				_, _ = c.Write(data)
				n++
			}
			b.ReportMetric(float64(n*len(data))/1e6/(cpu()-start).Seconds(), "MB/cpu-s")
		})
	}
}

// BenchmarkGigabyte reads 1 GB, and says how much memory was in use at the end
// and how the second half's time compares with the first's: constant and one.
func BenchmarkGigabyte(b *testing.B) {
	data := outputs[0].make()
	const total = 1 << 30
	b.SetBytes(total)
	for b.Loop() {
		l := console.NewLog(console.Asterinas(), func() time.Duration { return 0 })
		c := l.Console("hvc0")
		var half [2]time.Duration
		for h := range half {
			start := cpu()
			for n := 0; n < total/2; n += len(data) {
				_, _ = c.Write(data)
			}
			half[h] = cpu() - start
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-heap")
		b.ReportMetric(total/1e6/(half[0]+half[1]).Seconds(), "MB/cpu-s")
		b.ReportMetric(half[1].Seconds()/half[0].Seconds(), "2nd/1st-half")
		runtime.KeepAlive(l)
	}
}
