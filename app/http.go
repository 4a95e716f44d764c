package app

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks/report"
)

// Public is what the world may reach: webhooks, health, and the status of public
// repositories.
func (a *App) Public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /webhook", a.Hook())
	a.health(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.status(w, r, false) })
	return secure(mux)
}

// Admin is for those who run it: metrics, and the status of all repositories.
func (a *App) Admin() http.Handler {
	mux := http.NewServeMux()
	a.health(mux)
	mux.Handle("GET /metrics", a.m.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.status(w, r, true) })
	return secure(mux)
}

func (a *App) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !a.Ready() {
			http.Error(w, "has not spoken to GitHub yet", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
}

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

//go:embed status.html
var statusHTML string

var statusPage = template.Must(template.New("status").Parse(statusHTML))

// statusRow is an open pull request on the status page.
type statusRow struct {
	Repo, Title, URL, Verdict, Mark, Line, Age, Since string
	Number                                            int
}

func (a *App) status(w http.ResponseWriter, r *http.Request, private bool) {
	var rows []statusRow
	hidden := 0
	now := a.gh.Now()
	a.mu.Lock()
	for _, p := range a.pages {
		if p.Private && !private {
			hidden++
			continue
		}
		rows = append(rows, statusRow{
			Repo: p.Key.Owner + "/" + p.Key.Repo, Number: p.Key.Pull, Title: report.Plain(p.Title), URL: p.URL, Verdict: strings.ReplaceAll(p.Verdict, "_", " "), Mark: mark(p.Verdict), Line: p.Line,
			Age: age(now.Sub(p.Opened)), Since: age(now.Sub(p.Since)),
		})
	}
	synced, ready := a.synced, a.ready
	a.mu.Unlock()
	slices.SortFunc(rows, func(x, y statusRow) int {
		if c := strings.Compare(x.Repo, y.Repo); c != 0 {
			return c
		}
		return y.Number - x.Number
	})
	waiting, active := a.q.len()
	data := struct {
		Rows            []statusRow
		Waiting, Active int
		Synced          string
		Ready, Private  bool
		Budgets         []budget
	}{rows, waiting, active, "not yet", ready, private, a.m.budgets(private)}
	if !synced.IsZero() {
		data.Synced = age(now.Sub(synced)) + " ago"
	}
	var b bytes.Buffer
	if err := statusPage.Execute(&b, data); err != nil {
		a.log.Error("cannot show the status page", "error", err)
		http.Error(w, "cannot show the page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}

func mark(verdict string) string {
	switch verdict {
	case "success":
		return "✓"
	case "failure", "timed_out":
		return "✗"
	case "action_required":
		return "!"
	case "skipped", "cancelled":
		return "–"
	}
	return "…"
}

func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
