package action_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

func TestAnnotationsStandWhereTheChangeIs(t *testing.T) {
	r := &checks.Report{Cases: []checks.Result{
		{Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "sed", Name: "builds"}, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing},
		{
			Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "lua", Name: "builds"}, Was: checks.Pass, Now: checks.Fail, Verdict: checks.Regressed,
			Reason: "the patch does not apply\n::error::x", Causes: []distro.Cause{{File: "overlays/lua.nix", Line: 7, What: "patches +x.patch"}}, Repro: []string{"bot check --only lua"},
		},
		{Case: checks.Case{Kind: checks.KindBoot, Of: distro.KindSuite, Subject: "net", Name: "boots"}, Was: checks.Unknown, Now: checks.Error, Verdict: checks.Undecided, Reason: "the job died"},
	}}
	as := action.Annotations(r)
	require.Len(t, as, 2)
	assert.Equal(t, action.Failure, as[0].Level)
	assert.Equal(t, "overlays/lua.nix", as[0].File)
	assert.Equal(t, 7, as[0].Line)
	assert.Contains(t, as[0].Message, "patches +x.patch")
	assert.Contains(t, as[0].Message, "bot check --only lua")
	assert.Equal(t, action.Warning, as[1].Level)
}

func TestTheTenthAnnotationSaysHowManyMoreThereAre(t *testing.T) {
	r := &checks.Report{}
	for i := range 25 {
		r.Cases = append(r.Cases, checks.Result{
			Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: fmt.Sprint("p", i), Name: "builds"},
			Was:  checks.Pass, Now: checks.Fail, Verdict: checks.Regressed,
		})
	}
	as := action.Annotations(r)
	require.Len(t, as, 10)
	assert.Equal(t, "16 more", as[9].Title)
}
