# Two commands do everything on a fresh machine with Python 3.11 or newer: `make run` plays, `make test` tests.
# STRICT=1 makes it a failure to leave anything out (used in continuous integration).

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: help run test lint panel bench offline screenshots clean

help:
	@echo "make run    play a real grid on embedded defaults, with a page to listen on (ARGS=... are passed to gridtone demo)"
	@echo "make test   install what the tests need and run them"
	@echo "make lint   ruff and mypy"
	@echo "make panel  check and build the Grafana app (needs Node 20 or newer)"
	@echo "make bench  measure, and print the performance table"
	@echo "make offline  wheels, hash-locked, and the bill of materials (SBOM) for a site without a network, in dist/offline"
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

test: .venv/test.stamp lint $(if $(shell command -v npm),panel)
	tests/install-programs
	$(BIN)/python -m pytest $(if $(STRICT),--leave-nothing-out) $(ARGS)

grafana-panel/node_modules/.package-lock.json grafana-panel/harness/grafana-13/node_modules/.package-lock.json: %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm install --no-save --no-audit --no-fund --loglevel=error

panel: grafana-panel/node_modules/.package-lock.json grafana-panel/harness/grafana-13/node_modules/.package-lock.json
	cd grafana-panel && npm run --silent typecheck && npm run --silent lint && npm test --silent && npm run --silent build && npm run --silent build:13

bench: .venv/test.stamp
	tests/install-programs
	$(BIN)/python tests/benchmarks $(ARGS)

# EXTRAS=postgresql,s3 adds to what a site installs. The install is proven from the folder alone; what the proof installed is what the SBOM lists.
EXTRAS ?= postgresql
offline: | $(BIN)/python
	rm -rf dist/offline dist/proof
	$(BIN)/python -m pip wheel --quiet --constraint constraints.txt --wheel-dir dist/offline '.[$(EXTRAS)]'
	$(BIN)/python tools/lock_wheels.py dist/offline
	$(PYTHON) -m venv dist/proof
	dist/proof/bin/python -m pip install --quiet --no-index --find-links dist/offline --require-hashes --requirement dist/offline/gridtone.lock
	dist/proof/bin/gridtone --version
	test -x dist/sbom/bin/cyclonedx-py || ($(PYTHON) -m venv dist/sbom && dist/sbom/bin/python -m pip install --quiet 'cyclonedx-bom>=7,<8')
	dist/proof/bin/python -m pip uninstall --quiet --yes pip setuptools
	dist/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file dist/offline/gridtone.cdx.json dist/proof/bin/python
	rm -rf dist/proof

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
