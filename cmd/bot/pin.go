package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// pin is a package set that a repository names by its hash: it can be fetched for
// a stranger's change too, since nothing else can be had under that name.
type pin struct {
	Owner string `json:"owner"`
	Repo  string `json:"repo"`
	Rev   string `json:"rev"`
	// SHA256 is of the unpacked tree, as 'nix-prefetch-url --unpack' and niv
	// write it; NarHash is the same as flake.lock writes it.
	SHA256  string `json:"sha256"`
	NarHash string `json:"narHash"`
}

// parsePin reads a pin: the object itself, niv's nix/sources.json, or a flake.lock;
// of the latter two the package set that is called nixpkgs. It is not an error
// that a file is none of these: then a change of it is a mass rebuild, and nothing
// more is known.
func parsePin(data []byte) (pin, bool) {
	var flake struct {
		Nodes map[string]struct {
			Locked pin `json:"locked"`
		} `json:"nodes"`
	}
	var niv map[string]json.RawMessage
	var p pin
	_ = json.Unmarshal(data, &p) // what does not decode is no pin
	if p.Rev == "" && json.Unmarshal(data, &flake) == nil {
		p = flake.Nodes["nixpkgs"].Locked
	}
	if p.Rev == "" && json.Unmarshal(data, &niv) == nil {
		_ = json.Unmarshal(niv["nixpkgs"], &p)
	}
	if p.NarHash != "" {
		p.SHA256 = p.NarHash
	}
	return p, p.Rev != ""
}

var (
	pinWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)
	pinRev  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	pinHash = regexp.MustCompile(`^(?:sha256-[A-Za-z0-9+/]{43}=|[0-9a-z]{52}|[0-9a-f]{64})$`)
)

func (p pin) fetch(ctx context.Context, n *nix.Nix) (string, error) {
	if !pinWord.MatchString(p.Owner) || !pinWord.MatchString(p.Repo) || !pinRev.MatchString(p.Rev) || !pinHash.MatchString(p.SHA256) {
		return "", errors.New("it names no owner, repo, rev and sha256 as they should be")
	}
	return n.Fetch(ctx, fmt.Sprintf("https://github.com/%s/%s/archive/%s.tar.gz", p.Owner, p.Repo, p.Rev), "nixpkgs-"+p.Rev, p.SHA256)
}

// fetchPins fetches the package set that each side pins, where the configuration
// names no folder.
func (w *workspace) fetchPins(ctx context.Context) (found bool, err error) {
	for side, commit := range map[pipeline.Side]string{pipeline.Base: w.change.Base, pipeline.Head: w.change.Merged} {
		for _, file := range w.config.Nixpkgs.Pin {
			data, err := w.repo.Show(ctx, commit, file, config.MaxSize+1)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return false, couldNotLook(err)
			}
			p, ok := parsePin(data)
			if !ok {
				break
			}
			dir, err := p.fetch(ctx, w.nix)
			if err != nil {
				return false, couldNotLook(fmt.Errorf("fetch the package set that %s at %s names: %w", file, side, err))
			}
			w.pinned[side], found = strings.TrimSpace(dir), true
			break
		}
	}
	w.pinned[pipeline.Control] = w.pinned[pipeline.Head]
	return found, nil
}
