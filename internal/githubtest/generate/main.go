// Command generate rebuilds testdata/openapi.json: the operations that
// githubtest serves, cut out of GitHub's own OpenAPI description, with the
// prose removed.
//
// The description comes from the npm package @octokit/openapi:
//
//	npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
//	go run ./internal/githubtest/generate package/generated/api.github.com.json internal/githubtest/testdata/openapi.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/asterinas/asterbot/internal/githubtest"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: generate DESCRIPTION OUTPUT")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	want := map[string]bool{}
	for _, id := range githubtest.Operations() {
		want[id] = true
	}
	paths := map[string]any{}
	for path, item := range doc["paths"].(map[string]any) {
		kept := map[string]any{}
		for method, op := range item.(map[string]any) {
			op, ok := op.(map[string]any)
			if !ok {
				continue
			}
			id, _ := op["operationId"].(string)
			if !want[id] {
				continue
			}
			delete(want, id)
			for _, k := range []string{"tags", "externalDocs", "x-github", "x-octokit", "servers", "x-github-breaking-changes"} {
				delete(op, k)
			}
			kept[method] = strip(op, false)
		}
		if len(kept) > 0 {
			paths[slashes(path)] = kept
		}
	}
	for id := range want {
		return fmt.Errorf("%s has no operation %s", from, id)
	}
	components := doc["components"].(map[string]any)
	used := map[string]any{}
	collect(paths, components, used)
	out := map[string]any{
		"openapi":    "3.0.3",
		"info":       map[string]any{"title": "GitHub REST API (excerpt)", "version": doc["info"].(map[string]any)["version"]},
		"paths":      paths,
		"components": used,
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(b, '\n'), 0o644)
}

// slashes lets the parameters that may hold slashes match them.
func slashes(path string) string {
	for _, p := range []string{"path", "ref", "branch", "basehead"} {
		path = strings.ReplaceAll(path, "{"+p+"}", "{"+p+":.+}")
	}
	return path
}

// strip removes prose and examples. Below "properties" the keys are names, not
// keywords.
func strip(v any, names bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if !names {
				switch k {
				case "summary", "example", "examples", "externalDocs", "title", "x-github-breaking-changes":
					continue
				case "description":
					if _, ok := e.(string); ok {
						continue
					}
				}
			}
			out[k] = strip(e, !names && (k == "properties" || k == "schemas" || k == "headers" || k == "content"))
		}
		// A response must have a description.
		if _, ok := out["content"]; ok && !names {
			if _, isBody := v["required"]; !isBody {
				out["description"] = "-"
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = strip(e, false)
		}
		return out
	}
	return v
}

// collect gathers the components that v refers to, transitively.
func collect(v any, all, used map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
			group, _ := used[kind].(map[string]any)
			if group == nil {
				group = map[string]any{}
				used[kind] = group
			}
			if _, ok := group[name]; !ok {
				c := strip(all[kind].(map[string]any)[name], false)
				group[name] = c
				collect(c, all, used)
			}
		}
		if responses, ok := v["responses"].(map[string]any); ok {
			for _, r := range responses {
				if r, ok := r.(map[string]any); ok && r["$ref"] == nil {
					r["description"] = "-"
				}
			}
		}
		for _, e := range v {
			collect(e, all, used)
		}
	case []any:
		for _, e := range v {
			collect(e, all, used)
		}
	}
}
