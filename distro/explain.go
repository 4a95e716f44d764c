package distro

import "regexp"

// Explanation says in two sentences, to a reader who knows little Nix, what an
// error of Nix means.
type Explanation struct {
	// Name tells explanations apart: "hash-mismatch".
	Name string
	// What is the sentence on what happened, Do the one on what to do.
	What, Do string
}

// Explain recognises the common errors of evaluating, patching, fetching and
// building in Nix's own words, of any version from 2.8 on, or in the last lines
// of a build's log. It reports false for what it does not know. The
// sentences quote names from the message: hostile text stays hostile.
func Explain(message string) (Explanation, bool) {
	message = warnings.ReplaceAllString(message, "")
	for _, e := range explanations {
		if m := e.pattern.FindStringSubmatchIndex(message); m != nil {
			return Explanation{
				Name: e.name,
				What: string(e.pattern.ExpandString(nil, e.what, message, m)),
				Do:   string(e.pattern.ExpandString(nil, e.do, message, m)),
			}, true
		}
	}
	return Explanation{}, false
}

// warnings are lines that Nix prints besides: a cache that cannot be reached, for
// example, is not why a build failed.
var warnings = re(`(?m)^(?:warning|trace): .*$`)

// explanations are tried in order: what says more comes first, since a
// build that failed for a reason ends with lines that only say that it failed.
var explanations = []struct {
	name     string
	pattern  *regexp.Regexp
	what, do string
}{
	// Patches.
	{"patch-reversed", re(`Reversed \(or previously applied\) patch detected`),
		"A patch is already contained in the source it is applied to, most often because the package was updated to a version that has it.",
		"Remove the patch from the list of patches of the overlay."},
	{"patch-missing-file", re(`can't find file to patch at input line`),
		"A patch changes a file that the source does not have, or its paths start at another folder than patch expects (-p1).",
		"Make the patch with `git diff` in the unpacked source of exactly this version, and check that its paths start with a/ and b/."},
	{"patch-rejected", re(`Hunk #\d+ FAILED at|hunks? (?:FAILED|failed) -- saving rejects|error: patch failed:`),
		"A patch does not fit the source it is applied to: the lines it wants to change are not there.",
		"Unpack the source of exactly this version, apply the patch by hand, and renew it with `git diff`; if upstream has the change, drop the patch."},

	// Fetching.
	{"hash-mismatch", re(`hash mismatch in fixed-output derivation '(?:/nix/store/)?(?:[0-9a-z]{32}-)?([^']*?)(?:\.drv)?'(?s:.{0,1000}?got:\s+(\S+))?`),
		"What was downloaded for $1 has another hash than the one written in the Nix file; it is `$2`.",
		"If you changed the version or the address, write that hash into the Nix file; if you did not, the file on the server has changed, so look at it before you trust it."},
	{"no-network", re(`(?i)could not resolve host|temporary failure in name resolution|couldn't resolve host`),
		"A build tried to reach the network, which the sandbox does not allow so that a result depends on nothing but its inputs.",
		"Fetch the file with fetchurl or fetchgit and give it to the build as an input; in tests, switch off what needs the network."},
	{"download-failed", re(`unable to download '([^']*)'|error: cannot download (\S+) from any mirror`),
		"Something that the package needs could not be downloaded: $1$2.",
		"Try the address by hand: if it is gone, give another one; if it works, this was the network, and a second run helps."},

	// Names and arguments.
	{"search-path", re(`file '([^']+)' was not found in the Nix search path`),
		"<$1> stands for a folder on the search path of whoever runs Nix, and there is none here, so that everyone has the same result.",
		"Use the package set that the entry is given as an argument (`pkgs`, `nixpkgs`) instead of <$1>."},
	{"missing-lambda-argument", re(`called without required argument '([^']+)'`),
		"A Nix function needs the argument `$1`, and whoever called it did not give it.",
		"If this is a package, check that the package set has an attribute called `$1`; otherwise pass it, or give it a default in the function's head: `{ $1 ? null, ... }`."},
	{"unexpected-argument", re(`called with unexpected argument '([^']+)'`),
		"A Nix function was given the argument `$1`, which it does not take; often an override names something that this version of the package no longer has.",
		"Remove `$1` from the call or the override, or add it to the function's head."},
	{"undefined-variable", re(`undefined variable '([^']+)'`),
		"The Nix file uses the name `$1`, which nothing defines at that place.",
		"Check the spelling; if it is a package, add `$1` to the arguments in the first lines of the file, or write `pkgs.$1`."},
	{"not-an-override", re(`attribute '(overrideAttrs|override)' missing`),
		"Something that is not a package made by `callPackage` and `mkDerivation` was to be changed with `$1`, which only those have.",
		"Look at what the overlay takes from `prev`: perhaps the package moved, or is a set of packages now."},
	{"missing-attribute", re(`attribute '([^']+)' missing`),
		"The Nix file asks a set for `$1`, which it does not have; in an overlay, the package was most likely renamed, moved or removed.",
		"Look for the name in the pinned package set and use the new one; in an overlay, take the old package from `prev`, not from `final`."},

	// Evaluation.
	{"abort", re(`evaluation aborted with the following error message: '([^\n]*)'`),
		"The Nix code gave up on purpose, with these words: $1.",
		"Read them as what they are, the author's explanation; search for them in the repository to find the condition."},
	{"infinite-recursion", re(`infinite recursion encountered`),
		"A value needs itself to be computed, in overlays mostly because a package is defined through `final.NAME` where `prev.NAME` is meant.",
		"In the overlay of the line shown, take the package that is being changed from `prev` and only others from `final`; in a module, do not decide `imports` by `config`."},
	{"stack-overflow", re(`stack overflow|max-call-depth exceeded`),
		"The evaluation called functions without end; most often a function, or an overlay, calls itself.",
		"Look at the repeating part of the trace: the function in it needs an end, or `prev` where it says `final`."},
	{"needs-ifd", re(`allow-import-from-derivation`),
		"The Nix code reads a file that must first be built (import from derivation), which is switched off: it would run builds while evaluating.",
		"Put the file into the repository instead of reading it out of a build, or have a maintainer list the attribute under trust.import-from-derivation."},
	{"restricted", re(`access to (?:absolute path|path|canonical path|URI|URL) '([^']+)' is forbidden|'([^']+)' is forbidden in (?:restricted|pure)`),
		"The Nix code reads $1$2, which lies outside the repository and the package set; for code that nobody has reviewed yet that is not allowed.",
		"Copy what is needed into the repository, or fetch it with a hash."},
	{"missing-file", re(`(?:getting status of|opening file|reading file|path) '([^']+)'(?:: No such file or directory| does not exist)`),
		"The Nix file refers to $1, which does not exist at this commit.",
		"Check the spelling, and that the file was added with `git add`: what git does not know is not there."},
	{"syntax", re(`syntax error, unexpected ([^\n]+?)(?:, expecting [^\n]*)?(?:\n| at |$)`),
		"The Nix file cannot be read: there is $1 where something else must come.",
		"Look at the line shown and the one before it: most often a semicolon, a bracket or a quote is missing there."},
	{"cannot-coerce", re(`cannot coerce (an? [a-z]+|null|the [^\n]{1,60}?) to a string`),
		"The Nix code puts $1 where only text can be, for example inside \"$${...}\".",
		"Convert it first, with `toString` for numbers and lists, or take the attribute that you mean, such as `.outPath` or `.version`."},
	{"not-a-function", re(`attempt to call something which is not a function(?: but (an? [a-z]+|null))?`),
		"The Nix code calls something that is no function; in a list, `f x` must stand in brackets, `[ (f x) ]`, or it is two entries.",
		"Look at the line shown for missing brackets or a missing semicolon, and check that the imported file begins with its arguments, `{ ... }:`."},
	{"wrong-type", re(`value is (an? [a-z]+|null) while (an? [a-z]+) was expected|expected (an? [a-z]+) but found (an? [a-z]+|null)`),
		"A value has the wrong type: found $1$4, expected $2$3.",
		"Look at the line shown: often a list lacks its brackets, or a path stands in quotes."},

	// Assertions and policies of the package set.
	{"unfree", re(`has an unfree license`),
		"The package has an unfree licence, and the package set refuses those unless they are allowed by name.",
		"Allow this one with `config.allowUnfreePredicate`, or leave it out."},
	{"broken", re(`is marked as broken`),
		"The package set marks the package as broken, so it refuses to evaluate it.",
		"Look in the package's Nix file for the condition after `meta.broken`; fix it in an overlay or leave the package out."},
	{"insecure", re(`is marked as insecure`),
		"The package set refuses the package because of known vulnerabilities.",
		"Update to a version without them; `config.permittedInsecurePackages` allows it, if there is none."},
	{"unsupported-system", re(`is not (?:available|supported) on the requested hostPlatform|is not available on`),
		"The package says that it does not support this platform (`meta.platforms`).",
		"Leave it out for this platform, or widen `meta.platforms` in an overlay once it works."},
	{"option-unknown", re("The option [`'‘]([^`'’]+)['’] does not exist"),
		"A module sets the option `$1`, which no module declares; it was renamed, or the module that declares it is not imported.",
		"Look the option up in the pinned NixOS version and use its new name, or import the module."},
	{"option-conflict", re("The option [`'‘]([^`'’]+)['’] (?:has conflicting definition|is defined multiple times)"),
		"Two modules give the option `$1` different values, and neither has priority.",
		"Decide in one of them: `lib.mkDefault` yields to others, `lib.mkForce` wins."},
	{"option-unset", re("The option [`'‘]([^`'’]+)['’] (?:is used but not defined|was accessed but has no value defined)"),
		"The option `$1` has no default and nothing sets it.",
		"Set it in the configuration, or give its declaration a default."},
	{"assertion", re(`(?:assertion '[^\n]*' failed|Failed assertions:\s*\n?(?:- )?[^\n]*|assertion [^\n]* failed at)`),
		"An assertion in the Nix code does not hold: somebody wrote down a condition that this combination of values breaks.",
		"Read the condition at the line shown; change the values it speaks of, or the condition if it is outdated."},

	// Builds.
	{"disk-full", re(`No space left on device`),
		"The disk filled up during the build, so this says nothing about the package.",
		"Free space (`nix-collect-garbage`) or use a larger runner, and run it again."},
	{"substitute-missing", re(`substitute(?:InPlace|Stream)?\(\)(?: in derivation [^:\n]*)?: (?:ERROR|WARNING): (?:file '([^']+)' does not exist|pattern (\S+) doesn't match anything)`),
		"A substitution in the package's phases names a file or a text that the source no longer has: $1$2.",
		"Compare with the source of this version and change or drop the `substituteInPlace` line."},
	{"missing-header", re(`fatal error: ([^\s:]+\.h(?:pp)?): No such file or directory`),
		"The compiler does not find the header $1: the package that provides it is not among the inputs.",
		"Add that package to `buildInputs`; Nix builds see nothing that is not listed there."},
	{"missing-pkg-config", re(`Package '?([^\s']+)'? was not found in the pkg-config search path`),
		"The build asks pkg-config for $1, and no package among the inputs provides it.",
		"Add the package that has $1.pc to `buildInputs`, and `pkg-config` itself to `nativeBuildInputs`."},
	{"missing-library", re(`cannot find -l([^\s:]+)|([^\s']+\.so[.\d]*): cannot open shared object file`),
		"A library is missing while linking or running: $1$2.",
		"Add the package that has it to `buildInputs`."},
	{"missing-command", re(`(?:line \d+: |/bin/(?:ba)?sh: (?:\d+: )?|sh: (?:\d+: )?)([^\s:]+): (?:command )?not found`),
		"The build calls the program $1, which is not among its inputs.",
		"Add the package that has it to `nativeBuildInputs`; Nix builds see nothing of the machine they run on."},
	{"undefined-reference", re("undefined reference to [`'‘]([^`'’]+)['’]"),
		"The linker does not find `$1`: a library is missing from the link line, or it is an older version than the code expects.",
		"Add the library to `buildInputs` and to the link flags, or update it in the overlay."},
	{"lock-file", re(`lock file [^\n]* needs to be updated but --(?:locked|frozen)|Cargo\.lock is (?:not the same|out of date)|cargoHash|vendorHash is out of date`),
		"The lock file of the source does not agree with the vendored dependencies that the Nix file names.",
		"After a version change set `cargoHash` (or `vendorHash`) to the new value that a first build prints."},
	{"no-output", re(`failed to produce output path(?: for output '[^']*')?(?: at)? '([^']+)'`),
		"The build ended without an error but left nothing at its output path ($1).",
		"Let the install phase create `$$out`: a file, or a folder with `mkdir -p $$out`."},
	{"forbidden-reference", re(`is not allowed to refer to (?:the following paths|path '([^']+)')`),
		"The result refers to a store path that the package forbids itself to depend on, often a compiler or a source tree.",
		"Remove the reference, for example with `removeReferencesTo`, or lift the restriction if it is meant to be there."},
	{"collision", re("(?:collision between|conflicting subpath:\\s+)\\s*[`'‘]?([^`'’\\n]+?)['’]?(?: and |\\s+)[`'‘]?([^`'’\\s]+)['’]?"),
		"Two packages want to put a file at the same place of one environment: $1 and $2.",
		"Leave one of them out, or give one of them precedence with `lib.hiPrio`."},
	{"build-silence", re(`timed out after (\d+) seconds of silence`),
		"The build was stopped because it printed nothing for $1 seconds.",
		"Look at the last line of the log for what it waits for; raise limits.build-silence if it was only slow."},
	{"build-timeout", re(`timed out after (\d+) seconds`),
		"The build was stopped after $1 seconds; it may be slow, or wait for something that never comes.",
		"Look at the last line of the log to tell which; raise limits.build-time if it was only slow."},
	{"dependency-failed", re(`(\d+) dependenc(?:y|ies) of derivation '(?:/nix/store/[0-9a-z]{32}-)?([^']*?)(?:\.drv)?' failed to build|Cannot build '(?:/nix/store/[0-9a-z]{32}-)?([^']*?)(?:\.drv)?'\.\s+Reason: (\d+) dependenc(?:y|ies) failed`),
		"$2$3 itself was never built: something that it depends on failed before.",
		"Look at the failure of that dependency, which has a report of its own, and mend it first."},
	{"builder-failed", re(`builder for '(?:/nix/store/)?(?:[0-9a-z]{32}-)?([^']*?)(?:\.drv)?' failed|Cannot build '(?:/nix/store/[0-9a-z]{32}-)?([^']*?)(?:\.drv)?'`),
		"A command in the build of $1$2 failed; Nix only repeats that it did.",
		"Read the last lines of the log above it for the command's own words, and reproduce it with `bot shell`, where each phase can be run by itself."},
}

// re compiles a pattern of the table.
func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// Explanations lists the names of all explanations, in the order in which they
// are tried.
func Explanations() []string {
	var names []string
	for _, e := range explanations {
		names = append(names, e.name)
	}
	return names
}
