package suite

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/asterinas/asterbot/distro"
)

// maxCasesFile bounds a file of cases.
const maxCasesFile = 4 << 20

// ReadCases reads a file of cases, YAML or JSON: a list of distro.CaseSpec, or
// a whole distro.Suite. An unknown field is an error with its place.
func ReadCases(r io.Reader) (distro.Suite, error) {
	var s distro.Suite
	data, err := io.ReadAll(io.LimitReader(r, maxCasesFile+1))
	if err != nil {
		return s, fmt.Errorf("read cases: %w", err)
	}
	if len(data) > maxCasesFile {
		return s, fmt.Errorf("read cases: the file is larger than %d bytes", maxCasesFile)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return s, fmt.Errorf("read cases: %s", yaml.FormatError(err, false, true))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return s, errors.New("read cases: the file has no cases; it should be a list of them")
	}
	var into any = &s
	if file.Docs[0].Body.Type() == ast.SequenceType {
		into = &s.Cases
	}
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField(), yaml.Strict())
	if err := d.Decode(into); err != nil {
		return s, fmt.Errorf("read cases: %s", yaml.FormatError(err, false, true))
	}
	if err := Check(s); err != nil {
		return s, fmt.Errorf("read cases: %w", err)
	}
	return s, nil
}
