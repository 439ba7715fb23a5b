# `make bench` and `make test` make the environment where it is missing, then run.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Extra arguments: make bench ARGS='-k cifar-bn --bench-data cifar10'
ARGS ?=

.PHONY: bench bench-report test check format clean help

help:
	@echo 'make bench   measure (quick profile) and write results/<run>/report.html'
	@echo 'make test    run the tests'
	@echo 'make bench-report  what a report of 1,000 and 10,000 synthetic records costs'
	@echo 'make check   format, lint, types, import contracts and tests: what CI runs'
	@echo 'make format  rewrite the sources in the house format'
	@echo 'make clean   remove the environment and the caches (never results)'

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'alexbench needs Python 3.11 or newer; say which: make PYTHON=python3.12 …' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@echo 'installing PyTorch, TensorFlow, JAX and Keras into $(VENV) (several GB, a few minutes)'
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

bench: $(VENV)/installed
	@$(BIN)/pytest --benchmark-only $(ARGS)

bench-report: $(VENV)/installed
	@$(BIN)/python -m tests.benchmarks.report_cost $(ARGS)

test: $(VENV)/installed
	@$(BIN)/pytest $(ARGS)

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(ARGS)

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
