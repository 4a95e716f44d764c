package checks_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

func TestAssemble(t *testing.T) {
	lua := checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "lua", Name: "builds"}
	sed := checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "sed", Name: "builds"}
	plan := &checks.Plan{Cases: []checks.PlannedCase{{Case: lua}, {Case: sed}}}
	pass := func(c checks.Case) checks.Result {
		return checks.Result{Case: c, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing}
	}
	fail := func(c checks.Case) checks.Result {
		return checks.Result{Case: c, Was: checks.Pass, Now: checks.Fail, Verdict: checks.Regressed}
	}
	shard := func(rs ...checks.Result) *checks.Results { return &checks.Results{Cases: rs} }

	t.Run("all results are there", func(t *testing.T) {
		rep, err := checks.Assemble(plan, []*checks.Results{shard(pass(sed)), shard(pass(lua))})
		require.NoError(t, err)
		assert.Equal(t, checks.Success, rep.Conclusion)
		assert.Equal(t, lua, rep.Cases[0].Case, "in the plan's order")
		assert.Equal(t, 2, rep.Counts["passing"])
	})
	t.Run("a shard that died leaves errors, named", func(t *testing.T) {
		rep, err := checks.Assemble(plan, []*checks.Results{shard(pass(sed))})
		require.NoError(t, err)
		assert.Equal(t, checks.Errored, rep.Conclusion)
		assert.Equal(t, checks.Error, rep.Cases[0].Now)
		assert.Contains(t, rep.Cases[0].Reason, "no result came back")
	})
	t.Run("of two results for one case the worse counts", func(t *testing.T) {
		rep, err := checks.Assemble(plan, []*checks.Results{shard(pass(sed), fail(lua)), shard(pass(lua))})
		require.NoError(t, err)
		assert.Equal(t, checks.Failure, rep.Conclusion)
	})
	t.Run("a result that was not planned is refused", func(t *testing.T) {
		_, err := checks.Assemble(&checks.Plan{Cases: plan.Cases[:1]}, []*checks.Results{shard(pass(sed))})
		require.ErrorContains(t, err, "not in the plan")
	})
	t.Run("nothing planned is skipped", func(t *testing.T) {
		rep, err := checks.Assemble(&checks.Plan{}, nil)
		require.NoError(t, err)
		assert.Equal(t, checks.Skipped, rep.Conclusion)
		assert.NotNil(t, rep.Cases)
	})
}
