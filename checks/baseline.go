package checks

// Against judges results whose base is not known by an earlier run: what that
// run found is how things were. Results whose base is known stay as they are,
// and so do those of cases that the earlier run does not have. It works in
// place.
func Against(results, baseline []Result) {
	was := make(map[Case]Result, len(baseline))
	for _, b := range baseline {
		was[b.Case] = b
	}
	for i := range results {
		r := &results[i]
		b, ok := was[r.Case]
		if !ok || r.Was != Unknown && r.Was != "" {
			continue
		}
		r.Was, r.WasAttempts, r.WasPasses = b.Now, b.Attempts, b.Passes
		if r.Was == Error {
			r.Was = Unknown
		}
		r.Verdict = Judge(
			Side{Status: r.Was, Attempts: r.WasAttempts, Passes: r.WasPasses},
			Side{Status: r.Now, Attempts: r.Attempts, Passes: r.Passes},
		)
	}
}
