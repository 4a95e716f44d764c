package distro_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
)

// graph is a set of derivations under construction. Paths follow from all that a
// derivation is made of, as in Nix.
type graph map[string]string

func (g graph) Drv(path string) (string, error) {
	text, ok := g[path]
	if !ok {
		return "", fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return text, nil
}

func storePath(name, of string) string {
	var h uint64 = 14695981039346656037
	for _, c := range []byte(of) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return fmt.Sprintf("/nix/store/%032x-%s", h, name)
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// made is a derivation in a graph.
type made struct{ drv, out string }

// spec is a derivation to be made.
type spec struct {
	name  string
	env   map[string]string
	in    []made
	src   []string // store paths
	fixed string   // the hash of something fetched
}

func (g graph) add(s spec) made {
	env := maps.Clone(s.env)
	if env == nil {
		env = map[string]string{}
	}
	env["name"] = s.name
	in := slices.Clone(s.in)
	slices.SortFunc(in, func(a, b made) int { return strings.Compare(a.drv, b.drv) })
	text := func(out string) string {
		env["out"] = out
		hash, algo := "", ""
		if s.fixed != "" {
			hash, algo = s.fixed, "sha256"
		}
		var ins, envs, srcs []string
		for _, i := range in {
			ins = append(ins, "("+quote(i.drv)+`,["out"])`)
		}
		for _, k := range slices.Sorted(maps.Keys(env)) {
			envs = append(envs, "("+quote(k)+","+quote(env[k])+")")
		}
		for _, p := range slices.Sorted(slices.Values(s.src)) {
			srcs = append(srcs, quote(p))
		}
		return fmt.Sprintf(`Derive([("out",%s,"%s","%s")],[%s],[%s],"x86_64-linux","/bin/sh",["-e"],[%s])`,
			quote(out), algo, hash, strings.Join(ins, ","), strings.Join(srcs, ","), strings.Join(envs, ","))
	}
	of := text("")
	if s.fixed != "" {
		of = s.fixed
	}
	out := storePath(s.name, of)
	whole := text(out)
	drv := storePath(s.name+".drv", whole)
	g[drv] = whole
	return made{drv, out}
}

// world is a small package set: podman uses runc and openssl; runc has patches.
type world struct {
	version, url, fixed, flags, compiler string
	patches                              []string
	extra                                bool
}

func (g graph) world(w world) (podman, runc made) {
	cc := g.add(spec{name: "gcc-13", env: map[string]string{"flags": w.compiler}})
	openssl := g.add(spec{name: "openssl-3.0", in: []made{cc}, env: map[string]string{"cc": cc.out}})
	src := g.add(spec{name: "source", fixed: w.fixed, env: map[string]string{"url": w.url}})
	runc = g.add(spec{
		name: "runc-" + w.version, in: []made{cc, src}, src: w.patches,
		env: map[string]string{"version": w.version, "src": src.out, "patches": strings.Join(w.patches, " "), "cc": cc.out, "configureFlags": w.flags},
	})
	in := []made{runc, openssl, cc}
	env := map[string]string{"buildInputs": runc.out + " " + openssl.out}
	if w.extra {
		zlib := g.add(spec{name: "zlib-1.3", in: []made{cc}})
		in = append(in, zlib)
		env["buildInputs"] += " " + zlib.out
	}
	podman = g.add(spec{name: "podman-5", in: in, env: env})
	return podman, runc
}

func TestRootCauses(t *testing.T) {
	patch := func(name, content string) string { return storePath(name, "file "+content) }
	base := world{
		version: "1.1", url: "https://a/1.1", fixed: "h1", flags: "--a --b", compiler: "-O2",
		patches: []string{patch("0001-a.patch", "a"), patch("0002-b.patch", "b")},
	}
	with := func(f func(*world)) world {
		w := base
		w.patches = slices.Clone(w.patches)
		f(&w)
		return w
	}
	for _, tc := range []struct {
		name string
		head world
		// what podman and runc say: fields of a root, and ways to roots
		runc, podman []string
	}{
		{"a patch is added", with(func(w *world) { w.patches = append(w.patches, patch("0003-c.patch", "c")) }),
			[]string{"patches +0003-c.patch"}, []string{"<- runc"}},
		{"a patch changes in place", with(func(w *world) { w.patches[1] = patch("0002-b.patch", "B") }),
			[]string{"patches ~0002-b.patch"}, []string{"<- runc"}},
		{"a patch is dropped", with(func(w *world) { w.patches = w.patches[:1] }),
			[]string{"patches -0002-b.patch"}, []string{"<- runc"}},
		{"patches swap places", with(func(w *world) { slices.Reverse(w.patches) }),
			[]string{"patches in another order"}, []string{"<- runc"}},
		{"a new version of something fetched", with(func(w *world) { w.version, w.url, w.fixed = "1.2", "https://a/1.2", "h2" }),
			[]string{"version 1.1 -> 1.2", "src ~source (url https://a/1.1 -> https://a/1.2)"}, []string{"<- runc"}},
		{"something else is fetched under the same version", with(func(w *world) { w.url, w.fixed = "https://b", "h3" }),
			[]string{"src ~source (url https://a/1.1 -> https://b)"}, []string{"<- runc"}},
		{"a flag is added", with(func(w *world) { w.flags = "--a --b --c" }),
			[]string{"configureFlags +--c"}, []string{"<- runc"}},
		{"an input is added", with(func(w *world) { w.extra = true }),
			nil, []string{"buildInputs +zlib-1.3"}},
		{"the compiler changes: everything goes back to it", with(func(w *world) { w.compiler = "-O3" }),
			[]string{"<- gcc"}, []string{"<- gcc"}},
		{"the compiler and a patch: one is a root and has an input", with(func(w *world) { w.compiler = "-O3"; w.patches = w.patches[:1] }),
			[]string{"patches -0002-b.patch", "<- gcc"}, []string{"<- gcc", "<- runc"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, h := graph{}, graph{}
			podmanB, runcB := b.world(base)
			podmanH, runcH := h.world(tc.head)
			rc := distro.NewRootCauses(b, h)
			if runcB.drv == runcH.drv {
				assert.Empty(t, tc.runc)
			} else {
				assert.Equal(t, tc.runc, say(t, rc, runcB, runcH), "runc")
			}
			assert.Equal(t, tc.podman, say(t, rc, podmanB, podmanH), "podman")
		})
	}

	t.Run("only the address of something fetched changes: derivations do, outputs do not", func(t *testing.T) {
		b, h := graph{}, graph{}
		podmanB, _ := b.world(base)
		podmanH, _ := h.world(with(func(w *world) { w.url = "https://mirror" }))
		assert.NotEqual(t, podmanB.drv, podmanH.drv)
		rc := distro.NewRootCauses(b, h)
		reason, err := rc.Explain(podmanB.drv, podmanH.drv)
		require.NoError(t, err)
		assert.Nil(t, reason.Root)
	})
	t.Run("a derivation whose text is not at hand is taken to be the root", func(t *testing.T) {
		b, h := graph{}, graph{}
		_, runcB := b.world(base)
		_, runcH := h.world(with(func(w *world) { w.compiler = "-O3" }))
		for path := range h {
			if strings.HasSuffix(path, "gcc-13.drv") {
				delete(h, path)
			}
		}
		got := say(t, distro.NewRootCauses(b, h), runcB, runcH)
		assert.Contains(t, got, "<- gcc")
	})
}

// say is a Reason in words.
func say(t *testing.T, rc *distro.RootCauses, b, h made) []string {
	t.Helper()
	reason, err := rc.Explain(b.drv, h.drv)
	require.NoError(t, err)
	var out []string
	if reason.Root != nil {
		for _, f := range reason.Root.Fields {
			out = append(out, f.What)
		}
	}
	for _, th := range reason.Through {
		var names []string
		for _, s := range th.Via {
			names = append(names, s.Name)
		}
		out = append(out, "<- "+strings.Join(names, " <- "))
	}
	return out
}
