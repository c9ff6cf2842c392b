# Every target works on a fresh machine with Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet
DEMO := $(VENV)/.demo
READY := $(VENV)/.ready
# The locks are for Python 3.11 on Linux x86-64; elsewhere, constraints.txt gives the same versions, without hashes.
LOCKED := $(shell $(PYTHON) -c 'import platform as p, sys; print(*sys.version_info[:2], sys.platform, p.machine())')
# Every package and its hash is in the lock, so nothing is left to resolve. Python compiles what it imports.
ifeq ($(LOCKED),3 11 linux x86_64)
LOCK := $(PIP) --no-deps --no-compile --require-hashes -r
# newer than the one of Python 3.11, which takes twice as long
INSTALL_PIP = $(LOCK) requirements-pip.lock
INSTALL_DEMO = $(LOCK) requirements-demo.lock
INSTALL_REST = $(LOCK) requirements.lock
# torch's build for CPUs where pip can find it, else the registry's build for CUDA with the packages that it needs
INSTALL_TORCH = $(LOCK) requirements-cpu.lock 2>$(VENV)/torch.log || $(LOCK) requirements-cuda.lock
INSTALL_MIEN = $(PIP) --no-deps --no-build-isolation --editable .
else
INSTALL_PIP =
INSTALL_DEMO = $(PIP) --constraint constraints.txt --editable ".[text,media,offline]"
INSTALL_REST = $(PIP) --constraint constraints.txt --editable ".[all,dev]"
INSTALL_TORCH =
INSTALL_MIEN =
endif

.PHONY: setup demo test test-all check format lint types fuzz lock clean

setup: $(READY)

$(DEMO): pyproject.toml constraints.txt $(addprefix requirements-,$(addsuffix .lock,pip demo cpu cuda))
	$(PYTHON) -c 'import sys; sys.exit("Expected Python 3.11 or later, but got " + sys.version.split()[0] + "; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL_PIP)
	$(INSTALL_DEMO)
	$(INSTALL_TORCH)
	$(INSTALL_MIEN)
	touch $(DEMO)

$(READY): $(DEMO) requirements.lock
	$(INSTALL_REST)
	# so that no process compiles them again where Python may not write beside its sources
	$(BIN)/python -m compileall -q -j 0 src
	touch $(READY)

# installs only what the demo needs
demo: $(DEMO)
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

# opens many mutated files with every reader; takes hours
fuzz: setup
	$(BIN)/python tools/fuzz.py

# writes requirements*.lock from constraints.txt
lock: setup
	$(PIP) uv
	$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) build dist mien-demo
