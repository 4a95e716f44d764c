package githubtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// Repo is a repository.
type Repo struct {
	ID            int64
	Owner, Name   string
	Private       bool
	DefaultBranch string

	s         *Server
	branches  map[string]string            // name to commit
	trees     map[string]map[string]string // commit to path to content
	parents   map[string][]string
	tags      map[string]string
	tagObj    map[string]obj
	roles     map[string]string
	pulls     map[int]*Pull
	comments  []*Comment
	issues    []*Issue
	suites    []*Suite
	checks    []*CheckRun
	runs      []*Run
	artifacts []*Artifact
	rulesets  []obj
	releases  []*Release
	workflows map[string]int64
	nextPull  int
	settings  map[string]obj
}

// Pull is a pull request.
type Pull struct {
	ID        int64
	Number    int
	Title     string
	Author    string
	Draft     bool
	State     string // "open" or "closed"
	Merged    bool
	Conflicts bool
	HeadRepo  *Repo // nil once it is deleted
	HeadRef   string
	HeadSHA   string
	BaseRef   string
	Merge     string
	Files     []string
	Created   time.Time
	Updated   time.Time

	repo *Repo
}

// Comment is a comment of a pull request.
type Comment struct {
	ID               int64
	Number           int
	Author           string
	AuthorType       string
	Body             string
	Created, Updated time.Time
	App              int64
	reactions        []reaction
}

type reaction struct {
	id      int64
	content string
	login   string
	uid     int64
	typ     string
}

// Reactions are who reacted with what: "eyes by asterbot[bot]".
func (c *Comment) Reactions() []string {
	var out []string
	for _, r := range c.reactions {
		out = append(out, r.content+" by "+r.login)
	}
	return out
}

// AddRepo makes a repository with an empty default branch, "main", and installs
// the App on its owner.
func (s *Server) AddRepo(owner, name string) *Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repo{
		ID: s.id(), Owner: owner, Name: name, DefaultBranch: "main", s: s,
		branches: map[string]string{}, trees: map[string]map[string]string{}, parents: map[string][]string{}, tags: map[string]string{}, tagObj: map[string]obj{},
		roles: map[string]string{}, pulls: map[int]*Pull{}, workflows: map[string]int64{}, settings: map[string]obj{},
	}
	s.install(owner)
	s.repos = append(s.repos, r)
	r.commit("main", nil)
	return r
}

// Fork makes a repository of another owner, without the App.
func (r *Repo) Fork(owner string) *Repo {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	f := &Repo{ID: r.s.id(), Owner: owner, Name: r.Name, DefaultBranch: r.DefaultBranch, s: r.s, branches: maps.Clone(r.branches), trees: r.trees, parents: r.parents, tags: map[string]string{}, roles: map[string]string{}, pulls: map[int]*Pull{}, workflows: map[string]int64{}, settings: map[string]obj{}}
	r.s.repos = append(r.s.repos, f)
	return f
}

// Full is "owner/name".
func (r *Repo) Full() string { return r.Owner + "/" + r.Name }

func (s *Server) repo(owner, name string) *Repo {
	for _, r := range s.repos {
		if strings.EqualFold(r.Owner, owner) && strings.EqualFold(r.Name, name) {
			return r
		}
	}
	return nil
}

// commit puts a commit on a branch, with the files changed.
func (r *Repo) commit(branch string, files map[string]string) string {
	parent := r.branches[branch]
	if parent == "" {
		parent = r.branches[r.DefaultBranch]
	}
	tree := maps.Clone(r.trees[parent])
	if tree == nil {
		tree = map[string]string{}
	}
	maps.Copy(tree, files)
	sum := sha1.Sum(fmt.Appendf(nil, "%s %s %s %d", r.Full(), branch, parent, r.s.id()))
	sha := hex.EncodeToString(sum[:])
	r.trees[sha] = tree
	if parent != "" {
		r.parents[sha] = []string{parent}
	}
	r.branches[branch] = sha
	return sha
}

// Commit puts a commit on a branch and returns it with the push's delivery.
func (r *Repo) Commit(branch string, files map[string]string) (string, *Delivery) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	before := r.branches[branch]
	if before == "" {
		before = strings.Repeat("0", 40)
	}
	sha := r.commit(branch, files)
	for _, p := range r.pulls {
		if p.BaseRef == branch && p.State == "open" {
			p.merge()
		}
	}
	return sha, r.s.delivery(r, "push", "", "maintainer", obj{"ref": "refs/heads/" + branch, "before": before, "after": sha, "created": false, "deleted": false, "forced": false, "commits": []obj{}})
}

// Tip is a branch's commit.
func (r *Repo) Tip(branch string) string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.branches[branch]
}

// SetRole gives a user a role: none, read, triage, write, maintain, admin.
func (r *Repo) SetRole(login, role string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.roles[login] = role
}

// NewPull is a pull request to open.
type NewPull struct {
	Title   string
	Author  string
	HeadRef string
	Base    string
	From    *Repo // a fork; nil is the repository itself
	Draft   bool
	Files   map[string]string
	// Conflicts: there is no merge commit.
	Conflicts bool
	// SHA opens it for a commit that exists already.
	SHA string
}

// OpenPull opens a pull request.
func (r *Repo) OpenPull(n NewPull) (*Pull, *Delivery) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.nextPull++
	p := &Pull{
		ID: r.s.id(), Number: r.nextPull, Title: n.Title, Author: n.Author, Draft: n.Draft, State: "open", Conflicts: n.Conflicts, HeadRepo: n.From, HeadRef: n.HeadRef,
		BaseRef: n.Base, HeadSHA: n.SHA, Created: r.s.now(), Updated: r.s.now(), repo: r,
	}
	if p.HeadRepo == nil {
		p.HeadRepo = r
	}
	if p.HeadRef == "" {
		p.HeadRef = fmt.Sprintf("change-%d", p.Number)
	}
	if p.BaseRef == "" {
		p.BaseRef = r.DefaultBranch
	}
	if p.Author == "" {
		p.Author = "contributor"
	}
	if p.Title == "" {
		p.Title = fmt.Sprintf("Change %d", p.Number)
	}
	if p.HeadSHA == "" {
		p.HeadSHA = p.HeadRepo.commit(p.HeadRef, n.Files)
	}
	p.Files = slices.Sorted(maps.Keys(n.Files))
	r.pulls[p.Number] = p
	p.merge()
	r.suite(p.HeadSHA, r.s.opt.AppID)
	return p, p.delivery("opened", nil)
}

func (p *Pull) merge() {
	p.Merge = ""
	if p.Conflicts {
		return
	}
	sum := sha1.Sum([]byte(p.HeadSHA + p.repo.branches[p.BaseRef]))
	p.Merge = hex.EncodeToString(sum[:])
	p.repo.trees[p.Merge] = p.repo.trees[p.HeadSHA]
	p.repo.parents[p.Merge] = []string{p.repo.branches[p.BaseRef], p.HeadSHA}
}

func (p *Pull) delivery(action string, more obj) *Delivery {
	payload := obj{"number": p.Number, "pull_request": p.object()}
	maps.Copy(payload, more)
	return p.repo.s.delivery(p.repo, "pull_request", action, p.Author, payload)
}

func (p *Pull) lock() func() { p.repo.s.mu.Lock(); return p.repo.s.mu.Unlock }

// Push puts a commit on the pull request's branch; it may be a forced one.
func (p *Pull) Push(files map[string]string) *Delivery {
	defer p.lock()()
	before := p.HeadSHA
	p.HeadSHA = p.HeadRepo.commit(p.HeadRef, files)
	for f := range files {
		if !slices.Contains(p.Files, f) {
			p.Files = append(p.Files, f)
		}
	}
	p.Updated = p.repo.s.now()
	p.merge()
	p.repo.suite(p.HeadSHA, p.repo.s.opt.AppID)
	return p.delivery("synchronize", obj{"before": before, "after": p.HeadSHA})
}

// Close closes the pull request.
func (p *Pull) Close(merged bool) *Delivery {
	defer p.lock()()
	p.State, p.Merged = "closed", merged
	return p.delivery("closed", nil)
}

// Land merges the pull request as a commit of its base.
func (p *Pull) Land(sha string) *Delivery {
	defer p.lock()()
	p.State, p.Merged, p.Merge, p.Updated = "closed", true, sha, p.repo.s.now()
	p.repo.branches[p.BaseRef] = sha
	return p.delivery("closed", nil)
}

// Reopen opens it again.
func (p *Pull) Reopen() *Delivery {
	defer p.lock()()
	p.State = "open"
	return p.delivery("reopened", nil)
}

// SetDraft makes it a draft, or ready.
func (p *Pull) SetDraft(draft bool) *Delivery {
	defer p.lock()()
	p.Draft = draft
	if draft {
		return p.delivery("converted_to_draft", nil)
	}
	return p.delivery("ready_for_review", nil)
}

// SetBase changes its base.
func (p *Pull) SetBase(ref string) *Delivery {
	defer p.lock()()
	old := p.BaseRef
	p.BaseRef = ref
	if p.repo.branches[ref] == "" {
		p.repo.commit(ref, nil)
	}
	p.merge()
	return p.delivery("edited", obj{"changes": obj{"base": obj{"ref": obj{"from": old}, "sha": obj{"from": p.repo.branches[old]}}}})
}

// SetConflicts makes it conflict with its base, or ends that.
func (p *Pull) SetConflicts(conflicts bool) {
	defer p.lock()()
	p.Conflicts = conflicts
	p.merge()
}

// DeleteFork deletes the repository it comes from.
func (p *Pull) DeleteFork() {
	defer p.lock()()
	p.HeadRepo = nil
}

// Comment adds a comment.
func (p *Pull) Comment(author, body string) (*Comment, *Delivery) {
	defer p.lock()()
	c := &Comment{ID: p.repo.s.id(), Number: p.Number, Author: author, AuthorType: "User", Body: body, Created: p.repo.s.now(), Updated: p.repo.s.now()}
	if strings.HasSuffix(author, "[bot]") {
		c.AuthorType = "Bot"
	}
	p.repo.comments = append(p.repo.comments, c)
	return c, p.repo.s.delivery(p.repo, "issue_comment", "created", author, obj{"issue": p.issue(), "comment": c.object(p.repo)})
}

// Edit changes a comment's text.
func (p *Pull) Edit(c *Comment, body string) *Delivery {
	defer p.lock()()
	old := c.Body
	c.Body, c.Updated = body, c.Created.Add(time.Second)
	return p.repo.s.delivery(p.repo, "issue_comment", "edited", c.Author, obj{"issue": p.issue(), "comment": c.object(p.repo), "changes": obj{"body": obj{"from": old}}})
}

// Comments are the pull request's comments.
func (p *Pull) Comments() []Comment {
	defer p.lock()()
	var out []Comment
	for _, c := range p.repo.comments {
		if c.Number == p.Number {
			cc := *c
			cc.reactions = slices.Clone(c.reactions)
			out = append(out, cc)
		}
	}
	return out
}

// Head is the commit the pull request offers.
func (p *Pull) Head() string {
	defer p.lock()()
	return p.HeadSHA
}

// MergeGroup makes a merge queue's commit.
func (r *Repo) MergeGroup(p *Pull) (string, *Delivery) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	ref := fmt.Sprintf("gh-readonly-queue/%s/pr-%d-%s", p.BaseRef, p.Number, r.branches[p.BaseRef])
	sha := r.commit(ref, r.trees[p.HeadSHA])
	r.suite(sha, r.s.opt.AppID)
	return sha, r.s.delivery(r, "merge_group", "checks_requested", "maintainer", obj{"merge_group": obj{
		"head_sha": sha, "head_ref": "refs/heads/" + ref, "base_sha": r.branches[p.BaseRef], "base_ref": "refs/heads/" + p.BaseRef, "head_commit": obj{"id": sha, "tree_id": sha, "message": "x", "timestamp": "2026-01-01T00:00:00Z", "author": obj{"name": "x", "email": "x@x"}, "committer": obj{"name": "x", "email": "x@x"}},
	}})
}

// LeaveQueue ends a merge group: "merged", "invalidated" or "dequeued".
func (r *Repo) LeaveQueue(sha, reason string) *Delivery {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for ref, at := range r.branches {
		if at == sha {
			delete(r.branches, ref)
		}
	}
	return r.s.delivery(r, "merge_group", "destroyed", "maintainer", obj{"reason": reason, "merge_group": obj{"head_sha": sha, "head_ref": "refs/heads/gh-readonly-queue/x", "base_sha": r.branches[r.DefaultBranch], "base_ref": "refs/heads/" + r.DefaultBranch}})
}

func userID(login string) int64 {
	switch login {
	case Slug + "[bot]":
		return BotID
	}
	h := fnv.New32a()
	h.Write([]byte(login))
	return int64(h.Sum32()%1000000) + 100000
}

func user(login, typ string) obj {
	u := "https://github.test/" + login
	o := obj{"login": login, "id": userID(login), "node_id": "U", "type": typ, "site_admin": false, "gravatar_id": ""}
	for _, k := range []string{"avatar_url", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url", "organizations_url", "repos_url", "events_url", "received_events_url"} {
		o[k] = u
	}
	return o
}

func (r *Repo) object() obj {
	u := r.s.URL + "/repos/" + r.Full()
	o := obj{
		"id": r.ID, "node_id": "R", "name": r.Name, "full_name": r.Full(), "private": r.Private, "owner": user(r.Owner, "Organization"), "default_branch": r.DefaultBranch,
		"url": u, "html_url": "https://github.test/" + r.Full(), "visibility": "public", "archived": false, "fork": false, "description": nil,
	}
	if r.Private {
		o["visibility"] = "private"
	}
	return o
}

func (p *Pull) object() obj {
	r := p.repo
	side := func(repo *Repo, ref, sha string) obj {
		o := obj{"ref": ref, "sha": sha, "label": "unknown:" + ref, "user": nil, "repo": nil}
		if repo != nil {
			o["label"], o["user"], o["repo"] = repo.Owner+":"+ref, user(repo.Owner, "Organization"), repo.object()
		}
		return o
	}
	o := obj{
		"id": p.ID, "number": p.Number, "state": p.State, "title": p.Title, "draft": p.Draft, "merged": p.Merged, "user": user(p.Author, "User"), "body": nil,
		"head": side(p.HeadRepo, p.HeadRef, p.HeadSHA), "base": side(r, p.BaseRef, r.branches[p.BaseRef]), "mergeable": !p.Conflicts, "mergeable_state": "clean",
		"merge_commit_sha": nil, "author_association": "CONTRIBUTOR", "url": fmt.Sprintf("%s/repos/%s/pulls/%d", r.s.URL, r.Full(), p.Number),
		"html_url": fmt.Sprintf("https://github.test/%s/pull/%d", r.Full(), p.Number), "created_at": stamp(p.Created), "updated_at": stamp(p.Updated),
		"assignee": nil, "milestone": nil, "closed_at": nil, "merged_at": nil, "merged_by": nil, "active_lock_reason": nil, "auto_merge": nil,
		"changed_files": len(p.Files), "locked": false,
	}
	if p.Merge != "" {
		o["merge_commit_sha"] = p.Merge
	}
	if p.Conflicts {
		o["mergeable_state"] = "dirty"
	}
	if p.State == "closed" {
		o["closed_at"] = stamp(p.Updated)
		if p.Merged {
			o["merged_at"] = stamp(p.Updated)
		}
	}
	return o
}

func (p *Pull) issue() obj {
	o := p.object()
	for _, k := range []string{"head", "base", "mergeable", "mergeable_state", "merge_commit_sha", "merged", "changed_files", "merged_by", "merged_at", "auto_merge"} {
		delete(o, k)
	}
	o["pull_request"] = obj{"url": o["url"], "html_url": o["html_url"], "diff_url": o["html_url"], "patch_url": o["html_url"]}
	return o
}

func (c *Comment) object(r *Repo) obj {
	counts := obj{"url": r.s.URL, "total_count": len(c.reactions)}
	for _, k := range []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket"} {
		n := 0
		for _, re := range c.reactions {
			if re.content == k {
				n++
			}
		}
		counts[k] = n
	}
	o := obj{
		"id": c.ID, "node_id": "C", "url": fmt.Sprintf("%s/repos/%s/issues/comments/%d", r.s.URL, r.Full(), c.ID), "html_url": fmt.Sprintf("https://github.test/%s/pull/%d#issuecomment-%d", r.Full(), c.Number, c.ID),
		"issue_url": fmt.Sprintf("%s/repos/%s/issues/%d", r.s.URL, r.Full(), c.Number), "body": c.Body, "user": user(c.Author, c.AuthorType), "created_at": stamp(c.Created), "updated_at": stamp(c.Updated),
		"author_association": "NONE", "reactions": counts, "performed_via_github_app": nil,
	}
	if c.App != 0 {
		o["performed_via_github_app"] = r.s.appObject(c.App)
	}
	return o
}

// IsOpen reports whether the pull request is open.
func (p *Pull) IsOpen() bool {
	defer p.lock()()
	return p.State == "open"
}
