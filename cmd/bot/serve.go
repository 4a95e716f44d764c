package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/github"
)

// serveOptions are the flags of bot serve.
type serveOptions struct {
	Listen, Admin     string
	AppID             int64
	KeyFile           string
	SecretFiles       []string
	API               string
	Workflow, Rebuild string
	Workers           int
	WritesPerMinute   int
	Resync, Sweep     time.Duration
	Settle            time.Duration
	LogFormat         string
	LogLevel          string
}

func serveCommand(e *env) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Be the GitHub App: publish check runs, obey comments",
		Long: `serve listens to GitHub's webhooks at /webhook, keeps the check runs of every open pull request of its
installations right, and obeys comment commands. It keeps no state: a restart loses nothing.

Secrets come from files or from the environment: ASTERBOT_PRIVATE_KEY or --private-key-file, and
ASTERBOT_WEBHOOK_SECRET (and ASTERBOT_WEBHOOK_SECRET_OLD while it is being replaced) or --webhook-secret-file,
which may be given more than once.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return serve(c.Context(), e, o) },
	}
	f := c.Flags()
	get := func(name, otherwise string) string {
		if v := e.Getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	id, _ := strconv.ParseInt(e.Getenv("ASTERBOT_APP_ID"), 10, 64)
	f.StringVar(&o.Listen, "listen", get("ASTERBOT_LISTEN", "127.0.0.1:8080"), "the `address` for webhooks, health and the public status page")
	f.StringVar(&o.Admin, "admin", get("ASTERBOT_ADMIN", ""), "the `address` for /metrics and the status of all repositories; none if empty")
	f.Int64Var(&o.AppID, "app-id", id, "the `id` of the App (ASTERBOT_APP_ID)")
	f.StringVar(&o.KeyFile, "private-key-file", get("ASTERBOT_PRIVATE_KEY_FILE", ""), "the `file` with the App's private key")
	f.StringArrayVar(&o.SecretFiles, "webhook-secret-file", nil, "a `file` with a webhook secret; give two while one is being replaced")
	f.StringVar(&o.API, "api-url", get("ASTERBOT_API_URL", ""), "the `URL` of a GitHub Enterprise Server's API, such as https://HOST/api/v3")
	f.StringVar(&o.Workflow, "workflow", app.DefaultWorkflow, "the `path` of the workflow that checks pull requests")
	f.StringVar(&o.Rebuild, "rebuild-workflow", app.DefaultRebuild, "the `path` of the workflow that is dispatched for /rebuild with arguments")
	f.IntVar(&o.Workers, "workers", 8, "how many pull requests are looked at at once")
	f.IntVar(&o.WritesPerMinute, "writes-per-minute", 0, "GitHub's limit on content writes (default 80)")
	f.DurationVar(&o.Resync, "resync", 30*time.Minute, "how often everything is looked at again")
	f.DurationVar(&o.Sweep, "sweep", 5*time.Minute, "how often missed deliveries are asked for")
	f.DurationVar(&o.Settle, "settle", 300*time.Millisecond, "how long the events of a pull request are gathered")
	f.StringVar(&o.LogFormat, "log-format", get("ASTERBOT_LOG_FORMAT", "json"), "json or text")
	f.StringVar(&o.LogLevel, "log-level", get("ASTERBOT_LOG_LEVEL", "info"), "debug, info, warn or error")
	for _, name := range []string{"private-key-file", "webhook-secret-file"} {
		_ = c.MarkFlagFilename(name)
	}
	return c
}

func serve(ctx context.Context, e *env, o serveOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return usage("--log-level is %q: it can be debug, info, warn or error", o.LogLevel)
	}
	var handler slog.Handler = slog.NewJSONHandler(e.Stderr, &slog.HandlerOptions{Level: level})
	switch o.LogFormat {
	case "json":
	case "text":
		handler = slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level})
	default:
		return usage("--log-format is %q: it can be json or text", o.LogFormat)
	}
	log := slog.New(handler)
	key := []byte(e.Getenv("ASTERBOT_PRIVATE_KEY"))
	if o.KeyFile != "" {
		var err error
		if key, err = os.ReadFile(o.KeyFile); err != nil {
			return usage("read the App's private key: %w", err)
		}
	}
	if len(key) == 0 || o.AppID == 0 {
		return usage("the App's id and private key are needed: --app-id and --private-key-file, which 'bot setup' writes")
	}
	secrets, err := webhookSecrets(e, o.SecretFiles)
	if err != nil {
		return err
	}
	metrics := app.NewMetrics()
	client, err := github.NewApp(github.AppOptions{ID: o.AppID, Key: key, Options: github.Options{BaseURL: o.API, WritesPerMinute: o.WritesPerMinute, Observe: metrics.Observe}})
	if err != nil {
		return usage("%w", err)
	}
	a, err := app.New(app.Options{
		GitHub: client, Secrets: secrets, ParsePolicy: appPolicy, Workflow: o.Workflow, Rebuild: o.Rebuild, Workers: o.Workers,
		Resync: o.Resync, Sweep: o.Sweep, Settle: o.Settle, Log: log, Metrics: metrics,
	})
	if err != nil {
		return usage("%w", err)
	}
	var servers []*http.Server
	failed := make(chan error, 2)
	listen := func(what, address string, h http.Handler) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return usage("listen for %s: %w", what, err)
		}
		s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(handler, slog.LevelDebug)}
		servers = append(servers, s)
		log.Info("listening", "for", what, "address", l.Addr().String())
		go func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
		return nil
	}
	if err := listen("webhooks", o.Listen, a.Public()); err != nil {
		return err
	}
	if o.Admin != "" {
		if err := listen("administrators", o.Admin, a.Admin()); err != nil {
			return err
		}
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- a.Run(run) }()
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		log.Info("draining")
	}
	// No new deliveries: those that come now are asked for again by whoever
	// serves next. Then what was begun is finished.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, s := range servers {
		_ = s.Shutdown(drain)
	}
	stop()
	<-done
	log.Info("stopped")
	return err
}

// webhookSecrets gathers the secrets; an empty one is a mistake, not a choice.
func webhookSecrets(e *env, files []string) ([]string, error) {
	var out []string
	for _, name := range []string{"ASTERBOT_WEBHOOK_SECRET", "ASTERBOT_WEBHOOK_SECRET_OLD"} {
		if s := strings.TrimSpace(e.Getenv(name)); s != "" {
			out = append(out, s)
		}
	}
	if len(files) == 0 && len(out) == 0 {
		if f := e.Getenv("ASTERBOT_WEBHOOK_SECRET_FILE"); f != "" {
			files = strings.Split(f, string(os.PathListSeparator))
		}
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, usage("read webhook secret: %w", err)
		}
		s := strings.TrimSpace(string(data))
		if s == "" {
			return nil, usage("read webhook secret: %s is empty; with an empty secret anybody could send events", f)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, usage("a webhook secret is needed: --webhook-secret-file or ASTERBOT_WEBHOOK_SECRET")
	}
	return out, nil
}

// appPolicy reads what a repository's configuration says to the App.
func appPolicy(data []byte) (app.Policy, error) {
	cfg := config.Default()
	if data != nil {
		var err error
		if cfg, err = config.Parse(".github/asterbot.yml", data); err != nil {
			return app.Policy{}, err
		}
	}
	p := app.Policy{Publish: cfg.Publish == config.PublishApp, Answer: cfg.Commands == config.HandleApp, Levels: map[string]string{}}
	for name, level := range cfg.Permissions {
		p.Levels[name] = string(level)
	}
	return p, nil
}
