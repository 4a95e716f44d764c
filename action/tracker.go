package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/github"
)

// Tracker keeps an issue for each failure of the default branch that no list
// of known failures has. It works by level: run twice, it changes nothing.
//
// An issue is found again by the normalised title of its failure, which its body
// carries. A machine that ends (a panic, a hang) is one failure, however many
// cases it took with it.
type Tracker struct {
	Client      *github.Client
	Owner, Repo string
	// Author is whose issues are believed to be ours; the workflow's token if
	// empty. Anybody else may write what they like into an issue.
	Author string
	// Limit bounds how many issues one run opens; zero is 10.
	Limit int
}

// Tracked says what a Tracker did.
type Tracked struct {
	Opened, Reopened, Closed, Updated []int
	// Left is how many failures got no issue because of the limit.
	Left int
}

const (
	tracksAuthor = "github-actions[bot]"
	tracksLimit  = 10
	tracksMark   = "<!-- asterbot:tracks "
	maxIssueName = 250 // of a title, in characters
)

// tracks is what an issue's body says to programs.
type tracks struct {
	Key   string        `json:"key"`
	Cases []checks.Case `json:"cases"`
}

// failure is what one issue is about.
type failure struct {
	key, title string
	results    []checks.Result
}

// what changes from one build to the next, in a title
var unstable = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-|\b0x[0-9a-f]+\b|\b[0-9a-f]{12,64}\b`)

// failures are those of a report, each with its cases, in the report's order.
func failures(rep *checks.Report) []failure {
	ended := map[string]bool{}
	for _, m := range rep.Machines {
		if m.Side == "head" && m.Outcome != checks.MachineOK && m.Title != "" {
			ended[m.Title] = true
		}
	}
	var out []failure
	at := map[string]int{}
	for _, r := range rep.Cases {
		if r.Now != checks.Fail || r.Known != "" || r.Waived != "" {
			continue
		}
		title := r.Title
		if title == "" {
			title = r.Reason
		}
		title = report.Plain(unstable.ReplaceAllString(title, "…"))
		if !ended[r.Title] {
			title = report.Plain(strings.Join([]string{string(r.Kind), r.Subject, r.Name}, "/")) + ": " + title
		}
		sum := sha256.Sum256([]byte(title))
		key := hex.EncodeToString(sum[:8])
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, failure{key: key, title: title})
		}
		out[i].results = append(out[i].results, r)
	}
	return out
}

// Follow makes the issues right: opens, reopens, updates and closes them. run is
// the address of the run that the report is of.
func (t *Tracker) Follow(ctx context.Context, rep *checks.Report, run string) (Tracked, error) {
	var done Tracked
	author := t.Author
	if author == "" {
		author = tracksAuthor
	}
	limit := t.Limit
	if limit == 0 {
		limit = tracksLimit
	}
	list, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.Issue, *gh.Response, error) {
		return t.Client.Issues.ListByRepo(ctx, t.Owner, t.Repo, &gh.IssueListByRepoOptions{State: "all", Creator: author, ListOptions: o})
	})
	if err != nil {
		return done, fmt.Errorf("list issues: %w", err)
	}
	have := map[string]*gh.Issue{}
	about := map[string]tracks{}
	for _, i := range list { // newest first: the oldest issue of a failure stays
		if i.IsPullRequest() || i.GetUser().GetLogin() != author {
			continue
		}
		if tr, ok := readTracks(i.GetBody()); ok {
			have[tr.Key], about[tr.Key] = i, tr
		}
	}
	now := map[checks.Case]checks.Result{}
	for _, r := range rep.Cases {
		now[r.Case] = r
	}
	failing := map[string]bool{}
	for _, f := range failures(rep) {
		failing[f.key] = true
		i := have[f.key]
		switch {
		case i == nil && len(done.Opened) == limit:
			done.Left++
		case i == nil:
			made, _, err := t.Client.Issues.Create(ctx, t.Owner, t.Repo, &gh.IssueRequest{Title: gh.String(clip(f.title, maxIssueName)), Body: gh.String(body(rep, f, nil, run))})
			if err != nil {
				return done, fmt.Errorf("open an issue: %w", err)
			}
			done.Opened = append(done.Opened, made.GetNumber())
		case i.GetState() == "closed" && i.GetStateReason() == "not_planned":
			// Somebody decided that it will not be mended.
		case i.GetState() == "closed":
			if err := t.say(ctx, i, fmt.Sprintf("It fails again, at %.12s ([run](%s)).", commitOf(rep), run)); err != nil {
				return done, err
			}
			if err := t.edit(ctx, i, &gh.IssueRequest{State: gh.String("open"), Body: gh.String(body(rep, f, nil, run))}); err != nil {
				return done, err
			}
			done.Reopened = append(done.Reopened, i.GetNumber())
		default:
			rest := unsettled(about[f.key], now)
			if known := tracked(append(casesOf(f), rest...)); !sameCases(known, about[f.key].Cases) {
				if err := t.edit(ctx, i, &gh.IssueRequest{Body: gh.String(body(rep, f, rest, run))}); err != nil {
					return done, err
				}
				done.Updated = append(done.Updated, i.GetNumber())
			}
		}
	}
	for _, i := range list {
		tr, ok := readTracks(i.GetBody())
		if !ok || have[tr.Key] != i || i.GetState() != "open" || failing[tr.Key] || len(unsettled(tr, now)) > 0 {
			continue
		}
		if err := t.say(ctx, i, fmt.Sprintf("%s at %.12s ([run](%s)).", whatBecame(tr, now), commitOf(rep), run)); err != nil {
			return done, err
		}
		if err := t.edit(ctx, i, &gh.IssueRequest{State: gh.String("closed"), StateReason: gh.String("completed")}); err != nil {
			return done, err
		}
		done.Closed = append(done.Closed, i.GetNumber())
	}
	return done, nil
}

func (t *Tracker) say(ctx context.Context, i *gh.Issue, text string) error {
	if _, _, err := t.Client.Issues.CreateComment(ctx, t.Owner, t.Repo, i.GetNumber(), &gh.IssueComment{Body: &text}); err != nil {
		return fmt.Errorf("comment on issue %d: %w", i.GetNumber(), err)
	}
	return nil
}

func (t *Tracker) edit(ctx context.Context, i *gh.Issue, what *gh.IssueRequest) error {
	if _, _, err := t.Client.Issues.Edit(ctx, t.Owner, t.Repo, i.GetNumber(), what); err != nil {
		return fmt.Errorf("edit issue %d: %w", i.GetNumber(), err)
	}
	return nil
}

// unsettled are the cases of an issue that a report says nothing of: it did not
// look, or could not.
func unsettled(tr tracks, now map[checks.Case]checks.Result) []checks.Case {
	var out []checks.Case
	for _, c := range tr.Cases {
		r, looked := now[c]
		if !looked || r.Now == checks.Error || r.Now == checks.Skip || r.Now == checks.Unknown {
			out = append(out, c)
		}
	}
	return out
}

// whatBecame says why an issue can be closed.
func whatBecame(tr tracks, now map[checks.Case]checks.Result) string {
	fails, gone := 0, 0
	for _, c := range tr.Cases {
		switch now[c].Now {
		case checks.Fail:
			fails++
		case checks.Absent:
			gone++
		}
	}
	switch {
	case fails > 0:
		return "It fails otherwise now, which another issue is about,"
	case gone == len(tr.Cases) && gone > 0:
		return "It is no longer there"
	}
	return "It passes"
}

func casesOf(f failure) []checks.Case {
	var out []checks.Case
	for _, r := range f.results {
		out = append(out, r.Case)
	}
	return out
}

func sameCases(a, b []checks.Case) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c checks.Case) bool { return !slices.Contains(b, c) })
}

func commitOf(rep *checks.Report) string {
	if rep.Change.Merged != "" {
		return rep.Change.Merged
	}
	return rep.Change.Head
}

// body is an issue's text; rest are cases that it was about and that nobody
// looked at this time.
func body(rep *checks.Report, f failure, rest []checks.Case, run string) string {
	data, err := json.Marshal(tracks{Key: f.key, Cases: tracked(append(casesOf(f), rest...))})
	if err != nil {
		return ""
	}
	// Marshal writes < and > as \u003c and \u003e: nothing in it ends the comment.
	mark := tracksMark + strings.ReplaceAll(string(data), "--", `-\u002d`) + " -->\n"
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", report.Escape(f.title))
	for i, r := range f.results {
		if i == maxListed {
			fmt.Fprintf(&b, "- and %d more\n", len(f.results)-i)
			break
		}
		fmt.Fprintf(&b, "- %s: %s", report.Code(string(r.Kind)+"/"+r.Subject+"/"+r.Name), report.Escape(clip(report.Plain(r.Reason), 300)))
		if r.Blame != checks.BlameNone {
			fmt.Fprintf(&b, " (blame: %s)", r.Blame)
		}
		b.WriteString("\n")
	}
	first := f.results[0]
	fence(&b, "The end of the log of the first", report.PlainLines(first.Tail))
	fence(&b, "To reproduce it", report.PlainLines(first.Repro))
	fmt.Fprintf(&b, "\nSeen at %.12s in [this run](%s). asterbot keeps this issue, and closes it when all of it passes. Close it as *not planned* and it stays closed; "+
		"to have pull requests judged without it, list it in `known-failures`.\n\n", commitOf(rep), run)
	return b.String() + mark
}

const (
	maxListed  = 30  // cases shown
	maxTracked = 150 // cases remembered: a body is bounded
	maxFenced  = 8 << 10
)

// fence shows lines as they are, the last of them where there are too many.
func fence(b *strings.Builder, title string, lines []string) {
	size, from := 0, len(lines)
	for from > 0 && size+len(lines[from-1]) < maxFenced {
		from--
		size += len(lines[from]) + 1
	}
	if lines = lines[from:]; len(lines) == 0 {
		return
	}
	mark := "```"
	for strings.Contains(strings.Join(lines, "\n"), mark) {
		mark += "`"
	}
	fmt.Fprintf(b, "\n%s:\n\n%s\n%s\n%s\n", title, mark, strings.Join(lines, "\n"), mark)
}

// tracked are the cases that an issue remembers.
func tracked(list []checks.Case) []checks.Case { return list[:min(len(list), maxTracked)] }

func readTracks(body string) (tracks, bool) {
	i := strings.LastIndex(body, tracksMark)
	if i < 0 {
		return tracks{}, false
	}
	data, _, ok := strings.Cut(body[i+len(tracksMark):], " -->")
	var tr tracks
	if !ok || json.Unmarshal([]byte(data), &tr) != nil || tr.Key == "" {
		return tracks{}, false
	}
	return tr, true
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
