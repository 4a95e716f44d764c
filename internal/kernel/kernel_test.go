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

// A stand-in for docker says what it was asked to do, and does it here.
func TestABuildInAContainer(t *testing.T) {
	bin := t.TempDir()
	docker := `#!/bin/sh
echo "$@" >>` + bin + `/asked
case $1 in rm) exit 0 ;; esac
case $* in *no-such-image*) echo "Unable to find image" >&2; exit 125 ;; esac
while [ "$1" != --mount ]; do shift; done
cd "$(echo "$2" | sed 's/.*source=//; s/,target=.*//')"
while [ "$1" != -ec ]; do shift; done
exec sh -ec "$2"
`
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker"), []byte(docker), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	build := func(image, command string) error {
		_, err := kernel.Build{Dir: t.TempDir(), Container: image, Command: command, Image: "out/image", Timeout: 2 * time.Second}.Run(t.Context())
		return err
	}
	require.NoError(t, build("builder@sha256:1", "mkdir out; echo kernel >out/image"))
	asked, err := os.ReadFile(filepath.Join(bin, "asked"))
	require.NoError(t, err)
	for _, want := range []string{"--cap-drop ALL", "--security-opt no-new-privileges", "--rm", "--entrypoint /bin/sh builder@sha256:1 -ec"} {
		assert.Contains(t, string(asked), want)
	}
	assert.NotContains(t, string(asked), "--privileged")
	require.ErrorIs(t, build("builder@sha256:1", "exit 1"), kernel.ErrBuild)
	err = build("no-such-image", "true")
	require.Error(t, err)
	assert.NotErrorIs(t, err, kernel.ErrBuild, "that there is no such container is not the kernel's fault")
	require.ErrorIs(t, build("builder@sha256:1", "sleep 60"), kernel.ErrBuild)
	asked, err = os.ReadFile(filepath.Join(bin, "asked"))
	require.NoError(t, err)
	assert.Regexp(t, "rm --force asterbot-kernel-[0-9-]+\n$", string(asked), "a container that runs out of time is removed")
	t.Setenv("PATH", "/nowhere")
	assert.NotErrorIs(t, build("builder@sha256:1", "true"), kernel.ErrBuild, "nor that there is no docker")
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
