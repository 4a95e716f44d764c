package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// Disk is freed on a runner of GitHub's, where the shard needs more than there is,
// and it is said; never elsewhere.
func TestMakeRoom(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\nshift\nexec \"$@\"\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	whole := ballast
	t.Cleanup(func() { ballast = whole })
	for _, tc := range []struct {
		name, runner string
		images       int // more of them than any disk has room for, or none
		freed        bool
	}{
		{"a hosted runner that is too small", "github-hosted", 1 << 20, true},
		{"a hosted runner with room", "github-hosted", 0, false},
		{"somebody's own machine", "self-hosted", 1 << 20, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			ballast = []string{filepath.Join(dir, "android"), filepath.Join(dir, "not there"), filepath.Join(dir, "dotnet")}
			for _, name := range []string{"android", "dotnet"} {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, name, "sdk"), 0o755))
			}
			var out bytes.Buffer
			getenv := func(k string) string { return map[string]string{"RUNNER_ENVIRONMENT": tc.runner}[k] }
			s := &step{env: &env{Getenv: getenv}, log: action.NewLog(&out), files: &action.Files{Getenv: getenv}}
			s.makeRoom(t.Context(), pipeline.Shard{Images: tc.images})
			for _, name := range []string{"android", "dotnet"} {
				if tc.freed {
					assert.NoDirExists(t, filepath.Join(dir, name))
				} else {
					assert.DirExists(t, filepath.Join(dir, name))
				}
			}
			assert.Equal(t, tc.freed, bytes.Contains(out.Bytes(), []byte("::notice title=disk::this shard may need")), "%s", &out)
		})
	}
}
