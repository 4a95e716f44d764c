package progress_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/progress"
)

// buffer may be written from any goroutine.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func aCheck(p progress.Progress) {
	build := func(name string) checks.Case {
		return checks.Case{Kind: checks.KindBuild, Subject: name, Name: "builds"}
	}
	when := time.Now()
	p.Stage("build head", 3)
	p.Settled(pipeline.Head, build("sed"), checks.Outcome{Status: checks.Pass, Remembered: &when})
	p.Settled(pipeline.Head, build("lua\x1b[2J\n::error::x"), checks.Outcome{Status: checks.Fail, Reason: "exit status 1"})
	p.Settled(pipeline.Base, build("hello"), checks.Outcome{Status: checks.Fail, Reason: "at base"})
	p.Note("the control kernel does not boot")
	p.Settled(pipeline.Head, build("hello"), checks.Outcome{Status: checks.Error, Reason: "disk full"})
	p.Stage("boot head", 1)
	p.Settled(pipeline.Head, checks.Case{Kind: checks.KindTest, Subject: "base", Name: "a"}, checks.Outcome{Status: checks.Pass})
	p.Close()
	p.Close()
}

func TestPlainProgressIsLines(t *testing.T) {
	var b buffer
	aCheck(progress.New(&b, 0))
	got := strings.NewReplacer("in 0.0 s", "in T").Replace(b.String())
	assert.Equal(t, `build head: 3 to settle
  ✗ build lua ::error::x: builds, exit status 1
  note: the control kernel does not boot
  ? build hello: builds, disk full
build head: 3/3, 1 failed, 1 not looked at, 1 remembered in T
boot head: 1 to settle
boot head: 1/1 in T
`, got)
}

func TestALongStageShowsThatItLives(t *testing.T) {
	var b buffer
	p := progress.NewPlain(&b, time.Millisecond)
	p.Stage("boot head", 5)
	assert.Eventually(t, func() bool { return strings.Contains(b.String(), "boot head: 0/5 after") }, 5*time.Second, time.Millisecond)
	p.Close()
}

func TestLiveProgressLeavesAGoodTerminal(t *testing.T) {
	var b buffer
	aCheck(progress.New(&b, 100))
	text := b.String()
	for _, bad := range []string{"\x1b[?25l", "\x1b[?1049", "\x1b[2J", "\n::"} {
		assert.NotContains(t, text, bad)
	}
	assert.True(t, strings.HasSuffix(text, "\n"), "the cursor is below what was shown")
	plain := ansi.Strip(text)
	for _, want := range []string{"✗ build lua ::error::x: builds, exit status 1", "note: the control kernel does not boot", "build head", "3/3, 1 failed", "boot head"} {
		assert.Contains(t, plain, want)
	}
	for _, line := range strings.Split(plain, "\n") {
		assert.LessOrEqual(t, ansi.StringWidth(line), 100)
	}
}

func TestProgressFromManyGoroutines(t *testing.T) {
	for _, width := range []int{0, 80} {
		var b buffer
		p := progress.New(&b, width)
		p.Stage("boot head", 200)
		var group sync.WaitGroup
		for i := range 200 {
			group.Go(func() {
				p.Settled(pipeline.Head, checks.Case{Kind: checks.KindTest, Subject: "s", Name: fmt.Sprint(i)}, checks.Outcome{Status: checks.Fail, Reason: "x"})
			})
		}
		group.Wait()
		p.Close()
		assert.Contains(t, b.String(), "200/200, 200 failed")
	}
}
