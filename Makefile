# The commands of this project; `make help` lists them.  The builds themselves are CMake's.
.DEFAULT_GOAL := build
.PHONY: help build run test asan fuzz coverage valgrind msan bench lint fmt sbom reproducible scorecard install clean

PREFIX ?= /usr/local
DESTDIR ?=
SECONDS := 60
CONFIGURE := cmake --preset

# A newer compiler's new warnings must not stop a user; the sanitizer and lint builds do stop.
build/release/build.ninja:
	$(CONFIGURE) release -DCCP_TESTS=OFF -DCCP_WERROR=OFF

help: ## these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

build: build/release/build.ninja ## build build/release/cc-proxy
	@cmake --build build/release --target cc-proxy

run: ## install what is missing, build, serve; with the upstream simulator when there is no .env
	@tools/setup run
	@$(MAKE) --no-print-directory build
	@exec build/release/cc-proxy serve $$(test -e .env || echo --simulator)

test: ## all tests, on the release build and with sanitizers; CC_PROXY_AGENTS=1: real agents, too
	@tools/setup test
	@test -z "$$CC_PROXY_AGENTS" || tools/setup-agents
	@tools/test

asan: ## build with sanitizers and run the unit tests
	@tools/setup test
	@tools/test asan unit

fuzz: ## run each fuzz harness for SECONDS=60, or only HARNESS=name; a closing table
	@tools/setup lint
	@tools/fuzz $(SECONDS) $(HARNESS)

coverage: ## line coverage of parsers and converters, by unit tests and fuzz seeds
	@tools/setup lint
	@tools/coverage

valgrind: ## one end-to-end run under memcheck; some minutes
	@tools/setup lint
	@tools/valgrind

msan: ## parsers without libraries under MemorySanitizer: unit tests and fuzz seeds
	@tools/setup lint
	@tools/msan

bench: build ## speed, memory and latency next to nginx, HAProxy, nghttpx: a table, build/bench.json
	@cmake --build build/release --target bench_traffic bench_convert
	@bench/bench.py
	@build/release/bench/bench_convert

lint: ## style, format, static analysis, and a clang build
	@tools/setup lint
	@tools/lint

fmt: ## format the C files
	clang-format-14 -i $$(find src tests fuzz bench -name '*.[ch]')

sbom: build ## what the binary is made of: SPDX, into build/cc-proxy.spdx.json
	@tools/sbom build/release/cc-proxy > build/cc-proxy.spdx.json
	@echo build/cc-proxy.spdx.json

reproducible: ## build twice in different folders, compare the binaries
	@tools/reproducible

scorecard: ## docs/scorecard.md from the results of make test, bench, fuzz and bench/soak.py
	@.venv/bin/python tools/scorecard

install: build ## into PREFIX=/usr/local
	install -D build/release/cc-proxy $(DESTDIR)$(PREFIX)/bin/cc-proxy

clean: ## remove all builds
	rm -rf build
