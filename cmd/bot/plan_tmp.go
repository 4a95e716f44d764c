package main

import (
	"context"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/pipeline"
)

func (w *workspace) plan(ctx context.Context, p pipeline.Progress) (*checks.Plan, error) {
	if err := w.setKernels(ctx); err != nil {
		return nil, err
	}
	sets := map[pipeline.Side]*distro.Set{}
	for _, s := range []pipeline.Side{pipeline.Base, pipeline.Head} {
		e, err := w.evaluation(s)
		if err != nil {
			return nil, err
		}
		e.OwnKernel, e.Write = true, true
		got, err := w.nix.Evaluate(ctx, e)
		if err != nil {
			return nil, err
		}
		sets[s] = got.Set
	}
	plan := &checks.Plan{Schema: checks.SchemaPlan, Change: *w.change}
	for _, a := range sets[pipeline.Head].Attrs {
		b, _ := sets[pipeline.Base].Lookup(a.Kind, a.Name)
		if a.Drv == b.Drv || a.Kind == distro.KindKernel {
			continue
		}
		add := func(k checks.Kind, name string) {
			plan.Cases = append(plan.Cases, checks.PlannedCase{Case: checks.Case{Kind: k, Of: a.Kind, Subject: a.Name, Name: name}})
		}
		add(checks.KindEval, "evaluates")
		add(checks.KindBuild, "builds")
		if a.Kind == distro.KindSuite {
			plan.Suites = append(plan.Suites, checks.SuitePlan{Name: a.Name, Run: true})
			add(checks.KindBoot, "boots")
			for _, c := range a.Suite.Cases {
				add(checks.KindTest, c.Name)
			}
		} else {
			if a.Kind == distro.KindImage {
				add(checks.KindInstall, "installs")
				add(checks.KindBoot, "boots")
				for _, c := range a.Suite.Cases {
					add(checks.KindTest, c.Name)
				}
			}
			plan.Packages = append(plan.Packages, distro.AttrDiff{Attr: a.Name, Status: distro.StatusRebuilt})
		}
	}
	return plan, nil
}

func (m *machines) command(context.Context, pipeline.Job, func(checks.Case, checks.Outcome)) (pipeline.Ran, error) {
	panic("not yet")
}
