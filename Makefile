# "make help" lists the targets. The first call sets up .venv; later calls skip that.
PYTHON ?=
ARGS   ?=
UV     ?= uv

BIN     = .venv/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check install --quiet
PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

.SILENT:
.PHONY: help run test lint format pins clean

help:
	echo 'make run      run every milestone             ARGS="..." replaces --all'
	echo 'make test     run the tests in parallel       ARGS="..." goes to pytest'
	echo 'make lint     check style, format and types'
	echo 'make format   fix style and format in place'
	echo 'make pins     rewrite constraints.txt to the newest releases (needs uv)'
	echo 'make clean    remove .venv, caches and build output'
	echo 'PYTHON=/path/to/python3 chooses the Python that .venv is made with.'

run: .venv/.ready
	$(BIN)/harness run $(or $(ARGS),--all)

test: .venv/.ready
	$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy harness

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each stamp is written last, so an interrupted set-up is done again by the next call.
.venv/.ready: .venv/.pins pyproject.toml
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

.venv/.pins: constraints.txt
	py=; for p in $(PYTHONS); do \
	  "$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    && py=$$p && break; \
	done; \
	test -n "$$py" || { echo >&2 'No Python 3.11 or newer with the venv and ensurepip modules' \
	  'was found ($(PYTHONS)): install one (on Debian or Ubuntu with its python3-venv package)' \
	  'or name one with PYTHON=/path/to/python3.'; exit 1; }; \
	echo 'Setting up .venv (first call only) ...'; \
	"$$py" -m venv --clear .venv
	$(PIP) --require-hashes -r constraints.txt || { echo >&2 'Installing the packages failed (see' \
	  'above): if pip could not reach its package index, go online and call make again.'; exit 1; }
	touch $@

pins:
	command -v $(UV) >/dev/null || { echo >&2 'uv was not found: install it' \
	  '(for example with "pipx install uv") or name it with UV=/path/to/uv.'; exit 1; }
	head -n 3 constraints.txt > constraints.tmp
	$(UV) pip compile pyproject.toml --group dev --upgrade --quiet --universal \
	  --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links >> constraints.tmp || { rm constraints.tmp; exit 1; }
	mv constraints.tmp constraints.txt

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
