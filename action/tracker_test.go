package action_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/githubtest"
)

const aRun = "https://github.test/o/r/actions/runs/1"

func TestTracker(t *testing.T) {
	var (
		ls    = result("base", "ls", checks.Fail, "exit status 1, expected 0")
		lsOK  = result("base", "ls", checks.Pass, "")
		lsTwo = result("base", "ls", checks.Fail, "exit status 2, expected 0")
		lsErr = result("base", "ls", checks.Error, "no space left")
		cp    = result("base", "cp", checks.Fail, "exit status 1, expected 0")
		cpOK  = result("base", "cp", checks.Pass, "")
		one   = strings.Repeat("1", 40)
	)
	known := ls
	known.Known = "https://tracker.test/1"
	gone := ls
	gone.Now = checks.Absent
	built := func(hash string) checks.Result {
		return result("sed", "builds", checks.Fail, "builder of /nix/store/"+strings.Repeat(hash, 32)+"-sed failed")
	}
	panicked := func(cases ...checks.Result) *checks.Report {
		r := reportOf(one, cases...)
		for i := range r.Cases {
			r.Cases[i].Title = "panic: page fault"
		}
		r.Machines = []checks.Machine{{Name: "base", Side: "head", Outcome: checks.MachinePanic, Title: "panic: page fault"}}
		return r
	}
	for _, tc := range []struct {
		name string
		runs []*checks.Report
		want []string // of each issue: its state, and how often it was commented on
	}{
		{"nothing fails", []*checks.Report{reportOf(one, lsOK)}, nil},
		{"a new failure gets an issue", []*checks.Report{reportOf(one, ls, cpOK)}, []string{"open 0"}},
		{"which is found again", []*checks.Report{reportOf(one, ls), reportOf(one, ls), reportOf(one, ls)}, []string{"open 0"}},
		{"and closed when it passes", []*checks.Report{reportOf(one, ls), reportOf(one, lsOK)}, []string{"closed 1"}},
		{"and opened again", []*checks.Report{reportOf(one, ls), reportOf(one, lsOK), reportOf(one, ls)}, []string{"open 2"}},
		{"it stays open while nobody looks", []*checks.Report{reportOf(one, ls), reportOf(one, cpOK)}, []string{"open 0"}},
		{"and while nobody can", []*checks.Report{reportOf(one, ls), reportOf(one, lsErr)}, []string{"open 0"}},
		{"one that is gone is closed", []*checks.Report{reportOf(one, ls), reportOf(one, gone)}, []string{"closed 1"}},
		{"two failures are two issues", []*checks.Report{reportOf(one, ls, cp), reportOf(one, ls, cpOK)}, []string{"open 0", "closed 1"}},
		{"a case that fails otherwise is another failure", []*checks.Report{reportOf(one, ls), reportOf(one, lsTwo)}, []string{"closed 1", "open 0"}},
		{"the same builder in another store path is the same failure", []*checks.Report{reportOf(one, built("a")), reportOf(one, built("b"))}, []string{"open 0"}},
		{"a panic is one failure, whatever it took along", []*checks.Report{panicked(ls, cp), panicked(ls)}, []string{"open 0"}},
		{"and passes when all of it does", []*checks.Report{panicked(ls, cp), reportOf(one, lsOK), reportOf(one, lsOK, cpOK)}, []string{"closed 1"}},
		{"a known failure has its tracker already", []*checks.Report{reportOf(one, known)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, repo, c := onGitHub(t, map[string]string{"issues": "write"})
			tr := &action.Tracker{Client: c, Owner: "o", Repo: "r"}
			for _, r := range tc.runs {
				_, err := tr.Follow(t.Context(), r, aRun)
				require.NoError(t, err)
			}
			issues, said := repo.Issues()
			var got []string
			for _, i := range issues {
				got = append(got, fmt.Sprint(i.State, " ", len(said[i.Number])))
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestTrackersBelieveNobodyElse(t *testing.T) {
	_, repo, c := onGitHub(t, map[string]string{"issues": "write"})
	tr := &action.Tracker{Client: c, Owner: "o", Repo: "r", Limit: 2}
	one := strings.Repeat("1", 40)
	hostile := result("base", "ls", checks.Fail, "@everyone ![x](https://evil.test) <!-- asterbot:tracks {} --> `x")
	hostile.Tail = []string{"```", "@everyone", "<!-- asterbot:tracks {\"key\":\"forged\"} -->"}
	_, err := tr.Follow(t.Context(), reportOf(one, hostile), aRun)
	require.NoError(t, err)
	issues, _ := repo.Issues()
	require.Len(t, issues, 1)
	assert.Contains(t, issues[0].Body, "````\n```\n@everyone", "shown as it is, in a fence that it cannot close")
	assert.NotContains(t, strings.SplitN(issues[0].Body, "````", 2)[0], "@everyone", "nobody is called")

	repo.OpenIssue("eve", "mine", issues[0].Body)
	done, err := tr.Follow(t.Context(), reportOf(one, result("base", "ls", checks.Pass, "")), aRun)
	require.NoError(t, err)
	assert.Equal(t, []int{issues[0].Number}, done.Closed)
	issues, _ = repo.Issues()
	assert.Equal(t, "open", issues[1].State, "an outsider's issue is left alone, whatever it says")

	var many []checks.Result
	for i := range 5 {
		many = append(many, result("base", fmt.Sprint("t", i), checks.Fail, "exit status 1"))
	}
	done, err = tr.Follow(t.Context(), reportOf(one, many...), aRun)
	require.NoError(t, err)
	assert.Len(t, done.Opened, 2)
	assert.Equal(t, 3, done.Left, "what is left out is told")
}

// Failing at each call in turn and run again, it ends in the same issues.
func TestTrackersSurviveAFailureAtAnyCall(t *testing.T) {
	one := strings.Repeat("1", 40)
	first := reportOf(one, result("base", "ls", checks.Fail, "exit status 1"))
	second := reportOf(one, result("base", "ls", checks.Pass, ""), result("base", "cp", checks.Fail, "exit status 1"))
	for after := 0; ; after++ {
		s, repo, c := onGitHub(t, map[string]string{"issues": "write"})
		tr := &action.Tracker{Client: c, Owner: "o", Repo: "r"}
		_, err := tr.Follow(t.Context(), first, aRun)
		require.NoError(t, err)
		n := 0
		s.Inject(func(*http.Request) *githubtest.Fault {
			if n++; n == after+1 {
				return &githubtest.Fault{Status: http.StatusForbidden}
			}
			return nil
		})
		_, err = tr.Follow(t.Context(), second, aRun)
		if err == nil {
			assert.Greater(t, after, 2, "every call was failed once")
			return
		}
		s.Inject(nil)
		_, err = tr.Follow(t.Context(), second, aRun)
		require.NoError(t, err)
		issues, _ := repo.Issues()
		require.Len(t, issues, 2)
		assert.Equal(t, "closed", issues[0].State)
		assert.Equal(t, "open", issues[1].State)
	}
}
