# What a newcomer types. Needs Python 3.11 or newer with pip; everything else goes into .venv.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: run test lint types docs clean

run: .venv/installed
	$(BIN)/iosim run scenarios/quickstart.yaml

test: .venv/installed-dev
	$(BIN)/python -m pytest -n auto

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy

docs: .venv/installed-docs
	$(BIN)/sphinx-build --fail-on-warning --quiet docs docs/_build

clean:
	rm -rf .venv docs/_build docs/reference

$(BIN)/python:
	$(PYTHON) -m venv .venv

# Stamps: installing again is only needed when what is to be installed has changed.
.venv/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ .venv/installed

.venv/installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ .venv/installed
