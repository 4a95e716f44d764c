package suite

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/asterinas/asterbot/testvm"
)

// Interactive gives a person the console of a machine, on the terminal of this
// process, until the machine ends. Before that it prints the command line that
// does the same by hand.
func Interactive(ctx context.Context, m testvm.Machine, stdin io.Reader, stdout, stderr io.Writer) error {
	if m.Accel.Accelerator == "" {
		accel, err := testvm.Accelerate(ctx, m.QEMU, false)
		if err != nil {
			return err
		}
		m.Accel = accel
	}
	args := m.Command()
	fmt.Fprintf(stderr, "%s\n\nCtrl-A x ends the machine.\n\n", Quote(args))
	// The terminal's signals are the guest's now, and QEMU's.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	// The child stays in the terminal's foreground group, and dies with us: the
	// signal of a parent's death is bound to the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		// isa-debug-exit ends QEMU with odd statuses when all is well.
		if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == m.Profile.ExitOK {
			return nil
		}
		return fmt.Errorf("run machine: %w", err)
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
