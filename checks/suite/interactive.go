package suite

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/asterinas/asterbot/testvm"
)

// Interactive boots a machine and gives its console to a person, until the
// guest ends or in does. Before that it prints the command line that does the
// same by hand. out must be a terminal of the person's own, put into raw mode:
// what the guest says is written as it comes.
func Interactive(ctx context.Context, m testvm.Machine, in io.Reader, out io.Writer) error {
	fmt.Fprintf(out, "the same by hand:\r\n  %s\r\n\r\n", Quote(m.Command()))
	var booting atomic.Bool // the console is watched from another goroutine
	booting.Store(true)
	m.Watch = func(_ string, p []byte) {
		if booting.Load() {
			_, _ = out.Write(p) // a terminal that is gone ends in too
		}
	}
	g, err := m.Start(ctx)
	if err != nil {
		return err
	}
	defer g.Kill()
	s, err := g.Session(ctx)
	if err != nil {
		return fmt.Errorf("boot: %w: %s", err, g.Kill().Reason)
	}
	booting.Store(false)
	s.Leave()
	if err := g.Attach(ctx, s.Console(), in, out); err != nil && ctx.Err() == nil {
		return fmt.Errorf("attach to the console: %w", err)
	}
	return nil
}

// Quote writes a command line so that a shell reads it back.
func Quote(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		plain := a != "" && !strings.ContainsFunc(a, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_", r)
		})
		if quoted[i] = a; !plain {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
