package githubtest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (c *call) listPulls() (int, any) {
	state := c.query.Get("state")
	if state == "" {
		state = "open"
	}
	var list []*Pull
	for _, p := range slices.SortedFunc(maps.Values(c.repo().pulls), func(a, b *Pull) int { return b.Number - a.Number }) {
		if state != "all" && p.State != state {
			continue
		}
		if h := c.query.Get("head"); h != "" && (p.HeadRepo == nil || p.HeadRepo.Owner+":"+p.HeadRef != h) {
			continue
		}
		if b := c.query.Get("base"); b != "" && p.BaseRef != b {
			continue
		}
		list = append(list, p)
	}
	return 200, each(page(c, list), func(p *Pull) any {
		o := p.object()
		for _, k := range []string{"mergeable", "mergeable_state", "merged", "merged_by", "changed_files"} {
			delete(o, k)
		}
		return o
	})
}

func (c *call) pull() *Pull { return c.repo().pulls[int(c.num("pull_number"))] }

func (c *call) getPull() (int, any) {
	if p := c.pull(); p != nil {
		return 200, p.object()
	}
	return notFound()
}

func (c *call) listPullFiles() (int, any) {
	p := c.pull()
	if p == nil {
		return notFound()
	}
	files := p.Files[:min(len(p.Files), 3000)]
	return 200, each(page(c, files), func(f string) any {
		return obj{"sha": p.HeadSHA, "filename": f, "status": "modified", "additions": 1, "deletions": 1, "changes": 2, "blob_url": "https://github.test/b", "raw_url": "https://github.test/r", "contents_url": "https://github.test/c"}
	})
}

// pullsOfCommit finds nothing for commits of forks, as GitHub does.
func (c *call) pullsOfCommit() (int, any) {
	var list []*Pull
	for _, p := range c.repo().pulls {
		if p.HeadSHA == c.params["commit_sha"] && p.HeadRepo == c.repo() {
			list = append(list, p)
		}
	}
	return 200, each(page(c, list), func(p *Pull) any { return p.object() })
}

func (c *call) listComments() (int, any) {
	var list []*Comment
	since, _ := time.Parse(time.RFC3339, c.query.Get("since"))
	for _, cm := range c.repo().comments {
		if int64(cm.Number) == c.num("issue_number") && !cm.Updated.Before(since) {
			list = append(list, cm)
		}
	}
	return 200, each(page(c, list), func(cm *Comment) any { return cm.object(c.repo()) })
}

func (c *call) createComment() (int, any) {
	r := c.repo()
	number := int(c.num("issue_number"))
	if r.pulls[number] == nil && r.issue(number) == nil {
		return notFound()
	}
	body := c.str("body")
	if len([]rune(body)) > 65536 || strings.TrimSpace(body) == "" {
		return unprocessable("Validation Failed: body is too long or blank")
	}
	login, _, typ := c.bot()
	cm := &Comment{ID: c.s.id(), Number: number, Author: login, AuthorType: typ, Body: body, Created: c.s.now(), Updated: c.s.now(), App: c.token.app}
	r.comments = append(r.comments, cm)
	return http.StatusCreated, cm.object(r)
}

func (c *call) comment() *Comment {
	for _, cm := range c.repo().comments {
		if cm.ID == c.num("comment_id") {
			return cm
		}
	}
	return nil
}

func (c *call) getComment() (int, any) {
	if cm := c.comment(); cm != nil {
		return 200, cm.object(c.repo())
	}
	return notFound()
}

func (c *call) updateComment() (int, any) {
	cm := c.comment()
	if cm == nil {
		return notFound()
	}
	cm.Body, cm.Updated = c.str("body"), c.s.now()
	return 200, cm.object(c.repo())
}

func (c *call) reactionObject(r reaction) any {
	return obj{"id": r.id, "node_id": "E", "user": user(r.login, r.typ), "content": r.content, "created_at": stamp(c.s.now())}
}

func (c *call) listReactions() (int, any) {
	cm := c.comment()
	if cm == nil {
		return notFound()
	}
	return 200, each(page(c, cm.reactions), c.reactionObject)
}

func (c *call) createReaction() (int, any) {
	cm := c.comment()
	if cm == nil {
		return notFound()
	}
	login, id, typ := c.bot()
	for _, r := range cm.reactions {
		if r.login == login && r.content == c.str("content") {
			return 200, c.reactionObject(r)
		}
	}
	r := reaction{c.s.id(), c.str("content"), login, id, typ}
	cm.reactions = append(cm.reactions, r)
	return 201, c.reactionObject(r)
}

// React lets a user react to a comment.
func (p *Pull) React(c *Comment, login, content string) {
	defer p.lock()()
	c.reactions = append(c.reactions, reaction{p.repo.s.id(), content, login, userID(login), "User"})
}

func (c *call) deleteReaction() (int, any) {
	cm := c.comment()
	if cm == nil {
		return notFound()
	}
	cm.reactions = slices.DeleteFunc(cm.reactions, func(r reaction) bool { return r.id == c.num("reaction_id") })
	return http.StatusNoContent, nil
}
