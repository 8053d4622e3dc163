# `make help` lists what there is. Everything runs in .venv, made on first use from constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that is new enough; `make PYTHON=/path/to/python test` names another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
# Processes that share the tests; one thread in each is fastest, and gives the same bits everywhere.
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: help venv dev demo test test-all wheel-test lint types format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# torch goes first and alone: whatever depends on it then finds it there, and no second build of it is fetched.
$(BIN)/.core: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "latentflow needs Python 3.11 or later; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON), from constraints.txt (some minutes the first time)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) torch
	@$(INSTALL) --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/.core
	@$(INSTALL) --editable '.[dev]'
	@touch $@

venv: $(BIN)/.core  ## make .venv with latentflow in it

dev: $(BIN)/.dev  ## the same, with all that tests, lint and types need

demo: $(BIN)/.core  ## fit, encode and report on a small data set with known sources
	@mkdir -p demo
	$(BIN)/python -m datasets.demo demo/data.h5
	$(BIN)/latentflow fit demo/data.h5 --preset fast --steps 2000 --time-budget 60
	$(BIN)/latentflow encode demo/data.h5
	$(BIN)/latentflow independence-report demo/data.h5

test: $(BIN)/.dev  ## run the suite in two processes, the wheel in an environment of its own included
	$(PYTEST) -m 'not full'

test-all: $(BIN)/.dev  ## the same, and the claims that take long at their full size
	$(PYTEST)

wheel-test: $(BIN)/.dev  ## only build the wheel and run it elsewhere
	$(BIN)/python -m pytest -m wheel

lint: $(BIN)/.dev  ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.dev  ## mypy
	$(BIN)/mypy

format: $(BIN)/.dev  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv, the demo and every cache
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
