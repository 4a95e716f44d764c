package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// kept is the artifact of a shard in which one case failed.
func kept(t *testing.T) string {
	t.Helper()
	from, dir := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"symbols": "an ELF", "kernel": "a kernel", "initrd": strings.Repeat("an initrd ", 1000), "kernel-params": "quiet loglevel=3\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte(text), 0o644))
	}
	m := reproManifest{Schema: reproSchema, Systems: map[string]reproSystem{}}
	id, _, err := keepSystem(t.Context(), dir, system{from, "linux", filepath.Join(from, "symbols")}, &m, reproBudget)
	require.NoError(t, err)
	m.Cases = append(m.Cases, reproCase{
		Case:   checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: "network", Name: "ping"},
		System: id, Spec: json.RawMessage(`[{"name":"ping","run":"ping -c 1 localhost"}]`),
	})
	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "repro.json"), text, 0o644))
	return dir
}

func zipOf(t *testing.T, dir string, more map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put := func(name string, data []byte) {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err == nil {
			put(filepath.ToSlash(rel), data)
		}
		return err
	}))
	for name, text := range more {
		put(name, []byte(text))
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// What a shard kept is fetched from GitHub, held against its hashes and laid out for
// 'bot vm'; what hostile code may have put in its place is refused.
func TestReproFetchesWhatAFailureNeeds(t *testing.T) {
	honest := kept(t)
	swapped := kept(t)
	files, err := filepath.Glob(filepath.Join(swapped, "files", "*.zst"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	other, err := os.ReadFile(files[1])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files[0], other, 0o644))
	for _, tc := range []struct {
		name, wanted string
		artifact     []byte
		wrong        string
	}{
		{"a failure", "test/network/ping", zipOf(t, honest, nil), ""},
		{"by the beginning of its name", "network/pi", zipOf(t, honest, nil), ""},
		{"one that is not there", "test/lua/starts", zipOf(t, honest, nil), "kept no failure \"test/lua/starts\"; there are:\n  test/network/ping"},
		{"a name that climbs out", "test/network/ping", zipOf(t, honest, map[string]string{"../../.bashrc": "x"}), "which no shard leaves"},
		{"a file that no shard leaves", "test/network/ping", zipOf(t, honest, map[string]string{"run.sh": "x"}), "which no shard leaves"},
		{"a file that is not what its hash says", "test/network/ping", zipOf(t, swapped, nil), "is not what its hash says"},
		{"a manifest of another kind", "test/network/ping", zipOf(t, t.TempDir(), map[string]string{"repro.json": `{"schema":"x"}`}), "it is no asterbot/repro/1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gh := githubtest.New(t, githubtest.Options{})
			repo := gh.AddRepo("o", "r")
			pr, _ := repo.OpenPull(githubtest.NewPull{})
			r, _ := repo.StartRun(githubtest.NewRun{Path: ".github/workflows/compat.yml", Event: "pull_request", HeadSHA: pr.Head(), HeadRepo: repo, Actor: "ann", Status: "in_progress"})
			r.Finish("failure", map[string][]byte{"asterbot-repro-3-1": tc.artifact, "asterbot-report-1": {}})
			e := &env{Stdin: &bytes.Buffer{}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Dir: t.TempDir(), Getenv: func(k string) string {
				return map[string]string{"GITHUB_TOKEN": gh.UserToken("ann")}[k]
			}}
			o := &reproOptions{Repository: "o/r", API: gh.URL}
			out := filepath.Join(e.Dir, "repro")
			args, err := func() ([]string, error) {
				dir, err := o.fetch(t.Context(), e, r.Get().ID)
				if err != nil {
					return nil, err
				}
				defer dir.Remove()
				found, system, err := findRepro(dir.Path, tc.wanted)
				if err != nil {
					return nil, err
				}
				return unpackRepro(t.Context(), filepath.Dir(system.manifest), found, system.reproSystem, out)
			}()
			if tc.wrong != "" {
				require.ErrorContains(t, err, tc.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"vm", "--profile", "linux", "--kernel", filepath.Join(out, "system/kernel"), "--initrd", filepath.Join(out, "system/initrd"),
				"--symbols", filepath.Join(out, "system/symbols"), "--append", "quiet loglevel=3", "--cases", filepath.Join(out, "system/case.json"), "--out", out}, args)
			kernel, err := os.ReadFile(filepath.Join(out, "system/kernel"))
			require.NoError(t, err)
			assert.Equal(t, "a kernel", string(kernel))
			spec, err := os.ReadFile(filepath.Join(out, "system/case.json"))
			require.NoError(t, err)
			assert.Contains(t, string(spec), "ping -c 1 localhost")
		})
	}
}
