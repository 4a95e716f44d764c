package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	generator "github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/config"
)

var update = flag.Bool("update", false, "rewrite golden files, the schema and the reference")

// golden compares with a file, or rewrites it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run: go test ./internal/config -update")
}

// schema is generated from the struct, its tags and its comments.
func schema(t *testing.T) []byte {
	t.Helper()
	r := generator.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Anonymous:                  true,
		ExpandedStruct:             true,
		Mapper:                     shape,
	}
	require.NoError(t, r.AddGoComments("github.com/asterinas/asterbot/internal/config", ".", generator.WithFullComment()))
	r.LookupComment = func(t reflect.Type, field string) string {
		if field == "" || t.Kind() != reflect.Struct {
			return "" // a type's own comment says less than its field's
		}
		comment := strings.Join(strings.Fields(r.CommentMap[t.PkgPath()+"."+t.Name()+"."+field]), " ")
		f, _ := t.FieldByName(field)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		return strings.Replace(comment, field, key, 1) // Go's name at the head of the sentence
	}
	s := r.Reflect(&config.Config{})
	s.Title = "asterbot configuration"
	out, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	return append(out, '\n')
}

// shape says how the types look that decode themselves.
func shape(t reflect.Type) *generator.Schema {
	str := &generator.Schema{Type: "string"}
	switch t {
	case reflect.TypeFor[config.Places](), reflect.TypeFor[config.Globs]():
		return &generator.Schema{OneOf: []*generator.Schema{str, {Type: "array", Items: str}}}
	case reflect.TypeFor[config.Duration]():
		return &generator.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`, Examples: []any{"90s", "20m"}}
	case reflect.TypeFor[config.Date]():
		return &generator.Schema{Type: "string", Format: "date", Examples: []any{"2026-12-31"}}
	case reflect.TypeFor[map[config.ScopeName]config.Globs]():
		s := generator.Schema{Type: "object", AdditionalProperties: generator.FalseSchema, Properties: generator.NewProperties()}
		for _, name := range config.Scopes {
			s.Properties.Set(string(name), shape(reflect.TypeFor[config.Globs]()))
		}
		return &s
	case reflect.TypeFor[map[string]config.Permission]():
		s := generator.Schema{Type: "object", AdditionalProperties: generator.FalseSchema, Properties: generator.NewProperties()}
		for _, name := range []string{"rebuild", "cancel", "explain", "waive", "help"} {
			s.Properties.Set(name, &generator.Schema{Type: "string", Enum: []any{"none", "read", "triage", "write", "maintain", "admin"}})
		}
		return &s
	}
	return nil
}

func TestTheSchemaIsThatOfTheStruct(t *testing.T) {
	golden(t, "schema.json", schema(t))
	assert.Equal(t, schema(t), config.Schema())
}

func compile(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(config.Schema()))
	require.NoError(t, err)
	c := validator.NewCompiler()
	require.NoError(t, c.AddResource("asterbot.json", doc))
	s, err := c.Compile("asterbot.json")
	require.NoError(t, err)
	return s
}

func TestTheSchemaAcceptsWhatParseDoes(t *testing.T) {
	s := compile(t)
	defaults, err := yaml.Marshal(config.Default())
	require.NoError(t, err)
	for _, tc := range []struct {
		text string
		good bool
	}{
		{string(defaults), true},
		{"entry: a.nix\nprofiles: {tiny: {base: linux, exit-success: []}}\n", true},
		{"known-failures: [{pattern: a/b/c, tracker: 'https://a/', expires: '2027-01-01'}]\n", true},
		{"kernle: {}\n", false},
		{"publish: nobody\n", false},
		{"suites: [{name: a}]\n", false},
		{"permissions: {rebuild: everyone}\n", false},
		{"limits: {eval-time: soon}\n", false},
		{"retries: 100\n", false},
	} {
		_, err := config.Parse("x.yml", []byte(tc.text))
		assert.Equal(t, tc.good, err == nil, "Parse %q: %v", tc.text, err)
		var v any
		require.NoError(t, yaml.Unmarshal([]byte(tc.text), &v))
		asJSON, err := json.Marshal(v)
		require.NoError(t, err)
		doc, err := validator.UnmarshalJSON(bytes.NewReader(asJSON))
		require.NoError(t, err)
		err = s.Validate(doc)
		assert.Equal(t, tc.good, err == nil, "schema %q: %v", tc.text, err)
	}
}

func TestTheDefaultIsValidAndSurvivesWriting(t *testing.T) {
	text, err := yaml.Marshal(config.Default())
	require.NoError(t, err)
	got, err := config.Parse("default.yml", text)
	require.NoError(t, err)
	assert.Equal(t, config.Default(), got)
}
