//go:build recordings

package console_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm/console"
)

// TestRecordings tries the tables on consoles recorded from real kernels, which
// are too large to keep here. ASTERBOT_CONSOLES is a folder of NAME.hvc0,
// NAME.ttyS0 and, where there are symbols, NAME.symbols:
//
//	ASTERBOT_CONSOLES=DIR go test -tags recordings ./testvm/console -run Recordings
func TestRecordings(t *testing.T) {
	dir := os.Getenv("ASTERBOT_CONSOLES")
	require.NotEmpty(t, dir, "ASTERBOT_CONSOLES must name the folder of recordings")
	for _, c := range []struct {
		name  string
		stage console.Stage
		title string // of the decisive report
		trace int
		flood bool
	}{
		{name: "poweroff", stage: console.StageInit},
		{name: "reboot", stage: console.StageInit},
		{name: "init-exits-log-off", stage: console.StageInit, title: "panic without a message", trace: 11},
		{name: "init-exits", stage: console.StageInit, title: "The init process terminates with code N", trace: 11},
		{name: "no-init", stage: console.StageRootfs, trace: 12,
			title: `Failed to run the init process: Error { errno: ENOENT, msg: Some("path resolution did not reach the final target") }`},
		{name: "out-of-memory", stage: console.StageInit, trace: 7,
			title: "sys_clone -> clone_child -> create_new_user_task: spawn task failed: NoMemory"},
		{name: "page-table-no-memory", stage: console.StageInit, title: "Failed to allocate a page table node: NoMemory", trace: 19},
		{name: "early-panic-halts", stage: console.StageKernel, title: "Cannot handle kernel page fault", trace: 7},
		{name: "hang-smp2", stage: console.StageComponents},
		{name: "suite-asterinas", stage: console.StageInit},
		{name: "suite-asterinas-warn", stage: console.StageInit},
		{name: "suite-asterinas-later", stage: console.StageInit},
		{name: "debug-flood", stage: console.StageInit, flood: true},
		{name: "suite-linux", stage: console.StageKernel},
	} {
		t.Run(c.name, func(t *testing.T) {
			tables := console.Asterinas()
			if c.name == "suite-linux" {
				tables = console.Linux()
			}
			l := console.NewLog(tables, nil)
			if f, err := os.Open(filepath.Join(dir, c.name+".symbols")); err == nil {
				defer f.Close()
				l.Symbols, err = console.ReadSymbols(f)
				require.NoError(t, err)
			}
			found := false
			for _, d := range devices {
				b, err := os.ReadFile(filepath.Join(dir, c.name+"."+d))
				if err != nil {
					continue
				}
				found = true
				for at := 0; at < len(b); at += 777 {
					l.Console(d).Feed(time.Second, b[at:min(len(b), at+777)])
				}
			}
			require.True(t, found, "no recording %s in %s", c.name, dir)
			l.Flush(time.Second)
			s := l.Story()
			assert.Equal(t, c.stage, s.Stage())
			assert.Equal(t, c.flood, s.Flood != nil)
			if c.title == "" {
				assert.Nil(t, s.Decisive())
				return
			}
			require.NotNil(t, s.Decisive())
			assert.Equal(t, console.KindPanic, s.Decisive().Kind)
			assert.Equal(t, c.title, s.Decisive().Title)
			assert.Len(t, s.Decisive().Trace, c.trace)
		})
	}
}
