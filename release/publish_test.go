package release_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-github/v66/github"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/githubtest"
	"github.com/asterinas/asterbot/release"
)

// host is a GitHub with a repository and a release that is to be made on it.
type host struct {
	*githubtest.Server
	repo      *githubtest.Repo
	publisher release.Publisher
	release   release.Release
}

func newHost(t *testing.T) *host {
	t.Helper()
	s := githubtest.New(t, githubtest.Options{})
	repo := s.AddRepo("o", "r")
	// The plain client: what is retried here is Publish, not a request.
	client := github.NewClient(nil).WithAuthToken(s.ActionsToken(repo, map[string]string{"contents": "write"}))
	var err error
	client.BaseURL, err = url.Parse(s.URL + "/")
	require.NoError(t, err)
	h := &host{Server: s, repo: repo, publisher: release.Publisher{Client: client, Owner: "o", Repo: "r"}}
	dir := t.TempDir()
	for name, text := range map[string]string{"distro.iso": "an image", "report.json": "{}"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	sums, err := release.SumDir(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, release.SumsFile), []byte(release.Sums(sums)), 0o644))
	h.release = release.Release{Tag: "v1.2.3", Commit: repo.Tip("main"), Title: "1.2.3", Notes: "What changed.", Dir: dir}
	return h
}

// state is everything about the release that a user can see.
func (h *host) state(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	for _, r := range h.repo.Releases() {
		fmt.Fprintf(&b, "%s %s draft=%v pre=%v %q %q\n", r.Tag, r.Target, r.Draft, r.Prerelease, r.Name, r.Body)
		var names []string
		for _, a := range r.Assets {
			names = append(names, fmt.Sprintf("  %s %q\n", a.Name, a.Data))
		}
		slices.Sort(names)
		fmt.Fprint(&b, names)
	}
	ref, _, err := h.publisher.Client.Git.GetRef(context.Background(), "o", "r", "tags/"+h.release.Tag)
	if err != nil {
		fmt.Fprintln(&b, "no tag")
	} else {
		fmt.Fprintln(&b, "tag", ref.GetObject().GetSHA())
	}
	return b.String()
}

func TestPublish(t *testing.T) {
	h := newHost(t)
	var order []string
	h.Inject(func(r *http.Request) *githubtest.Fault {
		if r.Method != http.MethodGet {
			order = append(order, r.Method+" "+filepath.Base(r.URL.Path))
		}
		return nil
	})
	address, err := h.publisher.Publish(t.Context(), h.release)
	require.NoError(t, err)
	assert.Contains(t, address, "/releases/tag/v1.2.3")
	assert.Equal(t, []string{"POST releases", "POST assets", "POST assets", "POST assets", "POST refs"}, order[:5], "a draft, its assets, the tag")
	assert.Len(t, order, 6, "and published last")
	want := h.state(t)

	_, err = h.publisher.Publish(t.Context(), h.release)
	require.NoError(t, err, "once more changes nothing")
	assert.Equal(t, want, h.state(t))
}

// TestPublishCanBeRunAgainAfterAFailureOfAnyCall fails each call in turn: before
// it takes effect, after it, and by a connection that breaks.
func TestPublishCanBeRunAgainAfterAFailureOfAnyCall(t *testing.T) {
	h := newHost(t)
	calls := 0
	h.Inject(func(*http.Request) *githubtest.Fault { calls++; return nil })
	_, err := h.publisher.Publish(t.Context(), h.release)
	require.NoError(t, err)
	total := calls
	require.Greater(t, total, 8)

	for _, fault := range []struct {
		name string
		githubtest.Fault
	}{
		{"refused", githubtest.Fault{Status: http.StatusBadGateway}},
		{"done, but the answer is lost", githubtest.Fault{Status: http.StatusBadGateway, After: true}},
		{"the connection breaks", githubtest.Fault{Reset: true}},
	} {
		for n := 1; n <= total; n++ {
			t.Run(fmt.Sprintf("call %d is %s", n, fault.name), func(t *testing.T) {
				h := newHost(t)
				var at int
				h.Inject(func(*http.Request) *githubtest.Fault {
					if at++; at == n {
						return &fault.Fault
					}
					return nil
				})
				_, err := h.publisher.Publish(t.Context(), h.release)
				// A reset of an idle connection's GET is repeated by net/http itself.
				if !fault.Reset {
					require.Error(t, err)
				}
				for _, r := range h.repo.Releases() {
					if !r.Draft {
						assert.Len(t, r.Assets, 3, "nothing is published by halves")
					}
				}
				h.Inject(nil)
				_, err = h.publisher.Publish(t.Context(), h.release)
				require.NoError(t, err)
				require.Len(t, h.repo.Releases(), 1, "one release")
				r := h.repo.Releases()[0]
				assert.False(t, r.Draft)
				assert.Len(t, r.Assets, 3)
				assert.Contains(t, h.state(t), "tag "+h.release.Commit)
			})
		}
	}
}

func TestPublishRefusesWhatContradictsIt(t *testing.T) {
	for name, do := range map[string]struct {
		do   func(*testing.T, *host)
		want string
	}{
		"the tag names another commit": {func(t *testing.T, h *host) {
			ref := "refs/tags/v1.2.3"
			sha, _ := h.repo.Commit("main", nil)
			_, _, err := h.publisher.Client.Git.CreateRef(t.Context(), "o", "r", &github.Reference{Ref: &ref, Object: &github.GitObject{SHA: &sha}})
			require.NoError(t, err)
		}, "tag v1.2.3 exists and names commit"},
		"it is published with another image": {func(t *testing.T, h *host) {
			_, err := h.publisher.Publish(t.Context(), h.release)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(h.release.Dir, "distro.iso"), []byte("another"), 0o644))
			sums, err := release.SumDir(h.release.Dir)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(h.release.Dir, release.SumsFile), []byte(release.Sums(sums)), 0o644))
		}, "what is published is never changed"},
		"somebody has a draft of the same tag": {func(t *testing.T, h *host) {
			_, _, err := h.publisher.Client.Repositories.CreateRelease(t.Context(), "o", "r", &github.RepositoryRelease{TagName: github.String("v1.2.3"), Draft: github.Bool(true)})
			require.NoError(t, err)
		}, "a draft of v1.2.3 exists"},
		"a checksum is not of its file": {func(t *testing.T, h *host) {
			require.NoError(t, os.WriteFile(filepath.Join(h.release.Dir, "distro.iso"), []byte("changed"), 0o644))
		}, "SHA256SUMS does not say of distro.iso what it is"},
		"a file is missing": {func(t *testing.T, h *host) {
			require.NoError(t, os.Remove(filepath.Join(h.release.Dir, "distro.iso")))
		}, "names distro.iso, which is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			do.do(t, h)
			before := h.state(t)
			_, err := h.publisher.Publish(t.Context(), h.release)
			var conflict *release.ConflictError
			require.ErrorAs(t, err, &conflict)
			assert.ErrorContains(t, err, do.want)
			assert.Equal(t, before, h.state(t), "nothing was changed")
		})
	}
}

func TestAnUploadThatBrokeOffIsReplaced(t *testing.T) {
	h := newHost(t)
	calls := 0
	h.Inject(func(r *http.Request) *githubtest.Fault {
		if calls++; r.Method == http.MethodPost && filepath.Base(r.URL.Path) == "refs" {
			return &githubtest.Fault{Status: 500}
		}
		return nil
	})
	_, err := h.publisher.Publish(t.Context(), h.release)
	require.Error(t, err)
	h.repo.Releases()[0].Assets[1].Data = []byte("half")
	h.Inject(nil)
	_, err = h.publisher.Publish(t.Context(), h.release)
	require.NoError(t, err)
	for _, a := range h.repo.Releases()[0].Assets {
		assert.NotEqual(t, "half", string(a.Data))
	}
}

func TestFindPrevious(t *testing.T) {
	h := newHost(t)
	rules := release.Rules{Scheme: release.Shared, TagPattern: "v{version}"}
	p, err := release.FindPrevious(t.Context(), h.publisher.Client, "o", "r", rules, "1.2.3")
	require.NoError(t, err)
	assert.Nil(t, p, "there is none before the first")

	var doc bytes.Buffer
	require.NoError(t, report.Encode(&doc, &checks.Report{Schema: checks.SchemaReport, Conclusion: checks.Skipped, Headline: "x", Counts: checks.Count(nil), Cases: []checks.Result{}}))
	for _, v := range []string{"1.1.0", "1.2.0", "1.3.0", "1.2.2-rc.1", "nightly"} {
		require.NoError(t, os.WriteFile(filepath.Join(h.release.Dir, release.ReportAsset), doc.Bytes(), 0o644))
		sums, err := release.SumDir(h.release.Dir)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(h.release.Dir, release.SumsFile), []byte(release.Sums(sums)), 0o644))
		r := h.release
		r.Tag = "v" + v
		_, err = h.publisher.Publish(t.Context(), r)
		require.NoError(t, err)
	}
	p, err = release.FindPrevious(t.Context(), h.publisher.Client, "o", "r", rules, "1.2.3")
	require.NoError(t, err)
	require.NotNil(t, p)
	assert.Equal(t, "v1.2.0", p.Tag, "the newest before it that is no prerelease")
	assert.NotNil(t, p.Report)
}
