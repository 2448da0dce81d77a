# Needs Python 3.11 and make. Everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test proofs lint clean

# Trains three models on real digits, draws, measures, exports and verifies them: runs/demo.
demo: .venv/installed
	$(BIN)/tfgen demo --out runs/demo --force

# All tests but the proofs that train, in two processes.
test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

# The proofs that train each model until it shows what its theory says, and the export of each.
proofs: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.venv/installed: setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
