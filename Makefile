# hlplay: `make help` lists what there is to make.

GO       ?= go
FUZZTIME ?= 10s
STATICCHECK_VERSION = v0.8.2

.PHONY: help build demo test setup nodes e2e e2e-hold e2e-machines faults check lab-coverage fuzz bench bench-peers docs dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/hlplay, one static binary
	@echo "building bin/hlplay; with empty caches this downloads and compiles for some minutes, and names each package"
	CGO_ENABLED=0 $(GO) build -v -o bin/hlplay ./cmd/hlplay

demo: build ## build, and show the guides' cluster coming up on simulated nodes: check, run, run again
	./bin/hlplay rehearse playbooks/cluster.hcl -i inventory

# go test prints the results in the order of the packages: those that take long come last.
PACKAGES = ./engine/... ./modules/... ./cmd/...

# The timeout is for tests that hang. A busy machine may be twenty times slower than an idle one.
test: setup ## install what the tests need, and pass every test, with the race detector
	@echo "compiling, then testing; each package is named when it is compiled and when it has passed"
	$(GO) build -race -v ./...
	$(GO) test -race -timeout 2h $(PACKAGES)

setup:
	@.ci/setup

nodes:
	@.ci/nodes chromium fonts-dejavu-core

e2e: build nodes ## as root on Debian: run the built program against real Debian nodes (systemd-nspawn)
	CGO_ENABLED=0 $(GO) test -tags e2e -count=1 -p 1 -timeout 6h -v $(E2EFLAGS) ./engine/lab/nspawn ./cmd/hlplay/e2e

e2e-hold: ## as root on Debian: e2e with a program that also holds what steps expect against the nodes (cmd/hlplay/hold.go)
	@.ci/nodes
	CGO_ENABLED=0 $(GO) build -tags hold -o bin/hlplay-hold ./cmd/hlplay
	$(GO) test -tags e2e -count=1 -timeout 6h -v ./cmd/hlplay/e2e -hlplay $(CURDIR)/bin/hlplay-hold

e2e-machines: build ## as root on Debian: run the built program on emulated machines with a kernel of their own (QEMU; slow)
	@.ci/nodes qemu-system-x86 e2fsprogs fdisk ovmf
	$(GO) test -tags machines -count=1 -p 1 -timeout 6h -v ./engine/lab/qemu ./cmd/hlplay/e2e

FAULTS ?= 1000
SEED ?= 1
faults: build ## as root on Debian: inject FAULTS faults from SEED on into runs on real nodes, and print what became of them
	@.ci/nodes
	$(GO) test -tags e2e -count=1 -timeout 48h -v -run TestFaults ./cmd/hlplay/e2e -faults $(FAULTS) -seed $(SEED)

check: ## gofmt, vet, staticcheck, go.mod tidy, shellcheck, and whether it compiles for macOS
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=0 $(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...
	$(GO) mod tidy -diff
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/hlplay
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) vet ./engine/remote
	@.ci/shellcheck

lab-coverage: ## list the functions of the simulated nodes that no test of hlplay reaches
	@.ci/lab-coverage

fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file target; do \
	  target=$${target#func } pkg=$$(dirname "$$file"); \
	  echo "== $$target in $$pkg"; \
	  $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$pkg" </dev/null || exit 1; \
	done

bench: ## run the benchmarks: times, allocations, round trips
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-peers: build ## as root on Debian: measure against Ansible and Mitogen on real nodes, and write docs/performance.md (about two hours)
	@.ci/nodes
	@.ci/peers
	$(GO) test -tags peers -count=1 -timeout 4h -v ./cmd/hlplay/peers -hlplay $(CURDIR)/bin/hlplay -page $(CURDIR)/docs/performance.md

docs: ## write docs/modules.md, docs/coverage.md, and the facts and functions in docs/language.md, anew from the code
	HLPLAY_WRITE_DOCS=1 $(GO) test -count=1 -run 'TestReference|TestCoverage' ./cmd/hlplay

dist: ## build a release into dist/: programs for Linux (amd64, arm64) and macOS, Debian packages, SBOMs, checksums
	@GO="$(GO)" .ci/dist $(VERSION)

clean: ## remove what was built
	rm -rf bin dist
