package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/internal/config"
)

//go:embed templates
var templates embed.FS

func initCommand(e *env) *cobra.Command {
	var dir string
	var app bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Take a repository into use: write the workflow, the configuration and an entry",
		Long: `Looks at the repository and writes what is missing: .github/asterbot.yml, a workflow that checks pull requests, one that looks at the
default branch, one that answers comments, and,
where there is no Nix entry yet, one that promises what the repository's overlays define. Each line says why it is there.
Files that exist are left as they are.`,
		Example: "  bot init\n  bot init --app    # a GitHub App publishes and answers",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runInit(e, e.path(dir), app) },
	}
	c.Flags().StringVar(&dir, "dir", ".", "the repository's root `folder`")
	c.Flags().BoolVar(&app, "app", false, "the organisation has the GitHub App: it publishes check runs and answers comments")
	return c
}

// found is what there is in a repository.
type found struct {
	Entry    string   // a Nix entry that exists
	Overlays []string // overlay files or folders, relative to the root
	Kernel   bool     // Asterinas' own kernel, built by make
	Version  string   // a version file
	Pin      string   // the file that names the package set by its hash
	App      bool
}

// entryArgs are the arguments by which a Nix file is known as an entry.
var entryArgs = regexp.MustCompile(`(?s)^(?:\s|#[^\n]*\n)*\{[^}]*\bkernel\b[^}]*\}`)

func look(root string) (found, error) {
	var f found
	places := append(slices.Clone(config.Default().Entry), "default.nix")
	for _, p := range places {
		data, err := os.ReadFile(filepath.Join(root, p))
		if err == nil && entryArgs.Match(data) {
			f.Entry = p
			break
		}
	}
	for _, p := range []string{"VERSION", "distro/VERSION", "version.txt"} {
		if isFile(filepath.Join(root, p)) {
			f.Version = p
			break
		}
	}
	for _, p := range []string{"flake.lock", "nix/sources.json", "pin.json", "nix/pin.json"} {
		data, err := os.ReadFile(filepath.Join(root, p))
		if _, ok := parsePin(data); err == nil && ok {
			f.Pin = p
			break
		}
	}
	f.Kernel = isFile(filepath.Join(root, "OSDK.toml")) && isFile(filepath.Join(root, "Makefile"))
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "target" || strings.Count(rel, "/") > 5) {
			return fs.SkipDir
		}
		if name := filepath.ToSlash(rel); overlayName.MatchString(name) {
			if data, err := os.ReadFile(p); err == nil && overlayText.Match(data) {
				f.Overlays = append(f.Overlays, name)
			}
		}
		return nil
	})
	return f, err
}

var (
	overlayName = regexp.MustCompile(`^(?:.*/)?(?:overlay|overlays)(?:/[A-Za-z0-9_.+-]+)?(?:/default)?\.nix$`)
	// An overlay is a function of two arguments; a list of overlays is left to
	// its own default.nix.
	overlayText = regexp.MustCompile(`^(?:\s|#[^\n]*\n)*[A-Za-z_]+\s*:\s*[A-Za-z_]+\s*:`)
)

func runInit(e *env, root string, app bool) error {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		return usage("%s is not the root of a git repository; name it with --dir", root)
	}
	f, err := look(root)
	if err != nil {
		return usage("look at the repository: %w", err)
	}
	f.App = app
	type file struct{ path, why, text string }
	var files []file
	if f.Entry == "" {
		if len(f.Overlays) == 0 {
			fmt.Fprintln(e.Stdout, "found no Nix entry and no overlays: the entry that is written promises nothing yet, fill it in")
		}
		text, err := render("entry.nix", f)
		if err != nil {
			return err
		}
		files = append(files, file{".github/asterbot.nix", fmt.Sprintf("the Nix entry: what is promised, from %d overlays", len(f.Overlays)), text})
		f.Entry = ".github/asterbot.nix"
	}
	text, err := render("asterbot.yml", f)
	if err != nil {
		return err
	}
	if _, err := config.Parse(config.Path, []byte(text)); err != nil {
		return fmt.Errorf("write %s: %w", config.Path, err)
	}
	files = append(files, file{config.Path, "the configuration", text})
	workflow, err := render("workflow.yml", f)
	if err != nil {
		return err
	}
	if app {
		workflow, _, _ = strings.Cut(workflow, "\n  publish:")
	}
	files = append(files, file{".github/workflows/compatibility.yml", "checks every pull request", strings.TrimRight(workflow, "\n") + "\n"})
	text, err = render("main.yml", f)
	if err != nil {
		return err
	}
	files = append(files, file{".github/workflows/default-branch.yml", "looks at the default branch: history, issues, and what makes pull requests fast", text})
	if !app {
		text, err := render("commands.yml", f)
		if err != nil {
			return err
		}
		files = append(files, file{".github/workflows/commands.yml", "answers /rebuild and the other commands", text})
	}
	if app {
		text, err := render("asterbot-rebuild.yml", f)
		if err != nil {
			return err
		}
		files = append(files, file{".github/workflows/asterbot-rebuild.yml", "what the App dispatches for /rebuild NAME", text})
	}
	for _, file := range files {
		to := filepath.Join(root, file.path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return usage("%w", err)
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			fmt.Fprintf(e.Stdout, "kept   %-40s it exists\n", file.path)
			continue
		}
		if err != nil {
			return usage("%w", err)
		}
		_, err = out.WriteString(file.text)
		if err = errors.Join(err, out.Close()); err != nil {
			return usage("write %s: %w", file.path, err)
		}
		fmt.Fprintf(e.Stdout, "wrote  %-40s %s\n", file.path, file.why)
	}
	fmt.Fprintln(e.Stdout, "\nnext: read them, try 'bot check' on a branch, commit them, and open a pull request; docs/adopt.md goes on from there")
	return nil
}

func render(name string, f found) (string, error) {
	data, err := templates.ReadFile("templates/" + name)
	if err != nil || name == "workflow.yml" || name == "commands.yml" || name == "main.yml" || name == "asterbot-rebuild.yml" {
		return string(data), err // GitHub's expressions look like a template's
	}
	t, err := template.New(name).Parse(string(data))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, f)
	return b.String(), err
}
