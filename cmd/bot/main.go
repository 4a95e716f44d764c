// Command bot is asterbot: it says what a change to a distribution affects,
// and whether that still evaluates, builds, installs, boots and works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
)

// env is what a subcommand sees of the process it runs in.
type env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Dir    string // the working directory
}

// commands are the subcommands, in the order of the help. It is a function because the
// action runs other subcommands.
func commands() []func(*env) *cobra.Command {
	return []func(*env) *cobra.Command{
		checkCommand,
		planCommand,
		buildCommand,
		bootCommand,
		reportCommand,
		demoCommand,
		doctorCommand,
		vmCommand,
		shellCommand,
		driftCommand,
		lintCommand,
		actionCommand,
		releaseCommand,
		initCommand,
		reproCommand,
		docsCommand,
		serveCommand,
		setupCommand,
		replayCommand,
	}
}

// exitError ends the process with a code; the message, if any, is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as wrong usage or configuration.
func usage(format string, args ...any) error {
	return &exitError{checks.ExitUsage, fmt.Errorf(format, args...)}
}

// couldNotLook marks an error as one that kept us from looking.
func couldNotLook(err error) error {
	return &exitError{checks.Errored.ExitCode(), err}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bot:", err)
		os.Exit(checks.ExitUsage)
	}
	os.Exit(run(ctx, &env{os.Stdin, os.Stdout, os.Stderr, os.Getenv, dir}, os.Args[1:]))
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, e *env, args []string) int {
	root := &cobra.Command{
		Use:           "bot",
		Short:         "What does this change affect, and does it still work?",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; see '%s --help'", err, c.CommandPath())
	})
	for _, c := range commands() {
		root.AddCommand(c(e))
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := checks.ExitUsage
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintln(e.Stderr, "bot:", msg)
	}
	return code
}
