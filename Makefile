# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo demo-appium test check install lab lab-tools research tracking lock format clean browser
BIN := .venv/bin
export MPLBACKEND := Agg

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/installed-search  ## render faces, search, print the front, write a report (about 20 minutes on 2 cores)
	$(BIN)/fer-data render faces
	@if [ -d studies/demo ]; then $(BIN)/fer-search resume demo; else $(BIN)/fer-search run examples/demo.toml; fi
	$(BIN)/fer-search front demo
	$(BIN)/fer-search report demo

demo-appium: .venv/installed-search .venv/installed-appium .lab-tools/installed-lock.json  ## the same, latency through real Appium and adb from two emulated phones
	$(BIN)/fer-data render faces
	@if [ -d studies/demo-appium ]; then verb="resume demo-appium"; else verb="run examples/demo-appium.toml"; fi; \
	scripts/with_emulated_phones.sh $(BIN)/fer-search $$verb
	$(BIN)/fer-search front demo-appium

test: check .lab-tools/installed-lock.json  ## everything that the gate runs: check, then all tests
	$(BIN)/pytest

check: .venv/installed-dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/installed-search  ## a machine that runs searches: everything but the developers' tools
lab: .venv/installed-lab  ## a lab host: phones only, neither torch nor ray
lab-tools: .venv/installed-appium  ## a lab host of real phones: Appium, its Android driver and adb, into .lab-tools (about a minute)
	$(BIN)/python scripts/lab_tools.py
research: .venv/installed-research  ## a researcher's laptop: query fronts and read reports
tracking: .venv/installed-tracking  ## beside one of these: studies in MLflow and TensorBoard

.venv/bin/python:
	@python=$$(scripts/find_python.sh) && echo "creating .venv with $$python" && "$$python" -m venv .venv

.venv/installed-%: locks/%.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r locks/$*.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.lab-tools/installed-lock.json: devicelab/tools/package-lock.json scripts/lab_tools.py
	$(BIN)/python scripts/lab_tools.py
	@touch $@

browser:  ## Debian's Chromium, for the test of the lab's web page (needs root)
	scripts/browser.sh

format: .venv/installed-dev  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/installed-dev  ## write locks/*.txt from what .venv holds
	$(BIN)/python scripts/lock.py

clean:  ## remove the environment, the lab's tools and caches (studies and faces stay)
	rm -rf .venv .lab-tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
