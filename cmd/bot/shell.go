package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/nix"
	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/proc"
)

// shellCommand gives a developer the environment a package is built in.
func shellCommand(e *env) *cobra.Command {
	var s subject
	var at string
	var impure bool
	c := &cobra.Command{
		Use:   "shell PACKAGE [--at base|head] [-- COMMAND...]",
		Short: "The exact build environment of a package, on any Linux machine with Nix",
		Long: `Start a shell in the environment that Nix builds a package in: the same compiler,
libraries, variables and phases, at the change's base or at its head.

In the shell, 'genericBuild' runs the whole build, and 'unpackPhase',
'patchPhase', 'buildPhase' and so on one step of it, in the current folder. With a COMMAND, that is
run instead, and its exit status is returned.`,
		Example: "  bot shell hello --at base\n  bot shell runc -- 'unpackPhase && cd $sourceRoot && patchPhase'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if at != "base" && at != "head" {
				return usage("--at is base or head, not %q", at)
			}
			if dash := c.ArgsLenAtDash(); len(args) > 1 && dash != 1 {
				return usage("one package at a time; what is to be run goes after --: bot shell %s -- %s", args[0], strings.Join(args[1:], " "))
			}
			ctx := c.Context()
			found, err := s.derivation(ctx, e, pipeline.Side(at), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(e.Stderr, "build environment of %s at %s (%s)\n", args[0], at, path.Base(found.drv))
			return found.enter(ctx, e, args[1:], !impure)
		},
	}
	s.flags(c)
	c.Flags().StringVar(&at, "at", "head", "which side of the change: `base` or head")
	c.Flags().BoolVar(&impure, "impure", false, "keep this shell's own variables and PATH besides")
	return c
}

// buildEnvironment is a derivation whose environment can be entered.
type buildEnvironment struct {
	drv string
	// options are Nix's for the package set in use.
	options []string
}

// derivation instantiates the package's derivation. Nothing of the workspace is
// needed after that: the store has it all.
func (s subject) derivation(ctx context.Context, e *env, side pipeline.Side, name string) (buildEnvironment, error) {
	w, err := s.open(ctx, e)
	if err != nil {
		return buildEnvironment{}, err
	}
	defer w.close()
	evaluation, err := w.evaluation(side)
	if err != nil {
		return buildEnvironment{}, usage("%w", err)
	}
	evaluation.Write = true
	evaluation.Only = []nix.Ref{{Kind: distro.KindPackage, Name: name}, {Kind: distro.KindImage, Name: name}, {Kind: distro.KindSuite, Name: name}}
	got, err := w.nix.Evaluate(ctx, evaluation)
	if err != nil {
		return buildEnvironment{}, couldNotLook(err)
	}
	if f := got.Set.Failure; f != nil {
		return buildEnvironment{}, &exitError{checks.Failure.ExitCode(), fmt.Errorf("the entry does not evaluate at %s: %s", side, f.Message)}
	}
	for _, a := range got.Set.Attrs {
		if a.Name != name {
			continue
		}
		if a.Failure != nil {
			place := ""
			if a.Failure.File != "" {
				place = fmt.Sprintf(" (%s:%d)", a.Failure.File, a.Failure.Line)
			}
			return buildEnvironment{}, &exitError{checks.Failure.ExitCode(), fmt.Errorf("%s does not evaluate at %s%s: %s", name, side, place, a.Failure.Message)}
		}
		return buildEnvironment{drv: a.Drv, options: tinypkgs.NixOptions(w.nixpkgs)}, nil
	}
	return buildEnvironment{}, usage("there is no package %s at %s; 'bot plan --all' lists what there is", name, side)
}

// args are the arguments of nix-shell.
func (b buildEnvironment) args(command []string, pure bool) []string {
	args := []string{b.drv}
	if pure {
		args = append(args, "--pure")
	}
	if len(command) > 0 {
		words := make([]string, len(command))
		for i, word := range command {
			words[i] = suite.Quote([]string{word})
		}
		line := strings.Join(words, " ")
		// One word is a line for the shell, as of sh -c: phases are functions, not programs.
		if len(command) == 1 {
			line = command[0]
		}
		args = append(args, "--run", line)
	}
	return append(args, b.options...)
}

// enter runs nix-shell. On a terminal it takes this process's place, so that the
// shell is in the foreground as if it had been started by hand.
func (b buildEnvironment) enter(ctx context.Context, e *env, command []string, pure bool) error {
	program, err := exec.LookPath("nix-shell")
	if err != nil {
		return couldNotLook(fmt.Errorf("find nix-shell: %w; install Nix", err))
	}
	environ := os.Environ()
	// Nix would look for an interactive bash in whatever <nixpkgs> this machine has.
	if bash, err := exec.LookPath("bash"); err == nil && e.Getenv("NIX_BUILD_SHELL") == "" {
		environ = append(environ, "NIX_BUILD_SHELL="+bash)
	}
	args := b.args(command, pure)
	if len(command) == 0 && e.Stdin == os.Stdin {
		return couldNotLook(fmt.Errorf("start nix-shell: %w", syscall.Exec(program, append([]string{"nix-shell"}, args...), environ)))
	}
	cmd := &proc.Cmd{Path: program, Args: args, Env: environ, Dir: e.Dir, Stdin: e.Stdin, Stdout: e.Stdout, Stderr: e.Stderr}
	err = cmd.Run(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		// The command's own status; what it said is on the terminal already.
		return &exitError{code: exit.ExitCode()}
	}
	if err != nil {
		return couldNotLook(err)
	}
	return nil
}
