package githubtest

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// fill completes a value so that it has everything its schema requires: a
// handler gives what a test can tell apart, the rest is what GitHub always
// sends and nobody looks at.
func fill(ref *openapi3.SchemaRef, v any) any { return filled(ref, v, 0) }

func filled(ref *openapi3.SchemaRef, v any, depth int) any {
	if ref == nil || ref.Value == nil || depth > 12 {
		return v
	}
	s := ref.Value
	if v == nil {
		return v
	}
	if list, ok := v.([]any); ok {
		out := make([]any, len(list))
		for i, e := range list {
			out[i] = filled(s.Items, e, depth+1)
		}
		return out
	}
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(m))
	for k, e := range m {
		out[k] = e
	}
	for _, part := range s.AllOf {
		out = filled(part, out, depth).(map[string]any)
	}
	if one := pick(s, out); one != nil {
		out = filled(one, out, depth).(map[string]any)
	}
	for name, prop := range s.Properties {
		if e, ok := out[name]; ok {
			out[name] = filled(prop, e, depth+1)
		}
	}
	for _, name := range s.Required {
		if _, ok := out[name]; !ok {
			out[name] = empty(s.Properties[name], name, depth+1)
		}
	}
	return out
}

// pick chooses the alternative that has most of the value's names.
func pick(s *openapi3.Schema, v map[string]any) *openapi3.SchemaRef {
	var best *openapi3.SchemaRef
	most := -1
	for _, alt := range append(append(openapi3.SchemaRefs{}, s.OneOf...), s.AnyOf...) {
		if alt.Value == nil || len(alt.Value.Properties) == 0 {
			continue
		}
		n := 0
		for k := range v {
			if _, ok := alt.Value.Properties[k]; ok {
				n++
			}
		}
		if n > most {
			best, most = alt, n
		}
	}
	return best
}

// empty is a value that a schema allows.
func empty(ref *openapi3.SchemaRef, name string, depth int) any {
	if ref == nil || ref.Value == nil {
		return nil
	}
	s := ref.Value
	if s.Nullable {
		return nil
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch {
	case s.Type.Is("string"):
		switch s.Format {
		case "date-time":
			return "2026-01-01T00:00:00Z"
		case "uri":
			return "https://github.test/" + name
		case "email":
			return "nobody@github.test"
		}
		return strings.Repeat("x", max(0, int(s.MinLength)))
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 0
	case s.Type.Is("boolean"):
		return false
	case s.Type.Is("array"):
		return []any{}
	}
	for _, alt := range append(append(openapi3.SchemaRefs{}, s.OneOf...), s.AnyOf...) {
		if alt.Value != nil {
			return empty(alt, name, depth+1)
		}
	}
	return filled(ref, map[string]any{}, depth+1)
}
