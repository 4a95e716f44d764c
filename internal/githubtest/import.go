package githubtest

// Import makes a branch point at a commit of a real repository, so that a real
// workflow run and this server speak of the same one.
func (r *Repo) Import(branch, sha string, files map[string]string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	tree := map[string]string{}
	for path, text := range files {
		tree[path] = text
	}
	if parent := r.branches[r.DefaultBranch]; parent != "" && parent != sha {
		r.parents[sha] = []string{parent}
	}
	r.trees[sha], r.branches[branch] = tree, sha
}
