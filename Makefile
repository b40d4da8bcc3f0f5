# oci: every target below has a line in `make help`. Nothing here is needed to use the binary.
SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
GO          ?= go
CACHE       := $(CURDIR)/.cache
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT      ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
MAIN        := github.com/oci-pipeline/oci/cmd/oci
LDFLAGS     := -s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BUILD        = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# Packages whose tests cannot run under the race detector: they start processes that live on
# without a Go runtime, or the real binary.
NO_RACE     := /cmd/|/runtime|/conformance
TEST        ?= ./...
TESTFLAGS   ?= -timeout 15m
IMAGES      ?= $(CACHE)/images
MAKE_IMAGES ?= $(firstword $(wildcard ../shared/images/make-images conformance/images/make-images))

STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT      := mvdan.cc/gofumpt@v0.12.0
GOVULNCHECK  := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOLANGCILINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help build run test unit script man fuzz conformance bench bench-link lint golangci vuln cover deps images test-vm completion repro clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile

build: ## write the static binary bin/oci
	@mkdir -p bin
	$(BUILD) -o bin/oci ./cmd/oci

run: build ## the main job, offline: image of the binary itself -> registry -> pull -> unpack -> bundle -> run
	@bin/oci demo

test: deps images ## install the real components where possible, make the test images, run every test
	@$(MAKE) --no-print-directory unit

unit: ## run every test with what is installed now (TEST=./image/... narrows it)
	@mkdir -p $(CACHE)
	@set +e; export OCI_TEST_IMAGES=$${OCI_TEST_IMAGES-$$([ -d '$(IMAGES)' ] && echo '$(IMAGES)')} OCI_PEERS=$${OCI_PEERS-$(CACHE)/tools}; \
	  all=$$($(GO) list $(TEST)); race=$$(grep -Ev '$(NO_RACE)' <<<"$$all"); plain=$$(grep -E '$(NO_RACE)' <<<"$$all"); \
	  flag=; command -v gcc >/dev/null && flag=-race; \
	  { [ -z "$$race" ] || $(GO) test -json $$flag $(TESTFLAGS) $$race; \
	    [ -z "$$plain" ] || $(GO) test -json $(TESTFLAGS) $$plain; } 2>&1 \
	  | $(GO) run .ci/tally/main.go -o $(CACHE)/summary

script: ## the command line's specification: cmd/oci/testdata/script/*.txtar (SCRIPT=name for one)
	$(GO) test ./cmd/oci -run 'TestScript/$(SCRIPT)' -v

man: build ## write the manual pages to bin/man
	@bin/oci man bin/man

fuzz: ## every fuzz target for FUZZTIME (10s) each
	@.ci/fuzz $(or $(FUZZTIME),10s)

conformance: build ## the clauses of the specifications, each with the test that shows it
	$(GO) test ./conformance/... -v

bench: build ## the ratio table against whatever peers are installed (7 minutes; the first time 3 more for images and containerd 2)
	@[ -n "$${OCI_NO_INSTALL-}" ] || .ci/tools $(CACHE)/tools bench
	@conformance/bench/run bin/oci

bench-link: build ## registry to store over 100 Mbit/s and 20 ms, against the same peers (3 minutes)
	@conformance/bench/run bin/oci --only link

lint: ## go vet (three platforms), staticcheck, gofumpt
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@out=$$($(GO) run $(GOFUMPT) -l cmd conformance distribution image unpack bundle runtime .ci); \
	  [ -z "$$out" ] || { echo "gofumpt would change:"; echo "$$out"; exit 1; }

golangci: ## golangci-lint with .golangci.yml (compiles for minutes the first time)
	$(GO) run $(GOLANGCILINT) run ./...

vuln: ## govulncheck: known flaws in what is linked
	$(GO) run $(GOVULNCHECK) ./...

cover: ## statement coverage, as a table and as .cache/cover.html
	@mkdir -p $(CACHE)
	$(GO) test -coverpkg=./... -coverprofile=$(CACHE)/cover.out $(TEST)
	$(GO) tool cover -func=$(CACHE)/cover.out | tail -n 1
	$(GO) tool cover -html=$(CACHE)/cover.out -o $(CACHE)/cover.html

deps: ## download the modules; build peers into .cache/tools; on Debian as root, install the other components tests use
	@.ci/deps

images: ## make the test images once (2-4 minutes; root on Debian), into .cache/images
	@.ci/images '$(MAKE_IMAGES)' '$(IMAGES)'

test-vm: build ## the tests that need another kernel set-up (cgroup v2, systemd), in a guest
	@conformance/vm/run bin/oci

completion: build ## write completion scripts for bash, zsh and fish into dist/completion
	@mkdir -p dist/completion
	@for s in bash zsh fish; do bin/oci completion $$s >dist/completion/oci.$$s; done; ls dist/completion

repro: ## build twice, without a shared cache or path, and compare
	@.ci/repro '$(VERSION)' '$(COMMIT)'

clean: ## remove bin, dist and .cache
	rm -rf bin dist $(CACHE)
