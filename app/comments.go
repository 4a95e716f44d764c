package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/github"
)

// The reactions of the App: seen, and then exactly one of the others.
const (
	reactSeen    = "eyes"
	reactDone    = "rocket"
	reactNot     = "confused"
	reactRefused = "-1"
)

// MaxComment bounds what the App writes into a comment, in bytes.
const MaxComment = 60 << 10

// request is a comment with commands, and what has become of it.
type request struct {
	comment  *gh.IssueComment
	commands []command.Command
	problems []command.Problem
	// outcome is the App's reaction; empty where there is none yet.
	outcome string
}

// answer is what is said to a comment.
type answer struct {
	outcome string
	text    string
}

// obey reads the pull request's comments and does what is not done yet. What
// has been done is on GitHub: the App's reaction, the App's answer, the run.
func (a *App) obey(ctx context.Context, s *scene, pr *gh.PullRequest) error {
	if !s.policy.Answer && !s.policy.Publish {
		return nil
	}
	comments, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.IssueComment, *gh.Response, error) {
		return s.c.Issues.ListComments(ctx, s.key.Owner, s.key.Repo, pr.GetNumber(), &gh.IssueListCommentsOptions{ListOptions: o})
	})
	if err != nil {
		return fmt.Errorf("list comments: %w", err)
	}
	if !s.policy.Answer {
		return nil
	}
	var requests []*request
	for _, c := range comments {
		// Other bots are left alone, and so is whoever changed what was said:
		// the old text exists in an event only, and somebody else may have
		// changed it.
		if c.GetUser().GetType() == "Bot" || c.GetUser().GetLogin() == a.bot() || c.GetUpdatedAt().After(c.GetCreatedAt().Time) {
			continue
		}
		p := a.parse(c)
		if len(p.commands)+len(p.problems) == 0 {
			continue
		}
		requests = append(requests, &request{comment: c, commands: p.commands, problems: p.problems})
	}
	if len(requests) == 0 && len(recorded(s)) == 0 {
		return nil
	}
	seen, err := a.firstSeen(ctx, s)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if err := a.outcomeOf(ctx, s, r); err != nil {
			return err
		}
		if r.outcome == reactDone {
			a.effective(s, pr, r, seen)
		}
	}
	if err := a.findRebuilds(ctx, s, requests, seen); err != nil {
		return err
	}
	for _, r := range requests {
		if r.outcome != "" {
			continue
		}
		posted, err := a.one(ctx, s, pr, r, comments, seen)
		if err != nil {
			return err
		}
		if posted != nil {
			comments = append(comments, posted)
		}
		if r.outcome == reactDone {
			a.effective(s, pr, r, seen)
		}
	}
	return nil
}

// parsed is what a comment asks for.
type parsed struct {
	commands []command.Command
	problems []command.Problem
}

// parse reads a comment, once: it may be made to take its time.
func (a *App) parse(c *gh.IssueComment) parsed {
	a.mu.Lock()
	p, ok := a.parsed[c.GetID()]
	a.mu.Unlock()
	if !ok {
		p.commands, p.problems = command.Parse(c.GetBody())
		a.mu.Lock()
		a.parsed[c.GetID()] = p
		a.mu.Unlock()
	}
	return p
}

// bound reports whether a command is about the present head: it names it, or was
// written after GitHub had seen it.
func bound(c command.Command, comment *gh.IssueComment, sha string, seen time.Time) bool {
	if c.Head != "" {
		return strings.HasPrefix(sha, c.Head)
	}
	return !comment.GetCreatedAt().Before(seen)
}

// effective takes over what an accepted comment decides for good: waivers.
func (a *App) effective(s *scene, pr *gh.PullRequest, r *request, seen time.Time) {
	for _, c := range r.commands {
		if c.Name == command.Waive && bound(c, r.comment, s.sha, seen) {
			w := checkrun.Waiver{Case: c.Subject, Reason: c.Reason, By: r.comment.GetUser().GetLogin(), SHA: s.sha, URL: r.comment.GetHTMLURL()}
			if !slices.Contains(s.waivers, w) {
				s.waivers = append(s.waivers, w)
			}
		}
	}
}

// firstSeen is when GitHub first saw the head commit: its check suite's
// creation.
func (a *App) firstSeen(ctx context.Context, s *scene) (time.Time, error) {
	name := s.key.Owner + "/" + s.key.Repo + "@" + s.sha
	a.mu.Lock()
	t, ok := a.seen[name]
	a.mu.Unlock()
	if ok {
		return t, nil
	}
	suites, _, err := s.c.Checks.ListCheckSuitesForRef(ctx, s.key.Owner, s.key.Repo, s.sha, &gh.ListCheckSuiteOptions{ListOptions: gh.ListOptions{PerPage: 100}})
	if err != nil {
		return t, fmt.Errorf("list check suites: %w", err)
	}
	for _, c := range suites.CheckSuites {
		if at := c.GetCreatedAt().Time; !at.IsZero() && (t.IsZero() || at.Before(t)) {
			t = at
		}
	}
	if t.IsZero() {
		// Not seen yet, by any App: nothing can be about it.
		return a.gh.Now(), nil
	}
	a.mu.Lock()
	a.seen[name] = t
	a.mu.Unlock()
	return t, nil
}

// outcomeOf reads the App's own reaction to a comment.
func (a *App) outcomeOf(ctx context.Context, s *scene, r *request) error {
	id := r.comment.GetID()
	a.mu.Lock()
	r.outcome = a.outcomes[id]
	a.mu.Unlock()
	if r.outcome != "" || r.comment.GetReactions().GetTotalCount() == 0 {
		return nil
	}
	list, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.Reaction, *gh.Response, error) {
		return s.c.Reactions.ListIssueCommentReactions(ctx, s.key.Owner, s.key.Repo, id, &o)
	})
	if err != nil {
		return fmt.Errorf("list reactions: %w", err)
	}
	for _, re := range list {
		// Anybody can react: only the App's own reactions count.
		if re.GetUser().GetLogin() == a.bot() && slices.Contains([]string{reactDone, reactNot, reactRefused}, re.GetContent()) {
			r.outcome = re.GetContent()
		}
	}
	a.keep(id, r.outcome)
	return nil
}

func (a *App) keep(id int64, outcome string) {
	if outcome != "" {
		a.mu.Lock()
		a.outcomes[id] = outcome
		a.mu.Unlock()
	}
}

// one does what one comment asks for: sees it, acts, answers, and marks it done
// last. It returns the answer, if there was one to give.
func (a *App) one(ctx context.Context, s *scene, pr *gh.PullRequest, r *request, comments []*gh.IssueComment, seen time.Time) (posted *gh.IssueComment, err error) {
	id := r.comment.GetID()
	react := func(content string) (first bool, err error) {
		_, resp, err := s.c.Reactions.CreateIssueCommentReaction(ctx, s.key.Owner, s.key.Repo, id, content)
		if err != nil {
			return false, fmt.Errorf("react to comment %d: %w", id, err)
		}
		return resp.StatusCode == http.StatusCreated, nil
	}
	first, err := react(reactSeen)
	if wait := a.claim(id, first, err); wait > 0 {
		a.q.add(s.key, wait)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	author := r.comment.GetUser().GetLogin()
	level, err := a.permission(ctx, s, author)
	if err != nil {
		return nil, err
	}
	out := answer{outcome: reactDone}
	var texts []string
	refused, waived := false, false
	for _, p := range r.problems {
		texts, out.outcome = append(texts, p.Message), reactNot
	}
	for _, c := range r.commands {
		var ans answer
		switch need := s.policy.level(c.Name); {
		case !command.Allows(need, level):
			ans = answer{outcome: reactRefused, text: fmt.Sprintf("`/%s` needs the permission %s on this repository; ask a maintainer.", c.Name, need)}
			refused = true
		case !bound(c, r.comment, s.sha, seen):
			ans = answer{outcome: reactNot, text: fmt.Sprintf("`/%s` was not done: it was written for another commit than the present one, %.12s. Write it again, or name the commit with `head=`.", c.Name, s.sha)}
		default:
			if ans, err = a.do(ctx, s, pr, r, c); err != nil {
				return nil, err
			}
			waived = waived || c.Name == command.Waive && ans.outcome == reactDone
		}
		if ans.outcome != reactDone {
			out.outcome = ans.outcome
		}
		if ans.text != "" && !slices.Contains(texts, ans.text) {
			texts = append(texts, ans.text)
		}
	}
	if waived && out.outcome != reactDone {
		texts = append(texts, "The waiver does not count, since not all of the comment was done. Write it in a comment of its own.")
	}
	if len(texts) > 0 {
		mark := fmt.Sprintf("<!-- asterbot:answer %d -->", id)
		if refused || out.outcome != reactDone && !command.Allows(outsider, level) {
			// Strangers must not make the App talk: they are told once what is wrong.
			mark = "<!-- asterbot:once outsider -->"
		}
		if !a.said(comments, mark) {
			if posted, err = a.post(ctx, s, pr.GetNumber(), mark, strings.Join(texts, "\n\n")); err != nil {
				return nil, err
			}
		}
	}
	if _, err := react(out.outcome); err != nil {
		return posted, err
	}
	r.outcome = out.outcome
	a.keep(id, out.outcome)
	a.m.commanded(out.outcome)
	a.log.Info("obeyed", "repository", s.key.Owner+"/"+s.key.Repo, "pull", pr.GetNumber(), "comment", id, "by", author, "outcome", out.outcome)
	return posted, nil
}

// courtesy is how long a comment is left to whoever saw it first.
const courtesy = 10 * time.Second

// claim says how long to leave a comment alone. GitHub tells who reacted first:
// if that was not this process, it is one that died, or a second one at work.
func (a *App) claim(comment int64, first bool, err error) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	from, known := a.claims[comment]
	switch {
	case first || err != nil && !known:
		// After an error it may have been us.
		a.claims[comment] = time.Time{}
		return 0
	case err != nil:
		return 0
	case !known:
		from = time.Now().Add(courtesy)
		a.claims[comment] = from
	}
	return time.Until(from)
}

// outsider is the permission below which somebody is told once, not each time,
// that a command cannot be done.
const outsider = "triage"

// said reports whether the App has said something before, by its mark.
func (a *App) said(comments []*gh.IssueComment, mark string) bool {
	return slices.ContainsFunc(comments, func(c *gh.IssueComment) bool {
		return c.GetUser().GetLogin() == a.bot() && strings.Contains(c.GetBody(), mark)
	})
}

// post writes a comment, once. A mark that GitHub does not show finds it again.
func (a *App) post(ctx context.Context, s *scene, number int, mark, text string) (*gh.IssueComment, error) {
	body := checkrun.Clip(text, MaxComment-len(mark)-2) + "\n\n" + mark
	c, _, err := s.c.Issues.CreateComment(ctx, s.key.Owner, s.key.Repo, number, &gh.IssueComment{Body: gh.String(body)})
	if err != nil {
		return nil, fmt.Errorf("answer in pull request %d: %w", number, err)
	}
	return c, nil
}

// permission asks GitHub what somebody may do. What a comment says of its author
// is not that.
func (a *App) permission(ctx context.Context, s *scene, login string) (string, error) {
	req, err := s.c.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/collaborators/%s/permission", s.key.Owner, s.key.Repo, login), nil)
	if err != nil {
		return "", err
	}
	var out struct {
		Permission string `json:"permission"`
		Role       string `json:"role_name"`
	}
	if _, err := s.c.Do(ctx, req, &out); err != nil {
		if github.Status(err) == http.StatusNotFound {
			return "none", nil
		}
		return "", fmt.Errorf("ask what %s may do: %w", login, err)
	}
	// The role tells triage and maintain apart; a custom role does not, and
	// counts as what it is based on.
	if command.Allows("none", out.Role) {
		return out.Role, nil
	}
	return out.Permission, nil
}

// do does one command. It looks before it acts, since it may have acted before.
func (a *App) do(ctx context.Context, s *scene, pr *gh.PullRequest, r *request, c command.Command) (answer, error) {
	no := func(format string, args ...any) (answer, error) {
		return answer{outcome: reactNot, text: fmt.Sprintf(format, args...)}, nil
	}
	done := answer{outcome: reactDone}
	switch c.Name {
	case command.Help:
		return answer{outcome: reactDone, text: command.Manual(func(n command.Name) string { return s.policy.level(n) })}, nil
	case command.Cancel:
		n := 0
		for _, run := range append(slices.Clone(s.runs), s.rebuilds...) {
			if run.GetStatus() == "completed" {
				// It may be us who ended it, and did not come to say so.
				if run.GetConclusion() == "cancelled" && !run.GetUpdatedAt().Before(r.comment.GetCreatedAt().Time) {
					n++
				}
				continue
			}
			if err := a.cancel(ctx, s, run); err != nil {
				return answer{}, err
			}
			n++
		}
		if n == 0 {
			return no("Nothing is running that could be cancelled.")
		}
		a.q.add(s.key, time.Second)
		return done, nil
	case command.Rebuild:
		if len(c.Targets) > 0 {
			return a.rebuildSome(ctx, s, pr, r, c)
		}
		return a.rerun(ctx, s, r.comment.GetCreatedAt().Time, c.All)
	}
	e, err := a.present(ctx, s)
	if err != nil {
		return answer{}, err
	}
	switch c.Name {
	case command.Explain:
		if e == nil || e.report == nil {
			return no("There is no report to explain anything from yet.")
		}
		text, ok := explain(waive(e.report, s.waivers), c.Subject)
		if !ok {
			return no("%s is neither affected by this change nor a case of its report.", report.Code(c.Subject))
		}
		return answer{outcome: reactDone, text: text}, nil
	case command.Waive:
		if c.Subject == trustCase {
			if e == nil || len(e.doubts) == 0 {
				return no("The report of this commit is not in doubt; there is nothing to waive.")
			}
			return done, nil
		}
		if e == nil || e.report == nil {
			return no("There is no report yet, so no case to waive.")
		}
		var blocking []string
		for _, res := range e.report.Cases {
			if !res.Blocks() && !res.Unsettled() {
				continue
			}
			if names(c.Subject, res) {
				return done, nil
			}
			if len(blocking) < 20 {
				blocking = append(blocking, report.Code(report.Plain(res.Subject+"/"+res.Name)))
			}
		}
		if len(blocking) == 0 {
			return no("No case of this commit needs a waiver.")
		}
		return no("%s is no case that stands in the way. These do: %s.", report.Code(c.Subject), strings.Join(blocking, ", "))
	}
	return no("This command is not known.")
}

// present is the evidence there is now; nil while runs are on their way.
func (a *App) present(ctx context.Context, s *scene) (*evidence, error) {
	if ph := decide(s, a.opt.Workflow, a.opt.Patience, a.gh.Now()); !ph.results {
		return nil, nil
	}
	return a.evidence(ctx, s)
}
