package app

import (
	"path"
	"strconv"
	"time"
)

// pageEntry is a row of the status page.
type pageEntry struct {
	Key      Key
	Title    string
	SHA      string
	Base     string // branch
	Verdict  string
	Line     string
	Opened   time.Time
	Since    time.Time
	Private  bool
	URL      string
	Rebuilds []int64
}

func pageName(k Key) string { return path.Join(k.Owner, k.Repo) + "#" + strconv.Itoa(k.Pull) }

// remember keeps what the status page shows; since is when the verdict was
// reached.
func (a *App) remember(s *scene, verdict, line string, since time.Time) {
	if len(s.pulls) == 0 {
		return
	}
	var rebuilds []int64
	for _, r := range s.rebuilds {
		rebuilds = append(rebuilds, r.GetID())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range s.pulls {
		k := s.key
		k.Pull = p.GetNumber()
		e := pageEntry{Key: k, Title: p.GetTitle(), SHA: s.sha, Base: p.GetBase().GetRef(), Verdict: verdict, Line: line, Opened: p.GetCreatedAt().Time, Since: since, Private: p.GetBase().GetRepo().GetPrivate(), URL: p.GetHTMLURL(), Rebuilds: rebuilds}
		if old, ok := a.pages[pageName(k)]; ok && old.SHA == e.SHA && old.Verdict == e.Verdict {
			e.Since = old.Since
		}
		a.pages[pageName(k)] = e
	}
}

func (a *App) forgetPage(k Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pages, pageName(k))
}

func (a *App) forgetPages(k Key, open map[int]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, p := range a.pages {
		if p.Key.Owner == k.Owner && p.Key.Repo == k.Repo && !open[p.Key.Pull] {
			delete(a.pages, name)
		}
	}
}

// forgetRepos forgets the pull requests of repositories that an installation
// has no more.
func (a *App) forgetRepos(install int64, served map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, p := range a.pages {
		if p.Key.Install == install && !served[p.Key.Owner+"/"+p.Key.Repo] {
			delete(a.pages, name)
		}
	}
}
