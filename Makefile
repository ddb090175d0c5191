# `make demo` and `make test` do everything on a bare machine with Python >= 3.11, git and make.
.PHONY: demo test tiny table check setup lock clean
.DEFAULT_GOAL := demo

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

demo: $(VENV)/.ready          ## train and evaluate on synthetic hands; ends with a table
	dvc repro
	@cat results/summary.txt

test: $(VENV)/.ready          ## the whole test suite, a file at a time on every core
	pytest -n auto --dist loadfile

tiny: $(VENV)/.ready          ## end to end on a tiny data set, with real servers and a browser
	@.ci/packages sshd chromium
	pytest -m end_to_end -n auto --dist loadfile tests/end_to_end

table: $(VENV)/.ready         ## train with three seeds, and write README's table of them
	python -m pipeline table

check: $(VENV)/.ready         ## lint, format and types
	ruff check .
	ruff format --check .
	mypy

setup: $(VENV)/.ready         ## the environment alone

$(VENV)/.ready: pyproject.toml constraints.txt .ci/setup
	@.ci/setup $(VENV)
	@touch $@

lock:                         ## pin what is installed now
	@(sed -n '/^#/p' constraints.txt; uv pip freeze | grep -v -e '^-e' -e '^handpose') > constraints.new
	@mv constraints.new constraints.txt

clean:                        ## drop results, never the environment or DVC's cache
	rm -rf data models results work
