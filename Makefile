# Everything happens in .venv; only a python3 of 3.11 or newer and a network are needed.
#   make PYTHON=python3.12 ...   picks another interpreter for a new .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install -qq --constraint constraints.txt

# Compiled modules are kept: else each of the hundreds of processes that tests start compiles them all.
export PYTHONDONTWRITEBYTECODE :=

# A stamp is written when its step is complete: a second run starts at once, a broken one starts over.
HAVE_VENV := $(VENV)/.have-venv
HAVE_BASE := $(VENV)/.have-base
HAVE_DEV := $(VENV)/.have-dev

.DELETE_ON_ERROR:
.PHONY: help demo check test lowest browser lint format help-page bench clean site site-runtime kernel-wasm

help:
	@echo "make demo       color the photos in examples/ into demo/ (installs the package into .venv)"
	@echo "make check      lint and the fast tests, with the coverage of the colors (a minute)"
	@echo "make test       install everything; lint and all tests"
	@echo "make lowest     try the lowest versions of the dependencies, in an environment of their own"
	@echo "make lint       ruff, mypy and import-linter"
	@echo "make format     put all code into the house style"
	@echo "make help-page  write docs/help.md from the --help of every command"
	@echo "make browser    install Chromium for the tests, if it is missing (test does it too)"
	@echo "make site       write a site into site/, which colors in the browser (fetches ONNX Runtime for the web)"
	@echo "make kernel-wasm  compile the kernel for the browser (needs clang and lld)"
	@echo "make bench      measure speed: inference, then one training step"
	@echo "make clean      remove .venv, demo/ and all caches"

demo: $(HAVE_BASE)
	@$(BIN)/python examples/demo.py

# The fast tests. Folders without any are not even read, for to import PyTorch takes as long as many
# tests, and those of the pages wait for servers.
FAST := -m 'not (browser or process or hostile or train or schema or slow)' \
  --ignore=tests/train --ignore=tests/web --ignore-glob='*/test_hostile.py'

# Lint runs beside the tests and is shown after them, so that the two do not mix.
check: $(HAVE_DEV)
	@$(MAKE) --no-print-directory lint >$(VENV)/lint.log 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest --numprocesses auto $(FAST) -q --cov --cov-report term; tests=$$?; \
	wait $$lint; lint=$$?; cat $(VENV)/lint.log; \
	[ $$tests = 0 ] && [ $$lint = 0 ]

# Where there is a compiler, the kernel must have been built: its tests would be skipped otherwise.
test: lint browser
	@$(MAKE) --no-print-directory site-runtime || \
	  echo "Without ONNX Runtime for the web, the tests of the site's colors are skipped." >&2
	@if [ -z "$${PHOTOCHROM_NATIVE-}" ] && command -v "$${CC:-cc}" >/dev/null; then \
	  export PHOTOCHROM_NATIVE=1; \
	fi; $(BIN)/python -m pytest --numprocesses auto

lowest:
	$(PYTHON) .ci/lowest

# Playwright drives the Chromium of the system: nothing is downloaded beside the package manager.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium for the tests of the pages (once) ..."; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	      apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	  else \
	    echo "The tests of the pages need Chromium: apt-get install chromium (as root), or as your" >&2; \
	    echo "system has it; the command chromium or chromium-browser must be there." >&2; exit 1; \
	  fi; }

lint: $(HAVE_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(HAVE_DEV)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

help-page: $(HAVE_BASE)
	$(BIN)/python docs/help_page.py

# The package's folder keeps it, and a wheel takes it along.
site-runtime: $(HAVE_BASE)
	@$(BIN)/python -m photochrom.web.site.runtime

site: site-runtime
	@$(BIN)/photochrom site -o site --force

kernel-wasm:
	@$(PYTHON) tools/kernel_wasm.py

bench: $(HAVE_DEV)
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/train_step.py

clean:
	rm -rf $(VENV) demo build dist src/photochrom.egg-info src/photochrom/color/_kernel*.so .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(HAVE_VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "photochrom needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(HAVE_BASE): $(HAVE_VENV) pyproject.toml setup.py constraints.txt src/photochrom/_version.py \
              src/photochrom/color/_kernel.c src/photochrom/color/_kernel.h
	@echo "Installing photochrom into $(VENV) (once; about 50 MB) ..."
	@$(INSTALL) --editable .
	@touch $@

$(HAVE_DEV): $(HAVE_BASE)
	@echo "Installing the training and test tools, with PyTorch, into $(VENV) (once; some minutes) ..."
	@$(INSTALL) --editable '.[dev]'
	@touch $@
