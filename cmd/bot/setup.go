package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/internal/github"
)

// setupOptions are the flags of bot setup.
type setupOptions struct {
	Name, Org, Hook, Home string
	Out                   string
	Web, API              string
	Ruleset               string
	AppID                 int64
	Timeout               time.Duration
}

func setupCommand(e *env) *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use:   "setup",
		Short: "Create the GitHub App through a manifest, and the ruleset that requires its check",
		Long: `setup opens a page on this machine that hands the App's manifest to GitHub. Once you have agreed there, GitHub
sends the browser back here, and setup writes the App's id, key and webhook secret into --out.

With --ruleset OWNER/REPO it writes the ruleset that requires the check "asterbot" from this App, and from nobody
else, on the default branch. That needs the token of an administrator in GH_TOKEN or GITHUB_TOKEN, and --app-id or
an --out that an earlier setup has filled.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Ruleset != "" {
				return setupRuleset(c.Context(), e, o)
			}
			return setup(c.Context(), e, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Name, "name", "asterbot", "the App's `name`; it must be free on GitHub")
	f.StringVar(&o.Org, "org", "", "the `organisation` that owns the App; none is yourself")
	f.StringVar(&o.Hook, "webhook-url", "", "where GitHub reaches 'bot serve': https://HOST/webhook")
	f.StringVar(&o.Home, "home", "https://github.com/asterinas/asterbot", "the App's home `page`")
	f.StringVar(&o.Out, "out", "asterbot-app", "the `folder` for id, key and secret")
	f.StringVar(&o.Web, "web-url", "https://github.com", "the `address` of GitHub's pages")
	f.StringVar(&o.API, "api-url", e.Getenv("ASTERBOT_API_URL"), "the `URL` of a GitHub Enterprise Server's API")
	f.StringVar(&o.Ruleset, "ruleset", "", "write the ruleset of `OWNER/REPO`")
	f.Int64Var(&o.AppID, "app-id", 0, "the App's `id`, for --ruleset")
	f.DurationVar(&o.Timeout, "timeout", 15*time.Minute, "how long to wait for you")
	_ = c.MarkFlagDirname("out")
	return c
}

var setupPage = template.Must(template.New("setup").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Create the App</title></head><body>
<h1>Create the GitHub App</h1>
<form action="{{.Action}}" method="post"><input type="hidden" name="manifest" value="{{.Manifest}}">
<button type="submit">Go to GitHub and create it</button></form>
</body></html>
`))

func setup(ctx context.Context, e *env, o setupOptions) error {
	if o.Hook == "" {
		return usage("where does GitHub reach 'bot serve'? Say --webhook-url https://HOST/webhook")
	}
	if entries, err := os.ReadDir(o.Out); err == nil && len(entries) > 0 {
		return usage("%s holds something already; say another --out, or remove it", o.Out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return couldNotLook(fmt.Errorf("listen on this machine: %w", err))
	}
	defer l.Close()
	here := "http://" + l.Addr().String()
	m, err := app.NewManifest(o.Name, o.Home, o.Hook, here+"/created")
	if err != nil {
		return usage("%w", err)
	}
	// Only the browser that came from this page may bring a code.
	state := rand.Text()
	target := strings.TrimSuffix(o.Web, "/") + "/settings/apps/new?state=" + state
	if o.Org != "" {
		target = strings.TrimSuffix(o.Web, "/") + "/organizations/" + url.PathEscape(o.Org) + "/settings/apps/new?state=" + state
	}
	codes := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		setupPage.Execute(w, struct{ Action, Manifest string }{target, m.JSON()})
	})
	mux.HandleFunc("GET /created", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 || q.Get("code") == "" {
			http.Error(w, "this did not come from GitHub", http.StatusBadRequest)
			return
		}
		select {
		case codes <- q.Get("code"):
		default:
		}
		fmt.Fprintln(w, "The App is created. Go back to the terminal.")
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l)
	defer s.Close()
	fmt.Fprintf(e.Stdout, "Open %s/ in a browser on this machine.\n", here)
	var code string
	select {
	case code = <-codes:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(o.Timeout):
		return couldNotLook(errors.New("nobody came; start setup again"))
	}
	c, err := github.New(github.Options{BaseURL: o.API, Wait: time.Minute})
	if err != nil {
		return usage("%w", err)
	}
	created, err := app.Convert(ctx, c, code)
	if err != nil {
		return couldNotLook(err)
	}
	if err := os.MkdirAll(o.Out, 0o700); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"private-key.pem": created.Key, "webhook-secret": created.WebhookSecret + "\n",
		"asterbot.env": fmt.Sprintf("ASTERBOT_APP_ID=%d\nASTERBOT_API_URL=%s\n", created.ID, o.API), "app-id": strconv.FormatInt(created.ID, 10) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(o.Out, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("keep the App's %s: %w", name, err)
		}
	}
	fmt.Fprintf(e.Stdout, `Created App %d (%s); its id, key and webhook secret are in %s.

Next:
  1. Install it: %s/installations/new
  2. Start it:   bot serve --app-id %d --private-key-file %s --webhook-secret-file %s
  3. Require it: GH_TOKEN=... bot setup --ruleset OWNER/REPO --out %s
  4. Look:       GH_TOKEN=... bot doctor --github OWNER/REPO --app %s
`, created.ID, created.Slug, o.Out, created.HTMLURL, created.ID, filepath.Join(o.Out, "private-key.pem"), filepath.Join(o.Out, "webhook-secret"), o.Out, o.Out)
	return nil
}

func setupRuleset(ctx context.Context, e *env, o setupOptions) error {
	owner, repo, ok := strings.Cut(o.Ruleset, "/")
	if !ok || owner == "" || repo == "" || strings.Contains(repo, "/") {
		return usage("--ruleset is %q: want OWNER/REPO", o.Ruleset)
	}
	if o.AppID == 0 {
		var err error
		if o.AppID, err = createdApp(o.Out); err != nil {
			return err
		}
	}
	c, err := userClient(e, o.API)
	if err != nil {
		return err
	}
	changed, err := app.RequireVerdict(ctx, c, owner, repo, o.AppID)
	if err != nil {
		return couldNotLook(err)
	}
	if changed {
		fmt.Fprintf(e.Stdout, "%s requires the check \"asterbot\" from App %d now.\n", o.Ruleset, o.AppID)
	} else {
		fmt.Fprintf(e.Stdout, "%s requires the check \"asterbot\" from App %d already.\n", o.Ruleset, o.AppID)
	}
	return nil
}

// createdApp is the id of the App that setup made.
func createdApp(dir string) (int64, error) {
	data, err := os.ReadFile(filepath.Join(dir, "app-id"))
	if err != nil {
		return 0, usage("which App? Say --app-id: %w", err)
	}
	id, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, usage("read %s: %w", filepath.Join(dir, "app-id"), err)
	}
	return id, nil
}

// userClient is a client with the user's own token.
func userClient(e *env, api string) (*github.Client, error) {
	token := e.Getenv("GH_TOKEN")
	if token == "" {
		token = e.Getenv("GITHUB_TOKEN")
	}
	if token == "" {
		return nil, usage("a token is needed in GH_TOKEN or GITHUB_TOKEN")
	}
	c, err := github.New(github.Options{BaseURL: api, Token: token, Wait: time.Minute})
	if err != nil {
		return nil, usage("%w", err)
	}
	return c, nil
}

// gitHubLook are the flags of bot doctor --github.
type gitHubLook struct {
	Repository, API string
	AppID           int64
	App             string // the folder that bot setup wrote
}

// examineGitHub is bot doctor --github OWNER/REPO: it reads the repository's live
// settings and reports, by its exit code, whether anything is unsafe or broken.
func examineGitHub(ctx context.Context, e *env, o gitHubLook) error {
	owner, repo, ok := strings.Cut(o.Repository, "/")
	if !ok || owner == "" || repo == "" || strings.Contains(repo, "/") {
		return usage("--github is %q: want OWNER/REPO", o.Repository)
	}
	c, err := userClient(e, o.API)
	if err != nil {
		return err
	}
	x := app.Examination{Client: c, Owner: owner, Repo: repo, AppID: o.AppID, ParsePolicy: appPolicy, Workflow: app.DefaultWorkflow, Rebuild: app.DefaultRebuild}
	if key, err := os.ReadFile(filepath.Join(e.path(o.App), "private-key.pem")); err == nil {
		id, err := createdApp(e.path(o.App))
		if err != nil {
			return err
		}
		if x.AppID == 0 {
			x.AppID = id
		}
		if x.App, err = github.NewApp(github.AppOptions{ID: id, Key: key, Options: github.Options{BaseURL: o.API, Wait: time.Minute}}); err != nil {
			return usage("%w", err)
		}
	}
	found, err := x.Findings(ctx)
	if err != nil {
		return couldNotLook(err)
	}
	bad, unknown := 0, 0
	for _, f := range found {
		fmt.Fprintf(e.Stdout, "%-8s %s\n", f.Level, f.What)
		if f.Do != "" {
			fmt.Fprintf(e.Stdout, "%-8s -> %s\n", "", f.Do)
		}
		switch f.Level {
		case "unsafe", "broken":
			bad++
		case "unknown":
			unknown++
		}
	}
	switch {
	case bad > 0:
		return &exitError{code: 1}
	case unknown > 0:
		return &exitError{code: 3}
	}
	return nil
}
