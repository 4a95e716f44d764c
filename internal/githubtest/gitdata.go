package githubtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Files are the files of a branch.
func (r *Repo) Files(branch string) map[string]string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return maps.Clone(r.trees[r.branches[branch]])
}

// History are the commits of a branch, newest first.
func (r *Repo) History(branch string) []string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.branches[branch] == "" {
		return nil
	}
	return r.ancestors(r.branches[branch])
}

func (c *call) newSHA(kind string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%s %s %d", c.repo().Full(), kind, c.s.id()))
	return hex.EncodeToString(sum[:])
}

// createTree keeps trees beside commits, which this server names alike.
func (c *call) createTree() (int, any) {
	r := c.repo()
	files := map[string]string{}
	if base := c.str("base_tree"); base != "" {
		if r.trees[base] == nil {
			return unprocessable("base_tree is not a valid tree oid")
		}
		maps.Copy(files, r.trees[base])
	}
	list, _ := c.body["tree"].([]any)
	var entries []obj
	for _, e := range list {
		e := e.(map[string]any)
		path, _ := e["path"].(string)
		content, ok := e["content"].(string)
		if path == "" || strings.HasPrefix(path, "/") || !ok || e["mode"] != "100644" {
			return unprocessable("tree.path, tree.content: only files with their content")
		}
		files[path] = content
		entries = append(entries, obj{"path": path, "mode": "100644", "type": "blob", "sha": c.newSHA("blob"), "size": len(content), "url": c.s.URL})
	}
	sha := c.newSHA("tree")
	r.trees[sha] = files
	return http.StatusCreated, obj{"sha": sha, "url": c.s.URL + "/git/trees/" + sha, "truncated": false, "tree": entries}
}

func (c *call) gitCommit(sha string) obj {
	u := c.s.URL + "/git/commits/" + sha
	who := obj{"name": "x", "email": "x@x.test", "date": "2026-01-01T00:00:00Z"}
	parents := []any{}
	for _, p := range c.repo().parents[sha] {
		parents = append(parents, obj{"sha": p, "url": u, "html_url": u})
	}
	return obj{"sha": sha, "node_id": "C", "url": u, "html_url": u, "author": who, "committer": who, "message": "x", "tree": obj{"sha": sha, "url": u}, "parents": parents,
		"verification": obj{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}}
}

func (c *call) getGitCommit() (int, any) {
	if c.repo().trees[c.params["commit_sha"]] == nil {
		return notFound()
	}
	return 200, c.gitCommit(c.params["commit_sha"])
}

func (c *call) createCommit() (int, any) {
	r := c.repo()
	files := r.trees[c.str("tree")]
	if files == nil {
		return unprocessable("Tree SHA does not exist")
	}
	sha := c.newSHA("commit")
	parents, _ := c.body["parents"].([]any)
	for _, p := range parents {
		if r.trees[p.(string)] == nil {
			return unprocessable("Parent SHA does not exist or is not a commit object")
		}
		r.parents[sha] = append(r.parents[sha], p.(string))
	}
	r.trees[sha] = files
	return http.StatusCreated, c.gitCommit(sha)
}

func (c *call) updateRef() (int, any) {
	r := c.repo()
	name, sha := c.params["ref"], c.str("sha")
	old := c.findRef(name)
	if old == nil {
		return unprocessable("Reference does not exist")
	}
	if r.trees[sha] == nil {
		return unprocessable("Object does not exist")
	}
	force, _ := c.body["force"].(bool)
	if !force && !slices.Contains(r.ancestors(sha), old["object"].(obj)["sha"].(string)) {
		return unprocessable("Update is not a fast forward")
	}
	if t, ok := strings.CutPrefix(name, "tags/"); ok {
		r.tags[t] = sha
	} else {
		r.branches[strings.TrimPrefix(name, "heads/")] = sha
	}
	return 200, c.findRef(name)
}
