package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
)

func stepWith(vars map[string]string) *step {
	e := &env{Getenv: func(k string) string { return vars[k] }}
	return &step{env: e, files: &action.Files{Getenv: e.Getenv}}
}

func TestWhenRememberedFailuresAreLookedPast(t *testing.T) {
	for _, tc := range []struct{ name, attempt, input, want string }{
		{"a run's first attempt believes what is remembered", "1", "", ""},
		{"a run that somebody asked for again does not", "2", "", "--again failures"},
		{"a rebuild that was dispatched says so", "1", "failures", "--again failures"},
		{"a nightly run looks past all", "3", "all", "--again all"},
		{"outside Actions nothing says so", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stepWith(map[string]string{"GITHUB_RUN_ATTEMPT": tc.attempt, "ASTERBOT_AGAIN": tc.input})
			assert.Equal(t, tc.want, strings.Join(s.again(), " "))
		})
	}
}

// A dispatched run that is about a pull request runs a stranger's code, though
// it belongs to the default branch.
func TestADispatchedRunAboutAPullRequestIsUntrusted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "event.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"repository":{"full_name":"o/r","default_branch":"main"}}`), 0o600))
	main, head := strings.Repeat("a", 40), strings.Repeat("b", 40)
	open := func(event, input string) (*step, error) {
		s := stepWith(map[string]string{"GITHUB_EVENT_PATH": file, "GITHUB_EVENT_NAME": event, "GITHUB_SHA": main, "ASTERBOT_HEAD": input})
		return s, s.open()
	}
	s, err := open("workflow_dispatch", "")
	require.NoError(t, err)
	assert.False(t, s.event.Untrusted)
	assert.Equal(t, main, s.event.Head)
	s, err = open("workflow_dispatch", head)
	require.NoError(t, err)
	assert.True(t, s.event.Untrusted)
	assert.Equal(t, head, s.event.Head)
	_, err = open("workflow_dispatch", "main")
	assert.ErrorContains(t, err, "no full hash")
	_, err = open("schedule", head)
	assert.ErrorContains(t, err, "says itself what it is about")
}

func TestKernelsOfAnotherRun(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"asterbot-kernel-head-2", "asterbot-kernel-head-3"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "image"), nil, 0o600))
	}
	s := stepWith(map[string]string{"GITHUB_RUN_ATTEMPT": "1", "ASTERBOT_KERNELS": dir, "ASTERBOT_KERNELS_ATTEMPT": "2"})
	assert.Equal(t, []string{"--kernel", filepath.Join(dir, "asterbot-kernel-head-2", "image")}, s.takeKernels(nil), "the attempt that was judged, and none that came later")
}
