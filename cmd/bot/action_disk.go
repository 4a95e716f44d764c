package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/proc"
)

// What a shard takes of the disk at the most, in bytes: an image is built, and
// installed onto a disk that is booted; a system's closure, an overlay and
// consoles. The rest is what Nix downloads to build with.
const (
	imageRoom = 12 << 30
	shardRoom = 4 << 30
)

// ballast is what GitHub's runner images carry and no check uses, largest first.
var ballast = []string{"/usr/local/lib/android", "/usr/share/dotnet", "/opt/hostedtoolcache/CodeQL", "/opt/ghc", "/usr/share/swift", "/usr/local/.ghcup"}

// makeRoom frees disk on a runner of GitHub's, as far as the shard needs it and no
// further: removing files takes up to a minute.
func (s *step) makeRoom(ctx context.Context, shard pipeline.Shard) {
	need := int64(shardRoom) + int64(shard.Images)*imageRoom
	before, err := freeSpace("/")
	if err != nil || before >= need || s.Getenv("RUNNER_ENVIRONMENT") != "github-hosted" {
		return
	}
	free := before
	for _, dir := range ballast {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		cmd := &proc.Cmd{Path: "sudo", Args: []string{"-n", "rm", "-rf", "--", dir}}
		if err := cmd.Run(ctx); err != nil {
			break // enoughDisk says what is missing
		}
		if free, err = freeSpace("/"); err != nil || free >= need {
			break
		}
	}
	s.log.Annotate(action.Annotation{Level: action.Notice, Title: "disk",
		Message: fmt.Sprintf("this shard may need %d GiB; %d GiB were free, %d GiB are now", need>>30, before>>30, free>>30)})
}

func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}
