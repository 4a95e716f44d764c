# Every target first sets up what it needs and is missing; see 'bin/bot doctor'.

GO ?= go
export PATH := $(CURDIR)/bin/tools:$(PATH)
SETUP := internal/doctor/setup.sh
# Rooms where goroutines share something: tested with the race detector.
RACE = ./app/... ./internal/... ./testvm/... ./checks/suite/... ./distro/nix/...
FUZZTIME ?= 30s

.PHONY: build demo test test-wide test-upstream lint bench soak fuzz setup setup-test

build: setup
	$(GO) build -trimpath -o bin/bot ./cmd/bot
	@bin/bot doctor --install >/dev/null

# The sample's pull request has regressions: telling them, with exit status 1, is what should happen.
demo: build
	@bin/bot demo; status=$$?; if [ $$status -le 1 ]; then echo "bot demo ended with status $$status: 1 is right for a pull request that regresses"; else exit $$status; fi

# gofmt, vet, staticcheck, actionlint, then all tests, each once: with the race detector where it can find anything.
test: setup-test lint
	@mkdir -p bin
	GO="$(GO)" RACE="$(RACE)" .ci/test

# AsterNixOS's suites on a Debian root: real interpreters, compilers, databases and servers, on Linux or on ASTERBOT_KERNEL=IMAGE.
test-wide: setup-test
	$(GO) test -tags wide -run '^TestWide$$' -count 1 -timeout 1h -v ./distro/asternixos

lint: setup-test
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); if [ -n "$$unformatted" ]; then echo "gofmt these: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	staticcheck ./...
	@if ls .github/workflows/*.yml >/dev/null 2>&1; then actionlint; fi

# The figures of docs/performance.md.
bench: setup
	$(GO) test -run '^$$' -bench . -benchmem -timeout 2h ./...

# Real commits of asterinas/asterinas, planned from outside with examples/asterinas. UPSTREAM is a clone of it, CORPUS a folder
# with checkouts of ekala-project/corepkgs and ekala-project/nix-lib; ASTERBOT_COREPKGS and ASTERBOT_NIX_LIB name the same for the
# module system and the overlays, which are held against nixpkgs' own library, and ASTERBOT_NIXOS is a folder with nixpkgs' nixos/,
# for AsterNixOS under NixOS's own modules; see docs/performance.md.
test-upstream: setup
	$(GO) test -tags upstream -run 'Upstream|Corepkgs' -count 1 -timeout 1h -v ./cmd/bot ./distro/tinypkgs/nix/lib ./distro/asternixos

# Long campaigns: docs/reliability.md.
soak: setup
	$(GO) test -tags soak -run '^TestSoak|^TestAReleaseFrom|^TestAFailureFromARun' -count 1 -timeout 6h -v ./...

# Every fuzz target for FUZZTIME.
fuzz: setup
	@$(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go 2>/dev/null | cut -c6-); do \
			echo "$$dir $$target"; (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x .) || exit 1; \
		done; \
	done

setup:
	@$(SETUP)

setup-test:
	@$(SETUP) --test
	@distro/tinypkgs/nix/debian-root/fetch
