package main

import (
	"context"
	"maps"
	"slices"

	"github.com/asterinas/asterbot/distro/nix"
)

// keep notes a store path that was built.
func (w *workspace) keep(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.built[path] = true
}

// fillCache copies what was built for head into a binary cache.
func (w *workspace) fillCache(ctx context.Context, e *env, url string) error {
	w.mu.Lock()
	paths := slices.Sorted(maps.Keys(w.built))
	w.mu.Unlock()
	c := nix.BinaryCache{URL: url, Key: e.Getenv("ASTERBOT_CACHE_KEY")}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if v := e.Getenv(name); v != "" {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	return w.nix.Fill(ctx, c, paths)
}
