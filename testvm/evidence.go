package testvm

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// asked bounds a question to a machine that may be past answering.
const asked = 3 * time.Second

// gatherEvidence asks a machine that is about to be killed what it is doing:
// its status, its registers twice, its screen.
func (g *Guest) gatherEvidence() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*asked)
	defer cancel()
	var list []Evidence
	add := func(name, text string, err error) {
		if err != nil {
			text = "not to be had: " + err.Error()
		}
		list = append(list, Evidence{name, text})
	}
	var status json.RawMessage
	err := g.QMP.Do(ctx, "query-status", nil, &status)
	add("query-status", string(status), err)
	for _, name := range []string{"registers", "registers, 0.2 s later"} {
		text, err := g.QMP.Monitor(ctx, "info registers -a")
		add(name, g.symbolise(text), err)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-g.exited:
		}
	}
	png, err := g.Screenshot(ctx)
	if err != nil {
		add("screenshot", "", err)
	}
	g.mu.Lock()
	g.evidence, g.shot = append(g.evidence, list...), png
	g.mu.Unlock()
}

var instructionPointer = regexp.MustCompile(`\bRIP=([0-9a-f]{16})\b`)

// symbolise adds the function to each instruction pointer.
func (g *Guest) symbolise(registers string) string {
	if g.Machine.Symbols == nil {
		return registers
	}
	return instructionPointer.ReplaceAllStringFunc(registers, func(s string) string {
		addr, err := strconv.ParseUint(s[len("RIP="):], 16, 64)
		if err != nil {
			return s
		}
		if name := g.Machine.Symbols.Name(addr); name != "" {
			return s + " (" + name + ")"
		}
		return s
	})
}

// isIdle reports whether every processor waits for an interrupt that it would
// take: halted with interrupts enabled. A kernel that gave up spins, or halts
// with interrupts disabled.
func (g *Guest) isIdle() bool {
	ctx, cancel := context.WithTimeout(context.Background(), asked)
	defer cancel()
	text, err := g.QMP.Monitor(ctx, "info registers -a")
	return err == nil && idle(text)
}

var flagsAndHalt = regexp.MustCompile(`[ER]FL=([0-9a-f]{8,16}).*?HLT=([01])`)

func idle(registers string) bool {
	cpus := flagsAndHalt.FindAllStringSubmatch(strings.ReplaceAll(registers, "\n", " "), -1)
	for _, c := range cpus {
		flags, err := strconv.ParseUint(c[1], 16, 64)
		const interruptsEnabled = 1 << 9
		if err != nil || c[2] != "1" || flags&interruptsEnabled == 0 {
			return false
		}
	}
	return len(cpus) > 0
}

// knownKernel reports what is wrong with a kernel image that QEMU would
// misread: it takes anything for an old bzImage.
func knownKernel(path string) error {
	head, err := readHead(path, 64<<10)
	if err != nil {
		return err
	}
	switch {
	case len(head) > 0x206 && string(head[0x202:0x206]) == "HdrS":
		return nil
	case strings.Contains(string(head[:min(len(head), 8<<10)]), "\x02\xb0\xad\x1b"):
		return nil // multiboot's magic number, in the first 8 KiB
	case strings.HasPrefix(string(head), "\x7fELF") && strings.Contains(string(head), "Xen\x00"):
		return nil // an ELF with a PVH note
	}
	return fmt.Errorf("%s is neither a bzImage nor a multiboot or PVH image", path)
}
