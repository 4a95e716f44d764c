package console

import "bytes"

// matcher finds any of a set of literals in a text, in one pass whatever their
// number: Aho and Corasick's automaton over the first bytes of each, the rest
// compared where those are found. Bytes that no literal has share a column, so
// that the table stays in the processor's cache.
type matcher struct {
	literals []string
	class    [256]uint16
	width    int
	next     []int32 // state*width + class -> state*width
	found    [][]int // state -> literals whose first bytes end here
	skip     [256]bool
}

// matchBytes is how much of a literal the automaton knows.
const matchBytes = 14

func newMatcher(literals []string) *matcher {
	m := &matcher{literals: literals, width: 1}
	heads := make([]string, len(literals))
	for n, l := range literals {
		heads[n] = l[:min(len(l), matchBytes)]
		for i := range len(heads[n]) {
			if b := heads[n][i]; m.class[b] == 0 {
				m.class[b] = uint16(m.width)
				m.width++
			}
		}
	}
	m.grow()
	for n, l := range heads {
		if l == "" {
			continue
		}
		at := 0
		for i := range len(l) {
			edge := at*m.width + int(m.class[l[i]])
			if m.next[edge] == 0 {
				m.next[edge] = int32(m.grow())
			}
			at = int(m.next[edge])
		}
		m.found[at] = append(m.found[at], n)
	}
	m.link()
	for b := range 256 {
		m.skip[b] = m.next[m.class[b]] == 0
	}
	for i := range m.next {
		m.next[i] *= int32(m.width)
	}
	return m
}

// grow adds a state.
func (m *matcher) grow() int {
	m.next = append(m.next, make([]int32, m.width)...)
	m.found = append(m.found, nil)
	return len(m.found) - 1
}

// link adds the transitions of failure, nearest states first.
func (m *matcher) link() {
	fail := make([]int, len(m.found))
	var queue []int
	for c := range m.width {
		if to := m.next[c]; to != 0 {
			queue = append(queue, int(to))
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for c := range m.width {
			edge := at*m.width + c
			back := m.next[fail[at]*m.width+c]
			if to := m.next[edge]; to != 0 {
				fail[to] = int(back)
				m.found[to] = append(m.found[to], m.found[back]...)
				queue = append(queue, int(to))
			} else {
				m.next[edge] = back
			}
		}
	}
}

// find calls hit with each literal in p, and where it starts and ends.
func (m *matcher) find(p []byte, hit func(literal, start, end int)) {
	var at int32
	for i := 0; i < len(p); i++ {
		if at == 0 {
			for i < len(p) && m.skip[p[i]] {
				i++
			}
			if i == len(p) {
				return
			}
		}
		at = m.next[at+int32(m.class[p[i]])]
		if at == 0 {
			continue
		}
		for _, n := range m.found[int(at)/m.width] {
			l := m.literals[n]
			start := i + 1 - min(len(l), matchBytes)
			if bytes.HasPrefix(p[start:], []byte(l)) {
				hit(n, start, start+len(l))
			}
		}
	}
}
