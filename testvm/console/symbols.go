package console

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// Symbols are the functions of a kernel by address.
type Symbols struct {
	funcs []function // sorted by start
}

type function struct {
	start, size uint64
	name        string // mangled
}

// maxSymbols bounds what a hostile file can make us hold; an unstripped
// Asterinas has 60,000, a distribution's Linux 200,000.
const maxSymbols = 4 << 20

// ReadSymbols reads the symbol table of an unstripped ELF file, or a listing
// like nm's and System.map.
func ReadSymbols(r io.ReaderAt) (*Symbols, error) {
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := r.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read symbols: %w", err)
	}
	var s *Symbols
	var err error
	if string(magic) == elf.ELFMAG {
		s, err = readELF(r)
	} else {
		s, err = readListing(io.NewSectionReader(r, 0, 1<<30))
	}
	if err != nil {
		return nil, fmt.Errorf("read symbols: %w", err)
	}
	if len(s.funcs) == 0 {
		return nil, errors.New("read symbols: the file has none; give the kernel before it is stripped")
	}
	slices.SortStableFunc(s.funcs, func(a, b function) int { return cmp.Compare(a.start, b.start) })
	return s, nil
}

func readELF(r io.ReaderAt) (*Symbols, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	all, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, err
	}
	s := &Symbols{}
	for _, sym := range all {
		kind := elf.ST_TYPE(sym.Info)
		// Assembly often leaves its labels without a type.
		code := kind == elf.STT_FUNC || kind == elf.STT_NOTYPE && inCode(f, sym.Section)
		if !code || sym.Name == "" || sym.Value == 0 {
			continue
		}
		if len(s.funcs) >= maxSymbols {
			return nil, fmt.Errorf("more than %d symbols", maxSymbols)
		}
		s.funcs = append(s.funcs, function{sym.Value, sym.Size, sym.Name})
	}
	return s, nil
}

func inCode(f *elf.File, section elf.SectionIndex) bool {
	i := int(section)
	return i > 0 && i < len(f.Sections) && f.Sections[i].Flags&elf.SHF_EXECINSTR != 0
}

// readListing reads lines of "address type name".
func readListing(r io.Reader) (*Symbols, error) {
	s := &Symbols{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		addr, rest, ok := bytes.Cut(bytes.TrimSpace(lines.Bytes()), []byte(" "))
		if !ok {
			continue
		}
		kind, name, ok := strings.Cut(string(bytes.TrimSpace(rest)), " ")
		start, err := strconv.ParseUint(strings.TrimPrefix(string(addr), "0x"), 16, 64)
		if err != nil || !ok || len(kind) != 1 {
			return nil, errors.New("neither an ELF file nor a listing of symbols")
		}
		if !strings.Contains("tTwW", kind) {
			continue
		}
		if len(s.funcs) >= maxSymbols {
			return nil, fmt.Errorf("more than %d symbols", maxSymbols)
		}
		s.funcs = append(s.funcs, function{start: start, name: name})
	}
	return s, lines.Err()
}

// Name returns the demangled name of the function that holds the address, or
// the empty string.
func (s *Symbols) Name(addr uint64) string {
	if s == nil {
		return ""
	}
	i, exact := slices.BinarySearchFunc(s.funcs, addr, func(f function, a uint64) int { return cmp.Compare(f.start, a) })
	if !exact {
		i--
	}
	if i < 0 {
		return ""
	}
	// Of several names for one address the one that has a size is the function.
	best := s.funcs[i]
	for j := i; j >= 0 && s.funcs[j].start == best.start; j-- {
		if s.funcs[j].size > best.size {
			best = s.funcs[j]
		}
	}
	for j := i; exact && j < len(s.funcs) && s.funcs[j].start == best.start; j++ {
		if s.funcs[j].size > best.size {
			best = s.funcs[j]
		}
	}
	if best.size > 0 && addr >= best.start+best.size {
		return ""
	}
	if best.size == 0 && addr-best.start > 1<<20 {
		return ""
	}
	return demangle.Filter(best.name, demangle.NoClones)
}

// machinery are the beginnings of functions that a stack trace passes through
// on its way from the mistake to the console. They are left out of a
// symbolised trace.
var machinery = []string{
	// Rust's panics and unwinding, and its standard library.
	"core::", "alloc::", "std::", "unwinding::", "compiler_builtins::", "__rustc::", "rust_begin_unwind", "rust_panic", "gimli::",
	"spin::", "hashbrown::", "smallvec::", "arrayvec::", "intrusive_collections::", // containers, not the kernel's own
	"_Unwind_", "__rust_",
	// Asterinas' panic handlers and the entry of its tasks.
	"ostd::panic::", "__ostd_panic_handler", "aster_kernel::thread::oops::", "kernel_task_entry", "ostd::arch::x86::trap::trap_handler",
	// Linux's.
	"dump_stack", "__dump_stack", "show_stack", "panic", "vpanic", "nmi_panic", "oops_", "die", "__die", "die_addr", "page_fault_oops",
	"bad_area", "__bad_area", "do_kern_addr_fault", "do_user_addr_fault", "exc_", "asm_exc_", "handle_bug", "report_bug", "do_trap",
	"do_error_trap", "do_page_fault", "page_fault", "__warn", "warn_slowpath", "print_address_description", "print_report", "kasan_report",
	"__asan_", "check_panic_on_warn", "asm_", "notify_die", "no_context", "el1_", "el1h_", "do_mem_abort", "do_translation_fault", "die_kernel_fault",
	"entry_SYSCALL_64", "do_syscall_64", "ret_from_fork", "x64_sys_call",
}

// exact are those of machinery that only count as a whole name.
var exactMachinery = map[string]bool{"panic": true, "vpanic": true, "die": true, "__die": true, "page_fault": true}

// Machinery reports whether a function is only the way from a mistake to its
// report, or the standard library.
func Machinery(function string) bool {
	name := owner(function)
	for _, m := range machinery {
		if exactMachinery[m] && name != m {
			continue
		}
		if strings.HasPrefix(name, m) {
			return true
		}
	}
	return false
}

// owner strips what a Rust path may begin with before the crate it belongs to:
// "<alloc::boxed::Box<..> as core::..>::call_once" is alloc's.
func owner(name string) string {
	for strings.HasPrefix(name, "<") || strings.HasPrefix(name, "&") || strings.HasPrefix(name, "mut ") || strings.HasPrefix(name, "dyn ") {
		name = strings.TrimPrefix(name, "<")
		name = strings.TrimPrefix(name, "&")
		name = strings.TrimPrefix(name, "mut ")
		name = strings.TrimPrefix(name, "dyn ")
	}
	return name
}

// short is a function's name as people say it: the last part of its path, with
// the type before it if it is a method, without generic arguments and
// closures.
func short(name string) string {
	name = withoutGenerics(name)
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == ':' })
	for len(parts) > 1 && strings.HasPrefix(parts[len(parts)-1], "{") {
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 0 {
		return name
	}
	last := parts[len(parts)-1]
	if len(parts) > 1 && parts[len(parts)-2] != "" {
		if t := parts[len(parts)-2]; t[0] >= 'A' && t[0] <= 'Z' {
			return t + "::" + last
		}
	}
	return last
}

// withoutGenerics removes <...>, except that of "<path::Type>::method" and
// "<path::Type as Trait>::method" the type stays.
func withoutGenerics(name string) string {
	if rest, ok := strings.CutPrefix(name, "<"); ok {
		depth, end := 1, -1
		for i, r := range rest {
			if r == '<' {
				depth++
			} else if r == '>' && (i == 0 || rest[i-1] != '-') {
				if depth--; depth == 0 {
					end = i
					break
				}
			}
		}
		if end >= 0 {
			self, _, _ := strings.Cut(rest[:end], " as ")
			return withoutGenerics(owner(self)) + withoutGenerics(rest[end+1:])
		}
	}
	var b strings.Builder
	depth := 0
	for i, r := range name {
		switch {
		case r == '<':
			depth++
		case r == '>' && depth > 0 && name[i-1] != '-':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return strings.TrimSuffix(b.String(), "::")
}
