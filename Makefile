# SPDX-License-Identifier: Apache-2.0
# Short names for the scripts in scripts/. SWIFT_BUILD_FLAGS adds flags to every build.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: setup demo storefront chat drill test test-fast unit flake nightly bench bench-middleware bench-heap preload memory-lab fuzz lint format api docs dashboards pictures clean help

setup: ## Install what the tests need; quick when nothing is missing.
	@scripts/setup.sh test

demo: ## Build and run the quickstart service; SECONDS_TO_RUN=20 ends it by itself.
	@exec scripts/demo.sh

storefront: ## Build and run the flash-sale order service; REDIS_URL=redis://host:port shares its state.
	@scripts/setup.sh sql
	@exec "$$(scripts/build-release.sh storefront)"

chat: ## Build and run a chat over WebSocket.
	@scripts/setup.sh sql
	@exec "$$(scripts/build-release.sh chat)"

drill: ## Seed five faults in the storefront, one after another, and show what gives each away.
	@scripts/setup.sh lab
	@exec scripts/drill.py

test: ## Run every check, from lint to the tests with a real Prometheus.
	@exec scripts/test.sh

test-fast: ## The quick part of it, warm under five minutes: lint, layers, the Swift tests, the compute tests.
	@exec scripts/test.sh lint layers build unit programs integration-compute

unit: ## Build and run the Swift tests only: the inner loop. FILTER=Histogram runs some of them.
	@scripts/setup.sh bench
	@exec scripts/test.sh build unit

flake: ## Run the integration tests RUNS times, every second time on a busy machine.
	@scripts/test.sh setup build programs
	@exec scripts/flake.sh $${RUNS:-10}

nightly: ## What takes too long for every change: each trait alone, no trait, taken by URL, longer fuzzing, a whole Debian 13.
	@scripts/setup.sh test
	@scripts/traits.sh
	@scripts/check-consumer.sh --build
	@scripts/fuzz.sh
	@scripts/debian-root.sh

bench: ## Measure what recording and scraping cost.
	@scripts/setup.sh demo
	@exec scripts/bench.sh

bench-middleware: ## Measure what recording each request costs a Hummingbird service (needs wrk).
	@scripts/setup.sh bench
	@exec scripts/bench-middleware.py

bench-heap: ## Measure what the malloc hooks and their samples cost, beside tcmalloc and jemalloc.
	@scripts/setup.sh bench
	@exec scripts/bench-heap.py

preload: ## Build the heap sampler as an object for LD_PRELOAD; its path is printed last.
	@exec scripts/preload.sh

memory-lab: ## Find a leak and see what a pool saves, with heap profiles of a service under load.
	@scripts/setup.sh lab
	@exec scripts/memory-lab.py

fuzz: ## Fuzz what reads a client's bytes; FUZZ_SECONDS=60 for each reader.
	@scripts/setup.sh demo
	@exec scripts/fuzz.sh

lint: ## Check the form of all Swift files and the direction of the imports.
	@scripts/test.sh lint layers

format: ## Bring all Swift files into form.
	@scripts/lint.sh --fix

api: ## Write the public declarations to api/, for review in a diff.
	@scripts/setup.sh test
	@scripts/api.sh

docs: ## Build the API documentation into .build/docs.
	@scripts/setup.sh test
	@scripts/docs.sh

dashboards: ## Write the dashboards and rules from dashboards/source.
	@scripts/setup.sh test
	@.build/python/bin/python -B dashboards/source/generate.py

pictures: ## Draw each dashboard from live data into dashboards/pictures; two minutes.
	@scripts/setup.sh pictures
	@scripts/test.sh build programs
	@.build/python/bin/python -B Tests/Integration/pictures.py

clean: ## Remove everything that a build or a test made.
	@rm -rf .build Benchmarks/.build Benchmarks/*/.build examples/*/.build Tests/*/.build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile
