package suite

import (
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// Ready reports whether what a control run says counts: its system came up,
// and its smoke cases passed.
func Ready(j Job, control Ran) bool {
	if control.Outcomes[j.Boots()].Status != checks.Pass {
		return false
	}
	for _, c := range j.Suite.Cases {
		if c.Smoke && control.Outcomes[j.Case(c.Name)].Status != checks.Pass {
			return false
		}
	}
	return true
}

// Controlled returns the cases that a control has to run: those that failed,
// and the smoke cases, which say whether it can be believed. All of an ordered
// suite, whose cases build on each other.
func Controlled(j Job, ran Ran) []distro.CaseSpec {
	var out []distro.CaseSpec
	failed := false
	for _, c := range j.Suite.Cases {
		fails := ran.Outcomes[j.Case(c.Name)].Status == checks.Fail
		failed = failed || fails
		if fails || c.Smoke || j.Suite.Machine == distro.MachineOrdered {
			out = append(out, c)
		}
	}
	if !failed && ran.Outcomes[j.Boots()].Status != checks.Fail {
		return nil
	}
	return out
}

// Blame says whose the failure of a case is, by what the control made of it.
// Of the boot of a system the control's boot is itself the answer.
func Blame(j Job, c checks.Case, ran, control Ran) checks.Blame {
	other, ok := control.Outcomes[c]
	if !ok {
		other = checks.Outcome{Status: checks.Unknown}
	}
	return checks.Decide(ran.Outcomes[c], other, ok && (c.Kind == checks.KindBoot || Ready(j, control)))
}
