# Two commands: `make stress` runs the main job on the embedded Triton, `make test` runs everything CI runs.

VENV := .venv
BIN := $(VENV)/bin
USERS ?= 8
RUN_TIME ?= 2m
# The first Python that is 3.10 to 3.13; `make PYTHON=/path/to/python3.12 stress` picks another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

.PHONY: stress test lint clean

stress: $(VENV)/.installed
	$(BIN)/locust --headless --users $(USERS) --spawn-rate $(USERS) --run-time $(RUN_TIME) \
		--deferred-check-wait-s 30

test: $(VENV)/.installed-test lint
	$(BIN)/python tests/in_parts.py

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 was found. Install one, or say where it is:" \
		"make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Making the environment in $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment." \
		"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing Locust, tritonclient and what they need (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	@echo "Installing what the tests need (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
