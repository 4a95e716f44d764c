package checks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
)

func TestAKnownFailure(t *testing.T) {
	day := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	about := func(name string) checks.Case { return checks.Case{Kind: checks.KindTest, Subject: "base", Name: name} }
	for _, c := range []struct {
		what    string
		now     time.Time
		in      checks.Result
		verdict checks.Verdict
		known   bool
		notices int
		extra   bool // the entry itself fails
	}{
		{"excuses a failure that base does not have", day, checks.Result{Case: about("ip"), Now: checks.Fail, Verdict: checks.Regressed}, checks.StillFailing, true, 0, false},
		{"excuses a new failure", day, checks.Result{Case: about("ip"), Now: checks.Fail, Verdict: checks.New}, checks.StillFailing, true, 0, false},
		{"that passes is told", day, checks.Result{Case: about("ip"), Now: checks.Pass, Verdict: checks.Fixed}, checks.Fixed, false, 1, false},
		{"excuses no other case", day, checks.Result{Case: about("tar"), Now: checks.Fail, Verdict: checks.Regressed}, checks.Regressed, false, 0, false},
		{"does not settle what could not be looked at", day, checks.Result{Case: about("ip"), Now: checks.Error, Verdict: checks.Undecided}, checks.Undecided, false, 0, false},
		{"counts to the end of its last day", day.Add(23 * time.Hour), checks.Result{Case: about("ip"), Now: checks.Fail, Verdict: checks.Regressed}, checks.StillFailing, true, 0, false},
		{"excuses nothing once it has expired", day.Add(24 * time.Hour), checks.Result{Case: about("ip"), Now: checks.Fail, Verdict: checks.Regressed}, checks.Regressed, false, 0, true},
		{"that has expired fails though its case passes", day.Add(48 * time.Hour), checks.Result{Case: about("ip"), Now: checks.Pass, Verdict: checks.Passing}, checks.Passing, false, 0, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			list := []checks.Known{{
				Pattern: "test/base/ip", Match: func(x checks.Case) bool { return x == about("ip") },
				Tracker: "https://tracker.example/7", Until: day,
			}}
			valid, expired := checks.Expired(list, c.now)
			got := []checks.Result{c.in}
			notices := checks.ApplyKnown(got, valid)
			got = append(got, expired...)
			assert.Equal(t, c.verdict, got[0].Verdict)
			assert.Equal(t, c.known, got[0].Known != "")
			assert.Len(t, notices, c.notices)
			if !c.extra {
				require.Len(t, got, 1)
				return
			}
			require.Len(t, got, 2)
			assert.True(t, got[1].Blocks())
			assert.Contains(t, got[1].Reason, "expired on 2026-12-31")
		})
	}
}
