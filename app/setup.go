package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/github"
)

// Manifest describes the App to GitHub: what it may do, and what it is told.
type Manifest struct {
	Name        string            `json:"name"`
	URL         string            `json:"url"`
	Hook        HookAttributes    `json:"hook_attributes"`
	Redirect    string            `json:"redirect_url"`
	Public      bool              `json:"public"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
}

// HookAttributes say where webhooks go.
type HookAttributes struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// NewManifest makes the App's manifest. hook is where webhooks go, redirect
// where GitHub sends the browser with a code.
func NewManifest(name, home, hook, redirect string) (Manifest, error) {
	for what, u := range map[string]string{"home page": home, "webhook": hook, "redirect": redirect} {
		if p, err := url.Parse(u); err != nil || p.Host == "" || p.Scheme != "https" && p.Scheme != "http" {
			return Manifest{}, fmt.Errorf("make manifest: the address of the %s, %q, is no URL", what, u)
		}
	}
	return Manifest{Name: name, URL: home, Hook: HookAttributes{hook, true}, Redirect: redirect, Permissions: github.Permissions, Events: github.Events}, nil
}

// JSON encodes the manifest for the form that is sent to GitHub.
func (m Manifest) JSON() string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and maps of strings
	}
	return string(b)
}

// Created is the App that GitHub has made of a manifest.
type Created struct {
	ID            int64  `json:"id"`
	Slug          string `json:"slug"`
	Key           string `json:"pem"`
	WebhookSecret string `json:"webhook_secret"`
	HTMLURL       string `json:"html_url"`
}

// Convert exchanges the code for the App's id, key and secret. It works once,
// and within an hour.
func Convert(ctx context.Context, c *github.Client, code string) (*Created, error) {
	req, err := c.NewRequest(http.MethodPost, "app-manifests/"+url.PathEscape(code)+"/conversions", nil)
	if err != nil {
		return nil, err
	}
	var out Created
	if _, err := c.Do(ctx, req, &out); err != nil {
		return nil, fmt.Errorf("exchange the manifest's code for the App: %w", err)
	}
	if out.ID == 0 || out.Key == "" || out.WebhookSecret == "" {
		return nil, fmt.Errorf("exchange the manifest's code for the App: the answer lacks the id, the key or the secret")
	}
	return &out, nil
}

// RulesetName is the name of the ruleset that requires the verdict.
const RulesetName = "asterbot"

// RequireVerdict writes a ruleset that requires the verdict from this App for
// the default branch, and from nobody else. It reports whether it changed
// anything. The client needs a token of an administrator.
func RequireVerdict(ctx context.Context, c *github.Client, owner, repo string, appID int64) (bool, error) {
	sets, _, err := c.Repositories.GetAllRulesets(ctx, owner, repo, false)
	if err != nil {
		return false, fmt.Errorf("list rulesets: %w", err)
	}
	body := map[string]any{
		"name": RulesetName, "target": "branch", "enforcement": "active",
		"conditions": map[string]any{"ref_name": map[string]any{"include": []string{"~DEFAULT_BRANCH"}, "exclude": []string{}}},
		"rules": []any{map[string]any{"type": "required_status_checks", "parameters": map[string]any{
			"strict_required_status_checks_policy": false,
			"required_status_checks":               []any{map[string]any{"context": checkrun.Verdict, "integration_id": appID}},
		}}},
	}
	method, address := http.MethodPost, fmt.Sprintf("repos/%s/%s/rulesets", owner, repo)
	if i := slices.IndexFunc(sets, func(s *gh.Ruleset) bool { return s.Name == RulesetName }); i >= 0 {
		required, err := requiredBy(ctx, c, owner, repo)
		if err != nil {
			return false, err
		}
		if slices.Contains(required, requirement{checkrun.Verdict, appID}) {
			return false, nil
		}
		method, address = http.MethodPut, fmt.Sprintf("repos/%s/%s/rulesets/%d", owner, repo, sets[i].GetID())
	}
	req, err := c.NewRequest(method, address, body)
	if err != nil {
		return false, err
	}
	if _, err := c.Do(ctx, req, nil); err != nil {
		return false, fmt.Errorf("write ruleset %q of %s/%s: %w", RulesetName, owner, repo, err)
	}
	return true, nil
}

// requirement is a required check, and the App it must come from; zero is any.
type requirement struct {
	context string
	app     int64
}

// RequiredFrom is the App that the verdict is required from on the default
// branch; zero where no rule says one.
func RequiredFrom(ctx context.Context, c *github.Client, owner, repo string) (int64, error) {
	required, err := requiredBy(ctx, c, owner, repo)
	if err != nil {
		return 0, err
	}
	for _, q := range required {
		if q.context == checkrun.Verdict && q.app != 0 {
			return q.app, nil
		}
	}
	return 0, nil
}

// requiredBy lists what the rules of the default branch require.
func requiredBy(ctx context.Context, c *github.Client, owner, repo string) ([]requirement, error) {
	r, _, err := c.Repositories.Get(ctx, owner, repo)
	if err != nil {
		return nil, fmt.Errorf("read repository: %w", err)
	}
	req, err := c.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/rules/branches/%s?per_page=100", owner, repo, url.PathEscape(r.GetDefaultBranch())), nil)
	if err != nil {
		return nil, err
	}
	var rules []struct {
		Type       string `json:"type"`
		Parameters struct {
			Checks []struct {
				Context     string `json:"context"`
				Integration int64  `json:"integration_id"`
			} `json:"required_status_checks"`
		} `json:"parameters"`
	}
	if _, err := c.Do(ctx, req, &rules); err != nil {
		return nil, fmt.Errorf("read the rules of %s: %w", r.GetDefaultBranch(), err)
	}
	var out []requirement
	for _, rule := range rules {
		if rule.Type == "required_status_checks" {
			for _, c := range rule.Parameters.Checks {
				out = append(out, requirement{c.Context, c.Integration})
			}
		}
	}
	return out, nil
}
