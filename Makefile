# Two commands matter: `make tour` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Byte code is written: start-up time is a feature, also of the tests that start a lab.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help tour test test-pythons check format tools bench clean

help:
	@echo "make tour    see the whole procedure happen on this machine"
	@echo "make test    set up, then format, lint, types, layers and every test"
	@echo "make test-pythons   the fast tests on every other Python from 3.11 on that this machine has"
	@echo "make bench   the benchmarks, as ratios and floors"

$(VENV)/.product: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "rolecall needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[lab,server]'
	@touch $@

$(VENV)/.development: $(VENV)/.product
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

tour: $(VENV)/.product
	@$(BIN)/rolecall lab tour

tools: $(VENV)/.development
	@$(BIN)/python scripts/tools.py

check: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/house.py

test: check tools
	$(BIN)/pytest -n 2 --dist worksteal
	@$(BIN)/python scripts/pythons.py --quick

test-pythons: $(VENV)/.development
	@$(BIN)/python scripts/pythons.py

format: $(VENV)/.development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.development
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .venv-3.* .tools build dist
