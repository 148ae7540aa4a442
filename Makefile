# Every target makes .venv by itself from requirements.lock. Only Python 3.11 or newer is needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: up demo test lint format bench lock
.DEFAULT_GOAL := up

up: $(READY)            ## Start everything, carry one order to its verified invoice, serve until Ctrl-C
	$(BIN)/necto up

demo: $(READY)          ## The same once, without servers
	$(BIN)/necto demo --home build/demo

test: $(READY)          ## Everything that can be tested on this machine
	$(BIN)/pytest

lint: $(READY)          ## Style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)         ## What we claim about speed, as ratios against a yardstick in the same run
	$(BIN)/python benchmarks/spine.py
	$(BIN)/python benchmarks/catalog.py
	$(BIN)/python benchmarks/audit_log.py
	$(BIN)/python benchmarks/verifying.py

lock: $(READY)          ## Resolve the dependencies anew: exact versions, hashes, no host names
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-strip-extras --extra dev --upgrade pyproject.toml --output-file requirements.lock

$(READY): requirements.lock pyproject.toml verifier/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Necto needs Python 3.11 to 3.13")'
	$(PYTHON) -m venv .venv
	@echo "Installing the locked dependencies (a few minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --editable . --editable ./verifier
	@touch $@
