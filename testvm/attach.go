package testvm

import (
	"context"
	"errors"
	"io"
	"slices"
)

// Attach connects a person to a console until the guest ends, in ends, or
// the context does. What the guest says is written as it comes, raw: out must be
// a terminal of the person's own, never a log.
func (g *Guest) Attach(ctx context.Context, console string, in io.Reader, out io.Writer) error {
	n := slices.Index(Consoles, console)
	if n < 0 {
		return errors.New("attach: no console " + console)
	}
	g.rest() // a person may think as long as they like
	g.mu.Lock()
	g.viewer = func(c int, p []byte) {
		if c == n {
			_, _ = out.Write(p) // a terminal that is gone ends in too
		}
	}
	g.mu.Unlock()
	typed := make(chan error, 1)
	go func() {
		_, err := io.Copy(g.inputs[n], in)
		typed <- err
	}()
	select {
	case err := <-typed:
		return err
	case <-g.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave has the prompt's shell stop taking commands from the session, and be
// a person's again.
func (s *Session) Leave() {
	s.line(`PS1='# ';_v=$(_f stty);$_v sane 2>$_i;break`)
}
