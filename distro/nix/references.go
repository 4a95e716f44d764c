package nix

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// pathLiteral is a path as Nix code has it, that leaves its folder.
var pathLiteral = regexp.MustCompile(`(?m)(?:^|[\s(=\[])((?:\.\./|/)[A-Za-z0-9._+/-]*[A-Za-z0-9_+-])`)

// References lists what the top files of a package set refer to outside of its folder:
// a library that lies beside it, for example. They may be read as it may be.
//
// It is meant for a folder that the user named: whose code is trusted to say
// what belongs to it.
func References(dir string) []string {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.nix"))
	var out []string
	seen := map[string]bool{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Size() > 1<<20 {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, m := range pathLiteral.FindAllStringSubmatch(string(text), -1) {
			path := m[1]
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			path = filepath.Clean(path)
			// Neither what is inside anyway, nor a folder that holds the whole
			// set, let alone the machine.
			if seen[path] || path == "/" || strings.HasPrefix(path+"/", dir+"/") || strings.HasPrefix(dir+"/", path+"/") || strings.Count(path, "/") < 2 {
				continue
			}
			seen[path] = true
			if _, err := os.Stat(path); err == nil {
				out = append(out, path)
			}
		}
	}
	return out
}
