package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
)

// vmCommand is the command that runs a failed case again without Nix: the system
// is in the store already, and the case is written beside the report.
func (w *workspace) vmCommand(out string, r *checks.Result, system string) string {
	words := []string{"bot", "vm", "--profile", w.systemProfile(system), "--kernel", filepath.Join(system, "kernel")}
	if p := filepath.Join(system, "initrd"); exists(p) {
		words = append(words, "--initrd", p)
	}
	if p := filepath.Join(system, "disk.img"); exists(p) {
		words = append(words, "--disk", p)
	}
	if params, err := os.ReadFile(filepath.Join(system, "kernel-params")); err == nil && len(params) > 0 {
		words = append(words, "--append", strings.TrimSpace(string(params)))
	}
	if r.Kind == checks.KindTest {
		if file := w.caseFile(out, r); file != "" {
			words = append(words, "--cases", file)
		}
	}
	words = append(words, "--out", "repro")
	return suite.Quote(words)
}

// caseFile writes a case for bot vm and returns the file's path.
func (w *workspace) caseFile(out string, r *checks.Result) string {
	spec, ok := w.specs[r.Case]
	if !ok {
		return ""
	}
	text, err := json.MarshalIndent([]distro.CaseSpec{spec}, "", "  ")
	if err != nil {
		return ""
	}
	path := filepath.Join(out, "repro", fileName(r.Subject+"-"+r.Name)+".json")
	if os.MkdirAll(filepath.Dir(path), 0o755) != nil || os.WriteFile(path, append(text, '\n'), 0o644) != nil {
		return ""
	}
	return path
}

// systemProfile is the profile a system is booted in.
func (w *workspace) systemProfile(system string) string {
	if p, err := os.ReadFile(filepath.Join(system, "profile")); err == nil {
		if name := strings.TrimSpace(string(p)); name != "" {
			return name
		}
	}
	if name := w.profileName(); name != "" {
		return name
	}
	return "linux"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// fileName keeps of a name what is safe in a file's.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, s)
	return strings.TrimLeft(s[:min(len(s), 100)], ".")
}
