package config

import (
	"maps"
	"time"
)

// Default returns the configuration of a repository that says nothing. It fits
// AsterNixOS.
func Default() *Config {
	return &Config{
		Entry: Places{"distro/asternixos/default.nix", ".github/asterbot.nix", "asterbot.nix"},
		Kernel: Kernel{
			Inputs: Globs{
				"kernel/**", "ostd/**", "osdk/**", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "Components.toml", "OSDK.toml", "Makefile",
				".cargo/**", "!**/*.md",
			},
		},
		Control: Control{Profile: "linux"},
		Scopes: map[ScopeName]Globs{
			"docs":      {"**/*.md", "docs/**", "book/**", "LICENSE*"},
			"ci":        {".github/**"},
			"release":   {"VERSION", "DOCKER_IMAGE_VERSION", "CHANGELOG*"},
			"tests":     {"distro/**/suites/**", "distro/**/tests/**", "test/**"},
			"installer": {"distro/**/installer/**", "distro/*installer*/**"},
			"image":     {"distro/**/iso/**", "distro/**/iso.nix", "distro/iso_image/**"},
			"modules":   {"distro/**/modules/**", "distro/**/configuration.nix"},
			"overlay":   {"distro/**/overlays/**", "overlays/**", "pkgs/**"},
		},
		Retries: 2,
		Release: Release{
			Scheme:      SchemeShared,
			VersionFile: Places{"VERSION"},
			Tag:         "v{version}",
			Images:      []string{"iso"},
			Waivers:     ".github/asterbot-waivers.yml",
		},
		Publish:  PublishToken,
		Commands: HandleWorkflow,
		Permissions: map[string]Permission{
			"rebuild": PermissionTriage,
			"cancel":  PermissionTriage,
			"explain": PermissionRead,
			"waive":   PermissionMaintain,
			"help":    PermissionRead,
		},
		Budget: Budget{Minutes: 240, MaxParallel: 8, MaxRebuilds: 200},
		Limits: Limits{
			EvalTime:     Duration(15 * time.Minute),
			EvalMemory:   8192,
			BuildTime:    Duration(2 * time.Hour),
			BuildSilence: Duration(20 * time.Minute),
			BuildLog:     64,
		},
		Trust: Trust{Refs: []string{"main", "v*"}},
	}
}

// The defaults of fields of list entries.
const (
	defaultKernelTimeout = Duration(time.Hour)
	defaultKernelSize    = 256 // MiB
	defaultSuiteTimeout  = Duration(30 * time.Minute)
)

// complete fills what decoding over Default cannot: fields of list entries, and
// keys of maps, which the decoder replaces as a whole.
func (c *Config) complete() {
	d := Default()
	c.Scopes = merge(d.Scopes, c.Scopes)
	c.Permissions = merge(d.Permissions, c.Permissions)
	if b := c.Kernel.Build; b != nil {
		if b.Timeout == 0 {
			b.Timeout = defaultKernelTimeout
		}
		if b.MaxSize == 0 {
			b.MaxSize = defaultKernelSize
		}
		if b.Runner == "" {
			b.Runner = "ubuntu-latest"
		}
	}
	for i := range c.Suites {
		if c.Suites[i].Timeout == 0 {
			c.Suites[i].Timeout = defaultSuiteTimeout
		}
	}
}

func merge[K comparable, V any](defaults, given map[K]V) map[K]V {
	maps.Copy(defaults, given)
	return defaults
}
