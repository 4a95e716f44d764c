package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/pipeline"
)

func aCase(kind checks.Kind, of distro.Kind, subject, name string, tier int) checks.PlannedCase {
	return checks.PlannedCase{Case: checks.Case{Kind: kind, Of: of, Subject: subject, Name: name}, Tier: tier}
}

func TestShards(t *testing.T) {
	plan := &checks.Plan{}
	for i := range 1000 {
		plan.Cases = append(plan.Cases, aCase(checks.KindBuild, distro.KindPackage, fmt.Sprint("p", i), "builds", 1))
	}
	for i := range 19 {
		name := fmt.Sprint("s", i)
		plan.Cases = append(plan.Cases, aCase(checks.KindBuild, distro.KindSuite, name, "builds", 1), aCase(checks.KindBoot, distro.KindSuite, name, "boots", 1))
		for j := range 11 {
			plan.Cases = append(plan.Cases, aCase(checks.KindTest, distro.KindSuite, name, fmt.Sprint("t", j), 1))
		}
	}
	plan.Cases = append(plan.Cases, aCase(checks.KindBoot, distro.KindSuite, "smoke", "boots", 0), aCase(checks.KindTest, distro.KindSuite, "smoke", "echo", 1),
		aCase(checks.KindInstall, distro.KindImage, "iso", "installs", 1), aCase(checks.KindBoot, distro.KindSuite, "own", "runs", 1))
	shards := pipeline.Shards(plan)
	assert.Equal(t, shards, pipeline.Shards(plan), "the same plan gives the same shards")

	seen := map[checks.Case]int{}
	of := map[string]int{}
	for i, s := range shards {
		assert.Equal(t, i, s.Number)
		assert.NotEmpty(t, s.Cases)
		for _, c := range s.Cases {
			seen[c.Case]++
			key := fmt.Sprint(c.Of, c.Subject)
			if n, ok := of[key]; ok {
				assert.Equal(t, n, i, "%s is in two shards", key)
			}
			of[key] = i
		}
	}
	assert.Len(t, seen, len(plan.Cases), "no case is left out")
	for c, n := range seen {
		assert.Equal(t, 1, n, c)
	}
	assert.True(t, shards[0].First)
	assert.Len(t, shards[0].Cases, 2, "all of a suite that is answered first, and nothing else")
	assert.False(t, shards[1].First)

	part, err := pipeline.Part(plan, 0)
	require.NoError(t, err)
	assert.Equal(t, shards[0].Cases, part.Cases)
	_, err = pipeline.Part(plan, len(shards))
	assert.ErrorContains(t, err, "counted from 0")
}

func TestNoPlanHasMoreShardsThanActionsRuns(t *testing.T) {
	plan := &checks.Plan{}
	for i := range 9000 {
		plan.Cases = append(plan.Cases, aCase(checks.KindBuild, distro.KindPackage, fmt.Sprint("p", i), "builds", 1))
	}
	for i := range 400 {
		plan.Cases = append(plan.Cases, aCase(checks.KindInstall, distro.KindImage, fmt.Sprint("i", i), "installs", 1), aCase(checks.KindBoot, distro.KindSuite, fmt.Sprint("s", i), "runs", 1))
	}
	assert.LessOrEqual(t, len(pipeline.Shards(plan)), pipeline.MaxShards)
	assert.Empty(t, pipeline.Shards(&checks.Plan{}))
}
