package githubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"slices"
)

// Release is a release of a repository.
type Release struct {
	ID         int64
	Tag        string
	Target     string
	Name       string
	Body       string
	Draft      bool
	Prerelease bool
	Assets     []*Asset

	repo *Repo
}

// Asset is a file of a release.
type Asset struct {
	ID    int64
	Name  string
	Label string
	Type  string
	Data  []byte
}

// Releases are the repository's releases.
func (r *Repo) Releases() []*Release {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.releases)
}

func (a *Asset) object(r *Repo) obj {
	u := fmt.Sprintf("%s/repos/%s/releases/assets/%d", r.s.URL, r.Full(), a.ID)
	sum := sha256.Sum256(a.Data)
	return obj{"id": a.ID, "node_id": "AS", "name": a.Name, "label": a.Label, "state": "uploaded", "content_type": a.Type, "size": len(a.Data), "digest": "sha256:" + hex.EncodeToString(sum[:]), "download_count": 0, "created_at": stamp(r.s.now()), "updated_at": stamp(r.s.now()), "uploader": nil, "url": u,
		"browser_download_url": r.s.URL + "/download/" + a.Name}
}

func (rel *Release) object() obj {
	r := rel.repo
	u := fmt.Sprintf("%s/repos/%s/releases/%d", r.s.URL, r.Full(), rel.ID)
	o := obj{"id": rel.ID, "node_id": "RE", "tag_name": rel.Tag, "target_commitish": rel.Target, "name": rel.Name, "body": rel.Body, "draft": rel.Draft, "prerelease": rel.Prerelease, "created_at": stamp(r.s.now()), "published_at": nil, "author": user("maintainer", "User"),
		"assets": each(rel.Assets, func(a *Asset) any { return a.object(r) }), "url": u, "html_url": "https://github.test/" + r.Full() + "/releases/tag/" + rel.Tag, "assets_url": u + "/assets", "upload_url": u + "/assets{?name,label}", "tarball_url": nil, "zipball_url": nil}
	if !rel.Draft {
		o["published_at"] = stamp(r.s.now())
	}
	return o
}

func (c *call) listReleases() (int, any) {
	list := slices.Clone(c.repo().releases)
	slices.Reverse(list)
	return 200, each(page(c, list), func(r *Release) any { return r.object() })
}

func (c *call) latestRelease() (int, any) {
	list := c.repo().releases
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].Draft && !list[i].Prerelease {
			return 200, list[i].object()
		}
	}
	return notFound()
}

func (c *call) releaseByTag() (int, any) {
	for _, r := range c.repo().releases {
		if r.Tag == c.params["tag"] && !r.Draft { // drafts are not found by tag
			return 200, r.object()
		}
	}
	return notFound()
}

func (c *call) release() *Release {
	for _, r := range c.repo().releases {
		if r.ID == c.num("release_id") {
			return r
		}
	}
	return nil
}

func (c *call) getRelease() (int, any) {
	if r := c.release(); r != nil {
		return 200, r.object()
	}
	return notFound()
}

func (c *call) createRelease() (int, any) {
	r := c.repo()
	draft, _ := c.body["draft"].(bool)
	for _, o := range r.releases {
		if o.Tag == c.str("tag_name") && !o.Draft && !draft {
			return http.StatusUnprocessableEntity, obj{"message": "Validation Failed", "documentation_url": "https://docs.github.com", "errors": []obj{{"resource": "Release", "code": "already_exists", "field": "tag_name"}}}
		}
	}
	rel := &Release{ID: c.s.id(), Tag: c.str("tag_name"), repo: r}
	c.releaseFields(rel)
	r.releases = append(r.releases, rel)
	c.publishTag(rel)
	return 201, rel.object()
}

// publishTag makes the tag of a release that is no draft, where it is missing.
func (c *call) publishTag(rel *Release) {
	if r := c.repo(); !rel.Draft && r.tags[rel.Tag] == "" {
		target := rel.Target
		if target == "" {
			target = r.DefaultBranch
		}
		r.tags[rel.Tag] = r.resolve(target)
	}
}

func (c *call) releaseFields(rel *Release) {
	for k, into := range map[string]*string{"tag_name": &rel.Tag, "target_commitish": &rel.Target, "name": &rel.Name, "body": &rel.Body} {
		if v, ok := c.body[k].(string); ok {
			*into = v
		}
	}
	for k, into := range map[string]*bool{"draft": &rel.Draft, "prerelease": &rel.Prerelease} {
		if v, ok := c.body[k].(bool); ok {
			*into = v
		}
	}
}

func (c *call) updateRelease() (int, any) {
	rel := c.release()
	if rel == nil {
		return notFound()
	}
	c.releaseFields(rel)
	c.publishTag(rel)
	return 200, rel.object()
}

func (c *call) deleteRelease() (int, any) {
	rel := c.release()
	if rel == nil {
		return notFound()
	}
	c.repo().releases = slices.DeleteFunc(c.repo().releases, func(r *Release) bool { return r == rel })
	return 204, nil
}

func (c *call) listAssets() (int, any) {
	rel := c.release()
	if rel == nil {
		return notFound()
	}
	return 200, each(page(c, rel.Assets), func(a *Asset) any { return a.object(c.repo()) })
}

func (c *call) uploadAsset() (int, any) {
	rel := c.release()
	if rel == nil {
		return notFound()
	}
	name := path.Base(c.query.Get("name"))
	for _, a := range rel.Assets {
		if a.Name == name {
			return http.StatusUnprocessableEntity, obj{"message": "Validation Failed", "documentation_url": "https://docs.github.com", "errors": []obj{{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}}}
		}
	}
	a := &Asset{ID: c.s.id(), Name: name, Label: c.query.Get("label"), Type: c.r.Header.Get("Content-Type"), Data: c.raw}
	rel.Assets = append(rel.Assets, a)
	return 201, a.object(c.repo())
}

func (c *call) asset() (*Release, *Asset) {
	for _, rel := range c.repo().releases {
		for _, a := range rel.Assets {
			if a.ID == c.num("asset_id") {
				return rel, a
			}
		}
	}
	return nil, nil
}

func (c *call) getAsset() (int, any) {
	_, a := c.asset()
	if a == nil {
		return notFound()
	}
	if c.r.Header.Get("Accept") == "application/octet-stream" {
		c.file = a.Data
		return 200, nil
	}
	return 200, a.object(c.repo())
}

func (c *call) deleteAsset() (int, any) {
	rel, a := c.asset()
	if a == nil {
		return notFound()
	}
	rel.Assets = slices.DeleteFunc(rel.Assets, func(o *Asset) bool { return o == a })
	return 204, nil
}
