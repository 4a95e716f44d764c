package kernel_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/kernel"
)

func TestBuild(t *testing.T) {
	for _, tc := range []struct {
		name, command string
		edit          func(*kernel.Build)
		wrong         string // part of the error; empty for none
	}{
		{"a command that leaves an image", "mkdir out; echo kernel >out/image", nil, ""},
		{"a command that fails", "echo rustc is unhappy >&2; exit 1", nil, "rustc is unhappy"},
		{"a command that leaves nothing", "true", nil, "left no image"},
		{"an image that is a link out of the checkout", "mkdir out; ln -s /etc/passwd out/image", nil, "left no image"},
		{"an image that is a folder", "mkdir -p out/image", nil, "not a regular file"},
		{"an image that is too large", "mkdir out; head -c 2000 /dev/zero >out/image", func(b *kernel.Build) { b.MaxBytes = 1000 }, "max-size"},
		{"a command that takes too long", "sleep 60", func(b *kernel.Build) { b.Timeout = 50 * time.Millisecond }, "out of time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			b := kernel.Build{Dir: t.TempDir(), Command: tc.command, Image: "out/image", Log: &log}
			if tc.edit != nil {
				tc.edit(&b)
			}
			img, err := b.Run(t.Context())
			if tc.wrong != "" {
				require.ErrorIs(t, err, kernel.ErrBuild)
				assert.ErrorContains(t, err, tc.wrong)
				return
			}
			require.NoError(t, err)
			again, err := kernel.Open(img.Path, "")
			require.NoError(t, err)
			assert.Equal(t, img.SHA256, again.SHA256)
		})
	}
}

func TestACancelledBuildIsNotTheKernelsFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := kernel.Build{Dir: t.TempDir(), Command: "sleep 60", Image: "x"}.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, kernel.ErrBuild)
}

func TestControl(t *testing.T) {
	cache := t.TempDir()
	_, _, ok := kernel.Control(cache)
	assert.False(t, ok, "nothing was set up")
	require.NoError(t, os.MkdirAll(filepath.Join(cache, "kernel", "modules"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(cache, "kernel", "vmlinuz"), []byte("x"), 0o644))
	image, modules, ok := kernel.Control(cache)
	assert.True(t, ok)
	assert.FileExists(t, image)
	assert.DirExists(t, modules)
}
