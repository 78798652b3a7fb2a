# Everything a person needs: `make run` and `make test` on a machine with Python 3.11 and PyPI.
# The environment is .venv; it is made on first use and again when requirements.txt changes.

PYTHON = python3.11
DATA =
FORMAT =
KEYWORDS =
ROOT = var
SET =
ARGS =
SUITE =
# Handed to the recipes through the shell's environment, so that spaces and quotes in them are safe.
export DATA FORMAT KEYWORDS ROOT

BIN = .venv/bin
INSTALLED = .venv/installed
SETTINGS = $(foreach setting,$(SET),--set '$(setting)')

.PHONY: help run run-anomaly demo test lint lock build-files bazel-test soak faults fuzz conformance clean

help: ## this list
	@echo 'make TARGET'
	@sed -nE 's/^([a-z%-]+):[^#]*## (.*)/  \1 \2/p' Makefile | \
	    while read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

run: $(INSTALLED) ## train and release: [DATA=DIR | KEYWORDS="yes no"] [ROOT=var] [SET="Trainer.epochs=40 ..."]
	@if [ -n "$$DATA" ] && [ -n "$$KEYWORDS" ]; then \
	    echo 'make run: give DATA or KEYWORDS, not both' >&2; exit 2; \
	elif [ -n "$$DATA" ]; then set -- --data "$$DATA"; \
	else set -- --keywords "$${KEYWORDS:-yes no stop go}"; fi; \
	exec $(BIN)/python -m pipeline run keyword_spotting "$$@" --root "$$ROOT" $(SETTINGS)

run-anomaly: $(INSTALLED) ## watch machines: [DATA=DIR of logs, else simulated pumps] [FORMAT=csv|nab|wav|mat] [SET="..."]
	@if [ -n "$$DATA" ]; then set -- --data "$$DATA" --format "$${FORMAT:-csv}"; fi; \
	exec $(BIN)/python -m pipeline run anomaly_detection "$$@" --root "$$ROOT" $(SETTINGS)

test: $(INSTALLED) ## all tests but soak and fuzz: [ARGS="-k name"]
	$(BIN)/python -m pytest $(ARGS)

bazel-test: $(INSTALLED) ## the same through `bazel test //...`, without the slow ones
	@command -v bazel >/dev/null || { \
	    echo 'There is no Bazel here. On Debian 12: apt-get install bazel-bootstrap \' >&2; \
	    echo 'bazel-rules-java bazel-rules-proto bazel-platforms (see docs/development.md)' >&2; \
	    exit 1; }
	bazel test //... $(ARGS)

lint: $(INSTALLED) ## style, types and the arrows between the houses
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache

demo: $(INSTALLED) ## model, fleet, a good release, a bad one that halts: [ROOT=var] [ARGS=--keep]
	$(BIN)/python -m tools.demo --root "$$ROOT" $(ARGS)

bench-%: $(INSTALLED) ## one benchmark, tests/bench/bench_%.py: [ARGS="..."]
	$(BIN)/python -m tests.bench.bench_$* $(ARGS)

soak: $(INSTALLED) ## tests that run for long
	$(BIN)/python -m pytest -m soak $(ARGS)

faults: $(INSTALLED) ## try every fault that docs/updates.md lists; prints the table: fault, tried, survived
	$(BIN)/python -m tests.faults

fuzz: $(INSTALLED) ## tests that search at random for long
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile=fuzz $(ARGS)

conformance: $(INSTALLED) ## TUF's own suite for clients, from a checkout of it: SUITE=DIR
	@test -f "$(SUITE)/tuf_conformance/conftest.py" || { \
	    echo 'make conformance SUITE=DIR: DIR is a checkout of the repository tuf-conformance of' >&2; \
	    echo 'github.com/theupdateframework, in whose env/ its own Makefile has installed it' >&2; \
	    echo '(make dev). It is not on PyPI: never pip-install that name.' >&2; exit 2; }
	PYTHONPATH="$(CURDIR)" "$(SUITE)/env/bin/pytest" "$(SUITE)/tuf_conformance" \
	    --entrypoint "$(CURDIR)/$(BIN)/python -m edge_agent tuf" $(ARGS)

lock: $(INSTALLED) ## compile requirements.txt from requirements.in
	$(BIN)/uv pip compile --quiet --python-version 3.11 --custom-compile-command 'make lock' \
	    requirements.in --output-file requirements.txt

build-files: $(INSTALLED) ## write the BUILD files anew from what the modules import
	$(BIN)/python -m tools.build_files

clean: ## remove the environment, caches and Bazel's links; ROOT stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f bazel-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: without it what lies in .venv is half made, and is made anew.
$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	    echo 'Python 3.11 with its venv module is needed, and $(PYTHON) is not that.' >&2; \
	    echo 'Install it (Debian: apt-get install python3.11-venv; or pyenv, or uv), or name' >&2; \
	    echo 'it: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@test -f $@ || $(PYTHON) -m venv --clear .venv
	@echo 'Making the environment in .venv (2.6 GB)' >&2
	@$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.txt)"
	@rm -f $@
	@# Compiled once: with PYTHONDONTWRITEBYTECODE set, each process would compile what it imports.
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.txt
	@cp requirements.txt $@
