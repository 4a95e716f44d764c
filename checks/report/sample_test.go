package report_test

import (
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// ptr is the exit status of a case.
func ptr(i int) *int { return &i }

// case_ makes a judged case.
func case_(kind checks.Kind, of distro.Kind, subject, name string, was, now checks.Status, v checks.Verdict) checks.Result {
	r := checks.Result{Case: checks.Case{Kind: kind, Of: of, Subject: subject, Name: name}, Was: was, Now: now, Verdict: v, Stage: string(kind), Attempts: 1}
	if now == checks.Pass {
		r.Passes = 1
	}
	return r
}

func with(r checks.Result, change func(*checks.Result)) checks.Result {
	change(&r)
	return r
}

// finish fills what follows from the cases.
func finish(r *checks.Report) *checks.Report {
	r.Schema = checks.SchemaReport
	r.Counts = checks.Count(r.Cases)
	if r.Conclusion == "" {
		r.Conclusion = checks.Conclude(r.Cases)
	}
	return r
}

const (
	pkg, img, suite = distro.KindPackage, distro.KindImage, distro.KindSuite
	pass, fail      = checks.Pass, checks.Fail
)

// sample has something of everything.
func sample() *checks.Report {
	lua := distro.Cause{File: "overlays/lua/0002-faster-tables.patch", Line: 1, What: "patches +0002-faster-tables.patch"}
	sed := distro.Cause{File: "overlays/sed/default.nix", Line: 12, What: "version 4.8 -> 4.9"}
	ok := func(subject string) []checks.Result {
		return []checks.Result{
			case_(checks.KindEval, pkg, subject, "evaluates", pass, pass, checks.Passing),
			case_(checks.KindBuild, pkg, subject, "builds", pass, pass, checks.Passing),
		}
	}
	var cases []checks.Result
	for _, name := range []string{"lua", "hello", "sed"} {
		cases = append(cases, ok(name)...)
	}
	cases[4].Verdict, cases[5].Verdict, cases[5].Was = checks.Passing, checks.Fixed, fail
	cases = append(cases,
		with(case_(checks.KindEval, pkg, "netd", "evaluates", pass, fail, checks.Regressed), func(r *checks.Result) {
			r.Blame, r.Stage = checks.BlamePackage, "evaluate"
			r.Reason = "does not evaluate: undefined variable 'libevnt' (overlays/netd/default.nix:3)"
			r.Tail = []string{"error: undefined variable 'libevnt'", "", "       at overlays/netd/default.nix:3:16:", "", "            2| stdenv.mkDerivation {", "            3|   buildInputs = [ libevnt ];", "             |                   ^"}
			r.Causes = []distro.Cause{{File: "overlays/netd/default.nix", Line: 3, What: "changed"}}
			r.Repro = []string{"bot plan --only netd --base 1111111 --head 2222222"}
		}),
		with(case_(checks.KindBuild, pkg, "netd", "builds", pass, checks.Error, checks.Undecided), func(r *checks.Result) {
			r.Reason, r.Blame = "does not evaluate, so it cannot be built", checks.BlameUnknown
		}),
		with(case_(checks.KindEval, pkg, "greet", "evaluates", checks.Absent, pass, checks.New), func(*checks.Result) {}),
		with(case_(checks.KindBuild, pkg, "greet", "builds", checks.Absent, pass, checks.New), func(*checks.Result) {}),
		with(case_(checks.KindEval, pkg, "xfdesktop", "evaluates", checks.Skip, checks.Skip, checks.Undecided), func(r *checks.Result) {
			r.Reason = "unavailable in this package set: needs GTK"
		}),
		case_(checks.KindBuild, img, "iso", "builds", pass, pass, checks.Passing),
		case_(checks.KindInstall, img, "iso", "installs", pass, pass, checks.Passing),
		case_(checks.KindBoot, img, "iso", "boots", pass, pass, checks.Passing),
		with(case_(checks.KindBoot, suite, "languages", "boots", pass, pass, checks.Passing), func(r *checks.Result) { r.Machine = "languages" }),
		with(case_(checks.KindTest, suite, "languages", "lua starts", pass, fail, checks.Regressed), func(r *checks.Result) {
			r.Package, r.Control, r.Blame, r.Machine = "lua", fail, checks.BlamePackage, "languages"
			r.Reason, r.Title, r.Exit = "exit status 1, expected 0", "lua: bad table size", ptr(1)
			r.Tail = []string{"lua: bad table size 4096", "stack traceback:", "\t[C]: in ?"}
			r.Causes = []distro.Cause{lua}
			r.Attempts, r.Log = 3, "logs/languages/lua-starts.log"
			r.Repro = []string{"bot check --only languages --base 1111111 --head 2222222", "bot vm --profile asterinas --kernel result/kernel --initrd result/initrd --cases cases.json --only 'lua starts'"}
		}),
		with(case_(checks.KindTest, suite, "languages", "sed substitutes", fail, pass, checks.Fixed), func(r *checks.Result) {
			r.Package, r.Reason, r.Likely = "sed", "before: exit status 4: cannot rename", []string{"Unimplemented syscall number: 316 (renameat2)"}
		}),
		with(case_(checks.KindTest, suite, "languages", "hello greets", pass, pass, checks.Passing), func(r *checks.Result) {
			r.Package, r.Remembered = "hello", "2026-11-20T10:00:00Z"
		}),
		with(case_(checks.KindBoot, suite, "network", "boots", pass, pass, checks.Passing), func(r *checks.Result) { r.Machine = "network" }),
		with(case_(checks.KindTest, suite, "network", "ip-addr", fail, fail, checks.StillFailing), func(r *checks.Result) {
			r.Control, r.Blame, r.Machine, r.Stage = pass, checks.BlameKernel, "network", "test"
			r.Reason, r.Title, r.Exit = "exit status 1, expected 0", "EOF on netlink", ptr(1)
			r.Tail = []string{"EOF on netlink", "Dump terminated"}
			r.Likely = []string{"unsupported flags: MSG_PEEK | MSG_TRUNC"}
			r.Known = "https://github.com/asterinas/asterinas/issues/1"
		}),
		with(case_(checks.KindTest, suite, "network", "ping6", pass, fail, checks.Regressed), func(r *checks.Result) {
			r.Control, r.Blame, r.Machine, r.Stage = pass, checks.BlameKernel, "network-2", "test"
			r.Reason = "the kernel panicked while it ran: spawn task failed: NoMemory"
			r.Title = "spawn task failed: NoMemory"
			r.Trace = []checks.Frame{{Function: "aster_kernel::process::create_new_user_task", Address: "0xffffffff88123456"}, {Function: "aster_kernel::process::clone_child", Address: "0xffffffff88123999"}, {Function: "aster_kernel::syscall::clone::sys_clone", Address: "0xffffffff8812aaaa"}}
			r.Tail = []string{"Uncaught panic:", "\tspawn task failed: NoMemory", "\tat kernel/src/process/clone.rs:311"}
			r.Repro = []string{"bot check --only network --base 1111111 --head 2222222"}
		}),
		with(case_(checks.KindTest, suite, "network", "dns", pass, fail, checks.Flaky), func(r *checks.Result) {
			r.Attempts, r.Passes, r.WasAttempts, r.WasPasses = 3, 2, 3, 2
			r.Reason = "timed out after 10 s"
		}),
		with(case_(checks.KindTest, suite, "network", "socat relays", pass, checks.Error, checks.Undecided), func(r *checks.Result) {
			r.Blame, r.Reason = checks.BlameInfra, "QEMU was killed: out of memory on the host"
		}),
	)
	stages := func(t ...float64) []checks.StageTime {
		names := []string{"firmware", "loader", "kernel", "components", "rootfs", "init", "ready"}
		var out []checks.StageTime
		for i, s := range t {
			out = append(out, checks.StageTime{Stage: names[i], Seconds: s})
		}
		return out
	}
	return finish(&checks.Report{
		Change: distro.Change{
			Base: "1111111111111111111111111111111111111111", Head: "2222222222222222222222222222222222222222", Merged: "3333333333333333333333333333333333333333",
			Files: []string{"overlays/lua/0002-faster-tables.patch", "overlays/lua/default.nix", "overlays/netd/default.nix", "overlays/sed/default.nix"},
		},
		Cases: cases,
		Machines: []checks.Machine{
			{Name: "languages", Side: "head", Profile: "asterinas", Outcome: checks.MachineOK, Stage: "ready", Seconds: 9.4, Boots: 1, Forks: 4, Stages: stages(0.1, 0.4, 0.9, 1.3, 1.9, 2.4, 2.6), Accelerator: "tcg", Method: "fork", Exit: 33,
				Consoles: map[string]string{"hvc0": "logs/languages/hvc0"}, Command: []string{"qemu-system-x86_64", "-machine", "q35", "-append", "console=hvc0 loglevel=error"}},
			{Name: "languages", Side: "base", Profile: "asterinas", Outcome: checks.MachineOK, Stage: "ready", Seconds: 8.9, Boots: 1, Stages: stages(0.1, 0.4, 0.8, 1.2, 1.7, 2.2, 2.4), Accelerator: "tcg", Exit: 33},
			{Name: "network", Side: "head", Profile: "asterinas", Outcome: checks.MachineOK, Stage: "ready", Seconds: 12, Boots: 1, Stages: stages(0.1, 0.4, 0.9, 1.3, 1.9, 2.5, 2.7), Accelerator: "tcg", Exit: 33},
			{Name: "network-2", Side: "head", Profile: "asterinas", Outcome: checks.MachinePanic, Stage: "ready", Title: "spawn task failed: NoMemory", Reason: "panic: spawn task failed: NoMemory", Seconds: 5.2, Boots: 1, Stages: stages(0.1, 0.4, 0.9, 1.3, 1.9, 2.5, 2.7), Accelerator: "tcg", Exit: 65,
				Consoles: map[string]string{"hvc0": "logs/network-2/hvc0", "ttyS0": "logs/network-2/ttyS0"}, Screenshots: []string{"logs/network-2/screen.png"}, Notes: []string{"fork misbehaved, so it was booted cold"}},
		},
		Plan: &checks.Plan{
			Scope: []distro.Scope{distro.ScopeOverlay},
			Packages: []distro.AttrDiff{
				{Attr: "lua", Status: distro.StatusRebuilt, Root: true, Causes: []distro.Cause{lua}},
				{Attr: "sed", Status: distro.StatusRebuilt, Root: true, Causes: []distro.Cause{sed}},
				{Attr: "hello", Status: distro.StatusRebuilt, Causes: []distro.Cause{lua}, Via: []string{"lua"}},
				{Attr: "netd", Status: distro.StatusEvalFailed, Root: true, Causes: []distro.Cause{{File: "overlays/netd/default.nix", Line: 3, What: "changed"}}},
				{Attr: "greet", Status: distro.StatusAdded, Root: true, Causes: []distro.Cause{{File: "overlays/greet/default.nix", Line: 1, What: "new"}}},
			},
			Images: []distro.AttrDiff{{Attr: "iso", Status: distro.StatusRebuilt, Causes: []distro.Cause{lua}, Via: []string{"system", "lua"}}},
			Suites: []checks.SuitePlan{
				{Name: "languages", Run: true, Why: "its system changed", Status: distro.StatusRebuilt, Causes: []distro.Cause{lua}, Via: []string{"lua"}},
				{Name: "network", Run: true, Why: "its system changed", Status: distro.StatusRebuilt, Causes: []distro.Cause{{File: "overlays/netd/default.nix", Line: 3, What: "changed"}}, Via: []string{"netd"}},
			},
			Omitted: []checks.Omission{{Count: 1200, What: "packages that only consume lua", Why: "more than 200 would be rebuilt", How: "comment /rebuild all"}},
		},
		Notices:  []string{"known failure test/network/ip-addr passes on the control kernel"},
		Versions: map[string]string{"asterbot": "v1.0.0", "qemu": "7.2.9", "nix": "2.8.0"},
		Started:  time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Seconds:  83.2,
	})
}
