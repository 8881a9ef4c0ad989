# Every target prepares what it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The interpreter that .venv is made with: any Python from 3.11 on. make setup PYTHON=python3.13
PYTHON ?= $(shell .ci/find-python)
BIN := .venv/bin
STAMP := .venv/.complete
SOURCES := schemas runtime capture apply operate bench tests
# Test files that run at the same time, each process with servers of its own (about 1 GiB).
TEST_PROCESSES ?= 2
# Arguments for the program that a target runs: make bench ARGS="snapshot --rows 100000"
ARGS ?=

.PHONY: setup demo demo-mysql test test-mysql test-postgres-versions test-mysql-versions type-map check fmt soak mutants bench lock clean help

setup: $(STAMP) ## Make .venv with everything; on Debian and Ubuntu as root also install Maven

$(STAMP): requirements.txt pyproject.toml
	.ci/prerequisites "$(PYTHON)"
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup ## Carry real data from PostgreSQL through Kafka into PostgreSQL, with crashes on the way
	$(BIN)/ferryman demo $(ARGS)

demo-mysql: setup ## The same with MariaDB as the source
	$(BIN)/ferryman demo --source mariadb $(ARGS)

test: setup ## Run the tests, all but the slow ones
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile -m "not slow and not mysql" $(ARGS)

test-mysql: setup ## Run the tests that need MySQL 9; on Debian as root the server is made
	FERRYMAN_MYSQLD="$$(tests/mysql-tree)" CI=true $(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile -m "mysql and not slow" $(ARGS)

test-postgres-versions: setup ## Run the tests of the PostgreSQL source on every version that is supported
	for version in $(POSTGRES_VERSIONS); do echo "PostgreSQL $$version"; \
		FERRYMAN_TEST_POSTGRESQL_VERSION=$$version CI=true $(BIN)/pytest -q -m "not slow" $(SOURCE_TESTS) $(ARGS) || exit 1; done

POSTGRES_VERSIONS ?= 14 15 16 17 18
SOURCE_TESTS := tests/contract -k "not mysql and not mariadb" $(wildcard tests/integration/test_postgres_source_*.py) \
	tests/integration/test_type_matrix.py

test-mysql-versions: setup ## Run the tests of the MySQL source on MariaDB 10.5, 10.11 and 11.8; on Debian as root they are made
	for suite in $(MARIADB_SUITES); do folder="$$(tests/mariadb-tree $$suite)"; echo "MariaDB of Debian $$suite"; \
		FERRYMAN_MARIADB="$$folder" CI=true $(BIN)/pytest -q -m "not slow and not mysql" $(MYSQL_TESTS) $(ARGS) || exit 1; done

MARIADB_SUITES ?= bullseye bookworm trixie
MYSQL_TESTS := tests/contract -k "not postgres" $(wildcard tests/integration/test_mysql_*.py) \
	$(wildcard tests/integration/test_validate_mysql*.py) $(wildcard tests/acceptance/test_mysql_*.py)

type-map: setup ## Write the table of all types in docs/type-map.md from what a server shows
	FERRYMAN_WRITE_TYPE_MAP=1 $(BIN)/pytest -q tests/integration/test_type_matrix.py -k document

check: setup ## Lint, format check, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit/test_file_length.py

fmt: setup ## Format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: setup ## Run the slow tests; MINUTES=30 SEED=1: random load and faults instead, with a report
	$(if $(MINUTES)$(FAULTS),$(BIN)/python -m tests.soak $(SOAK),$(BIN)/pytest -m slow --timeout 0) $(ARGS)

SOAK = --seed $(or $(SEED),1) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FAULTS),--faults $(FAULTS))

mutants: setup ## Break the protocol in every way we know; each breakage must fail the test that is named for it
	$(BIN)/python -m tests.mutants $(ARGS)

bench: setup ## Measure beside Debezium and write bench/README.md; ARGS="CASE --rows N --json" for one case
	$(BIN)/python -m bench $(or $(ARGS),all --peer debezium --json)

lock: setup ## Pin the newest versions that pyproject.toml allows
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) --all-extras --upgrade --output-file requirements.txt pyproject.toml
	printf 'setuptools>=80\nwheel\n' | $(LOCK) --extra postgres --extra mysql --constraint requirements.txt \
		--output-file requirements-image.txt pyproject.toml -

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

clean: ## Stop the local stack and delete everything that make and the tools made
	if [ -x $(BIN)/ferryman ]; then $(BIN)/ferryman local down --delete; fi
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F '\t' '{ printf "  %-24s %s\n", $$1, $$2 }'
