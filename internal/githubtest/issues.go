package githubtest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Issue is an issue that is no pull request.
type Issue struct {
	ID               int64
	Number           int
	Title, Body      string
	Author, Type     string
	State            string // "open" or "closed"
	Reason           string // of its state
	Created, Updated time.Time
}

func (r *Repo) issue(number int) *Issue {
	for _, i := range r.issues {
		if i.Number == number {
			return i
		}
	}
	return nil
}

// OpenIssue lets a person open an issue.
func (r *Repo) OpenIssue(author, title, body string) *Issue {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.addIssue(author, "User", title, body)
}

func (r *Repo) addIssue(author, typ, title, body string) *Issue {
	r.nextPull++ // issues and pull requests share their numbers
	i := &Issue{ID: r.s.id(), Number: r.nextPull, Title: title, Body: body, Author: author, Type: typ, State: "open", Created: r.s.now(), Updated: r.s.now()}
	r.issues = append(r.issues, i)
	return i
}

// Issues are the repository's issues, oldest first, and what was said to each.
func (r *Repo) Issues() ([]Issue, map[int][]string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []Issue
	said := map[int][]string{}
	for _, i := range r.issues {
		out = append(out, *i)
	}
	for _, c := range r.comments {
		if r.issue(c.Number) != nil {
			said[c.Number] = append(said[c.Number], c.Body)
		}
	}
	return out, said
}

func (i *Issue) object(r *Repo) obj {
	u := fmt.Sprintf("%s/repos/%s/issues/%d", r.s.URL, r.Full(), i.Number)
	o := obj{
		"id": i.ID, "node_id": "I", "number": i.Number, "title": i.Title, "body": i.Body, "user": user(i.Author, i.Type), "state": i.State, "state_reason": nil, "locked": false,
		"url": u, "repository_url": r.s.URL + "/repos/" + r.Full(), "html_url": fmt.Sprintf("https://github.test/%s/issues/%d", r.Full(), i.Number), "labels_url": u + "/labels{/name}", "comments_url": u + "/comments",
		"events_url": u + "/events", "labels": []any{}, "assignee": nil, "milestone": nil, "comments": 0, "closed_at": nil, "created_at": stamp(i.Created), "updated_at": stamp(i.Updated), "author_association": "NONE",
	}
	if i.Reason != "" {
		o["state_reason"] = i.Reason
	}
	if i.State == "closed" {
		o["closed_at"] = stamp(i.Updated)
	}
	return o
}

// listIssues lists pull requests too, as GitHub does.
func (c *call) listIssues() (int, any) {
	r := c.repo()
	var list []any
	state, creator := c.query.Get("state"), c.query.Get("creator")
	if state == "" {
		state = "open"
	}
	for n := r.nextPull; n > 0; n-- {
		if i := r.issue(n); i != nil && (state == "all" || i.State == state) && (creator == "" || strings.EqualFold(creator, i.Author)) {
			list = append(list, i.object(r))
		}
		if p := r.pulls[n]; p != nil && (state == "all" || p.State == state) && (creator == "" || strings.EqualFold(creator, p.Author)) {
			list = append(list, p.issue())
		}
	}
	return 200, each(page(c, list), func(v any) any { return v })
}

func (c *call) createIssue() (int, any) {
	login, _, typ := c.bot()
	title, body := c.str("title"), c.str("body")
	if strings.TrimSpace(title) == "" || len([]rune(title)) > 256 || len([]rune(body)) > 65536 {
		return unprocessable("Validation Failed: title is blank or longer than 256 characters, or body is too long")
	}
	return http.StatusCreated, c.repo().addIssue(login, typ, title, body).object(c.repo())
}

func (c *call) updateIssue() (int, any) {
	i := c.repo().issue(int(c.num("issue_number")))
	if i == nil {
		return notFound()
	}
	for name, field := range map[string]*string{"title": &i.Title, "body": &i.Body, "state": &i.State, "state_reason": &i.Reason} {
		if v, ok := c.body[name].(string); ok {
			*field = v
		}
	}
	if len([]rune(i.Body)) > 65536 {
		return unprocessable("Validation Failed: body is too long")
	}
	i.Updated = c.s.now()
	return 200, i.object(c.repo())
}
