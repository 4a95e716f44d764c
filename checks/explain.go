package checks

import (
	"cmp"
	"regexp"
	"slices"
)

// maxLikely is how many likely causes a failure has at most.
const maxLikely = 3

// telling are kernel lines that say what the kernel lacks, and hearsay those
// that tell what a program or the harness did: the likeliest and the least
// likely causes. wayDown are those of any power-off: no cause of anything.
var (
	telling = regexp.MustCompile(`(?i)unimplemented|unsupported|not supported|not implemented|unknown|invalid|cannot|failed|error`)
	wayDown = regexp.MustCompile(`^reboot: |^ACPI: PM: |^sd .* Synchronizing|^Requesting system `)
	hearsay = regexp.MustCompile(`(?i)terminating on signal|is ignored|segfault at|process [^ ]+ exited`)
)

// Explain sets the likely causes of failures: the kernel's lines that no
// passing case of the same machine logged. Every case draws warnings, so a
// list of them explains nothing; what only a failing case draws does. Lines that
// say what is missing come first, then the rarer ones.
func Explain(outcomes map[Case]Outcome) {
	type seen struct{ machine, line string }
	common := map[seen]bool{}
	failures := map[seen]int{}
	for _, o := range outcomes {
		for _, line := range o.Kernel {
			if o.Status == Pass {
				common[seen{o.Machine, line}] = true
			} else {
				failures[seen{o.Machine, line}]++
			}
		}
	}
	weight := func(line string) int {
		switch {
		case hearsay.MatchString(line):
			return 2
		case telling.MatchString(line):
			return 0
		}
		return 1
	}
	for c, o := range outcomes {
		if o.Status != Fail || c.Kind != KindTest {
			continue
		}
		o.Likely = nil
		for _, line := range o.Kernel {
			if !common[seen{o.Machine, line}] && !wayDown.MatchString(line) {
				o.Likely = append(o.Likely, line)
			}
		}
		slices.SortStableFunc(o.Likely, func(a, b string) int {
			return cmp.Or(cmp.Compare(weight(a), weight(b)), cmp.Compare(failures[seen{o.Machine, a}], failures[seen{o.Machine, b}]))
		})
		o.Likely = o.Likely[:min(maxLikely, len(o.Likely))]
		outcomes[c] = o
	}
}
