# One word each; every target makes what it needs. `make install` is done once, and again when the lock changes.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
SOURCES := benchmarks cli datasets launch policies real sim tests
# Packages whose files differ from machine to machine: they come with torch, chosen by version alone.
BY_TORCH := ^(torch|triton|nvidia-|cuda-)
export OMP_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1

.PHONY: help install lock format check test test-full demo demo-quadrotor build clean

help:
	@echo 'make demo            from demonstrations to an arm in another engine, with a report (about 10 min on 2 cores)'
	@echo 'make demo-quadrotor  the same code flies a quadrotor (about 5 min)'
	@echo 'make test            tests; make test-full adds those that take minutes'
	@echo 'make check           format, lint, types, layers'
	@echo 'make format          rewrite the sources in the one format'
	@echo 'make build           the wheel, in dist/, installed and tried in an environment of its own'
	@echo 'make install         .venv with every pinned package'
	@echo 'make lock            resolve requirements.lock again from pyproject.toml'

install: $(STAMP)

$(STAMP): requirements.lock
	@for python in python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; python=; done; \
	if [ -z "$$python" ]; then echo 'Ashore needs Python 3.11 or newer: install it, with its venv module, and put it on PATH.' >&2; exit 2; fi; \
	echo "== environment $(VENV) with $$($$python --version)"; \
	[ -x $(BIN)/pip ] || $$python -m venv --clear $(VENV)
	@echo '== $(TORCH), by version alone: its CPU and CUDA files differ'
	@$(BIN)/pip install --disable-pip-version-check $(TORCH)
	@echo '== requirements.lock, every file checked by its hash'
	@$(BIN)/pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# What is pinned stays pinned while it fits; `rm requirements.lock` first takes the newest of everything.
lock: | $(BIN)/uv
	@[ ! -f requirements.lock ] || cp requirements.lock requirements.resolved
	$(BIN)/uv pip compile pyproject.toml --extra train --extra sim --extra ros --extra mavlink --extra formats --extra s3 --extra bench --extra dev \
	  --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --quiet --output-file requirements.resolved
	awk '/^[a-z0-9]/ { keep = !($$0 ~ /$(BY_TORCH)/) } keep' requirements.resolved > requirements.lock
	rm requirements.resolved

$(BIN)/uv:
	@$(MAKE) install

format: $(STAMP)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

check: $(STAMP)
	@echo '== format' && $(BIN)/ruff format --check $(SOURCES)
	@echo '== lint' && $(BIN)/ruff check $(SOURCES)
	@echo '== types' && $(BIN)/mypy -p ashore && $(BIN)/mypy benchmarks
	@echo '== layers' && $(BIN)/lint-imports

test: $(STAMP)
	@echo '== tests' && $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not full'

test-full: $(STAMP)
	@echo '== all tests' && ASHORE_FULL_TESTS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

demo: $(STAMP)
	@$(BIN)/ashore demo --robot panda --out out/demo

demo-quadrotor: $(STAMP)
	@$(BIN)/ashore demo --robot crazyflie --out out/demo-quadrotor

build: $(STAMP)
	@rm -rf build dist
	@$(BIN)/python -m build --wheel --no-isolation
	@$(BIN)/python -m pytest tests/test_packaging.py

clean:
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/ashore.egg-info
