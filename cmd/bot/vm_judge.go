package main

import (
	"fmt"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/testvm/console"
)

// vmResults judges each case: by the control, if there was one, and by the
// baseline, if there is one.
func vmResults(j suite.Job, ran suite.Ran, control *suite.Ran, baseline *checks.Results) []checks.Result {
	was := map[checks.Case]checks.Outcome{}
	var gone []checks.Result
	cases := []checks.Case{j.Boots()}
	packages := map[checks.Case]string{}
	for _, c := range j.Suite.Cases {
		cases = append(cases, j.Case(c.Name))
		packages[j.Case(c.Name)] = c.Package
	}
	if baseline != nil {
		for _, b := range baseline.Cases {
			o := checks.Outcome{Status: b.Now, Attempts: b.Attempts, Passes: b.Passes, Title: b.Title, Exit: b.Exit, Reason: b.Reason, Likely: b.Likely}
			was[b.Case] = o
			if _, still := ran.Outcomes[b.Case]; !still && b.Now != checks.Absent {
				gone = append(gone, checks.Compare(b.Case, b.Package, o, checks.Outcome{Status: checks.Absent}))
			}
		}
	}
	var out []checks.Result
	for _, c := range cases {
		base, ok := was[c]
		switch {
		case baseline == nil:
			base = checks.Outcome{Status: checks.Unknown}
		case !ok:
			base = checks.Outcome{Status: checks.Absent}
		}
		res := checks.Compare(c, packages[c], base, ran.Outcomes[c])
		if control != nil {
			res.Control = control.Outcomes[c].Status
			res.Blame = suite.Blame(j, c, ran, *control)
		} else {
			res.Blame = checks.Decide(ran.Outcomes[c], checks.Outcome{Status: checks.Unknown}, false)
		}
		out = append(out, res)
	}
	return append(out, gone...)
}

// vmAnswer is the exit code and the answer in a line. Without a baseline, what
// counts is that the machine fared well and each case passes.
func vmAnswer(results *checks.Results, compared bool) (int, string) {
	m := results.Machines[0]
	line := vmBoot(m)
	var failed, errored []string
	tests := 0
	for _, c := range results.Cases {
		if c.Kind != checks.KindTest || c.Now == checks.Absent {
			continue
		}
		tests++
		switch c.Now {
		case checks.Fail:
			failed = append(failed, c.Name)
		case checks.Error:
			errored = append(errored, c.Name)
		}
	}
	if tests > 0 {
		line = fmt.Sprintf("%d of %d cases pass", tests-len(failed)-len(errored), tests)
		if len(failed) > 0 {
			line += fmt.Sprintf(", %d fail: %s", len(failed), some(failed))
		}
		if len(errored) > 0 {
			line += fmt.Sprintf(", %d could not be looked at: %s", len(errored), some(errored))
		}
		if m.Outcome != checks.MachineOK {
			line += "; " + vmBoot(m)
		}
	}
	if compared {
		conclusion := checks.Conclude(results.Cases)
		return conclusion.ExitCode(), vmChanges(results.Cases) + "; " + line
	}
	switch {
	case len(failed) > 0, m.Outcome != checks.MachineOK && m.Outcome != checks.MachineInfra:
		return checks.Failure.ExitCode(), line
	case len(errored) > 0, m.Outcome == checks.MachineInfra:
		return checks.Errored.ExitCode(), line
	}
	return 0, line
}

// vmBoot says in a line how a machine fared.
func vmBoot(m checks.Machine) string {
	stage := m.Stage
	if stage == "" {
		stage = "none"
	}
	title, reason := report.Plain(m.Title), report.Plain(m.Reason)
	switch m.Outcome {
	case checks.MachineOK:
		return fmt.Sprintf("booted to stage %s and ended well", stage)
	case checks.MachineInfra:
		return "could not look: " + reason
	}
	// The reason has the numbers that the title leaves out, and mostly its words.
	line := fmt.Sprintf("%s at stage %s: ", m.Outcome, stage)
	switch {
	case title == "" || strings.Contains(console.Normalize(reason), title):
		return line + reason
	case reason == "":
		return line + title
	}
	return line + title + " (" + reason + ")"
}

// vmChanges counts what changed since the baseline.
func vmChanges(cases []checks.Result) string {
	var parts []string
	for _, v := range []checks.Verdict{checks.Regressed, checks.New, checks.Fixed, checks.StillFailing, checks.Flaky, checks.Removed, checks.Undecided} {
		var names []string
		for _, c := range cases {
			if c.Verdict == v {
				names = append(names, c.Name)
			}
		}
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s: %s", len(names), v, some(names)))
		}
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, "; ")
}

// some names a few.
func some(names []string) string {
	const few = 8
	for i := range names {
		names[i] = report.Plain(names[i])
	}
	if len(names) > few {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}
