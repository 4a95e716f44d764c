package distro

import (
	"errors"
	"fmt"
	"strings"
)

// Drv is a derivation as Nix stores it: a `.drv` file.
type Drv struct {
	// Outputs are what it produces, sorted by name.
	Outputs []DrvOutput
	// Inputs are the derivations it is built from, sorted by path.
	Inputs []DrvInput
	// Sources are the store paths of files it is built from, sorted.
	Sources []string
	System  string
	Builder string
	Args    []string
	// Env is the environment of its builder, sorted by name.
	Env []EnvVar
}

// DrvOutput is an output of a derivation. Hash and HashAlgo are set for one whose
// content is fixed beforehand: something fetched.
type DrvOutput struct{ Name, Path, HashAlgo, Hash string }

// DrvInput is a derivation that another one uses, and which of its outputs.
type DrvInput struct {
	Drv     string
	Outputs []string
}

// EnvVar is a variable of a builder's environment.
type EnvVar struct{ Name, Value string }

// Fixed reports whether the output's content is fixed beforehand.
func (d *Drv) Fixed() bool { return len(d.Outputs) == 1 && d.Outputs[0].Hash != "" }

// Lookup returns a variable of the environment.
func (d *Drv) Lookup(name string) (string, bool) {
	for _, v := range d.Env {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

// maxInputDepth bounds the nesting of outputs of dynamic derivations.
const maxInputDepth = 32

// ParseDrv reads a derivation in Nix's ATerm format: "Derive(...)", or
// "DrvWithVersion(...)" of newer versions. The strings of the result may share the memory
// of text.
func ParseDrv(text string) (*Drv, error) { return new(drvParser).parse(text) }

// parse reads a derivation. A parser may be used again: what it grew to hold one serves the
// next.
func (p *drvParser) parse(text string) (*Drv, error) {
	p.s, p.i, p.dynamic, p.err = text, 0, false, nil
	p.inputs, p.sources, p.env = p.inputs[:0], p.sources[:0], p.env[:0]
	d := &Drv{}
	switch {
	case p.skip("Derive("):
	case p.skip(`DrvWithVersion("xp-dyn-drv",`):
		p.dynamic = true
	default:
		return nil, errors.New("parse derivation: it does not begin like one")
	}
	p.list(func() {
		p.expect('(')
		o := DrvOutput{Name: p.str()}
		p.expect(',')
		o.Path = p.str()
		p.expect(',')
		o.HashAlgo = p.str()
		p.expect(',')
		o.Hash = p.str()
		p.expect(')')
		d.Outputs = append(d.Outputs, o)
	})
	p.expect(',')
	p.list(func() {
		p.expect('(')
		in := DrvInput{Drv: p.str()}
		p.expect(',')
		in.Outputs = p.outputs(0)
		p.expect(')')
		p.inputs = append(p.inputs, in)
	})
	p.expect(',')
	p.list(func() { p.sources = append(p.sources, p.str()) })
	p.expect(',')
	d.System = p.str()
	p.expect(',')
	d.Builder = p.str()
	p.expect(',')
	p.list(func() { d.Args = append(d.Args, p.str()) })
	p.expect(',')
	p.list(func() {
		p.expect('(')
		v := EnvVar{Name: p.str()}
		p.expect(',')
		v.Value = p.str()
		p.expect(')')
		p.env = append(p.env, v)
	})
	p.expect(')')
	if p.err == nil && p.i != len(p.s) {
		p.fail("something follows it")
	}
	if p.err != nil {
		return nil, p.err
	}
	d.Inputs, d.Sources, d.Env = exactly(p.inputs), exactly(p.sources), exactly(p.env)
	return d, nil
}

func exactly[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return append(make([]T, 0, len(list)), list...)
}

type drvParser struct {
	s       string
	i       int
	dynamic bool
	err     error

	inputs  []DrvInput
	sources []string
	env     []EnvVar
}

// onlyOut is what nearly every input is used for. Nobody writes to it.
var onlyOut = []string{"out"}

func (p *drvParser) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("parse derivation: at byte %d: %s", p.i, what)
	}
}

func (p *drvParser) skip(prefix string) bool {
	if strings.HasPrefix(p.s[p.i:], prefix) {
		p.i += len(prefix)
		return true
	}
	return false
}

func (p *drvParser) expect(c byte) {
	if p.err != nil {
		return
	}
	if p.i >= len(p.s) || p.s[p.i] != c {
		p.fail(fmt.Sprintf("expected %q", c))
		return
	}
	p.i++
}

// list reads "[a,b,...]".
func (p *drvParser) list(item func()) {
	p.expect('[')
	if p.err == nil && p.skip("]") {
		return
	}
	for p.err == nil {
		item()
		if p.skip("]") {
			return
		}
		p.expect(',')
	}
}

// outputs reads a list of output names; with dynamic derivations a pair of one
// and what is used of the outputs' own outputs.
func (p *drvParser) outputs(depth int) (names []string) {
	if depth > maxInputDepth {
		p.fail("outputs are nested too deeply")
		return nil
	}
	if p.dynamic && p.skip("(") {
		names = p.outputs(depth + 1)
		p.expect(',')
		p.list(func() {
			p.expect('(')
			p.str()
			p.expect(',')
			p.outputs(depth + 1)
			p.expect(')')
		})
		p.expect(')')
		return names
	}
	if p.skip(`["out"]`) {
		return onlyOut
	}
	p.list(func() { names = append(names, p.str()) })
	return names
}

func (p *drvParser) str() string {
	p.expect('"')
	if p.err != nil {
		return ""
	}
	start := p.i
	rest := p.s[start:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		p.fail("a string has no end")
		return ""
	}
	if strings.IndexByte(rest[:end], '\\') < 0 {
		p.i += end + 1
		return rest[:end]
	}
	var b strings.Builder
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '"':
			p.i++
			return b.String()
		case '\\':
			p.i++
			if p.i >= len(p.s) {
				p.fail("a string has no end")
				return ""
			}
			switch c = p.s[p.i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			}
			b.WriteByte(c)
			p.i++
		default:
			n := strings.IndexAny(p.s[p.i:], `"\`)
			if n < 0 {
				p.i = len(p.s)
				break
			}
			b.WriteString(p.s[p.i : p.i+n])
			p.i += n
		}
	}
	p.fail("a string has no end")
	return ""
}

// StoreName is the name of a store path: without folder and hash, and without the
// suffix of a derivation. It is the argument itself if that is no store path.
func StoreName(path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	if len(base) > 33 && base[32] == '-' {
		base = base[33:]
	}
	return strings.TrimSuffix(base, ".drv")
}

// packageName is a name without its version, as Nix splits it: the version
// begins after the first dash that no letter follows.
func packageName(name string) string {
	for i := 0; i+1 < len(name); i++ {
		if name[i] == '-' && i > 0 {
			c := name[i+1] | 0x20
			if c < 'a' || c > 'z' {
				return name[:i]
			}
		}
	}
	return name
}
