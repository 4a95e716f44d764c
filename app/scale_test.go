package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// 200 open pull requests are looked at again within 1,000 calls by a process that
// remembers nothing.
func TestResyncIsCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	w := newWorld(t)
	var pulls []*githubtest.Pull
	for range 200 {
		p, d := w.repo.OpenPull(githubtest.NewPull{})
		pulls = append(pulls, p)
		w.gh.Send(d)
	}
	w.settle()
	for _, p := range pulls {
		run, _ := p.RunFor(workflow)
		rep := makeReport(w.repo.Tip("main"), p.Head(), good())
		w.gh.Send(run.Finish("success", artifacts(1, rep)))
	}
	w.settle()
	w.stop()
	w.gh.Calls()
	w.start()
	w.settle()
	calls := w.gh.Calls()
	writes := 0
	for _, c := range calls {
		if c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "access_tokens") {
			writes++
		}
	}
	t.Logf("%d calls", len(calls))
	assert.LessOrEqual(t, len(calls), 1000)
	assert.Zero(t, writes)
	for _, p := range pulls {
		assert.Equal(t, "success", w.checks(p.Head())[checkrun.Verdict].Conclusion)
	}
}

// At 200 deliveries a second, beside the bare handler in the same run.
func BenchmarkLatency(b *testing.B) {
	body := []byte(`{"action":"synchronize","number":7,"pull_request":{"number":7,"body":"` + strings.Repeat("lorem ipsum ", 1500) + `"},"installation":{"id":1},"repository":{"name":"a","owner":{"login":"b"}}}`)
	sign := githubtest.Sign(secret, body)
	measure := func(h http.Handler) time.Duration {
		s := httptest.NewServer(h)
		defer s.Close()
		c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		took := make(chan time.Duration, 1000)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range cap(took) {
			<-tick.C
			go func() {
				start := time.Now()
				r, _ := http.NewRequest(http.MethodPost, s.URL, strings.NewReader(string(body)))
				r.Header.Set("X-GitHub-Event", "pull_request")
				r.Header.Set("X-Hub-Signature-256", sign)
				if resp, err := c.Do(r); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				took <- time.Since(start)
			}()
		}
		var all []time.Duration
		for range cap(took) {
			all = append(all, <-took)
		}
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	for range b.N {
		bare := measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusAccepted)
		}))
		app := measure(deaf(b, secret).Hook())
		b.ReportMetric(float64(bare.Microseconds())/1000, "bare-p99-ms")
		b.ReportMetric(float64(app.Microseconds())/1000, "app-p99-ms")
	}
}

// Resident memory after 100,000 deliveries of a working App.
func BenchmarkMemory(b *testing.B) {
	w := newWorld(b)
	var ds []*githubtest.Delivery
	for range 50 {
		_, d := w.repo.OpenPull(githubtest.NewPull{})
		ds = append(ds, d)
	}
	h := w.app.Hook()
	for range b.N {
		for i := range 100_000 {
			r := ds[i%len(ds)].Request("http://x/webhook", secret)
			h.ServeHTTP(httptest.NewRecorder(), r)
			if i == 50_000 {
				runtime.GC()
				b.ReportMetric(resident(), "half-MB")
			}
		}
	}
	w.settle()
	runtime.GC()
	b.ReportMetric(resident(), "end-MB")
}

func resident() float64 {
	data, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(fmt.Sprint(string(data)))
	n, _ := strconv.Atoi(f[1])
	return float64(n*os.Getpagesize()) / 1e6
}
