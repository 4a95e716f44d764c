package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// Headline is the answer of a check in one line, without a full stop. Names in
// it are plain text, made harmless for a terminal; Markdown and HTML escape
// them.
func Headline(r *checks.Report) string {
	answer, besides := headline(r)
	return strings.Join(append([]string{answer}, besides...), "; ")
}

// headline is the answer, and what else there is to say in a few words.
func headline(r *checks.Report) (answer string, besides []string) {
	switch {
	case len(r.Change.Conflicts) > 0:
		return "Cannot be judged: the change conflicts with its base in " + some(r.Change.Conflicts, 2, "file"), nil
	case len(r.Cases) == 0:
		return nothing(r), partial(r)
	}
	total := count(len(r.Cases), "case")
	var regressed, broken, fixed, failing, flaky, unseen, undecided, removed, waived []checks.Result
	for _, c := range r.Cases {
		switch {
		case c.Waived != "":
			waived = append(waived, c)
		case c.Verdict == checks.Regressed:
			regressed = append(regressed, c)
		case c.Verdict == checks.New && c.Now == checks.Fail:
			broken = append(broken, c)
		case c.Now == checks.Error || c.Unsettled() && c.Now != checks.Fail:
			unseen = append(unseen, c)
		case c.Verdict == checks.Undecided && c.Now == checks.Fail:
			undecided = append(undecided, c)
		case c.Verdict == checks.Fixed:
			fixed = append(fixed, c)
		case c.Verdict == checks.StillFailing:
			failing = append(failing, c)
		case c.Verdict == checks.Flaky:
			flaky = append(flaky, c)
		case c.Verdict == checks.Removed:
			removed = append(removed, c)
		}
	}
	add := func(list []checks.Result, text string) {
		if len(list) > 0 {
			besides = append(besides, fmt.Sprintf(text, len(list)))
		}
	}
	switch {
	case len(regressed)+len(broken) > 0:
		answer, besides = worst(r, regressed, broken, total)
		add(fixed, "%d fixed")
		fixed = nil
	case len(unseen) == len(r.Cases):
		return fmt.Sprintf("Could not look at any of %s: %s", total, commonReason(unseen)), partial(r)
	case len(unseen) > 0:
		answer = fmt.Sprintf("Could not look at %d of %s: %s", len(unseen), total, commonReason(unseen))
		unseen = nil
	case len(undecided) > 0:
		answer = fmt.Sprintf("%s of %s, and base is not known: %s", fails(len(undecided)), total, changes(undecided, 2))
		undecided = nil
	case r.Conclusion == checks.Errored:
		answer = "Could not look everywhere"
		if len(r.Errors) > 0 {
			answer += ": " + Plain(firstLine(r.Errors[0]))
		}
	default:
		answer = "No regressions in " + total
	}
	if len(fixed) > 0 {
		besides = append(besides, fmt.Sprintf("%d fixed: %s", len(fixed), changes(fixed, 2)))
	}
	add(failing, "%d failing as before")
	add(undecided, "%d failing, base not known")
	add(unseen, "%d could not be looked at")
	add(flaky, "%d flaky")
	add(removed, "%d removed")
	add(waived, "%d waived")
	return answer, append(besides, partial(r)...)
}

// partial says that coverage is.
func partial(r *checks.Report) []string {
	if r.Plan == nil || len(r.Plan.Omitted) == 0 {
		return nil
	}
	var n int
	for _, o := range r.Plan.Omitted {
		n += o.Count
	}
	if n == 0 {
		return []string{"not everything was looked at"}
	}
	return []string{fmt.Sprintf("%d more not looked at", n)}
}

// nothing is the headline of a check without cases.
func nothing(r *checks.Report) string {
	if r.Conclusion == checks.Errored || len(r.Errors) > 0 {
		if len(r.Errors) == 0 {
			return "Could not look"
		}
		return "Could not look: " + Plain(firstLine(r.Errors[0]))
	}
	why := ""
	if p := r.Plan; p != nil {
		switch {
		case p.Kernel != nil && p.Kernel.Status == "identical":
			why = ": the kernel image is the same, byte for byte"
		case len(p.Scope) == 1 && p.Scope[0] == distro.ScopeDocs:
			why = ": only documentation changed"
		case len(p.Scope) > 0:
			why = ": the change touches " + and(list(p.Scope...)) + " only, and every package, image and suite evaluates to what it was"
		}
	}
	if why == "" && len(r.Change.Files) == 0 && r.Change.Base != "" {
		why = ": base and head are the same"
	}
	return "Nothing is affected" + why
}

// worst is the headline of a failure.
func worst(r *checks.Report, regressed, broken []checks.Result, total string) (string, []string) {
	if answer, besides, ok := kernelDown(r, regressed); ok {
		return answer, besides
	}
	var parts []string
	if n := len(regressed); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in %s: %s", count(n, "regression"), total, changes(regressed, 2)))
	}
	if n := len(broken); n > 0 {
		where := ""
		if len(regressed) == 0 {
			where = " of " + total
		}
		parts = append(parts, fmt.Sprintf("%s%s: %s", newFails(n), where, changes(broken, 2)))
	}
	return parts[0], parts[1:]
}

// kernelDown says once what every system suffers from: none boots any more.
func kernelDown(r *checks.Report, regressed []checks.Result) (string, []string, bool) {
	var boots, down []checks.Result
	for _, c := range r.Cases {
		if c.Kind == checks.KindBoot && c.Now != checks.Skip && c.Now != checks.Absent {
			boots = append(boots, c)
			if c.Verdict == checks.Regressed && c.Blame != checks.BlamePackage {
				down = append(down, c)
			}
		}
	}
	if len(boots) == 0 || len(down) != len(boots) {
		return "", nil, false
	}
	for _, c := range down[1:] {
		if c.Title != down[0].Title {
			return "", nil, false
		}
	}
	first := down[0]
	line := "The kernel no longer boots"
	if m := machine(r, first.Machine); m != nil {
		if verb, ok := ends[m.Outcome]; ok {
			line += ": it " + verb
			if m.Stage != "" {
				line += " in stage " + Plain(m.Stage)
			}
		}
	}
	if len(boots) > 1 {
		line += fmt.Sprintf(", in all %d systems", len(boots))
	} else {
		line += ", in " + Plain(first.Subject)
	}
	if t := firstLine(first.Title); t != "" {
		line += " (" + clip(Plain(t), 120) + ")"
	}
	// What could not run for it is no news of its own.
	var others int
	for _, c := range regressed {
		if c.Kind != checks.KindBoot && !slices.ContainsFunc(down, func(d checks.Result) bool { return d.Subject == c.Subject && d.Of == c.Of }) {
			others++
		}
	}
	if others > 0 {
		return line, []string{count(others, "regression") + " besides"}, true
	}
	return line, nil, true
}

// ends says how a machine ended, of the kernel in it.
var ends = map[checks.MachineOutcome]string{
	checks.MachinePanic:    "panics",
	checks.MachineOops:     "oopses",
	checks.MachineHang:     "hangs",
	checks.MachineTimeout:  "gets no further in time",
	checks.MachineReboot:   "resets",
	checks.MachineShutdown: "shuts down",
}

func machine(r *checks.Report, name string) *checks.Machine {
	for i := range r.Machines {
		if r.Machines[i].Name == name && name != "" {
			return &r.Machines[i]
		}
	}
	return nil
}

// commonReason is the reason most of the cases give.
func commonReason(cases []checks.Result) string {
	counts := map[string]int{}
	best := ""
	for _, c := range cases {
		reason := Plain(firstLine(c.Reason))
		if reason == "" {
			continue
		}
		if counts[reason]++; counts[reason] > counts[best] {
			best = reason
		}
	}
	if best == "" {
		return "no reason was given"
	}
	return strings.TrimSuffix(clip(best, 200), ".")
}

// changes names what became of the first few cases.
func changes(cases []checks.Result, n int) string {
	var said []string
	once := map[string]bool{}
	for _, c := range cases {
		if s := Sentence(c); !once[s] {
			once[s] = true
			said = append(said, s)
		}
	}
	return some(said, n, "")
}

// Sentence says in a few words what became of a case: "lua no longer starts",
// "iso installs again", "network: ip-addr fails".
func Sentence(c checks.Result) string {
	subject, rest := clip(Plain(c.Subject), 80), clip(Plain(c.Name), 80)
	if c.Kind == checks.KindTest || c.Kind == checks.KindLint {
		// "lua concatenates tables" says it of lua: what is left is a verb.
		of := ""
		for _, name := range []string{clip(Plain(c.Package), 80), subject} {
			after, ok := strings.CutPrefix(rest, name)
			if name != "" && ok && after != "" && strings.ContainsRune(" -_:", rune(after[0])) {
				of, rest = name, strings.TrimSpace(after[1:])
				break
			}
			if name != "" && rest == name {
				of, rest = name, "works"
				break
			}
		}
		if startsWithVerb(spaced(rest)) && c.Package != "" {
			of = clip(Plain(c.Package), 80)
		}
		if !startsWithVerb(spaced(rest)) && (of == "" || !looksLikeVerb(spaced(rest))) {
			return subject + ": " + rest + " " + became(c)
		}
		if of != "" {
			subject = of
		}
		rest = spaced(rest)
	}
	switch {
	case c.Verdict == checks.Removed:
		return subject + ": " + rest + " was removed"
	case c.Verdict == checks.Fixed:
		return subject + " " + rest + " again"
	case c.Now != checks.Fail:
		return subject + " " + rest
	case c.Verdict == checks.Regressed && c.Passes > 0:
		return subject + " " + rest + " only now and then"
	case c.Verdict == checks.Regressed:
		return subject + " no longer " + rest
	default:
		return subject + " does not " + infinitive(rest)
	}
}

func became(c checks.Result) string {
	switch {
	case c.Verdict == checks.Removed:
		return "was removed"
	case c.Verdict == checks.Fixed:
		return "passes again"
	case c.Now == checks.Fail && c.Verdict == checks.Regressed && c.Passes > 0:
		return fmt.Sprintf("fails now and then (%d of %d runs passed)", c.Passes, c.Attempts)
	case c.Now == checks.Fail && c.Verdict == checks.Regressed:
		return "fails now"
	case c.Now == checks.Fail:
		return "fails"
	case c.Now == checks.Pass:
		return "passes"
	case c.Now == checks.Skip:
		return "is skipped"
	}
	return "could not be looked at"
}

// verbs are the words with which a case's name makes a sentence about its
// subject.
var verbs = strings.Fields(`evaluates builds installs boots starts runs works prints answers serves listens responds compiles reads writes opens creates
	connects resolves lists shows says accepts parses loads stores survives keeps handles sorts replaces computes knows finds sends receives mounts links
	greets substitutes edits replies matches exits returns reports reaches binds has executes calls stops reloads imports renders draws plays encodes
	decodes compresses extracts logs sees gets sets adds removes forks waits sleeps counts speaks talks understands uses makes comes goes hashes signs`)

// spaced turns a name of one word, "prints-a-version", into several.
func spaced(s string) string {
	if strings.Contains(s, " ") {
		return s
	}
	return strings.NewReplacer("-", " ", "_", " ").Replace(s)
}

func startsWithVerb(s string) bool {
	first, _, _ := strings.Cut(s, " ")
	return slices.Contains(verbs, first)
}

// looksLikeVerb reports whether a text of several words, behind the name of what
// does it, begins with a verb in the third person.
func looksLikeVerb(s string) bool {
	first, rest, _ := strings.Cut(s, " ")
	stem, ok := strings.CutSuffix(first, "s")
	return ok && rest != "" && len(stem) > 2 && !slices.ContainsFunc([]string{"s", "u", "i"}, func(e string) bool { return strings.HasSuffix(stem, e) })
}

// infinitive turns "starts at boot" into "start at boot".
func infinitive(s string) string {
	first, rest, _ := strings.Cut(s, " ")
	switch {
	case first == "has":
		first = "have"
	case first == "goes":
		first = "go"
	case strings.HasSuffix(first, "ies") && len(first) > 4:
		first = strings.TrimSuffix(first, "ies") + "y"
	case slices.ContainsFunc([]string{"sses", "shes", "ches", "xes"}, func(e string) bool { return strings.HasSuffix(first, e) }):
		first = strings.TrimSuffix(first, "es")
	default:
		first = strings.TrimSuffix(first, "s")
	}
	return strings.TrimSpace(first + " " + rest)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func fails(n int) string {
	if n == 1 {
		return "1 case fails"
	}
	return fmt.Sprintf("%d cases fail", n)
}

func newFails(n int) string {
	if n == 1 {
		return "1 new case fails"
	}
	return fmt.Sprintf("%d new cases fail", n)
}

// some names the first n of a list and says how many more there are.
func some(names []string, n int, noun string) string {
	clean := make([]string, 0, len(names))
	for _, s := range names {
		clean = append(clean, Plain(s))
	}
	if len(clean) <= n {
		return and(clean)
	}
	more := fmt.Sprintf("%d more", len(clean)-n)
	if noun != "" {
		more = fmt.Sprintf("%d more %ss", len(clean)-n, noun)
	}
	return strings.Join(clean[:n], ", ") + " and " + more
}

// and joins words as a sentence does.
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(s)
}
