package main

import "runtime/debug"

// version is set by the linker for a release: -ldflags "-X main.version=1.2.3".
var version = built()

// built names what was built from a checkout.
func built() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
