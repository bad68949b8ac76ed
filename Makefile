# xrx: everything a newcomer needs is `make demo` and `make test`; both need only Go, git, make and root (or sudo).
GO   ?= go
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Test binaries that send packets run as root; the compiler and its caches stay the user's.
EXEC := $(if $(SUDO),-exec 'sudo --preserve-env=XRX_REQUIRE$(comma)XRX_LONG$(comma)XRX_SOAK$(comma)XRX_SEED',)
comma := ,

.PHONY: build demo test test-zc lint generate scorecard matrix soak bench bench-gro profile pgo tables fuzz clean man package install uninstall dist

build:
	$(GO) build -trimpath -o bin/xrx ./cmd/xrx

demo: build ## veth pair, generator, receiver, GRO, throughput report; under 15 s
	$(SUDO) bin/xrx demo

test: ## everything that can run on this machine; what it skips, it names
	GO='$(GO)' EXEC="$(EXEC)" bash scripts/test.sh

test-zc: ## the zero-copy tests, in a QEMU guest whose NIC driver does it (ZC="--nic igb" for another)
	GO='$(GO)' bash scripts/zc-vm.sh $(ZC) test -test.v

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; else echo 'lint: no shellcheck here: scripts not checked (apt-get install shellcheck)'; fi

generate: ## needs clang 14, llvm-strip and libbpf headers: apt-get install clang llvm libbpf-dev
	$(GO) generate ./...

scorecard: ## the kernel's own AF_XDP selftest cases, asked of xrx over veth
	$(GO) test $(EXEC) -count=1 -run '^TestScorecard$$' -v .

matrix: ## every mode, chunk kind, number of queues, UMEM and packet size over veth, as a table; XRX_LONG=1 for 10,000 frames a cell
	$(GO) test $(EXEC) -count=1 -run '^TestMatrix$$' -v .

soak: ## everything at once over veth for SOAK (default 10m): consumers that stall and panic, quotas, links that flap; RACE=-race
	XRX_SOAK=$(or $(SOAK),10m) $(GO) test $(RACE) $(EXEC) -count=1 -timeout 24h -run '^TestSoak' -v .

fuzz: ## each fuzz target for FUZZTIME (default 60s)
	GO='$(GO)' bash scripts/fuzz.sh $(or $(FUZZTIME),60s)

bench-gro: ## GRO on six traces beside other engines: ns per packet
	$(GO) -C bench run ./gro
	$(GO) -C bench run ./tables

bench: ## everything that is measured but GRO alone; BENCH=-quick, BENCH='-only rx,soak'
	$(SUDO) $(GO) -C bench run ./all $(BENCH)

profile: ## processor time by stage of a packet's way, and flame graphs, into docs/bench
	$(SUDO) $(GO) -C bench run ./profile
	$(GO) -C bench run ./tables

pgo: ## records cmd/xrx/default.pgo from the benchmarks' loads; measures xrx with and without it
	$(SUDO) $(GO) -C bench run ./pgo
	$(GO) -C bench run ./tables

tables: ## the tables of docs/PERFORMANCE.md from docs/bench
	$(GO) -C bench run ./tables

man: build ## manual pages into bin/man
	bin/xrx man bin/man

package: build ## all that is installed, into bin/package
	bash scripts/package.sh bin/xrx bin/package

PREFIX ?= /usr/local
install: $(if $(wildcard bin/package),,package) ## what make package made, into DESTDIR and PREFIX: binary, manual, completions, systemd unit
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' bin/package/install.sh

uninstall:
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh --uninstall

VERSION ?= v0.0.0-dev
dist: ## a release into dist: static binaries for amd64 and arm64, checksums, SBOM; VERSION=v1.2.3
	GO='$(GO)' bash scripts/release.sh '$(VERSION)'

clean:
	rm -rf bin dist
