package lint

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/distro"
)

func needsSet(in Input) string {
	if in.Set == nil {
		return "the entry was not evaluated"
	}
	if in.Set.Failure != nil {
		return "the entry does not evaluate: " + in.Set.Failure.Message
	}
	return ""
}

// attribute is what an overlay defines: at the beginning of a line, or after a brace.
var attribute = regexp.MustCompile(`^\s+([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)\s*=\s*(.*)$`)

// overriding says that the value is a package changed or made: what a user would miss.
var overriding = regexp.MustCompile(`overrideAttrs|mkDerivation|\.override\b|runCommand|callPackage|build\w+Package|buildGoModule`)

// defined are the packages an overlay's file overrides or makes, with their lines.
func defined(text string) map[string]int {
	out := map[string]int{}
	all := strings.Split(text, "\n")
	for i, line := range all {
		m := attribute.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		// The value may begin on the next lines: after `=`, or after the branches of an `if`.
		value := m[2]
		for j := i + 1; j < len(all) && j <= i+5 && !strings.Contains(value, ";") && !attribute.MatchString(all[j]); j++ {
			value += "\n" + all[j]
		}
		if overriding.MatchString(value) && !strings.Contains(value, "overrideScope") {
			parts := strings.Split(m[1], ".")
			out[parts[len(parts)-1]] = i + 1
		}
	}
	return out
}

var overlayPackages = Rule{
	Name:  "overlay-packages",
	Claim: "every package of an overlay is promised and has a case",
	needs: needsSet,
	check: func(in Input) []Finding {
		tested := map[string]bool{}
		for _, a := range in.Set.Attrs {
			if a.Suite != nil {
				for _, c := range a.Suite.Cases {
					tested[lastPart(c.Package)] = true
				}
			}
		}
		// A suite that this package set cannot have is known by its file.
		for name, text := range in.Files {
			if path.Dir(name) == path.Join(in.Dir, "suites") {
				for _, m := range casePackage.FindAllStringSubmatch(text, -1) {
					tested[lastPart(m[1])] = true
				}
			}
		}
		var out []Finding
		for file, text := range in.Files {
			ok, err := path.Match(path.Join(in.Dir, "overlays", "*", "default.nix"), file)
			if err != nil || !ok {
				continue
			}
			for name, line := range defined(text) {
				if _, ok := in.Set.Lookup(distro.KindPackage, name); !ok {
					out = append(out, Finding{File: file, Line: line, Message: fmt.Sprintf("the overlay changes %s, which is not among the entry's packages: add it, or nobody notices when it breaks", name)})
				}
				if !tested[name] {
					out = append(out, Finding{File: file, Line: line, Message: fmt.Sprintf("the overlay changes %s, and no case of a suite is about it: add one that names it as its package", name)})
				}
			}
		}
		return out
	},
}

var casePackage = regexp.MustCompile(`\bpackage\s*=\s*"([^"]+)"`)

func lastPart(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }

var patchesUsed = Rule{
	Name:  "patches-used",
	Claim: "every patch file is used",
	check: func(in Input) []Finding {
		var out []Finding
		for name := range in.Files {
			if ext := path.Ext(name); ext != ".patch" && ext != ".diff" {
				continue
			}
			used := false
			for other, text := range in.Files {
				// A mention in a comment does not apply it.
				if path.Ext(other) == ".nix" && strings.Contains(withoutComments(text), path.Base(name)) {
					used = true
				}
			}
			if !used {
				out = append(out, Finding{File: name, Line: 1, Message: "no Nix file applies this patch: list it in patches, or delete it"})
			}
		}
		return out
	},
}

func withoutComments(text string) string {
	var b strings.Builder
	lines(text, func(_ int, line string) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line + "\n")
		}
	})
	return b.String()
}

// disabling is a service or unit that is switched off.
var disabling = regexp.MustCompile(`^\s*((?:systemd|services)\.[\w.@"-]+?)\.enable\s*=\s*(?:lib\.mk\w+\s+|mk\w+\s+)?false\s*;`)

// listed is an entry of the list of disabled units: name = reason.
var listed = regexp.MustCompile(`^\s*"?([\w@.-]+)"?\s*=\s*"([^"]*)"\s*;`)

var reasons = Rule{
	Name:  "disabled-services",
	Claim: "every disabled service has a reason",
	check: func(in Input) []Finding {
		var out []Finding
		for name, text := range in.Files {
			if path.Ext(name) != ".nix" {
				continue
			}
			before, inList := "", false
			lines(text, func(n int, line string) {
				trimmed := strings.TrimSpace(line)
				if strings.Contains(line, "services.disabled =") {
					inList = true
				} else if inList && strings.HasPrefix(trimmed, "}") {
					inList = false
				}
				if m := listed.FindStringSubmatch(line); inList && m != nil && strings.TrimSpace(m[2]) == "" {
					out = append(out, Finding{File: name, Line: n, Message: fmt.Sprintf("%s is disabled for no reason: write down what of the kernel is missing, so that it can come back", m[1])})
				}
				if m := disabling.FindStringSubmatch(line); m != nil && !strings.HasPrefix(before, "#") && !strings.Contains(line, "#") {
					out = append(out, Finding{File: name, Line: n, Message: fmt.Sprintf("%s is disabled without a comment above that says why", m[1])})
				}
				before = trimmed
			})
		}
		return out
	},
}

// revision is a full commit hash.
var revision = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

var pinned = regexp.MustCompile(`"rev"\s*:\s*"([0-9a-f]{40})"`)

var pins = Rule{
	Name:  "pins-agree",
	Claim: "nixpkgs is pinned to the same revision everywhere",
	needs: func(in Input) string {
		if _, ok := in.Files[path.Join(in.Dir, "pin.json")]; !ok {
			return "there is no " + path.Join(in.Dir, "pin.json")
		}
		return ""
	},
	check: func(in Input) []Finding {
		file := path.Join(in.Dir, "pin.json")
		m := pinned.FindStringSubmatch(in.Files[file])
		if m == nil {
			return []Finding{{File: file, Line: 1, Message: `there is no "rev" of 40 hexadecimal digits`}}
		}
		var out []Finding
		for name, text := range in.Files {
			if name == file {
				continue
			}
			before := ""
			lines(text, func(n int, line string) {
				near := strings.ToLower(before + line)
				before = line
				if !strings.Contains(near, "nixpkgs") && !strings.Contains(near, "nixos-") {
					return
				}
				for _, rev := range revision.FindAllString(line, -1) {
					if rev != m[1] {
						out = append(out, Finding{File: name, Line: n, Message: fmt.Sprintf("nixpkgs is %.12s here and %.12s in %s", rev, m[1], file)})
					}
				}
			})
		}
		return out
	},
}

// growth is how much the image's closure may grow from release to release.
const growth = 10 // per cent

var closureSize = Rule{
	Name:  "closure-size",
	Claim: fmt.Sprintf("the image has not grown by more than %d %% since the last release", growth),
	needs: func(in Input) string {
		switch {
		case in.Size == 0:
			return "the image was not built"
		case in.LastSize == 0:
			return "the last release's size is not known"
		}
		return ""
	},
	check: func(in Input) []Finding {
		if in.Size*100 <= in.LastSize*(100+growth) {
			return nil
		}
		return []Finding{{File: path.Join(in.Dir, "default.nix"), Line: 1, Message: fmt.Sprintf(
			"the image's closure has %d MiB, %d %% more than the last release's %d MiB: see what came in with nix-store -qR, or raise the limit",
			in.Size>>20, (in.Size-in.LastSize)*100/in.LastSize, in.LastSize>>20)}}
	},
}

var module = regexp.MustCompile(`\.ko(\.(gz|xz|zst))?$`)

var noModules = Rule{
	Name:  "no-linux-modules",
	Claim: "the installed system holds no Linux kernel modules",
	needs: func(in Input) string {
		if in.Closure == nil {
			return "the installed system was not built"
		}
		return ""
	},
	check: func(in Input) []Finding {
		found := slices.DeleteFunc(slices.Clone(in.Closure), func(p string) bool { return !module.MatchString(p) })
		if len(found) == 0 {
			return nil
		}
		return []Finding{{File: path.Join(in.Dir, "modules", "core.nix"), Line: 1, Message: fmt.Sprintf(
			"the installed system holds %d Linux kernel modules, which Asterinas does not load, as %s: find who refers to it with nix why-depends", len(found), found[0])}}
	},
}

var noImportFromDerivation = Rule{
	Name:  "no-import-from-derivation",
	Claim: "the entry evaluates without building anything",
	needs: func(in Input) string {
		if in.Set == nil {
			return "the entry was not evaluated"
		}
		return ""
	},
	check: func(in Input) []Finding {
		var out []Finding
		add := func(what string, f *distro.Failure) {
			if f != nil && f.Reason == distro.FailImportFrom {
				out = append(out, Finding{File: f.File, Line: f.Line, Message: what + " imports what has to be built first: read it from a file of the repository instead"})
			}
		}
		add("the entry", in.Set.Failure)
		for _, a := range in.Set.Attrs {
			add(fmt.Sprintf("%s %s", a.Kind, a.Name), a.Failure)
		}
		return out
	},
}
