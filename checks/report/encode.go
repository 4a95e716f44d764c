package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"github.com/asterinas/asterbot/checks"
)

// document is what can be encoded.
type document interface {
	*checks.Plan | *checks.Results | *checks.Report
}

// Encode writes a document as indented JSON with a line feed at the end. It sets
// the schema. Lists without an entry are written as [], and texts
// longer than MaxString are cut, so that what is written can be read again.
func Encode[D document](w io.Writer, d D) error {
	var schema string
	var doc any
	switch v := any(d).(type) {
	case *checks.Plan:
		c := *v
		c.Schema = checks.SchemaPlan
		schema, doc = c.Schema, &c
	case *checks.Results:
		c := *v
		c.Schema = checks.SchemaResults
		schema, doc = c.Schema, &c
	case *checks.Report:
		c := *v
		c.Schema = checks.SchemaReport
		if c.Plan != nil {
			p := *c.Plan
			p.Schema = checks.SchemaPlan
			c.Plan = &p
		}
		schema, doc = c.Schema, &c
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(written(reflect.ValueOf(doc)).Interface()); err != nil {
		return fmt.Errorf("write %s document: %w", schema, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// written copies a value with its empty lists made and its texts cut.
func written(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(written(v.Elem()))
		return p
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.Field(i).Set(written(v.Field(i)))
			}
		}
		return c
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(written(v.Index(i)))
		}
		return c
	case reflect.Map:
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for iter := v.MapRange(); iter.Next(); {
			c.SetMapIndex(iter.Key(), written(iter.Value()))
		}
		return c
	case reflect.String:
		if v.Len() <= MaxString {
			return v
		}
		c := reflect.New(v.Type()).Elem()
		c.SetString(clip(v.String(), MaxString-len("…")))
		return c
	}
	return v
}
