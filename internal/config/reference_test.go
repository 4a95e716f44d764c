package config_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/config"
)

const (
	referenceBegins = "<!-- generated from internal/config: go test ./internal/config -update -->\n"
	referenceEnds   = "<!-- end of what is generated -->\n"
)

// TestTheReferenceIsThatOfTheStruct holds the table of docs/configuration.md.
func TestTheReferenceIsThatOfTheStruct(t *testing.T) {
	const path = "../../docs/configuration.md"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), referenceBegins)
	require.True(t, ok, "%s has no place for the reference", path)
	_, after, ok := strings.Cut(rest, referenceEnds)
	require.True(t, ok, "%s has no end of the reference", path)
	golden(t, path, []byte(before+referenceBegins+reference(t)+referenceEnds+after))
}

// TestTheExampleIsValid holds that what docs/configuration.md shows is accepted.
func TestTheExampleIsValid(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		example, _, _ := strings.Cut(b, "```")
		_, err := config.Parse("docs/configuration.md", []byte(example))
		require.NoError(t, err)
	}
}

func reference(t *testing.T) string {
	t.Helper()
	var r generator.Reflector
	require.NoError(t, r.AddGoComments("github.com/asterinas/asterbot/internal/config", ".", generator.WithFullComment()))
	var b strings.Builder
	describe(&b, r.CommentMap, reflect.ValueOf(*config.Default()), "")
	return b.String()
}

// describe writes a table of a struct's fields, then those of the structs in it.
func describe(b *strings.Builder, comments map[string]string, v reflect.Value, at string) {
	t := v.Type()
	if at == "" {
		b.WriteString("\n| key | default | meaning |\n| --- | --- | --- |\n")
	} else {
		fmt.Fprintf(b, "\n### `%s`\n\n| key | default | meaning |\n| --- | --- | --- |\n", at)
	}
	type inner struct {
		v  reflect.Value
		at string
	}
	var below []inner
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		comment := strings.Join(strings.Fields(comments[t.PkgPath()+"."+t.Name()+"."+f.Name]), " ")
		comment = strings.Replace(comment, f.Name+" ", "", 1)
		value, path := v.Field(i), strings.TrimPrefix(at+"."+key, ".")
		fallback := ""
		switch ft := f.Type; {
		case ft.Kind() == reflect.Struct && ft != reflect.TypeFor[config.Date]():
			below = append(below, inner{value, path})
			fallback = "see below"
		case ft.Kind() == reflect.Pointer && ft.Elem().Kind() == reflect.Struct:
			below = append(below, inner{reflect.New(ft.Elem()).Elem(), path})
			fallback = "none"
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			below = append(below, inner{reflect.New(ft.Elem()).Elem(), path + "[]"})
			fallback = "none"
		case ft.Kind() == reflect.Map && ft.Elem().Kind() == reflect.Struct:
			below = append(below, inner{reflect.New(ft.Elem()).Elem(), path + ".NAME"})
			fallback = "none"
		default:
			fallback = shown(value)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", key, fallback, strings.ReplaceAll(comment, "|", "\\|"))
	}
	for _, in := range below {
		describe(b, comments, in.v, in.at)
	}
}

// shown is a default as YAML has it on one line.
func shown(v reflect.Value) string {
	code := func(s string) string { return "`" + s + "`" }
	switch v.Kind() {
	case reflect.Pointer:
		return ""
	case reflect.Slice:
		var items []string
		for i := range v.Len() {
			items = append(items, code(fmt.Sprint(v.Index(i))))
		}
		return strings.Join(items, ", ")
	case reflect.Map:
		var items []string
		iter := v.MapRange()
		for iter.Next() {
			items = append(items, fmt.Sprintf("%v: %s", iter.Key(), shown(iter.Value())))
		}
		slices.Sort(items)
		return strings.Join(items, "; ")
	}
	if v.IsZero() {
		return ""
	}
	return code(fmt.Sprint(v))
}
