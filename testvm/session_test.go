package testvm_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

func TestACommandRunsAtThePromptAndTheGuestPowersOff(t *testing.T) {
	start := time.Now()
	g, s := session(t, linux(t, prologue+shellOn("ttyS0")))
	t.Logf("shell after %v", time.Since(start))
	r, err := s.Run(t.Context(), testvm.Command{Run: "echo hello; uname -s; exit 3"})
	require.NoError(t, err)
	assert.Equal(t, "hello\nLinux\n", string(r.Output))
	assert.Equal(t, 3, r.Status)
	assert.Empty(t, r.Notes)
	t.Logf("command took %v", r.Duration)
	e := g.Stop(t.Context())
	assert.Equal(t, testvm.OK, e.Outcome, "%+v", e)
}
