package distro

import "slices"

// maxReferrers bounds how many attributes are named that still refer to a removed
// one.
const maxReferrers = 20

// Referrers names, for each removed package, the attributes at head that are still
// built from it: from the very derivation, or from one of its name.
func Referrers(d *Diff, base, head *Set, texts Texts) {
	for i := range d.Packages {
		a := &d.Packages[i]
		if a.Status != StatusRemoved {
			continue
		}
		was, ok := base.Lookup(KindPackage, a.Attr)
		if !ok || was.Drv == "" {
			continue
		}
		name := packageName(StoreName(was.Drv))
		uses := map[string]bool{}
		var parser drvParser
		var walk func(path string) bool
		walk = func(path string) bool {
			if known, ok := uses[path]; ok {
				return known
			}
			found := path == was.Drv || packageName(StoreName(path)) == name
			uses[path] = found
			if found {
				return true
			}
			drv, err := parser.read(texts, path)
			if err != nil {
				return false
			}
			for _, in := range drv.Inputs {
				if walk(in.Drv) {
					uses[path] = true
					return true
				}
			}
			return false
		}
		for _, h := range head.Attrs {
			if h.Drv == "" || h.Drv == was.Drv || len(a.Referrers) >= maxReferrers {
				continue
			}
			if walk(h.Drv) {
				a.Referrers = append(a.Referrers, h.Name)
			}
		}
		slices.Sort(a.Referrers)
		a.Referrers = slices.Compact(a.Referrers)
	}
}
