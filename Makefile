# SPDX-License-Identifier: Apache-2.0
# Short names for the scripts in scripts/. SWIFT_BUILD_FLAGS adds flags to every build.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: setup demo storefront chat drill test test-fast unit flake nightly bench bench-middleware bench-heap preload memory-lab fuzz lint format api docs dashboards pictures clean help

setup: ## Install the dependencies of the tests; quick when nothing is missing.
	@scripts/setup.sh test

demo: ## Build and run the quickstart service; SECONDS_TO_RUN=20 stops it after 20 s.
	@exec scripts/demo.sh

storefront: ## Build and run the flash-sale order service; REDIS_URL=redis://host:port shares state between instances.
	@scripts/setup.sh sql
	@exec "$$(scripts/build-release.sh storefront)"

chat: ## Build and run the WebSocket chat example.
	@scripts/setup.sh sql
	@exec "$$(scripts/build-release.sh chat)"

drill: ## Inject five faults into the storefront, one after another, and show the metric that reveals each.
	@scripts/setup.sh lab
	@exec scripts/drill.py

test: ## Run every check, from lint to the tests with a real Prometheus.
	@exec scripts/test.sh

test-fast: ## Run the fast checks: lint, layers, Swift tests, compute tests; under five minutes after a first build.
	@exec scripts/test.sh lint layers build unit programs integration-compute

unit: ## Build and run only the Swift tests; FILTER=Histogram selects some of them.
	@scripts/setup.sh bench
	@exec scripts/test.sh build unit

flake: ## Run the integration tests RUNS times, every second time with all CPUs busy.
	@scripts/test.sh setup build programs
	@exec scripts/flake.sh $${RUNS:-10}

nightly: ## Run the slow checks: each trait alone, no trait, dependency by URL, longer fuzzing, Debian 13.
	@scripts/setup.sh test
	@scripts/traits.sh
	@scripts/check-consumer.sh --build
	@scripts/fuzz.sh
	@scripts/debian-root.sh

bench: ## Measure the cost of recording and scraping.
	@scripts/setup.sh demo
	@exec scripts/bench.sh

bench-middleware: ## Measure the cost per request in a Hummingbird service (needs wrk).
	@scripts/setup.sh bench
	@exec scripts/bench-middleware.py

bench-heap: ## Measure the cost of the malloc hooks and samples, compared with tcmalloc and jemalloc.
	@scripts/setup.sh bench
	@exec scripts/bench-heap.py

preload: ## Build the heap sampler as a shared object for LD_PRELOAD; prints its path last.
	@exec scripts/preload.sh

memory-lab: ## Find a leak and measure a buffer pool, with heap profiles of a service under load.
	@scripts/setup.sh lab
	@exec scripts/memory-lab.py

fuzz: ## Fuzz the parsers of untrusted input; FUZZ_SECONDS=60 sets the time for each.
	@scripts/setup.sh demo
	@exec scripts/fuzz.sh

lint: ## Check the format of all Swift files, the English of all texts, and the layering of imports.
	@scripts/test.sh lint layers

format: ## Format all Swift files.
	@scripts/lint.sh --fix

api: ## Write the public declarations to api/, so that changes show in a diff.
	@scripts/setup.sh test
	@scripts/api.sh

docs: ## Build the API documentation into .build/docs.
	@scripts/setup.sh test
	@scripts/docs.sh

dashboards: ## Generate the dashboards and rules from dashboards/source.
	@scripts/setup.sh test
	@.build/python/bin/python -B dashboards/source/generate.py

pictures: ## Draw each dashboard from live data into dashboards/pictures; takes two minutes.
	@scripts/setup.sh pictures
	@scripts/test.sh build programs
	@.build/python/bin/python -B Tests/Integration/pictures.py

clean: ## Remove all files created by builds and tests.
	@rm -rf .build Benchmarks/.build Benchmarks/*/.build examples/*/.build Tests/*/.build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile
