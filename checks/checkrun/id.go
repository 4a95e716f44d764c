package checkrun

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ID says what a check run shows; it is its external_id. Reading it back tells
// without any other memory whether there is something to do.
type ID struct {
	// Pulls are the pull requests of the head commit and their bases:
	// "12@main".
	Pulls []string
	// State is why there is no report: "queued", "draft", "conflict"...; empty
	// or "run" where a run decides.
	State string
	// Run and Attempt are the run of the workflow.
	Run     int64
	Attempt int
	// Dispatched are the runs that were dispatched for the same commit.
	Dispatched []Dispatch
	// Policy is a short hash of what else decides: waivers, policy.
	Policy string
	// Base and Merge are the commits that were compared; they are told, and
	// decide nothing: both move with the base branch.
	Base, Merge string
}

// Dispatch is a run that was dispatched: its number, and the token in its name,
// which nobody could guess beforehand.
type Dispatch struct {
	Run   int64
	Token string
}

const prefix = "asterbot1"

// String encodes the ID.
func (id ID) String() string {
	var b strings.Builder
	b.WriteString(prefix)
	add := func(k, v string) {
		if v != "" {
			fmt.Fprintf(&b, " %s=%s", k, v)
		}
	}
	var pulls []string
	for _, p := range id.Pulls {
		pulls = append(pulls, strings.Map(func(r rune) rune {
			if r <= ' ' || r == ',' || r == '=' || r > '~' {
				return '_'
			}
			return r
		}, clipBytes(p, 80)))
	}
	slices.Sort(pulls)
	add("pr", strings.Join(pulls[:min(len(pulls), 8)], ","))
	add("state", id.State)
	if id.Run != 0 {
		add("run", fmt.Sprintf("%d.%d", id.Run, id.Attempt))
	}
	var runs []string
	for _, r := range id.Dispatched {
		runs = append(runs, strconv.FormatInt(r.Run, 10)+"."+r.Token)
	}
	add("rebuilds", strings.Join(runs, ","))
	add("policy", id.Policy)
	add("base", id.Base[:min(len(id.Base), 12)])
	add("merge", id.Merge[:min(len(id.Merge), 12)])
	return b.String()
}

// ParseID reads an external_id; false if it is not one of ours.
func ParseID(s string) (ID, bool) {
	words := strings.Split(s, " ")
	if len(s) > 4096 || words[0] != prefix {
		return ID{}, false
	}
	var id ID
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok || v == "" {
			return ID{}, false
		}
		var err error
		switch k {
		case "pr":
			id.Pulls = strings.Split(v, ",")
		case "state":
			id.State = v
		case "run":
			run, attempt, _ := strings.Cut(v, ".")
			if id.Run, err = strconv.ParseInt(run, 10, 64); err == nil {
				id.Attempt, err = strconv.Atoi(attempt)
			}
		case "rebuilds":
			for part := range strings.SplitSeq(v, ",") {
				run, token, _ := strings.Cut(part, ".")
				n, perr := strconv.ParseInt(run, 10, 64)
				id.Dispatched, err = append(id.Dispatched, Dispatch{n, token}), errors.Join(err, perr)
			}
		case "policy":
			id.Policy = v
		case "base":
			id.Base = v
		case "merge":
			id.Merge = v
		}
		if err != nil {
			return ID{}, false
		}
	}
	return id, true
}

// Same reports whether two IDs show the same.
func (id ID) Same(o ID) bool { return id.SameResults(o) && id.Policy == o.Policy }

// SameResults reports whether two IDs show the results of the same runs, and
// so the same annotations.
func (id ID) SameResults(o ID) bool {
	a, b := id, o
	a.Policy, b.Policy, a.Base, b.Base, a.Merge, b.Merge = "", "", "", "", "", ""
	return a.String() == b.String()
}
