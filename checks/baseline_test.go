package checks

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnEarlierRunSaysHowThingsWere(t *testing.T) {
	c := Case{Kind: KindTest, Subject: "network", Name: "ip"}
	for _, tc := range []struct {
		name     string
		baseline []Result
		result   Result
		was      Status
		verdict  Verdict
	}{
		{"it passed then and fails now", []Result{{Case: c, Now: Pass, Attempts: 1, Passes: 1}}, Result{Case: c, Was: Unknown, Now: Fail, Verdict: Undecided, Attempts: 1}, Pass, Regressed},
		{"it failed then and passes now", []Result{{Case: c, Now: Fail, Attempts: 1}}, Result{Case: c, Was: Unknown, Now: Pass, Verdict: Passing, Attempts: 1, Passes: 1}, Fail, Fixed},
		{"nobody could look then", []Result{{Case: c, Now: Error}}, Result{Case: c, Was: Unknown, Now: Fail, Verdict: Undecided, Attempts: 1}, Unknown, Undecided},
		{"it was not run then", nil, Result{Case: c, Was: Unknown, Now: Fail, Verdict: Undecided}, Unknown, Undecided},
		{"base is known already", []Result{{Case: c, Now: Fail}}, Result{Case: c, Was: Pass, Now: Fail, Verdict: Regressed}, Pass, Regressed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			results := []Result{tc.result}
			Against(results, tc.baseline)
			assert.Equal(t, tc.was, results[0].Was)
			assert.Equal(t, tc.verdict, results[0].Verdict)
		})
	}
}
