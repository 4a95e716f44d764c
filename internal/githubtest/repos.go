package githubtest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

func (c *call) getRepo() (int, any) { return 200, c.repo().object() }

func (c *call) getContent() (int, any) {
	r := c.repo()
	ref := c.query.Get("ref")
	if ref == "" {
		ref = r.DefaultBranch
	}
	sha := r.resolve(ref)
	tree, ok := r.trees[sha]
	if !ok {
		return http.StatusNotFound, message("No commit found for the ref %s", ref)
	}
	p := c.params["path"]
	if data, ok := tree[p]; ok {
		u := c.s.URL + "/repos/" + r.Full() + "/contents/" + p
		if strings.Contains(c.r.Header.Get("Accept"), "raw") {
			c.file = []byte(data)
			return 200, nil
		}
		return 200, obj{"type": "file", "encoding": "base64", "size": len(data), "name": p[strings.LastIndex(p, "/")+1:], "path": p, "content": base64.StdEncoding.EncodeToString([]byte(data)), "sha": sha, "url": u, "git_url": u, "html_url": u, "download_url": u,
			"_links": obj{"git": u, "html": u, "self": u}}
	}
	var list []any
	for f := range tree {
		rest, ok := strings.CutPrefix(f, p+"/")
		if !ok {
			continue
		}
		name, _, dir := strings.Cut(rest, "/")
		typ := "file"
		if dir {
			typ = "dir"
		}
		u := c.s.URL + "/repos/" + r.Full() + "/contents/" + p + "/" + name
		list = append(list, obj{"type": typ, "size": len(tree[f]), "name": name, "path": p + "/" + name, "sha": sha, "url": u, "git_url": u, "html_url": u, "download_url": u, "_links": obj{"git": u, "html": u, "self": u}})
	}
	if list == nil {
		return notFound()
	}
	return 200, list
}

func (c *call) commitObject(sha string) obj {
	u := c.s.URL + "/repos/" + c.repo().Full() + "/commits/" + sha
	who := obj{"name": "x", "email": "x@x.test", "date": "2026-01-01T00:00:00Z"}
	parents := []any{}
	for _, p := range c.repo().parents[sha] {
		parents = append(parents, obj{"sha": p, "url": u, "html_url": u})
	}
	return obj{"sha": sha, "node_id": "C", "url": u, "html_url": u, "comments_url": u, "commit": obj{"url": u, "author": who, "committer": who, "message": "x", "comment_count": 0, "tree": obj{"sha": sha, "url": u}}, "author": nil, "committer": nil, "parents": parents}
}

func (c *call) getCommit() (int, any) {
	sha := c.repo().resolve(c.params["ref"])
	if c.repo().trees[sha] == nil {
		return unprocessable("No commit found for SHA: %s", c.params["ref"])
	}
	return 200, c.commitObject(sha)
}

func (c *call) getBranch() (int, any) {
	sha, ok := c.repo().branches[c.params["branch"]]
	if !ok {
		return http.StatusNotFound, message("Branch not found")
	}
	return 200, obj{"name": c.params["branch"], "commit": c.commitObject(sha), "protected": false, "protection_url": c.s.URL, "_links": obj{"html": c.s.URL, "self": c.s.URL}, "protection": obj{}}
}

func (r *Repo) ancestors(sha string) []string {
	var out []string
	queue := []string{sha}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if slices.Contains(out, s) {
			continue
		}
		out = append(out, s)
		queue = append(queue, r.parents[s]...)
	}
	return out
}

func (c *call) compare() (int, any) {
	r := c.repo()
	base, head, ok := strings.Cut(c.params["basehead"], "...")
	base, head = r.resolve(base), r.resolve(head)
	if !ok || r.trees[base] == nil || r.trees[head] == nil {
		return notFound()
	}
	ofBase, ofHead := r.ancestors(base), r.ancestors(head)
	ahead, behind := 0, 0
	for _, s := range ofHead {
		if !slices.Contains(ofBase, s) {
			ahead++
		}
	}
	for _, s := range ofBase {
		if !slices.Contains(ofHead, s) {
			behind++
		}
	}
	status := "identical"
	switch {
	case ahead > 0 && behind > 0:
		status = "diverged"
	case ahead > 0:
		status = "ahead"
	case behind > 0:
		status = "behind"
	}
	u := c.s.URL + "/compare"
	return 200, obj{"url": u, "html_url": u, "permalink_url": u, "diff_url": u, "patch_url": u, "base_commit": c.commitObject(base), "merge_base_commit": c.commitObject(base), "status": status, "ahead_by": ahead, "behind_by": behind, "total_commits": ahead, "commits": []any{}, "files": []any{}}
}

func (c *call) getPermission() (int, any) {
	role := c.repo().roles[c.params["username"]]
	if role == "" {
		role = "none"
		if !c.repo().Private {
			role = "read"
		}
	}
	perm := role
	switch role {
	case "triage":
		perm = "read"
	case "maintain":
		perm = "write"
	}
	return 200, obj{"permission": perm, "role_name": role, "user": user(c.params["username"], "User")}
}

func (c *call) refObject(name, sha, typ string) obj {
	u := c.s.URL + "/ref"
	return obj{"ref": name, "node_id": "REF", "url": u, "object": obj{"type": typ, "sha": sha, "url": u}}
}

func (c *call) findRef(name string) obj {
	r := c.repo()
	if b, ok := strings.CutPrefix(name, "heads/"); ok && r.branches[b] != "" {
		return c.refObject("refs/"+name, r.branches[b], "commit")
	}
	if t, ok := strings.CutPrefix(name, "tags/"); ok && r.tags[t] != "" {
		typ := "commit"
		if r.tagObj[r.tags[t]] != nil {
			typ = "tag"
		}
		return c.refObject("refs/"+name, r.tags[t], typ)
	}
	return nil
}

func (c *call) getRef() (int, any) {
	if o := c.findRef(c.params["ref"]); o != nil {
		return 200, o
	}
	return notFound()
}

func (c *call) matchingRefs() (int, any) {
	var names []string
	for b := range c.repo().branches {
		names = append(names, "heads/"+b)
	}
	for t := range c.repo().tags {
		names = append(names, "tags/"+t)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, c.params["ref"]) })
	return 200, each(names, func(n string) any { return c.findRef(n) })
}

func (c *call) createRef() (int, any) {
	r := c.repo()
	name, ok := strings.CutPrefix(c.str("ref"), "refs/")
	if !ok || strings.Count(name, "/") < 1 {
		return unprocessable("Reference name must start with 'refs/' and have at least two slashes")
	}
	if c.findRef(name) != nil {
		return unprocessable("Reference already exists")
	}
	sha := c.str("sha")
	if r.trees[sha] == nil && r.tagObj[sha] == nil {
		return unprocessable("Object does not exist")
	}
	if t, ok := strings.CutPrefix(name, "tags/"); ok {
		r.tags[t] = sha
	} else {
		r.branches[strings.TrimPrefix(name, "heads/")] = sha
	}
	return 201, c.findRef(name)
}

func (c *call) deleteRef() (int, any) {
	if c.findRef(c.params["ref"]) == nil {
		return unprocessable("Reference does not exist")
	}
	if t, ok := strings.CutPrefix(c.params["ref"], "tags/"); ok {
		delete(c.repo().tags, t)
	} else {
		delete(c.repo().branches, strings.TrimPrefix(c.params["ref"], "heads/"))
	}
	return 204, nil
}

// Tag puts a tag on a commit.
func (r *Repo) Tag(name, sha string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.tags[name] = sha
}

// Tags are the repository's tags and the objects they name.
func (r *Repo) Tags() map[string]string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	out := map[string]string{}
	for k := range r.tags {
		out[k] = r.resolve("tags/" + k)
	}
	return out
}

func (c *call) createTag() (int, any) {
	r := c.repo()
	if r.trees[c.str("object")] == nil {
		return unprocessable("Object does not exist")
	}
	sha := strings.Repeat("f", 20) + c.str("object")[:20]
	u := c.s.URL + "/git/tags/" + sha
	o := obj{"node_id": "T", "tag": c.str("tag"), "sha": sha, "url": u, "message": c.str("message"), "tagger": obj{"name": "x", "email": "x@x.test", "date": stamp(c.s.now())}, "object": obj{"type": c.str("type"), "sha": c.str("object"), "url": u}, "verification": obj{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}}
	r.tagObj[sha] = o
	return 201, o
}

func (c *call) getTag() (int, any) {
	if o := c.repo().tagObj[c.params["tag_sha"]]; o != nil {
		return 200, o
	}
	return notFound()
}

// Rulesets are the repository's rulesets.
func (r *Repo) Rulesets() []map[string]any {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.rulesets)
}

func (c *call) listRulesets() (int, any) {
	return 200, each(page(c, c.repo().rulesets), func(o obj) any {
		short := obj{}
		for _, k := range []string{"id", "name", "source", "source_type", "enforcement", "target"} {
			short[k] = o[k]
		}
		return short
	})
}

func (c *call) ruleset() obj {
	for _, o := range c.repo().rulesets {
		if o["id"].(int64) == c.num("ruleset_id") {
			return o
		}
	}
	return nil
}

func (c *call) getRuleset() (int, any) {
	if o := c.ruleset(); o != nil {
		return 200, o
	}
	return notFound()
}

func (c *call) createRuleset() (int, any) {
	o := obj{"id": c.s.id(), "source": c.repo().Full(), "source_type": "Repository", "target": "branch"}
	for k, v := range c.body {
		o[k] = v
	}
	c.repo().rulesets = append(c.repo().rulesets, o)
	return 201, o
}

func (c *call) updateRuleset() (int, any) {
	o := c.ruleset()
	if o == nil {
		return notFound()
	}
	for k, v := range c.body {
		o[k] = v
	}
	return 200, o
}

func (c *call) branchRules() (int, any) {
	list := []any{}
	for _, set := range c.repo().rulesets {
		if set["enforcement"] != "active" {
			continue
		}
		rules, _ := set["rules"].([]any)
		for _, r := range rules {
			o := obj{"ruleset_source_type": "Repository", "ruleset_source": c.repo().Full(), "ruleset_id": set["id"]}
			for k, v := range r.(map[string]any) {
				o[k] = v
			}
			list = append(list, o)
		}
	}
	return 200, page(c, list)
}
