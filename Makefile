# Two commands do everything on a fresh machine with Python 3.11 or newer: `make run` plays, `make test` tests.
# STRICT=1 makes it a failure to leave anything out (used in continuous integration).

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: help run test lint bench screenshots clean

help:
	@echo "make run    play a real grid on embedded defaults, with a page to listen on (ARGS=... are passed to gridtone demo)"
	@echo "make test   install what the tests need and run them"
	@echo "make lint   ruff and mypy"
	@echo "make bench  measure, and print the performance table"
	@echo "make clean  remove what these commands made, except your data"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gridtone needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing gridtone and its demo grid into .venv (the first time: about a minute) ..."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/test.stamp: pyproject.toml constraints.txt tests/requirements-without-dependencies.txt | $(BIN)/python
	@echo "Installing gridtone and what its tests need into .venv (the first time: a few minutes) ..."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement tests/requirements-without-dependencies.txt
	@touch $@ .venv/run.stamp

run: .venv/run.stamp
	$(BIN)/gridtone demo $(ARGS)

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/test.stamp lint
	tests/install-programs
	$(BIN)/python -m pytest $(if $(STRICT),--leave-nothing-out) $(ARGS)

bench: .venv/test.stamp
	tests/install-programs
	$(BIN)/python tests/benchmarks

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
