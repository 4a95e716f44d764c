package app_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// A short form of the soak test: a real process that is killed at random, faults
// in three of ten calls, deliveries lost, doubled and out of order.
func TestNothingIsLostAndNothingDoubled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	soak(t, campaign{pulls: 10, steps: 120, kills: 5, weather: mixed(0.3), seed: 1})
}

type campaign struct {
	pulls, steps, kills int
	weather             weather
	seed                uint64
	// skew is how far GitHub's clock is ahead of the App's.
	skew time.Duration
	// down is how long the App stays away after it was killed.
	down time.Duration
}

// weather says what goes wrong with a request; rnd is not shared.
type weather func(rnd *rand.Rand, r *http.Request) *githubtest.Fault

// mixed lets a share of all requests fail, in every way.
func mixed(rate float64) weather {
	return func(rnd *rand.Rand, _ *http.Request) *githubtest.Fault {
		if rnd.Float64() > rate {
			return nil
		}
		switch rnd.IntN(8) {
		case 0:
			return &githubtest.Fault{Reset: true}
		case 1:
			return &githubtest.Fault{Reset: true, After: true}
		case 2:
			return &githubtest.Fault{Status: 502, After: true}
		case 3:
			return &githubtest.Fault{Delay: time.Duration(rnd.IntN(200)) * time.Millisecond}
		case 4:
			if rnd.IntN(6) == 0 {
				return &githubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "0"}}
			}
			return &githubtest.Fault{Status: 500}
		default:
			return &githubtest.Fault{Status: 502}
		}
	}
}

// process is a server that can be killed.
type process struct {
	t    testing.TB
	args []string
	bin  string
	log  *os.File
	mu   sync.Mutex
	cmd  *exec.Cmd
}

func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = exec.Command(p.bin, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	require.NoError(p.t, p.cmd.Start())
}

// kill is kill -9.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

type soaked struct {
	t       testing.TB
	rnd     *rand.Rand
	gh      *githubtest.Server
	repo    *githubtest.Repo
	forks   []*githubtest.Repo
	pulls   []*githubtest.Pull
	drafts  map[*githubtest.Pull]bool
	outcome map[string]checks.Status // of "sed", by run and attempt
	asked   map[*githubtest.Pull]int // commands
	heads   map[string]bool
	late    []*githubtest.Delivery
	sent    int
}

func soak(t *testing.T, c campaign) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bot")
	build := exec.Command("go", "build", "-o", bin, "github.com/asterinas/asterbot/cmd/bot")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	w := &soaked{t: t, rnd: rand.New(rand.NewPCG(c.seed, 7)), drafts: map[*githubtest.Pull]bool{}, outcome: map[string]checks.Status{}, asked: map[*githubtest.Pull]int{}, heads: map[string]bool{}}
	w.gh = githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Secret: secret, Skew: c.skew})
	w.repo = w.gh.AddRepo("asterinas", "asterinas")
	files := map[string]string{}
	for k, v := range baseFiles {
		files[k] = v
	}
	w.repo.Commit("main", files)
	w.repo.SetRole("maintainer", "maintain")
	for i := range 3 {
		w.forks = append(w.forks, w.repo.Fork(fmt.Sprintf("contributor%d", i)))
	}
	key := filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(key, w.gh.PrivateKey(), 0o600))
	secretFile := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secretFile, []byte(secret), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	p := &process{t: t, bin: bin, log: log, args: []string{"serve", "--listen", address, "--app-id", fmt.Sprint(w.gh.AppID()), "--private-key-file", key, "--webhook-secret-file", secretFile, "--api-url", w.gh.URL,
		"--writes-per-minute", "1000000", "--resync", "4s", "--sweep", "1s", "--settle", "20ms", "--log-level", "info"}}
	w.gh.SetHook("http://" + address + "/webhook")
	w.inject(c)
	p.start()
	defer p.kill()
	t.Cleanup(func() {
		if t.Failed() {
			if tail, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("the server's log ends:\n%s", tail[max(0, len(tail)-6000):])
			}
		}
	})

	every := max(1, c.steps/(c.kills+1))
	killed := 0
	for step := range c.steps {
		w.step(c)
		time.Sleep(time.Duration(w.rnd.IntN(60)) * time.Millisecond)
		if step%every == every-1 && killed < c.kills {
			killed++
			// At any moment: also right after it was started.
			time.Sleep(time.Duration(w.rnd.IntN(400)) * time.Millisecond)
			p.kill()
			for until := time.Now().Add(c.down); time.Now().Before(until); {
				w.step(c) // nobody hears of it
				time.Sleep(time.Duration(w.rnd.IntN(60)) * time.Millisecond)
			}
			p.start()
		}
	}
	for _, d := range w.late {
		w.deliver(d)
	}
	w.gh.Inject(nil)
	t.Logf("%d steps, %d deliveries, %d kills", c.steps, w.sent, killed)

	// Now everything comes to its end.
	deadline := time.Now().Add(3 * time.Minute)
	var wrong []string
	for calm := 0; calm < 3 && time.Now().Before(deadline); {
		for _, run := range w.repo.Runs() {
			if r := run.Get(); r.Status != "completed" {
				w.finish(run)
			}
		}
		time.Sleep(time.Second)
		if wrong = w.wrong(); len(wrong) == 0 {
			calm++
		} else {
			calm = 0
		}
	}
	require.Empty(t, wrong, "seed %d", c.seed)
}

func (w *soaked) inject(c campaign) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(c.seed, 99))
	w.gh.Inject(func(r *http.Request) *githubtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		return c.weather(rnd, r)
	})
}

// deliver is what the network makes of a delivery.
func (w *soaked) deliver(d *githubtest.Delivery) {
	w.sent++
	switch w.rnd.IntN(10) {
	case 0:
		w.gh.Drop(d)
	case 1:
		go w.gh.Send(d)
		go w.gh.Send(d)
	case 2:
		w.late = append(w.late, d)
	default:
		go w.gh.Send(d)
	}
	if len(w.late) > 5 {
		i := w.rnd.IntN(len(w.late))
		go w.gh.Send(w.late[i])
		w.late = append(w.late[:i], w.late[i+1:]...)
	}
}

func (w *soaked) finish(run *githubtest.Run) {
	r := run.Get()
	if r.Status == "completed" {
		return
	}
	status := checks.Pass
	if w.rnd.IntN(2) == 0 {
		status = checks.Fail
	}
	head := r.HeadSHA
	cases := []checks.Result{good(), aCase(checks.KindBuild, "sed", "builds", status)}
	if h, ok := r.Inputs["head"].(string); ok {
		head, cases = h, cases[1:]
	}
	rep := makeReport(w.repo.Tip("main"), head, cases...)
	w.outcome[fmt.Sprintf("%d.%d", r.ID, r.Attempt)] = status
	w.deliver(run.Finish(conclusionOf(rep), artifacts(r.Attempt, rep)))
}

func (w *soaked) step(c campaign) {
	if len(w.pulls) < c.pulls && w.rnd.IntN(4) == 0 || len(w.pulls) == 0 {
		n := githubtest.NewPull{Files: map[string]string{"overlays/sed.nix": "x"}}
		if w.rnd.IntN(2) == 0 {
			n.From = w.forks[w.rnd.IntN(len(w.forks))]
		}
		p, d := w.repo.OpenPull(n)
		w.pulls = append(w.pulls, p)
		w.deliver(d)
		return
	}
	p := w.pulls[w.rnd.IntN(len(w.pulls))]
	run := w.newest(p.Head())
	switch w.rnd.IntN(14) {
	case 0:
		w.heads[p.Head()] = true
		w.deliver(p.Push(nil))
	case 1:
		if w.open(p) {
			w.deliver(p.Close(false))
		} else {
			w.deliver(p.Reopen())
		}
	case 2:
		w.drafts[p] = !w.drafts[p]
		w.deliver(p.SetDraft(w.drafts[p]))
	case 3, 4, 5:
		if run == nil && w.open(p) {
			_, d := p.RunFor(workflow)
			w.deliver(d)
		}
	case 6, 7, 8, 9:
		runs := w.repo.Runs()
		if len(runs) > 0 {
			w.finish(runs[len(runs)-1-w.rnd.IntN(min(len(runs), 12))])
		}
	case 10, 11:
		w.say(p, []string{"/rebuild", "/rebuild all", "/retry"}[w.rnd.IntN(3)])
	case 12:
		w.say(p, "/rebuild sed")
	case 13:
		w.say(p, []string{"/help", "/explain sed", "/waive nothing because", "talk"}[w.rnd.IntN(4)])
	}
}

func (w *soaked) say(p *githubtest.Pull, what string) {
	if !w.open(p) {
		return
	}
	if strings.HasPrefix(what, "/re") {
		w.asked[p]++
	}
	_, d := p.Comment("maintainer", what)
	w.deliver(d)
}

func (w *soaked) open(p *githubtest.Pull) bool { return p.IsOpen() }

// newest is the newest run of a commit.
func (w *soaked) newest(sha string) *githubtest.Run {
	var out *githubtest.Run
	for _, r := range w.repo.Runs() {
		if r.Get().HeadSHA == sha && r.Get().Event == "pull_request" {
			out = r
		}
	}
	return out
}

// wrong lists what is not as it should be, from GitHub's state alone.
func (w *soaked) wrong() (out []string) {
	complain := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	current := map[string]bool{}
	for _, p := range w.pulls {
		current[p.Head()] = true
	}
	for sha := range w.heads {
		for _, c := range w.repo.CheckRuns(sha) {
			if !current[sha] && c.Status != "completed" {
				complain("%.8s was replaced, and %s is %s", sha, c.Name, c.Status)
			}
		}
	}
	for _, p := range w.pulls {
		head := p.Head()
		seen := map[string]int{}
		last := map[string]githubtest.CheckRun{}
		for _, c := range w.repo.CheckRuns(head) {
			id, ok := checkrun.ParseID(c.ExternalID)
			if !ok {
				complain("#%d: %s has the id %q", p.Number, c.Name, c.ExternalID)
			}
			id.Policy, id.Base, id.Merge = "", "", ""
			// Queued, drafts and closed ones come and go; results do not.
			if id.State == "" && id.Run != 0 {
				seen[c.Name+" "+id.String()]++
			}
			last[c.Name] = c
		}
		for name, n := range seen {
			if n > 1 {
				complain("#%d: %d of %s", p.Number, n, name)
			}
		}
		if !w.open(p) {
			for _, c := range last {
				if c.Status != "completed" {
					complain("#%d is closed, and %s is %s", p.Number, c.Name, c.Status)
				}
			}
			continue
		}
		if len(last) != 5 {
			complain("#%d: %d check runs", p.Number, len(last))
			continue
		}
		v := last[checkrun.Verdict]
		want := w.want(p, head)
		if got := orStatus(v); got != want {
			complain("#%d: the verdict is %s (%s; %s), want %s", p.Number, got, v.Title, v.ExternalID, want)
		}
		for _, c := range p.Comments() {
			if c.Author != "maintainer" || c.Body == "talk" {
				continue
			}
			outcomes := 0
			for _, r := range c.Reactions() {
				if !strings.HasPrefix(r, "eyes ") {
					outcomes++
				}
			}
			if outcomes != 1 {
				complain("#%d: comment %d (%s) has the reactions %v", p.Number, c.ID, c.Body, c.Reactions())
			}
		}
		marks := map[string]int{}
		for _, a := range answers(p) {
			_, mark, _ := strings.Cut(a, "<!-- asterbot:")
			if marks[mark]++; marks[mark] > 1 {
				complain("#%d: answered twice: %s", p.Number, mark)
			}
		}
	}
	tokens := map[any]int{}
	effects := 0
	for _, r := range w.repo.Runs() {
		run := r.Get()
		effects += run.Reruns
		if run.Event == "workflow_dispatch" {
			effects++
			if tokens[run.Inputs["token"]]++; tokens[run.Inputs["token"]] > 1 {
				complain("dispatched twice: %v", run.Inputs)
			}
		}
	}
	asked := 0
	for _, n := range w.asked {
		asked += n
	}
	if effects > asked {
		complain("%d effects of %d commands", effects, asked)
	}
	return out
}

func orStatus(c githubtest.CheckRun) string {
	if c.Conclusion != "" {
		return c.Conclusion
	}
	return c.Status
}

// want is what the verdict of an open pull request has to be.
func (w *soaked) want(p *githubtest.Pull, head string) string {
	run := w.newest(head)
	if w.drafts[p] && run == nil {
		return "action_required"
	}
	if run == nil {
		return "queued"
	}
	r := run.Get()
	switch {
	case r.Conclusion == "cancelled":
		return "cancelled"
	case r.Status != "completed":
		return "in_progress"
	}
	sed, ok := w.outcome[fmt.Sprintf("%d.%d", r.ID, r.Attempt)]
	if !ok {
		return "failure"
	}
	for _, d := range w.repo.Runs() {
		// What ran as a whole since takes a rebuild's place.
		if dr := d.Get(); dr.Inputs["head"] == head && !dr.Created.Before(r.Started) {
			sed = w.outcome[fmt.Sprintf("%d.%d", dr.ID, dr.Attempt)]
		}
	}
	switch {
	case w.drafts[p]:
		return "action_required"
	case sed == checks.Pass:
		return "success"
	}
	return "failure"
}
