package githubtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// appKey is made once: generating takes a moment.
var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// ActionsAppID is the id of GitHub Actions' own App, whose tokens workflows
// have.
const ActionsAppID = 15368

// Slug is the App's name in addresses; its bot's login is Slug + "[bot]".
const Slug = "asterbot"

// BotID is the user id of the App's bot.
const BotID = 41001

// Installation is the App on an account.
type Installation struct {
	ID        int64
	Account   string
	Suspended bool
	// Limit, Remaining and Reset are its rate budget; a Limit of zero is 5,000
	// that never run out.
	Limit, Remaining int
	Reset            time.Time
	Permissions      map[string]string
}

// token is something that authorises.
type token struct {
	value       string
	app         int64 // the App that acts; zero for a user
	install     *Installation
	login       string
	repo        string // limits an Actions token, and a token made for one
	permissions map[string]string
	expires     time.Time
	jwt         bool
}

// AppID is the App's id.
func (s *Server) AppID() int64 { return s.opt.AppID }

// PrivateKey is the App's key, in PEM.
func (s *Server) PrivateKey() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.key)})
}

// Install puts the App on an account.
func (s *Server) Install(account string) *Installation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.install(account)
}

func (s *Server) install(account string) *Installation {
	for _, i := range s.installs {
		if i.Account == account {
			return i
		}
	}
	perms := s.opt.Permissions
	if perms == nil {
		perms = map[string]string{}
		for _, o := range operations {
			if name, level, ok := strings.Cut(o.need, ":"); ok && perms[name] != "write" {
				perms[name] = level
			}
		}
	}
	i := &Installation{ID: s.id(), Account: account, Permissions: maps.Clone(perms)}
	s.installs[i.ID] = i
	return i
}

// Suspend suspends an installation, or ends that.
func (s *Server) Suspend(i *Installation, suspended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Suspended = suspended
}

// SetBudget sets an installation's rate budget.
func (s *Server) SetBudget(i *Installation, limit, remaining int, reset time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Limit, i.Remaining, i.Reset = limit, remaining, reset
}

// ExpireTokens makes every installation token invalid, as revoking does.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// UserToken makes a personal access token of a user.
func (s *Server) UserToken(login string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &token{value: fmt.Sprintf("ghp_%s%d", login, s.id()), login: login, expires: s.now().Add(24 * time.Hour)}
	s.tokens[t.value] = t
	return t.value
}

// ActionsToken makes a GITHUB_TOKEN of a workflow of a repository.
func (s *Server) ActionsToken(repo *Repo, permissions map[string]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := maps.Clone(permissions)
	p["metadata"] = "read"
	t := &token{value: fmt.Sprintf("ghs_actions%d", s.id()), app: ActionsAppID, repo: repo.Full(), login: "github-actions[bot]", permissions: p, expires: s.now().Add(6 * time.Hour)}
	s.tokens[t.value] = t
	return t.value
}

func (c *call) authorise() (int, any) {
	h := c.r.Header.Get("Authorization")
	_, value, _ := strings.Cut(h, " ")
	if c.op.need == "app" {
		if err := c.s.checkJWT(value); err != nil {
			return http.StatusUnauthorized, message("A JSON web token could not be decoded: %v", err)
		}
		c.token = &token{jwt: true, app: c.s.opt.AppID}
		return 0, nil
	}
	if c.op.id == "apps/create-from-manifest" {
		c.token = &token{}
		return 0, nil
	}
	t := c.s.tokens[value]
	if t == nil || !c.s.now().Before(t.expires) {
		return http.StatusUnauthorized, message("Bad credentials")
	}
	c.token = t
	if t.install != nil && t.install.Suspended {
		return http.StatusForbidden, message("This installation has been suspended")
	}
	if c.op.need == "" {
		return 0, nil
	}
	if t.permissions == nil { // a user
		if strings.HasPrefix(c.op.id, "checks/") && (c.r.Method == http.MethodPost || c.r.Method == http.MethodPatch) {
			return http.StatusForbidden, message("You must authenticate via a GitHub App.")
		}
		return 0, nil
	}
	name, level, _ := strings.Cut(c.op.need, ":")
	has := t.permissions[name]
	if name == "pull_requests" && strings.Contains(c.op.id, "issue") || strings.HasPrefix(c.op.id, "issues/") {
		// Comments of pull requests are open to either permission.
		has = max(has, t.permissions["issues"])
	}
	if has != "write" && has != level {
		c.header.Set("X-Accepted-GitHub-Permissions", strings.ReplaceAll(c.op.need, ":", "="))
		return http.StatusForbidden, message("Resource not accessible by integration")
	}
	return 0, nil
}

func (s *Server) checkJWT(value string) error {
	claims := jwt.RegisteredClaims{}
	p := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	if _, err := p.ParseWithClaims(value, &claims, func(*jwt.Token) (any, error) { return &s.key.PublicKey, nil }); err != nil {
		return err
	}
	now := s.now()
	switch {
	case claims.Issuer != strconv.FormatInt(s.opt.AppID, 10):
		return fmt.Errorf("'Issuer' claim ('iss') is not the App's id")
	case claims.IssuedAt == nil || claims.IssuedAt.After(now):
		return fmt.Errorf("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case claims.ExpiresAt == nil || !claims.ExpiresAt.After(now):
		return fmt.Errorf("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.ExpiresAt.Sub(now) > 10*time.Minute:
		return fmt.Errorf("'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

// limit counts a request against the budgets.
func (c *call) limit() (int, any) {
	i := c.token.install
	if i == nil {
		return 0, nil
	}
	limit, remaining, reset := 5000, 4999, c.s.now().Add(time.Hour)
	if i.Limit > 0 {
		if !c.s.now().Before(i.Reset) {
			i.Remaining, i.Reset = i.Limit, c.s.now().Add(time.Hour)
		}
		i.Remaining--
		limit, remaining, reset = i.Limit, max(0, i.Remaining), i.Reset
	}
	c.header.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	c.header.Set("X-RateLimit-Remaining", strconv.Itoa(remaining))
	c.header.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	c.header.Set("X-RateLimit-Resource", "core")
	if i.Limit > 0 && i.Remaining < 0 {
		return http.StatusForbidden, message("API rate limit exceeded for installation ID %d.", i.ID)
	}
	if c.s.opt.WritesPerMinute > 0 && content(c.r.Method) {
		name := strconv.FormatInt(i.ID, 10)
		now := time.Now()
		recent := slices.DeleteFunc(c.s.writes[name], func(t time.Time) bool { return now.Sub(t) > time.Minute })
		if len(recent) >= c.s.opt.WritesPerMinute {
			c.s.writes[name] = recent
			c.header.Set("Retry-After", "60")
			return http.StatusForbidden, message("You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		}
		c.s.writes[name] = append(recent, now)
	}
	return 0, nil
}

// refund takes a conditional request that found nothing new off the count.
func (c *call) refund(h http.Header) {
	if i := c.token.install; i != nil && i.Limit > 0 {
		i.Remaining++
		h.Set("X-RateLimit-Remaining", strconv.Itoa(i.Remaining))
	}
}

// sees reports whether the token reaches a repository.
func (c *call) sees(r *Repo) bool {
	t := c.token
	switch {
	case t.jwt:
		return true
	case t.install != nil:
		return t.install.Account == r.Owner && (t.repo == "" || t.repo == r.Full())
	case t.repo != "":
		return t.repo == r.Full()
	}
	return !r.Private || r.roles[t.login] != ""
}

// bot is who acts with the token.
func (c *call) bot() (login string, id int64, typ string) {
	switch {
	case c.token.app == c.s.opt.AppID:
		return Slug + "[bot]", BotID, "Bot"
	case c.token.app != 0:
		return "github-actions[bot]", 41898282, "Bot"
	}
	return c.token.login, userID(c.token.login), "User"
}

func (s *Server) appObject(id int64) obj {
	slug := Slug
	perms := obj{}
	for k, v := range s.opt.Permissions {
		perms[k] = v
	}
	if id == ActionsAppID {
		slug = "github-actions"
	}
	return obj{
		"id": id, "slug": slug, "name": slug, "node_id": "A", "owner": user("asterinas", "Organization"), "description": "", "external_url": "https://github.test",
		"html_url": "https://github.test/apps/" + slug, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
		"permissions": perms, "events": []string{},
	}
}

func (i *Installation) object(s *Server) obj {
	o := obj{
		"id": i.ID, "account": user(i.Account, "Organization"), "access_tokens_url": s.URL + "/app/installations/" + strconv.FormatInt(i.ID, 10) + "/access_tokens",
		"repositories_url": s.URL + "/installation/repositories", "html_url": "https://github.test/installations", "app_id": s.opt.AppID, "target_id": userID(i.Account),
		"target_type": "Organization", "permissions": i.Permissions, "events": append([]string{}, s.opt.Events...), "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
		"single_file_name": nil, "repository_selection": "all", "app_slug": Slug, "suspended_at": nil, "suspended_by": nil,
	}
	if i.Suspended {
		o["suspended_at"] = stamp(s.now())
		o["suspended_by"] = user("owner", "User")
	}
	return o
}

func (c *call) getApp() (int, any) { return 200, c.s.appObject(c.s.opt.AppID) }

func (c *call) listInstallations() (int, any) {
	list := slices.SortedFunc(maps.Values(c.s.installs), func(a, b *Installation) int { return int(a.ID - b.ID) })
	return 200, each(page(c, list), func(i *Installation) any { return i.object(c.s) })
}

func (c *call) getInstallation() (int, any) {
	if i := c.s.installs[c.num("installation_id")]; i != nil {
		return 200, i.object(c.s)
	}
	return notFound()
}

func (c *call) getRepoInstallation() (int, any) {
	for _, i := range c.s.installs {
		if i.Account == c.params["owner"] {
			return 200, i.object(c.s)
		}
	}
	return notFound()
}

func (c *call) createToken() (int, any) {
	i := c.s.installs[c.num("installation_id")]
	if i == nil {
		return notFound()
	}
	if i.Suspended {
		return http.StatusForbidden, message("This installation has been suspended")
	}
	t := &token{value: fmt.Sprintf("ghs_%d_%s", c.s.id(), strings.Repeat("v", 200)), app: c.s.opt.AppID, install: i, permissions: i.Permissions, expires: c.s.now().Add(c.s.opt.TokenLife)}
	c.s.tokens[t.value] = t
	return 201, obj{"token": t.value, "expires_at": stamp(t.expires), "permissions": i.Permissions, "repository_selection": "all"}
}

func (c *call) listInstallationRepos() (int, any) {
	var list []*Repo
	for _, r := range c.s.repos {
		if c.sees(r) {
			list = append(list, r)
		}
	}
	return 200, obj{"total_count": len(list), "repository_selection": "all", "repositories": each(page(c, list), func(r *Repo) any { return r.object() })}
}

func (c *call) getRateLimit() (int, any) {
	rate := obj{"limit": 5000, "remaining": 4999, "reset": c.s.now().Add(time.Hour).Unix(), "used": 1}
	if i := c.token.install; i != nil && i.Limit > 0 {
		rate = obj{"limit": i.Limit, "remaining": max(0, i.Remaining), "reset": i.Reset.Unix(), "used": i.Limit - i.Remaining}
	}
	return 200, obj{"resources": obj{"core": rate, "search": rate}, "rate": rate}
}

// RegisterManifest makes a code as GitHub does when its user has agreed to
// create the App that the manifest describes.
func (s *Server) RegisterManifest(manifest map[string]any) (code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code = fmt.Sprintf("code%d", s.id())
	s.manifests[code] = manifest
	return code
}

func (c *call) convertManifest() (int, any) {
	m, ok := c.s.manifests[c.params["code"]]
	if !ok {
		return notFound()
	}
	delete(c.s.manifests, c.params["code"])
	o := c.s.appObject(c.s.opt.AppID)
	o["permissions"] = m["default_permissions"]
	o["events"] = m["default_events"]
	o["client_id"], o["client_secret"], o["webhook_secret"], o["pem"] = "Iv1.x", "client-secret", "hook-secret", string(c.s.PrivateKey())
	return 201, o
}

// Delivery is a webhook delivery: one that a change of the world makes, and,
// once sent, how it went.
type Delivery struct {
	ID      int64
	GUID    string
	Event   string
	Action  string
	Payload []byte
	Install int64
	Repo    int64

	At         time.Time
	Status     int
	Redelivery bool
}

// Sign is the value of X-Hub-Signature-256.
func Sign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// delivery makes the delivery of an event of a repository.
func (s *Server) delivery(r *Repo, event, action, sender string, payload obj) *Delivery {
	if action != "" {
		payload["action"] = action
	}
	payload["repository"] = r.object()
	payload["sender"] = user(sender, "User")
	d := &Delivery{ID: s.id(), Event: event, Action: action, Repo: r.ID}
	d.GUID = fmt.Sprintf("00000000-0000-4000-8000-%012d", d.ID)
	for _, i := range s.installs {
		if i.Account == r.Owner {
			payload["installation"] = obj{"id": i.ID, "node_id": "I"}
			d.Install = i.ID
		}
	}
	d.Payload, _ = json.Marshal(payload)
	return d
}

// InstallationEvent is an event of the App's installation: created, suspend,
// unsuspend and so on.
func (r *Repo) InstallationEvent(action string) *Delivery {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.delivery(r, "installation", action, "owner", obj{"repositories": []any{}})
}

// Request is the signed request of a delivery to an address.
func (d *Delivery) Request(address, secret string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(d.Payload))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "GitHub-Hookshot/044aadd")
	r.Header.Set("X-GitHub-Event", d.Event)
	r.Header.Set("X-GitHub-Delivery", d.GUID)
	r.Header.Set("X-Hub-Signature-256", Sign(secret, d.Payload))
	return r
}

// Send delivers over HTTP, logs the attempt, and returns the status: zero where
// nobody answered.
func (s *Server) Send(d *Delivery) int { return s.send(d, false) }

func (s *Server) send(d *Delivery, again bool) int {
	s.mu.Lock()
	hook, secret := s.opt.Hook, s.opt.Secret
	s.mu.Unlock()
	status := 0
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Do(d.Request(hook, secret)); err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		status = resp.StatusCode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	log := *d
	if again {
		log.ID = s.id()
	}
	log.At, log.Status, log.Redelivery = s.now(), status, again
	s.deliveries = append(s.deliveries, &log)
	return status
}

// Drop logs a delivery that reached nobody, and does not send it.
func (s *Server) Drop(d *Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := *d
	log.At = s.now()
	s.deliveries = append(s.deliveries, &log)
}

func (d *Delivery) object(whole bool) obj {
	status := "OK"
	if d.Status == 0 {
		status = "failed to connect to host"
	} else if d.Status >= 300 {
		status = http.StatusText(d.Status)
	}
	o := obj{
		"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.At), "redelivery": d.Redelivery, "duration": 0.1, "status": status, "status_code": d.Status,
		"event": d.Event, "action": nil, "installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
	if d.Action != "" {
		o["action"] = d.Action
	}
	if d.Install != 0 {
		o["installation_id"], o["repository_id"] = d.Install, d.Repo
	}
	if whole {
		var payload obj
		json.Unmarshal(d.Payload, &payload)
		o["request"] = obj{"headers": obj{"X-GitHub-Event": d.Event, "X-GitHub-Delivery": d.GUID}, "payload": payload}
		o["response"] = obj{"headers": obj{}, "payload": ""}
	}
	return o
}

func (c *call) listDeliveries() (int, any) {
	list := slices.Clone(c.s.deliveries)
	slices.Reverse(list) // newest first
	if cursor := c.query.Get("cursor"); cursor != "" {
		i := slices.IndexFunc(list, func(d *Delivery) bool { return strconv.FormatInt(d.ID, 10) == cursor })
		if i < 0 {
			return unprocessable("Invalid cursor")
		}
		list = list[i:]
	}
	per := 30
	if v, err := strconv.Atoi(c.query.Get("per_page")); err == nil {
		per = min(v, 100)
	}
	if len(list) > per {
		next := *c.r.URL
		q := next.Query()
		q.Set("cursor", strconv.FormatInt(list[per].ID, 10))
		next.RawQuery = q.Encode()
		c.header.Set("Link", fmt.Sprintf("<%s%s>; rel=\"next\"", c.s.URL, next.RequestURI()))
		list = list[:per]
	}
	return 200, each(list, func(d *Delivery) any { return d.object(false) })
}

func (c *call) findDelivery() *Delivery {
	for _, d := range c.s.deliveries {
		if d.ID == c.num("delivery_id") {
			return d
		}
	}
	return nil
}

func (c *call) getDelivery() (int, any) {
	if d := c.findDelivery(); d != nil {
		return 200, d.object(true)
	}
	return notFound()
}

func (c *call) redeliver() (int, any) {
	d := c.findDelivery()
	if d == nil {
		return notFound()
	}
	again := *d
	go c.s.send(&again, true)
	return 202, obj{}
}
