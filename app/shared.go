package app

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
)

// What the workflow that answers comments shares with the App.

// Explain says of a subject or a case why it is affected and why it failed, in
// Markdown; false where the report knows no such thing.
func Explain(r *checks.Report, subject string) (string, bool) { return explain(r, subject) }

// Waive applies waivers to a copy of a report.
func Waive(r *checks.Report, list []checkrun.Waiver) *checks.Report { return waive(r, list) }

// Means reports whether a name that a person wrote means a case.
func Means(word string, r checks.Result) bool { return names(word, r) }

// ReadReport takes the report out of the artifact that a run left, and holds it
// against the artifact of its plan and the commit it has to be about. Both may
// be hostile.
func ReadReport(artifact, plan []byte, sha string) (*checks.Report, error) {
	doc, err := unzip(artifact, "report.json")
	if err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	rep, err := report.DecodeReport(bytes.NewReader(doc))
	if err != nil {
		return nil, err
	}
	if doc, err = unzip(plan, "plan.json"); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	p, err := report.DecodePlan(bytes.NewReader(doc))
	if err != nil {
		return nil, err
	}
	if why := contradicts(rep, p, sha); why != "" {
		return nil, errors.New("the report was refused: " + why)
	}
	return rep, nil
}
