# Targets with a line each: `make`. All but `setup` and `clean` make the environment first, if it is not there.
# PYTHON=... names the Python to use; else the first of these that is new enough.
PYTHON ?=
PYTHONS := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11
V := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup check test demo bench bench-smoke bench-latency lock build clean format

help:  ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 ~\2/p' Makefile | awk -F'~' '{ printf "%-22s%s\n", $$1, $$2 }'

setup:  ## make .venv with every library of requirements.lock (PYTHON=/path/to/python3.12 chooses one)
	@for python in $(if $(PYTHON),$(PYTHON),$(PYTHONS)); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec "$$python" .ci/environment.py $(if $(PYTHON),--chosen) $(if $(ANEW),--anew); \
		fi; \
	done; \
	for python in $(if $(PYTHON),$(PYTHON),python3); do \
		found="$$("$$python" --version 2>&1)" || found="no $$python"; \
		echo "setup: Leasehold needs Python 3.11 or newer and found $$found; install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; \
	done; exit 1

check: setup  ## format, lint, types, contracts between packages, quick tests (four minutes)
	@$(V)/ruff format --check --quiet . || { echo "check: run make format" >&2; exit 1; }
	@$(V)/ruff check --quiet .
	@$(V)/mypy --no-error-summary
	@$(V)/lint-imports --no-logo 2>/dev/null >.lint-imports.log || { cat .lint-imports.log >&2; exit 1; }
	@$(V)/python -m pytest --quiet -m quick

test: check  ## check, then everything else, with a real Elasticsearch that the tests start
	@$(V)/python -m pytest --quiet -m "not quick"

demo: setup  ## run the main job on real input and show it (KEEP=1 leaves it running)
	@$(V)/python -m leasehold.core.app.demo $(if $(KEEP),--keep)

bench: setup  ## measure everything, with charts, into bench/results/ (an hour; QUICK=1: about a minute a scenario)
	@$(V)/python -m leasehold.bench all --results bench/results $(if $(QUICK),--quick)

bench-smoke: setup  ## run every benchmark very small, to see that nothing is lost or doubled (under a minute)
	@$(V)/python -m leasehold.bench smoke

bench-latency: setup  ## measure the time from a start to its claim
	@$(V)/python -m leasehold.bench latency

format: setup  ## put code into the house's format
	@$(V)/ruff format --quiet .
	@$(V)/ruff check --quiet --fix .

lock: setup  ## write requirements.lock from pyproject.toml (needs uv; UPGRADE=1 takes newer versions)
	@command -v uv >/dev/null || { echo "lock: uv is not on the PATH; install it: pip install uv" >&2; exit 1; }
	@uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links --quiet $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	@{ echo "# Every library of every extra, with hashes, for Python 3.11 and newer. Written by make lock."; \
		sed '1{/^# Every library/d;}' requirements.lock; } >requirements.lock.new && mv requirements.lock.new requirements.lock

build: setup  ## build the wheel and the source archive into dist/
	@rm -rf build dist
	@$(V)/python -m build --no-isolation --outdir dist . >build.log 2>&1 || { cat build.log >&2; exit 1; }
	@rm -f build.log && ls dist

clean:  ## remove what the other targets made
	@rm -rf .venv .venv.lock build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .lint-imports.log
	@find . -name __pycache__ -prune -exec rm -rf {} +
