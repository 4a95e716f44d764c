package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// The limits of a document that is read. Documents are artifacts of jobs that
// ran a pull request's code: hostile.
const (
	// MaxDocument bounds a document, in bytes.
	MaxDocument = 64 << 20
	// MaxCases bounds its cases, and each of its other lists.
	MaxCases = 100_000
	// MaxString bounds each text in it, in bytes.
	MaxString = 64 << 10
	// maxTokens bounds its values, names and brackets together.
	maxTokens = 8_000_000
)

// DecodeError says why a document was refused.
type DecodeError struct {
	Schema string
	// Path is the place in the document, as in "cases[3].verdict"; empty where
	// the whole is meant.
	Path string
	Err  error
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("read %s document: %v", e.Schema, e.Err)
	}
	return fmt.Sprintf("read %s document: %s: %v", e.Schema, e.Path, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// DecodePlan reads a plan.json, strictly: unknown and repeated fields, invalid
// UTF-8, words that are none of the documented ones, and paths that leave the
// report's folder are refused. The error is a *DecodeError or the reader's.
func DecodePlan(r io.Reader) (*checks.Plan, error) {
	var p checks.Plan
	if err := decode(r, checks.SchemaPlan, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// DecodeResults reads a results.json, as strictly as DecodePlan.
func DecodeResults(r io.Reader) (*checks.Results, error) {
	var rs checks.Results
	if err := decode(r, checks.SchemaResults, &rs); err != nil {
		return nil, err
	}
	if err := onceEach(checks.SchemaResults, rs.Cases); err != nil {
		return nil, err
	}
	return &rs, nil
}

// DecodeReport reads a report.json, as strictly as DecodePlan. Counts
// and conclusion must be what its own cases say.
func DecodeReport(r io.Reader) (*checks.Report, error) {
	var rep checks.Report
	if err := decode(r, checks.SchemaReport, &rep); err != nil {
		return nil, err
	}
	if err := onceEach(checks.SchemaReport, rep.Cases); err != nil {
		return nil, err
	}
	refuse := func(path, format string, args ...any) (*checks.Report, error) {
		return nil, &DecodeError{checks.SchemaReport, path, fmt.Errorf(format, args...)}
	}
	if want := checks.Count(rep.Cases); !maps.Equal(rep.Counts, want) {
		return refuse("counts", "they are not those of its cases, which are %v", want)
	}
	if len(rep.Cases) > 0 {
		if want := checks.Conclude(rep.Cases); !conclusionAllowed(rep.Conclusion, want) {
			return refuse("conclusion", "%q, but its cases say %q", rep.Conclusion, want)
		}
	} else if rep.Conclusion == checks.Success {
		return refuse("conclusion", "success without a single case")
	}
	return &rep, nil
}

// conclusionAllowed: a check that could not look in a way that no case shows is
// an error though its cases are good. Nothing makes it better than its cases.
func conclusionAllowed(got, want checks.Conclusion) bool {
	return got == want || got == checks.Errored && want == checks.Success
}

func decode(r io.Reader, schema string, into any) error {
	var b bytes.Buffer
	if l, ok := r.(interface{ Len() int }); ok {
		b.Grow(min(l.Len(), MaxDocument) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(r, MaxDocument+1))
	data := b.Bytes()
	if err != nil {
		return fmt.Errorf("read %s document: %w", schema, err)
	}
	refuse := func(path string, err error) error { return &DecodeError{schema, path, err} }
	if len(data) > MaxDocument {
		return refuse("", fmt.Errorf("more than %d bytes", MaxDocument))
	}
	// The head first: another version should be called that, not an unknown
	// field.
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return refuse("", reworded(err))
	}
	if head.Schema != schema {
		return refuse("schema", fmt.Errorf("%q, expected %q", head.Schema, schema))
	}
	if path, err := bounded(data); err != nil {
		return refuse(path, err)
	}
	if err := json.Unmarshal(data, into, json.RejectUnknownMembers(true)); err != nil {
		return refuse("", reworded(err))
	}
	if path, err := valid(reflect.ValueOf(into).Elem(), ""); err != nil {
		return refuse(path, err)
	}
	return nil
}

// bounded looks at a document without making anything of it: three bytes, "{},",
// are a case of some hundred bytes in memory.
func bounded(data []byte) (path string, err error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	for n := 0; ; n++ {
		if _, err := d.ReadToken(); err == io.EOF {
			return "", nil
		} else if err != nil {
			return "", reworded(err)
		}
		if kind, length := d.StackIndex(d.StackDepth()); kind == '[' && length > MaxCases {
			return string(d.StackPointer()), fmt.Errorf("more than %d elements", MaxCases)
		}
		if n > maxTokens {
			return "", fmt.Errorf("more than %d values", maxTokens)
		}
	}
}

func reworded(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// onceEach refuses a case with two results.
func onceEach(schema string, cases []checks.Result) error {
	seen := make(map[checks.Case]int, len(cases))
	for i, c := range cases {
		if first, twice := seen[c.Case]; twice {
			return &DecodeError{schema, fmt.Sprintf("cases[%d]", i), fmt.Errorf("the same case as cases[%d]: %s %s %q", first, c.Kind, c.Subject, c.Name)}
		}
		seen[c.Case] = i
	}
	return nil
}

// words are the values that a type of text may have.
var words = map[reflect.Type][]string{
	reflect.TypeFor[checks.Kind]():           list(checks.KindEval, checks.KindBuild, checks.KindInstall, checks.KindBoot, checks.KindTest, checks.KindLint),
	reflect.TypeFor[checks.Status]():         list(checks.Pass, checks.Fail, checks.Skip, checks.Error, checks.Unknown, checks.Absent),
	reflect.TypeFor[checks.Blame]():          list(checks.BlameNone, checks.BlameKernel, checks.BlamePackage, checks.BlameInfra, checks.BlameUnknown),
	reflect.TypeFor[checks.Verdict]():        list(checks.Regressed, checks.Fixed, checks.StillFailing, checks.Passing, checks.New, checks.Removed, checks.Flaky, checks.Undecided),
	reflect.TypeFor[checks.Conclusion]():     list(checks.Success, checks.Failure, checks.Errored, checks.Skipped),
	reflect.TypeFor[checks.MachineOutcome](): list(checks.MachineOK, checks.MachinePanic, checks.MachineOops, checks.MachineHang, checks.MachineTimeout, checks.MachineReboot, checks.MachineShutdown, checks.MachineInfra),
	reflect.TypeFor[distro.Kind]():           list(distro.KindPackage, distro.KindImage, distro.KindSuite, distro.KindKernel),
	reflect.TypeFor[distro.Scope](): list(distro.ScopeKernel, distro.ScopeOverlay, distro.ScopeModules, distro.ScopeInstaller, distro.ScopeImage,
		distro.ScopeTests, distro.ScopeDocs, distro.ScopeCI, distro.ScopeRelease, distro.ScopeOther),
	reflect.TypeFor[distro.Status](): list(distro.StatusUnchanged, distro.StatusRebuilt, distro.StatusRefetch, distro.StatusAdded, distro.StatusRemoved,
		distro.StatusRenamed, distro.StatusMeta, distro.StatusEvalFailed, distro.StatusEvalFixed, distro.StatusEvalStillFailing, distro.StatusUnknown),
	reflect.TypeFor[distro.FailureReason](): list(distro.FailThrow, distro.FailAbort, distro.FailRecursion, distro.FailMissing, distro.FailType,
		distro.FailSyntax, distro.FailImportFrom, distro.FailRestricted, distro.FailTimeout, distro.FailMemory, distro.FailUnavailable, distro.FailNotDerivation, distro.FailOther),
}

// optional are the words of which none is needed where the field is optional.
func allowed(t reflect.Type, s string, optional bool) bool {
	w, limited := words[t]
	return !limited || slices.Contains(w, s) || s == "" && optional
}

// files are the fields, by their name in the document, that hold a path in the
// report's folder: renderers link to them.
var files = map[string]bool{"log": true, "image": true, "consoles": true, "screenshots": true}

func list[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// valid checks every value of a document against its limits. It returns the
// place of the first that breaks one.
func valid(v reflect.Value, at string) (string, error) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return valid(v.Elem(), at)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return "", nil
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			place := at + "." + tag
			if f.Anonymous {
				place = at
			}
			if at == "" {
				place = tag
			}
			if s := v.Field(i); s.Kind() == reflect.String && !allowed(s.Type(), s.String(), strings.Contains(options, "omit")) {
				return place, fmt.Errorf("%q is none of %s", clip(s.String(), 100), strings.Join(words[s.Type()], ", "))
			}
			if files[tag] {
				if err := inside(v.Field(i)); err != nil {
					return place, err
				}
			}
			if where, err := valid(v.Field(i), place); err != nil {
				return where, err
			}
		}
	case reflect.Slice:
		if v.Len() > MaxCases {
			return at, fmt.Errorf("%d entries, more than %d", v.Len(), MaxCases)
		}
		for i := range v.Len() {
			place := fmt.Sprintf("%s[%d]", at, i)
			if e := v.Index(i); e.Kind() == reflect.String && !allowed(e.Type(), e.String(), false) {
				return place, fmt.Errorf("%q is none of %s", clip(e.String(), 100), strings.Join(words[e.Type()], ", "))
			}
			if where, err := valid(v.Index(i), place); err != nil {
				return where, err
			}
		}
	case reflect.Map:
		if v.Len() > MaxCases {
			return at, fmt.Errorf("%d entries, more than %d", v.Len(), MaxCases)
		}
		for iter := v.MapRange(); iter.Next(); {
			if where, err := valid(iter.Value(), at+"."+iter.Key().String()); err != nil {
				return where, err
			}
		}
	case reflect.String:
		if v.Len() > MaxString {
			return at, fmt.Errorf("a text of %d bytes, more than %d", v.Len(), MaxString)
		}
		if strings.HasSuffix(at, "remembered") && v.String() != "" {
			if _, err := time.Parse(time.RFC3339, v.String()); err != nil {
				return at, fmt.Errorf("%q is not a time (RFC 3339)", clip(v.String(), 100))
			}
		}
	case reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) || f < 0 || f > 1e9 {
			return at, fmt.Errorf("%v is not a number of seconds", f)
		}
	case reflect.Int:
		if i := v.Int(); i < math.MinInt32 || i > math.MaxInt32 {
			return at, fmt.Errorf("%d is out of range", i)
		}
	}
	return "", nil
}

// inside refuses paths that are not below the report's folder.
func inside(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		p := v.String()
		if p == "" {
			return nil
		}
		if path.IsAbs(p) || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsAny(p, "\\\x00:") || !utf8.ValidString(p) {
			return fmt.Errorf("%q is not a path below the report's folder", clip(p, 100))
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := inside(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			if err := inside(iter.Value()); err != nil {
				return err
			}
		}
	}
	return nil
}

// clip cuts a text on a rune boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
