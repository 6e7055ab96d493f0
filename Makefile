# What a person does with a checkout. `make help` lists it.
#
# Everything lives in .venv. It is installed anew only when what it was built from changes; the install is
# editable, so a change of Python code needs nothing.

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# The first Python of 3.11 or later; say `make PYTHON=/path/to/python ...` to choose another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

VENV := .venv
BIN := $(VENV)/bin
STEP := scripts/step
# pip does not reach the isolated build with -c: torch is no build requirement, so nothing is missed.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
# cmake and ninja from pip come first: the checks need none on the machine.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
export PIP_NO_INPUT := 1

KERNEL := $(shell find kernel -type f 2>/dev/null)
INSTALLED_FROM := pyproject.toml constraints.txt src/fanin/_version.py $(wildcard CMakeLists.txt) $(KERNEL)
PACKAGED_FROM := $(INSTALLED_FROM) README.md LICENSE scripts/smoke.py scripts/package \
	$(shell find src -type f -not -name '*.pyc' 2>/dev/null)
NATIVE_FROM := $(wildcard CMakeLists.txt) $(KERNEL) $(shell find vectors -type f 2>/dev/null)

CHECKS := lint types imports native unit package

# ---------------------------------------------------------------- what people run

.PHONY: help
help:  ## this list
	@echo "make TARGET, where TARGET is"
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14
	@echo "Variables: PYTHON (now: $(PYTHON)), ARGS (handed to fanin demo, pytest or the benchmarks)"

.PHONY: demo
demo: $(VENV)/.demo  ## install what the demo needs, then run it
	@$(BIN)/fanin demo $(ARGS)

.PHONY: test
test: $(VENV)/.dev  ## set up everything, then run every check below
	@scripts/checks $(CHECKS)

.PHONY: lint
lint: $(VENV)/.dev  ## ruff: rules and format
	@failed=0; \
	$(STEP) "ruff check" $(BIN)/ruff check --output-format concise || failed=1; \
	$(STEP) "ruff format --check" $(BIN)/ruff format --check --output-format concise || failed=1; \
	exit $$failed

.PHONY: types
types: $(VENV)/.dev  ## mypy --strict
	@$(STEP) "mypy --strict" $(BIN)/mypy

.PHONY: imports
imports: $(VENV)/.dev  ## the rooms import downwards only
	@$(STEP) "import contracts" $(BIN)/lint-imports --no-cache

.PHONY: native
native: $(VENV)/.native  ## the C++ kernel alone against the golden vectors

.PHONY: unit
unit: $(VENV)/.dev  ## pytest, with the examples of docs, README and docstrings
	$(BIN)/python -m pytest $(ARGS)

.PHONY: slow
slow: $(VENV)/.dev  ## pytest: only the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

.PHONY: package
package: dist/.tested  ## build sdist and wheel, try the wheel in an environment of its own

.PHONY: docs
docs: $(VENV)/.dev  ## the documentation, into build/docs
	@$(STEP) "sphinx" $(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "  build/docs/index.html"

.PHONY: bench
bench: $(VENV)/.dev  ## the benchmarks, each a script that prints its figures
	@for script in benchmarks/*.py; do echo "$$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

.PHONY: format
format: $(VENV)/.dev  ## let ruff format and repair what it can
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

.PHONY: clean
clean:  ## remove all that make made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- set-up

$(VENV)/.pip:
	@test -n "$(PYTHON)" || { echo "fanin needs Python 3.11 or later, and no such python3 is on the PATH." \
		"Install one, or say: make PYTHON=/path/to/python"; exit 2; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"fanin needs Python 3.11 or later; $(PYTHON) is {v[0]}.{v[1]}")'
	@$(STEP) "create $(VENV) with $$("$(PYTHON)" -V 2>&1)" "$(PYTHON)" -m venv --clear $(VENV)
	@# Dependency groups need pip 25.1.
	@$(STEP) "update pip" $(PIP) "pip>=25.1"
	@touch $@

$(VENV)/.demo: $(VENV)/.pip $(INSTALLED_FROM)
	@command -v "$${CXX:-c++}" g++ clang++ >/dev/null || { echo "fanin needs a C++ compiler, and none is on the PATH." \
		"On Debian or Ubuntu: apt-get install g++. On macOS: xcode-select --install"; exit 2; }
	@# Two steps, so that the long download and the compiler each say how long they took.
	@$(STEP) "install PyTorch (the long one)" $(PIP) torch numpy
	@$(STEP) "compile and install fanin with what the demo needs" $(PIP) --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.demo $(INSTALLED_FROM)
	@$(STEP) "install the tools of the checks" $(PIP) --group dev
	@touch $@

# ---------------------------------------------------------------- built and kept while nothing changes

$(VENV)/.native: $(VENV)/.dev $(NATIVE_FROM)
	@$(IN_VENV) scripts/native
	@touch $@

dist/.tested: $(VENV)/.dev $(PACKAGED_FROM)
	@$(STEP) "build sdist, and from it the wheel" scripts/package build
	@$(STEP) "install the wheel elsewhere and use it" scripts/package try
	@touch $@
