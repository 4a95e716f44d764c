package pipeline_test

import (
	"encoding/json"
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

func TestShardsAreBalancedByWhatIsKnown(t *testing.T) {
	plan := &checks.Plan{}
	add := func(of distro.Kind, name, root string, seconds float64) {
		c := aCase(checks.KindBuild, of, name, "builds", 1)
		c.Seconds = seconds
		plan.Cases = append(plan.Cases, c)
		if root != "" {
			plan.Packages = append(plan.Packages, distro.AttrDiff{Attr: name, Status: distro.StatusRebuilt, Via: []string{root}})
		}
	}
	for i := range 10 {
		add(distro.KindPackage, fmt.Sprint("a", i), "openssl", 120)
		add(distro.KindPackage, fmt.Sprint("b", i), "zlib", 60)
	}
	add(distro.KindSuite, "short", "", 60)
	add(distro.KindSuite, "long", "", 3600)
	add(distro.KindSuite, "unknown", "", 0)
	shards := pipeline.Shards(plan)
	var names []string
	for _, s := range shards {
		names = append(names, fmt.Sprintf("%s: %s, %.0f min", s.Name, s.Cases[0].Subject, s.Minutes))
		roots := map[byte]bool{}
		for _, c := range s.Cases {
			roots[c.Subject[0]] = true
		}
		assert.Len(t, roots, 1, "what a shard builds shares its dependencies: %v", s.Cases)
	}
	assert.Equal(t, []string{
		"suites 1 of 3: long, 60 min", "suites 2 of 3: unknown, 3 min", "suites 3 of 3: short, 1 min",
		"packages 1 of 3: a0, 10 min", "packages 2 of 3: b0, 10 min", "packages 3 of 3: a5, 10 min",
	}, names)
}

func TestBothWavesTogetherFitAMatrix(t *testing.T) {
	plan := &checks.Plan{}
	for i := range 700 {
		plan.Cases = append(plan.Cases, aCase(checks.KindBoot, distro.KindSuite, fmt.Sprint("first", i), "boots", 0), aCase(checks.KindBoot, distro.KindSuite, fmt.Sprint("rest", i), "boots", 1))
	}
	for i := range 50_000 {
		plan.Cases = append(plan.Cases, aCase(checks.KindBuild, distro.KindPackage, fmt.Sprint("p", i), "builds", i%2))
	}
	shards := pipeline.Shards(plan)
	assert.LessOrEqual(t, len(shards), pipeline.MaxShards)
	var n int
	for _, s := range shards {
		n += len(s.Cases)
	}
	assert.Equal(t, len(plan.Cases), n)
	text, err := json.Marshal(shards)
	require.NoError(t, err)
	assert.Less(t, len(text), 1<<20, "GitHub takes outputs of at most 1 MB")
}
