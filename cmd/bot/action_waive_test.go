package main

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// zipped is an artifact with one file.
func zipped(t *testing.T, name string, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var doc, packed bytes.Buffer
	require.NoError(t, write(&doc))
	z := zip.NewWriter(&packed)
	f, err := z.Create(name)
	require.NoError(t, err)
	_, err = f.Write(doc.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return packed.Bytes()
}

// left are the artifacts of a run whose report has these cases.
func left(t *testing.T, sha string, cases ...checks.Result) map[string][]byte {
	t.Helper()
	change := distro.Change{Base: strings.Repeat("b", 40), Head: sha, Merged: strings.Repeat("c", 40), Files: []string{}}
	plan := &checks.Plan{Change: change}
	for _, c := range cases {
		plan.Cases = append(plan.Cases, checks.PlannedCase{Case: c.Case, Why: "it changed"})
	}
	rep := &checks.Report{Change: change, Cases: cases, Counts: checks.Count(cases), Conclusion: checks.Conclude(cases)}
	return map[string][]byte{
		"asterbot-plan-1":   zipped(t, "plan.json", func(b *bytes.Buffer) error { return report.Encode(b, plan) }),
		"asterbot-report-1": zipped(t, "report.json", func(b *bytes.Buffer) error { return report.Encode(b, rep) }),
	}
}

func TestExplainAndWaiveWithoutTheApp(t *testing.T) {
	broken := checks.Result{Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "sed", Name: "builds"}, Was: checks.Pass, Now: checks.Fail, Verdict: checks.Regressed, Stage: "build", Reason: "its builder failed", Attempts: 1}
	good := checks.Result{Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "jq", Name: "builds"}, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing, Attempts: 1, Passes: 1}
	token := func(*config.Config) {}
	for _, tc := range []struct {
		name, role, body string
		edit             func(*config.Config)
		fork             bool
		says             string
		conclusion       string // of the verdict; empty where there is none
	}{
		{"a failure is explained to anybody", "read", "/explain sed", token, false, "its builder failed", ""},
		{"what is not affected is said to be so", "read", "/explain vim", token, false, "neither affected by this change nor", ""},
		{"a maintainer lets a case pass", "maintain", "/waive sed/builds the patch is on its way", token, false, "no longer stands in the way", "success"},
		{"who may write is not a maintainer", "write", "/waive sed/builds please", token, false, "is for people who have the permission", ""},
		{"a case that does not fail needs no waiver", "maintain", "/waive jq/builds because", token, false, "These do: `sed/builds`", ""},
		{"a fork has no check runs to change", "maintain", "/waive sed/builds because", token, true, "from a fork", ""},
		{"a failure of a fork's is explained", "read", "/explain sed", token, true, "its builder failed", ""},
		{"another publisher's are left alone", "maintain", "/waive sed/builds because", func(c *config.Config) { c.Publish = config.PublishSummary }, false, "publish: summary", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gh := githubtest.New(t, githubtest.Options{})
			repo := gh.AddRepo("o", "r")
			from := repo
			if tc.fork {
				from = repo.Fork("stranger")
			}
			pr, _ := repo.OpenPull(githubtest.NewPull{From: from, Author: "bob"})
			r, _ := repo.StartRun(githubtest.NewRun{Path: ".github/workflows/compat.yml", Event: "pull_request", HeadSHA: pr.Head(), HeadRepo: from, Actor: "bob", Status: "in_progress"})
			r.Finish("failure", left(t, pr.Head(), broken, good))
			repo.SetRole("ann", tc.role)
			comment, _ := pr.Comment("ann", tc.body)
			client, err := github.New(github.Options{BaseURL: gh.URL, Token: gh.ActionsToken(repo, map[string]string{"actions": "write", "checks": "write", "contents": "read", "issues": "write", "pull_requests": "write"})})
			require.NoError(t, err)
			c := config.Default()
			tc.edit(c)
			a := &answerer{client: client, owner: "o", repo: "r", config: c, event: action.Event{Number: pr.Number, Sender: action.Account{Login: "ann"}, Comment: &action.Comment{ID: comment.ID}}}
			asked, problems := command.Parse(tc.body)
			require.NoError(t, a.answer(t.Context(), asked, problems))
			require.NoError(t, a.answer(t.Context(), asked, problems), "answered once")

			var answers []string
			for _, c := range pr.Comments() {
				if c.Author == "github-actions[bot]" {
					answers = append(answers, c.Body)
				}
			}
			require.Len(t, answers, 1)
			assert.Contains(t, answers[0], tc.says)
			runs := repo.CheckRuns(pr.Head())
			if tc.conclusion == "" {
				assert.Empty(t, runs)
				return
			}
			p := &checkrun.Publisher{Client: client, Owner: "o", Repo: "r"}
			have, err := p.List(t.Context(), pr.Head())
			require.NoError(t, err)
			assert.Equal(t, tc.conclusion, have[checkrun.Verdict].GetConclusion())
			assert.Contains(t, have[checkrun.Verdict].GetOutput().GetTitle(), "waived by ann")
			waivers := tokenWaivers(have)
			require.Len(t, waivers, 1, "whoever publishes this commit again finds it")
			assert.Equal(t, "the patch is on its way", waivers[0].Reason)
			assert.Equal(t, pr.Head(), waivers[0].SHA)
		})
	}
}
