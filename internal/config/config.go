// Package config reads .github/asterbot.yml: what a repository says of itself.
//
// Parse decodes strictly over Default, so that a field that is left out has the
// value that fits AsterNixOS and a field that is misspelt is an *Error with
// file, line, column and snippet. The comments below are also the texts of the
// JSON Schema and of docs/configuration.md.
package config

// Path is where the configuration lies, relative to the repository's root.
const Path = ".github/asterbot.yml"

// Config is the whole of .github/asterbot.yml.
type Config struct {
	// Entry is the Nix file that lists packages, images and suites, relative to the repository's root. Of several places the first that exists counts, so that one
	// configuration fits a history that moved the file.
	Entry Places `yaml:"entry" jsonschema:"example=distro/default.nix"`
	// Reads are the files and folders, relative to the repository's root, that the evaluation of the entry may read, beside the entry itself and the package set. A change of
	// any other file cannot change what is evaluated, and is planned without evaluating. Left out, it is all of the repository.
	Reads Places `yaml:"reads,omitempty" jsonschema:"example=distro"`
	// Nixpkgs says which package set the entry is evaluated with.
	Nixpkgs Nixpkgs `yaml:"nixpkgs"`
	// Kernel is the kernel under test: its inputs, how it is built, how it is booted.
	Kernel Kernel `yaml:"kernel"`
	// Control is the kernel known to be good: a case that fails on it in the same way is not the fault of the kernel under test.
	Control Control `yaml:"control"`
	// Scopes maps parts of the distribution to the files they consist of. A file that matches kernel.inputs belongs to kernel; any other belongs to the first of docs,
	// ci, release, tests, installer, image, modules, overlay that matches it, else to other. A part that is named replaces that part's default.
	Scopes map[ScopeName]Globs `yaml:"scopes"`
	// Profiles adds machine profiles, or changes fields of the built-in ones, linux and asterinas.
	Profiles map[string]Profile `yaml:"profiles,omitempty"`
	// Suites are test suites that run through a command instead of the Nix entry.
	Suites []CommandSuite `yaml:"suites,omitempty"`
	// Smoke are the suites that run first and answer first.
	Smoke []string `yaml:"smoke,omitempty"`
	// KnownFailures are failures that have a tracker: they count as still-failing instead of regressed. An entry counts only if base has it too, so that a change cannot excuse itself, and one that has expired fails the check.
	KnownFailures []KnownFailure `yaml:"known-failures,omitempty"`
	// KnownFailuresFile is a file that holds more of them: a YAML list of the same fields.
	KnownFailuresFile string `yaml:"known-failures-file,omitempty"`
	// Retries is how often a failed case is run again on a fresh machine, at head and at base, to tell a flaky case from a broken one.
	Retries int `yaml:"retries" jsonschema:"minimum=0,maximum=20"`
	// Release are the rules that a release must keep.
	Release Release `yaml:"release"`
	// Publish says who writes check runs: app (the GitHub App), token (the workflow, with its own token; pull requests from forks get a job summary) or summary (job summary only).
	Publish Publisher `yaml:"publish" jsonschema:"enum=app,enum=token,enum=summary"`
	// Commands says who answers comments such as /rebuild: app or workflow.
	Commands Handler `yaml:"commands" jsonschema:"enum=app,enum=workflow"`
	// Permissions maps comment commands to the least permission on the repository that may give them. A command that is named replaces that command's default.
	Permissions map[string]Permission `yaml:"permissions"`
	// Budget bounds what a check may use.
	Budget Budget `yaml:"budget"`
	// Limits bound every evaluation and every build.
	Limits Limits `yaml:"limits"`
	// Trust says what may be trusted beyond a pull request's own code, which never is.
	Trust Trust `yaml:"trust"`
}

// Nixpkgs says which package set the entry is evaluated with.
type Nixpkgs struct {
	// Path is a folder that holds the package set, relative to the repository's root or absolute. Left out, the entry uses its own.
	Path string `yaml:"path,omitempty"`
	// Pin is the file in which the repository records its package set. A change of it is treated as a mass rebuild. If it is a flake.lock, niv's nix/sources.json, or JSON with owner, repo, rev and
	// sha256 (of the unpacked tree), the package set of that revision is fetched from GitHub, held against its hash, and handed to the entry. Of several places the first that exists counts.
	Pin Places `yaml:"pin,omitempty"`
}

// Kernel is the kernel under test.
type Kernel struct {
	// Inputs are the files the kernel image is made from. A change of any other file leaves the kernel alone. A pattern that starts with ! takes files out again.
	Inputs Globs `yaml:"inputs"`
	// Build is how the image is made. Left out, the kernel is the one that the entry itself names.
	Build *KernelBuild `yaml:"build,omitempty"`
	// Params are kernel parameters added to the machine profile's. They belong to the kernel under test: a regression that a parameter makes is the kernel's.
	Params []string `yaml:"params,omitempty"`
	// Profile is the machine profile: linux, asterinas or one of profiles. Left out, it is what the entry says of its own kernel, else asterinas.
	Profile string `yaml:"profile,omitempty"`
	// Protocol is how the image is booted: bzimage or multiboot. Left out, the image itself tells.
	Protocol string `yaml:"protocol,omitempty" jsonschema:"enum=bzimage,enum=multiboot"`
}

// KernelBuild is how a kernel image is made, by a command of the repository.
type KernelBuild struct {
	// Command is a shell command, run in the repository's root. It runs the change's own code outside any sandbox: in CI only in the container, without secrets; on one's
	// own machine only after an explicit flag.
	Command string `yaml:"command" jsonschema:"required"`
	// Image is where the command leaves the kernel image, relative to the repository's root.
	Image string `yaml:"image" jsonschema:"required"`
	// Symbols is where it leaves the unstripped kernel, which gives stack traces their names.
	Symbols string `yaml:"symbols,omitempty"`
	// Container is the image the command runs in, by digest.
	Container string `yaml:"container,omitempty" jsonschema:"example=docker.io/asterinas/asterinas@sha256:0000000000000000000000000000000000000000000000000000000000000000"`
	// Runner is the label of the Actions runner.
	Runner string `yaml:"runner,omitempty"`
	// Timeout bounds the command.
	Timeout Duration `yaml:"timeout,omitempty"`
	// MaxSize bounds the image, in MiB.
	MaxSize int `yaml:"max-size,omitempty" jsonschema:"minimum=1"`
}

// Control is the kernel known to be good.
type Control struct {
	// Kernel is an image, relative to the repository's root or absolute. Left out, it is the Linux kernel that the set-up unpacked.
	Kernel string `yaml:"kernel,omitempty"`
	// Initrd is its initial RAM file system.
	Initrd string `yaml:"initrd,omitempty"`
	// Modules is a folder with lib/modules/VERSION or VERSION.
	Modules string `yaml:"modules,omitempty"`
	// Params are kernel parameters added to the profile's.
	Params []string `yaml:"params,omitempty"`
	// Profile is its machine profile.
	Profile string `yaml:"profile"`
}

// Profile changes fields of a machine profile; what is left out stays as it is in Base.
type Profile struct {
	// Base is the profile to start from. Left out, it is the built-in profile of the same name, else linux.
	Base string `yaml:"base,omitempty"`
	// Machine is QEMU's machine type.
	Machine string `yaml:"machine,omitempty" jsonschema:"example=q35"`
	// CPU is QEMU's processor model.
	CPU string `yaml:"cpu,omitempty" jsonschema:"example=Icelake-Server,example=+x2apic"`
	// Processors is how many there are.
	Processors int `yaml:"processors,omitempty" jsonschema:"minimum=1,maximum=255"`
	// Memory is in MiB.
	Memory int `yaml:"memory,omitempty" jsonschema:"minimum=16"`
	// Firmware is bios or uefi, for machines that start from a disk or an ISO.
	Firmware string `yaml:"firmware,omitempty" jsonschema:"enum=bios,enum=uefi"`
	// Console is the device a shell comes up on.
	Console string `yaml:"console,omitempty" jsonschema:"enum=hvc0,enum=ttyS0"`
	// Params are kernel parameters every boot gets, in addition to Base's.
	Params []string `yaml:"params,omitempty"`
	// LogParams are kernel parameters that set the log level; {level} stands for it. They replace Base's.
	LogParams []string `yaml:"log-params,omitempty" jsonschema:"example=loglevel={level}"`
	// LogLevel is the level suites run at.
	LogLevel string `yaml:"log-level,omitempty" jsonschema:"example=warn"`
	// ExitSuccess are the exit codes of QEMU that mean an orderly power off. Left out, they are Base's; an empty list says that the guest shuts down through the machine.
	ExitSuccess *[]int `yaml:"exit-success,omitempty"`
	// ExitFailure are the exit codes of QEMU that mean that the kernel gave up.
	ExitFailure *[]int `yaml:"exit-failure,omitempty"`
	// Panic are further regular expressions (RE2) of a console line that ends a boot as a panic, after escape sequences are removed.
	Panic []string `yaml:"panic,omitempty"`
	// BootTimeout bounds a boot; it is scaled by the accelerator's factor, as the next two are.
	BootTimeout Duration `yaml:"boot-timeout,omitempty"`
	// CaseTimeout bounds a case that names no timeout.
	CaseTimeout Duration `yaml:"case-timeout,omitempty"`
	// Silence is how long a console may stay silent before the machine counts as hung.
	Silence Duration `yaml:"silence,omitempty"`
}

// CommandSuite is a test suite that runs through a command.
type CommandSuite struct {
	// Name is the suite's name.
	Name string `yaml:"name" jsonschema:"required"`
	// Command is a shell command, run in the repository's root. ASTERBOT_KERNEL is the path of the kernel image. It runs outside any sandbox, as kernel.build.command does.
	Command string `yaml:"command" jsonschema:"required"`
	// Format is how it prints its results.
	Format Format `yaml:"format" jsonschema:"required,enum=nixos-test,enum=tap,enum=junit"`
	// Output is the file that holds the results, relative to the repository's root. Left out, they are read from standard output.
	Output string `yaml:"output,omitempty"`
	// Paths are the files that select the suite. Left out, every change of the kernel does.
	Paths Globs `yaml:"paths,omitempty"`
	// Timeout bounds the command.
	Timeout Duration `yaml:"timeout,omitempty"`
	// Owner is who looks after the suite.
	Owner string `yaml:"owner,omitempty"`
}

// Format is how a suite's command prints its results.
type Format string

// The formats.
const (
	FormatNixOSTest Format = "nixos-test"
	FormatTAP       Format = "tap"
	FormatJUnit     Format = "junit"
)

// KnownFailure is a failure that has a tracker.
type KnownFailure struct {
	// Pattern says which cases: KIND/SUBJECT/NAME, where * stands for any characters.
	Pattern string `yaml:"pattern" jsonschema:"required,example=test/network/ip*"`
	// Tracker is the address where the failure is followed up.
	Tracker string `yaml:"tracker" jsonschema:"required,format=uri"`
	// Expires is the last day on which the entry counts.
	Expires Date `yaml:"expires" jsonschema:"required"`
	// Reason is for readers.
	Reason string `yaml:"reason,omitempty"`
}

// Release are the rules that a release must keep.
type Release struct {
	// Scheme is shared (the distribution carries the kernel's version) or calver (YY.MM, with the kernel's version recorded beside it).
	Scheme Scheme `yaml:"scheme" jsonschema:"enum=shared,enum=calver"`
	// VersionFile holds the distribution's version; of several places the first that exists counts.
	VersionFile Places `yaml:"version-file"`
	// KernelVersionFile holds the kernel's version, where that is another file.
	KernelVersionFile Places `yaml:"kernel-version-file,omitempty"`
	// Tag is the name of a release's tag; {version} stands for the version.
	Tag string `yaml:"tag" jsonschema:"example=v{version}"`
	// KernelCommand builds the release flavour of the kernel. Left out, it is kernel.build.command.
	KernelCommand string `yaml:"kernel-command,omitempty"`
	// Images are the images that a release publishes.
	Images []string `yaml:"images"`
	// Waivers is the file that records, case by case, which regressions a release may have and why.
	Waivers string `yaml:"waivers"`
}

// Scheme is how versions are made.
type Scheme string

// The schemes.
const (
	SchemeShared Scheme = "shared"
	SchemeCalVer Scheme = "calver"
)

// Publisher says who writes check runs.
type Publisher string

// The publishers.
const (
	PublishApp     Publisher = "app"
	PublishToken   Publisher = "token"
	PublishSummary Publisher = "summary"
)

// Handler says who answers comments.
type Handler string

// The handlers.
const (
	HandleApp      Handler = "app"
	HandleWorkflow Handler = "workflow"
)

// Budget bounds what a check may use.
type Budget struct {
	// Minutes is how many minutes of machine time a pull request may use before a maintainer is asked.
	Minutes int `yaml:"minutes" jsonschema:"minimum=1"`
	// MaxParallel is how many Actions jobs run at once.
	MaxParallel int `yaml:"max-parallel" jsonschema:"minimum=1,maximum=256"`
	// MaxRebuilds is how many packages are built without being asked. Above it overlay packages, their consumers, images and suites are, the rest on demand; the report says what was left out.
	MaxRebuilds int `yaml:"max-rebuilds" jsonschema:"minimum=1"`
}

// Limits bound every evaluation and every build.
type Limits struct {
	// EvalTime bounds the evaluation of one side.
	EvalTime Duration `yaml:"eval-time"`
	// EvalMemory bounds it too, in MiB.
	EvalMemory int `yaml:"eval-memory" jsonschema:"minimum=64"`
	// BuildTime bounds one build.
	BuildTime Duration `yaml:"build-time"`
	// BuildSilence is how long a build may print nothing.
	BuildSilence Duration `yaml:"build-silence"`
	// BuildLog bounds the log of one build, in MiB.
	BuildLog int `yaml:"build-log" jsonschema:"minimum=1"`
}

// Trust says what may be trusted beyond a pull request's own code, which never is.
type Trust struct {
	// Refs are the branches and tags, as patterns, whose code is trusted.
	Refs []string `yaml:"refs"`
	// ImportFromDerivation are the attributes, as patterns, that may build while they are evaluated. It counts on trusted refs only.
	ImportFromDerivation []string `yaml:"import-from-derivation,omitempty"`
	// Substituters are the binary caches that builds may read. Nothing that a Nix file says of caches is honoured.
	Substituters []string `yaml:"substituters,omitempty"`
	// PublicKeys are the keys that their paths must be signed with.
	PublicKeys []string `yaml:"public-keys,omitempty"`
}
