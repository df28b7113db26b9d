# SPDX-License-Identifier: Apache-2.0
# `make` lists the targets. Needs python3 (3.11 or newer, with venv), a C compiler and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

SECONDS ?= 60
EXECUTIONS ?= 10000000

SOURCES := $(wildcard csrc/*.c csrc/*.h csrc/build_ffi.py) setup.py pyproject.toml pypow/VERSION

.DEFAULT_GOAL := help
.PHONY: help venv build run demo check lint types test bench figures laboratory sockets coverage mutants deep fuzz fuzzgate fuzzbulk dist clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(BIN)/python ## Create .venv

build: $(VENV)/installed-run ## Build and install what the gate and the demo need

run: build ## Play the whole story, then serve until Ctrl-C
	@$(BIN)/python examples/demo.py --stay

demo: build ## Play the whole story and exit
	@$(BIN)/python examples/demo.py

check: lint types test ## All that CI does

lint: $(VENV)/installed-dev ## Style and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

types: $(VENV)/installed-dev ## Types, strictly
	$(BIN)/mypy

test: $(VENV)/installed-dev ## The tests, but not the deep ones
	$(BIN)/pytest

bench: $(VENV)/installed-dev ## Measure this machine; results go to .benchmarks/
	$(BIN)/pytest benchmarks/bench_*.py --benchmark-enable --benchmark-only --benchmark-autosave

figures: $(VENV)/installed-dev ## Measure all that docs/performance.md shows, and render it
	$(BIN)/python benchmarks/report.py --measure

laboratory: $(VENV)/installed-dev ## Play what docs/difficulty.md shows and is not kept yet, and render it
	$(BIN)/python benchmarks/laboratory.py

sockets: $(VENV)/installed-dev ## The same on real sockets, half an hour, for docs/evidence/sockets.md
	PYTHONPATH=tests $(BIN)/python benchmarks/sockets.py --save

coverage: $(VENV)/installed-dev ## Which branches of what decides over admission no test takes
	$(BIN)/pytest --cov --cov-report=term tests/engine tests/gate

mutants: $(VENV)/installed-dev ## Which small changes of what decides over admission no test notices
	rm -rf mutants
	mkdir -p mutants/src
	cp -R pypow server/pypow_server mutants/src
	cp -R tests pyproject.toml mutants
	cd mutants && ../$(BIN)/mutmut run && ../$(BIN)/mutmut results

deep: $(VENV)/installed-dev ## The long proofs
	$(BIN)/pytest -m deep

fuzz: ## Feed the core hostile inputs for SECONDS on JOBS cores; needs clang
	$(PYTHON) tests/fuzz/run.py --seconds $(SECONDS) $(if $(JOBS),--jobs $(JOBS))

fuzzgate: $(VENV)/installed-dev ## Feed the gate's parsers hostile inputs for SECONDS
	PYTHONPATH=tests $(BIN)/python -m fuzz.gate_run --seconds $(SECONDS)

fuzzbulk: $(VENV)/installed-dev ## Hold the gate's parsers against second readings EXECUTIONS times
	PYTHONPATH=tests $(BIN)/python -m fuzz.gate_bulk --executions $(EXECUTIONS) $(if $(JOBS),--jobs $(JOBS))

dist: $(VENV)/installed-dev ## A wheel and an sdist in dist/
	$(BIN)/python -m build

clean: ## Remove everything that make made
	rm -rf $(VENV) build dist mutants .benchmarks .peers .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf *.egg-info pypow/_native.c pypow/*.so
	find csrc pypow server tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps make repeated calls quick; a changed C file or requirement builds again.
$(VENV)/installed-run: $(SOURCES) | $(BIN)/python
	$(PIP) install --editable '.[server,mcp]'
	@touch $@

$(VENV)/installed-dev: $(SOURCES) | $(BIN)/python
	$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/installed-run
