package pipeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// MaxShards is how many jobs Actions runs of one matrix.
const MaxShards = 256

// Shard is a part of a plan that one job settles by itself: whole subjects,
// so that what a system needs is built where it boots and nothing has to be
// carried from one machine to another.
type Shard struct {
	// Number is what --shard takes; shards count from zero, the first wave's
	// first.
	Number int `json:"shard"`
	// First reports that it belongs to the wave that is answered first.
	First bool `json:"first"`
	// Name is for readers: a kind and a number, no names from the change.
	Name string `json:"name"`
	// Minutes is a guess of how long it takes, for the order and the budget.
	Minutes float64 `json:"minutes"`
	// Images is how many images it builds: they take the most disk.
	Images int `json:"images"`
	// Boots reports that it boots machines.
	Boots bool                 `json:"boots"`
	Cases []checks.PlannedCase `json:"-"`
}

// Guesses of what a subject costs, in minutes, where nothing is known of the last time:
// they order jobs and fill shards, and no verdict depends on them.
const (
	imageMinutes   = 12
	suiteMinutes   = 3
	commandMinutes = 15
	packageMinutes = 1
	testMinutes    = 0.1
	shardMinutes   = 10 // what a shard of packages is filled up to
)

// maxKnownMinutes bounds what is believed of a recorded duration.
const maxKnownMinutes = 24 * 60

// group is a subject with its cases, or packages that share what is rebuilt below them.
type group struct {
	of      distro.Kind
	name    string
	command bool
	first   bool
	root    string // of a package: what it changed because of
	minutes float64
	known   float64 // the minutes of its cases the last time; zero where that is not known
	cases   []checks.PlannedCase
}

// cost is how long it takes, as far as can be told.
func (g *group) cost() float64 {
	if g.known > 0 {
		return g.known
	}
	return g.minutes
}

// Shards cuts a plan into shards. The same plan always gives the same shards.
// No case is left out but those that the plan itself settled, and none is in
// two; there are at most MaxShards in both waves together.
func Shards(plan *checks.Plan) []Shard {
	groups := subjects(plan)
	var waves [2][]*group
	for _, g := range groups {
		if g.first {
			waves[0] = append(waves[0], g)
		} else {
			waves[1] = append(waves[1], g)
		}
	}
	limit := MaxShards
	if len(waves[1]) > 0 {
		limit /= 2
	}
	var out []Shard
	for i, wave := range waves {
		for _, part := range pack(wave, limit) {
			part.First, part.Number = i == 0, len(out)
			out = append(out, part)
		}
		limit = MaxShards - len(out)
	}
	return out
}

// Part is the plan of one shard: the whole plan with that shard's cases.
func Part(plan *checks.Plan, number int) (*checks.Plan, error) {
	shards := Shards(plan)
	if number < 0 || number >= len(shards) {
		return nil, fmt.Errorf("take shard %d: the plan has %d, counted from 0", number, len(shards))
	}
	part := *plan
	part.Cases = shards[number].Cases
	return &part, nil
}

// open are the cases that the plan has not settled itself. That a kernel builds is
// a job's of its own.
func open(plan *checks.Plan) []checks.PlannedCase {
	settled := map[checks.Case]bool{}
	for _, r := range plan.Settled {
		settled[r.Case] = true
	}
	return slices.DeleteFunc(slices.Clone(plan.Cases), func(p checks.PlannedCase) bool { return settled[p.Case] || p.Of == distro.KindKernel })
}

func subjects(plan *checks.Plan) []*group {
	type key struct {
		of   distro.Kind
		name string
	}
	index := map[key]*group{}
	var groups []*group
	root := map[string]string{}
	for _, a := range plan.Packages {
		root[a.Attr] = rootOf(a)
	}
	for _, c := range open(plan) {
		k := key{c.Of, c.Subject}
		g := index[k]
		if g == nil {
			g = &group{of: c.Of, name: c.Subject}
			index[k] = g
			groups = append(groups, g)
			switch c.Of {
			case distro.KindImage:
				g.minutes = imageMinutes
			case distro.KindSuite:
				g.minutes = suiteMinutes
			default:
				g.minutes, g.root = packageMinutes, root[c.Subject]
			}
		}
		g.cases = append(g.cases, c)
		g.first = g.first || c.Tier == 0
		if c.Seconds > 0 {
			g.known += min(c.Seconds/60, maxKnownMinutes)
		}
		if isCommand(c) {
			g.command, g.minutes = true, commandMinutes
		}
		if c.Kind == checks.KindTest {
			g.minutes += testMinutes
		}
	}
	return groups
}

// together joins packages that changed because of the same thing, which is built once then,
// up to what fills a shard.
func together(packages []*group) []*group {
	var out []*group
	open := map[string]*group{}
	for _, p := range packages {
		g := open[p.root]
		if g == nil || p.root == "" || g.minutes+p.cost() > shardMinutes {
			g = &group{of: p.of}
			open[p.root] = g
			out = append(out, g)
		}
		g.minutes += p.cost()
		g.cases = append(g.cases, p.cases...)
	}
	return out
}

// pack fills at most so many shards: one for each command, image and suite, and as
// many as packages need; the longest first into the emptiest.
func pack(groups []*group, limit int) []Shard {
	var kinds [4][]*group
	for _, g := range groups {
		switch {
		case g.command:
			kinds[0] = append(kinds[0], g)
		case g.of == distro.KindImage:
			kinds[1] = append(kinds[1], g)
		case g.of == distro.KindSuite:
			kinds[2] = append(kinds[2], g)
		default:
			kinds[3] = append(kinds[3], g)
		}
	}
	kinds[3] = together(kinds[3])
	names := [4]string{"commands", "images", "suites", "packages"}
	var want [4]int
	var sum int
	for i, kind := range kinds {
		want[i] = len(kind)
		if i == 3 {
			var total float64
			for _, g := range kind {
				total += g.cost()
			}
			want[i] = min(len(kind), int(math.Ceil(total/shardMinutes)))
		}
		sum += want[i]
	}
	var out []Shard
	for i, kind := range kinds {
		if len(kind) == 0 {
			continue
		}
		n := want[i]
		if sum > limit {
			n = max(1, n*(limit-len(kinds))/sum)
		}
		slices.SortStableFunc(kind, func(a, b *group) int { return cmp.Compare(b.cost(), a.cost()) })
		part := make([]Shard, n)
		for _, g := range kind {
			s := &part[0]
			for j := range part {
				if part[j].Minutes < s.Minutes {
					s = &part[j]
				}
			}
			s.Minutes += g.cost()
			s.Cases = append(s.Cases, g.cases...)
			s.Boots = s.Boots || g.of == distro.KindImage || g.of == distro.KindSuite
			if g.of == distro.KindImage {
				s.Images++
			}
		}
		for j := range part {
			part[j].Name = fmt.Sprintf("%s %d of %d", names[i], j+1, n)
			part[j].Minutes = math.Ceil(part[j].Minutes)
		}
		out = append(out, part...)
	}
	return out
}
