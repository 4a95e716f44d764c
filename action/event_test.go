package action_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
)

var (
	baseSHA  = strings.Repeat("b", 40)
	headSHA  = strings.Repeat("a", 40)
	mergeSHA = strings.Repeat("c", 40)
)

const here = `"repository":{"full_name":"o/r","default_branch":"main"},"sender":{"login":"ann","id":7,"type":"User"}`

func pullRequest(head string) string {
	return `{"action":"synchronize","number":5,` + here + `,"pull_request":{"number":5,"draft":true,"base":{"sha":"` + baseSHA + `"},"head":` + head + `}}`
}

func TestParseEvent(t *testing.T) {
	for _, tc := range []struct {
		name, event, payload string
		want                 func(*testing.T, action.Event)
	}{
		{"a pull request of the repository", "pull_request", pullRequest(`{"sha":"` + headSHA + `","repo":{"full_name":"o/r"}}`), func(t *testing.T, e action.Event) {
			assert.Equal(t, action.Event{Name: "pull_request", Action: "synchronize", Repository: "o/r", DefaultBranch: "main", Number: 5, Base: baseSHA, Head: headSHA, Merge: mergeSHA,
				HeadRepository: "o/r", Draft: true, Untrusted: true, Sender: action.Account{Login: "ann", ID: 7}}, e)
		}},
		{"a pull request of a fork", "pull_request", pullRequest(`{"sha":"` + headSHA + `","repo":{"full_name":"x/r"}}`), func(t *testing.T, e action.Event) {
			assert.True(t, e.Fork)
		}},
		{"a pull request whose fork was deleted", "pull_request", pullRequest(`{"sha":"` + headSHA + `","repo":null}`), func(t *testing.T, e action.Event) {
			assert.True(t, e.Fork)
			assert.Empty(t, e.HeadRepository)
		}},
		{"a merge queue", "merge_group", `{"action":"checks_requested",` + here + `,"merge_group":{"base_sha":"` + baseSHA + `","head_sha":"` + headSHA + `"}}`, func(t *testing.T, e action.Event) {
			assert.Equal(t, baseSHA, e.Base)
			assert.True(t, e.Untrusted, "what is queued is not merged yet")
		}},
		{"a push", "push", `{` + here + `,"before":"` + baseSHA + `","after":"` + headSHA + `","ref":"refs/heads/main"}`, func(t *testing.T, e action.Event) {
			assert.Equal(t, "main", e.Ref)
			assert.False(t, e.Untrusted)
		}},
		{"the first push of a branch", "push", `{` + here + `,"before":"` + strings.Repeat("0", 40) + `","after":"` + headSHA + `","ref":"refs/heads/new"}`, func(t *testing.T, e action.Event) {
			assert.Empty(t, e.Base)
		}},
		{"a tag that a person pushed", "push", `{` + here + `,"before":"` + strings.Repeat("0", 40) + `","after":"` + headSHA + `","ref":"refs/tags/v1.2.3"}`, func(t *testing.T, e action.Event) {
			assert.Equal(t, "v1.2.3", e.Ref)
			assert.True(t, e.Tag)
		}},
		{"every night", "schedule", `{` + here + `}`, func(t *testing.T, e action.Event) { assert.Equal(t, mergeSHA, e.Head) }},
		{"a comment on a pull request", "issue_comment", `{"action":"created",` + here + `,"issue":{"number":5,"pull_request":{"url":"u"}},"comment":{"id":3,"node_id":"n","body":"/rebuild","user":{"login":"ann","id":7,"type":"User"}}}`, func(t *testing.T, e action.Event) {
			assert.Equal(t, "/rebuild", e.Comment.Body)
			assert.Equal(t, 5, e.Number)
		}},
		{"a bot", "schedule", `{"repository":{"full_name":"o/r"},"sender":{"login":"renovate[bot]","id":9,"type":"Bot"}}`, func(t *testing.T, e action.Event) { assert.True(t, e.Sender.Bot) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := action.ParseEvent(tc.event, []byte(tc.payload), mergeSHA)
			require.NoError(t, err)
			tc.want(t, e)
		})
	}
}

func TestEventsThatAreNothingToCheck(t *testing.T) {
	for name, tc := range map[string][2]string{
		"a comment on an issue":         {"issue_comment", `{"action":"created",` + here + `,"issue":{"number":5},"comment":{"id":3}}`},
		"a comment that was edited":     {"issue_comment", `{"action":"edited",` + here + `,"issue":{"number":5,"pull_request":{}},"comment":{"id":3}}`},
		"a branch that was deleted":     {"push", `{` + here + `,"deleted":true,"before":"` + baseSHA + `","after":"` + strings.Repeat("0", 40) + `","ref":"refs/heads/x"}`},
		"a pull request that is closed": {"pull_request", strings.Replace(pullRequest(`{"sha":"`+headSHA+`","repo":null}`), "synchronize", "closed", 1)},
		"an event of another kind":      {"watch", `{` + here + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := action.ParseEvent(tc[0], []byte(tc[1]), mergeSHA)
			assert.ErrorIs(t, err, action.ErrNotForUs)
		})
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	for name, tc := range map[string][3]string{
		"pull_request_target":           {"pull_request_target", `{}`, "refuse pull_request_target"},
		"a head that is an option":      {"pull_request", pullRequest(`{"sha":"--upload-pack=evil","repo":null}`), "is no hash"},
		"a head that is a branch":       {"merge_group", `{"merge_group":{"head_sha":"main"}}`, "is no hash"},
		"a pull request without one":    {"pull_request", `{}`, "no pull_request"},
		"a payload that is no document": {"push", `[`, "payload"},
		"no commit at all":              {"push", `{"ref":"refs/heads/x"}`, "names no commit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := action.ParseEvent(tc[0], []byte(tc[1]), mergeSHA)
			assert.ErrorContains(t, err, tc[2])
		})
	}
}
