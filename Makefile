# `make bench` and `make test` make the environment where it is missing, then run.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Extra arguments: make bench ARGS='-k cifar-bn --bench-data cifar10'
ARGS ?=
# Processes that run the tests of `make test` and `make check`.
JOBS ?= 2
# Tests of one framework, else of one file, run in one process (tests/support/scheduling.py): they share
# fixtures and the answers of framework processes.
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadscope

# The Python of `make test-gpu`: one whose frameworks can use the device. `make` cannot know which
# builds a card and its driver need (docs/gpu.md), so it installs none.
GPU_PYTHON ?= $(PYTHON)
GPU_DEVICE ?= auto

.PHONY: help bench bench-report test test-gpu check check-long reliability format clean

help:
	@echo 'make bench         measure (quick profile) and write results/<run>/report.html'
	@echo 'make bench-report  measure what a report of 10,000 records costs'
	@echo 'make test          tests of the core, and some of each framework: minutes'
	@echo 'make test-gpu      tests that need an accelerator, in GPU_PYTHON: about two minutes'
	@echo 'make check         format, lint, types, import contracts and tests: what CI runs'
	@echo 'make check-long    large networks in the frameworks that make check leaves out, the script of docs/library.md'
	@echo 'make reliability   kills, signals, full disks, damage: what docs/reliability.md reports'
	@echo 'make format        rewrite the sources in the house format'
	@echo 'make clean         remove the environment and the caches (never results)'

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'alexbench needs Python 3.11 or newer; say which: make PYTHON=python3.12 …' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@echo 'installing PyTorch, TensorFlow, JAX and Keras into $(VENV) (several GB, a few minutes)'
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

# The last line printed is the path of the report. The plugin is named here too: pytest looks for its
# settings at the PATH of `ARGS='--bench-data PATH'`, and may find none.
bench: $(VENV)/installed
	@$(BIN)/pytest -p bench.plugin --benchmark-only $(ARGS)

bench-report: $(VENV)/installed
	@$(BIN)/python -m tests.benchmarks.report_cost $(ARGS)

test: $(VENV)/installed
	@$(PYTEST) -m 'not slow and not browser and not cluster' $(ARGS)

test-gpu:
	@ALEXBENCH_TEST_DEVICE=$(GPU_DEVICE) $(GPU_PYTHON) -m pytest -W default -m gpu tests/gpu -rs $(ARGS)

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m 'not long' --durations 20 $(ARGS)

# Large networks in the frameworks that the quick profile leaves out, the script of docs/library.md.
check-long: $(VENV)/installed
	$(PYTEST) -m long $(ARGS)

# An hour; no part of `make test`. One script alone: python -m tests.reliability.kills --kills 300.
# ARGS='--json FILE' gathers the figures for python -m tests.reliability.table FILE.
reliability: $(VENV)/installed
	@$(BIN)/python -m tests.reliability $(ARGS)

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
