# Everything a person runs in this project. `make help` lists it.
#
# Set-up happens by itself: each target depends on stamp files inside the virtual environment, and a
# stamp is renewed when the lock file or the sources it stands for have changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
PACKAGES := $(VENV)/.packages-installed
ENGINE := $(VENV)/.engine-built
CARGO_MANIFEST := gateway/engine/Cargo.toml
ENGINE_SOURCES := pyproject.toml $(shell find gateway/engine -name target -prune -o -type f \( -name '*.rs' -o -name 'Cargo.*' \) -print)
HELM_VERSION := v3.18.6
# Without these helm takes itself for one of Kubernetes 1.20 where it asks no cluster.
HELM_LINKED := -s -w -X helm.sh/helm/v3/internal/version.version=$(HELM_VERSION) \
  -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=33
HELM := .state/bin/helm
HELM_INSTALLED := .state/bin/.helm-$(HELM_VERSION)
PYTEST_ARGUMENTS ?=
BENCH_ARGUMENTS ?=
# Of conformance/run, such as --half 1 or --core, and of the suite itself, such as -run-test=HTTPRouteWeight.
CONFORMANCE_OPTIONS ?=
CONFORMANCE_FLAGS ?=

# `$(call require,command,what to do)` stops with a sentence when a command is missing.
require = command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)" >&2; exit 1; }

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(ENGINE) ## Quickstart: a gateway with sample backends, and curl lines to try
	@exec $(BIN)/sekisho demo

.PHONY: test
test: $(ENGINE) ## The whole test suite: pytest and cargo test
	@$(call require,curl,install curl with HTTP/2 support (Debian: apt-get install curl))
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGUMENTS)
	cargo test --manifest-path $(CARGO_MANIFEST) --workspace --locked --quiet

.PHONY: lint
lint: $(ENGINE) cargo-components ## Format, types and lints of Python and Rust
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest gateway._engine
	$(BIN)/lint-imports
	cargo fmt --manifest-path $(CARGO_MANIFEST) --all --check
	cargo clippy --manifest-path $(CARGO_MANIFEST) --workspace --all-targets --locked --quiet -- -D warnings

.PHONY: format
format: $(PACKAGES) cargo-components ## Rewrite Python and Rust sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt --manifest-path $(CARGO_MANIFEST) --all

.PHONY: golden
golden: $(ENGINE) ## Regenerate the golden translation results; read the difference before committing it
	$(BIN)/python -m pytest tests/translation --update-golden $(PYTEST_ARGUMENTS)

.PHONY: chart
chart: $(ENGINE) $(HELM_INSTALLED) ## The Helm chart: lint, and what it renders
	$(HELM) lint --strict --kube-version 1.37.2 --set prerequisites.check=false helm/sekisho
	$(BIN)/python -m pytest tests/chart $(PYTEST_ARGUMENTS)

.PHONY: chart-cluster
chart-cluster: $(ENGINE) $(HELM_INSTALLED) ## The Helm chart on a real API server: strict validation, upgrade with traffic, removal. Needs root
	conformance/run cluster -- $(BIN)/python -m tests.chart.apply_strict
	conformance/run cluster -- $(BIN)/python -m tests.chart.upgrade

.PHONY: definitions
definitions: $(PACKAGES) ## Write the chart's definitions of our own kinds anew, from their types
	$(BIN)/python -m controller.definitions helm/sekisho

.PHONY: bench
bench: $(ENGINE) ## The gateway beside nginx, HAProxy and Envoy, sidecars, ways out: CPU, latency, memory
	@$(call require,wrk,Debian: apt-get install wrk)
	@$(call require,h2load,Debian: apt-get install nghttp2-client)
	@$(call require,nginx,Debian: apt-get install nginx)
	@$(call require,haproxy,Debian: apt-get install haproxy)
	@$(call require,taskset,Debian: apt-get install util-linux)
	@$(call require,squid,Debian: apt-get install squid)
	$(BIN)/python -m tests.bench $(BENCH_ARGUMENTS)
	@# What asks for a workload or a peer asks for that alone.
	$(if $(filter-out --smoke,$(BENCH_ARGUMENTS)),,$(BIN)/python -m tests.bench.egress $(BENCH_ARGUMENTS))

.PHONY: bench-idle
bench-idle: $(ENGINE) ## Memory with 10,000 idle connections and a table of 5,000 routes
	$(BIN)/python -m tests.bench.idle

.PHONY: bench-control
bench-control: $(ENGINE) $(HELM_INSTALLED) ## The control plane beside Envoy Gateway, on a one-machine cluster. Needs root
	@$(call require,go,install Go 1.26 or newer from your distribution or from the Go project)
	$(BIN)/python -m tests.bench.control $(BENCH_ARGUMENTS)

.PHONY: soak
soak: $(ENGINE) ## 300 changes under load: counts failed requests and dropped streams
	$(BIN)/python -m tests.e2e.soak_changes

.PHONY: soak-identities
soak-identities: $(ENGINE) ## 20 renewals of 30 s certificates and a change of roots under load. Needs root; 7 minutes
	@$(call require,ip,Debian: apt-get install iproute2)
	@$(call require,nft,Debian: apt-get install nftables)
	$(BIN)/python -m tests.e2e.soak_identities

.PHONY: conformance
conformance: $(ENGINE) $(HELM_INSTALLED) ## The upstream conformance suite on a one-machine cluster; writes the report. Needs root
	conformance/run $(CONFORMANCE_OPTIONS) suite $(CONFORMANCE_FLAGS)

.PHONY: test-cluster
test-cluster: $(ENGINE) $(HELM_INSTALLED) ## Tests of the installed product on a real API server, with faults. Needs root
	conformance/run --install tests/e2e/cluster/install installed -- $(BIN)/python -m pytest tests/e2e/cluster --numprocesses 0 $(PYTEST_ARGUMENTS)

.PHONY: h2spec
h2spec: $(ENGINE) ## The HTTP/2 conformance tests over h2c and TLS
	@$(call require,go,install Go 1.24 or newer from your distribution or from the Go project)
	$(BIN)/python -m tests.e2e.h2spec

.PHONY: build
build: $(PACKAGES) rust ## Build the wheel into dist/
	$(BIN)/maturin build --release --locked --out dist

.PHONY: lock
lock: $(PACKAGES) ## Write the Python lock files anew from their .in files
	for name in requirements requirements-dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command 'make lock' --output-file $$name.lock $$name.in; \
	done

.PHONY: clean
clean: ## Remove what was built: environment, engine, caches
	rm -rf $(VENV) dist build gateway/engine/target gateway/_engine*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up ---------------------------------------------------------------------------------------

.PHONY: python rust cargo-components
python:
	@$(call require,$(PYTHON),install Python 3.11 or newer (Debian: apt-get install python3 python3-venv))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is $$($(PYTHON) --version): Python 3.11 or newer is needed; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments (Debian: apt-get install python3-venv)" >&2; exit 1; }

rust:
	@$(call require,cargo,install Rust 1.88 or newer with rustup)
	@$(call require,cc,a C compiler is needed to link the engine (Debian: apt-get install build-essential))

cargo-components: rust
	@cargo fmt --version >/dev/null 2>&1 || { echo "cargo fmt is missing: rustup component add rustfmt" >&2; exit 1; }
	@cargo clippy --version >/dev/null 2>&1 || { echo "cargo clippy is missing: rustup component add clippy" >&2; exit 1; }

$(PACKAGES): requirements-dev.lock | python
	@echo "Installing the locked Python packages into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $@

$(HELM): $(HELM_INSTALLED) ;

$(HELM_INSTALLED):
	@$(call require,go,install Go 1.24 or newer from your distribution or from the Go project)
	@echo "Building helm $(HELM_VERSION) into $(HELM)"
	@mkdir -p $(dir $@)
	CGO_ENABLED=0 GOBIN=$(abspath $(dir $@)) go install -ldflags '$(HELM_LINKED)' helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)
	@touch $@

$(ENGINE): $(PACKAGES) $(ENGINE_SOURCES) | rust
	@echo "Building the engine and installing sekisho into $(VENV)"
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --locked --quiet
	@touch $@
