# make app: the studio; make test: lint and tests; everything else is for developers. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest
PARALLEL := $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder # a file's tests share its app and its browser
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

FAST := $(patsubst %,tests/test_%.py,structure options cli damaged gate shares noise objectives power wheel)

.PHONY: help app check test test-slow test-gpu lint demo bench bench-gpu bench-loop bench-quality example screenshots walk clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

app: $(VENV)/app  ## install what the app needs and start it
	$(BIN)/python app.py

demo: $(VENV)/app  ## the whole loop on the embedded demo, without the page
	$(BIN)/python -m tiw demo --out runs/demo

test: $(VENV)/dev lint  ## lint and tests, in two processes (WORKERS=n)
	$(PARALLEL)

test-slow: $(VENV)/dev  ## the tests that take minutes
	$(PYTEST) -m slow -o faulthandler_timeout=1800

test-gpu: $(VENV)/dev  ## the tests that need a GPU
	$(PYTEST) -m gpu

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: $(VENV)/dev lint  ## what a change needs, in under two minutes: lint, and the tests of rules, seams and closed forms
	$(PARALLEL) $(FAST)

bench: $(VENV)/app  ## what a training step costs, results into benchmarks/results/
	$(BIN)/python benchmarks/step.py

bench-gpu: $(VENV)/app  ## the same at the paper's scale on a GPU; without one a tiny size
	$(BIN)/python benchmarks/gpu.py

bench-loop: $(VENV)/app  ## the numbers of the demo loop, results into benchmarks/results/
	$(BIN)/python benchmarks/demo_loop.py

bench-quality: $(VENV)/dev  ## every method against the same references, over seeds: hours, goes on where it was
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/figures.py
	$(BIN)/python benchmarks/pages.py

example: $(VENV)/dev  ## compute the finished example that ships with the app (WORK=folder)
	$(BIN)/python assets/build_example.py $(or $(WORK),/tmp/tiw-example)

screenshots: $(VENV)/dev  ## the README's pictures, from the real page
	$(BIN)/python docs/screenshots.py

walk: $(VENV)/dev  ## every tab at three widths, light and dark: pictures, and what is wrong (WORK=folder, KEEP=--keep for docs/screens)
	$(BIN)/python docs/walk.py $(or $(WORK),/tmp/tiw-walk) $(KEEP)

$(VENV)/app: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/app
	$(PIP) -r requirements-dev.txt -c constraints.txt
	@touch $@

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
