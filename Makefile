# Everything a contributor types. `make help` lists it.
#
#   PYTHON   the interpreter to make the environment with   make test PYTHON=python3.13
#   DJANGO   the Django to install, as pip reads it         make test DJANGO='django~=6.0.0'
#   VENV     where the environment stands                   make test VENV=/tmp/py313
#   INSTALL  what installs into it                          make test INSTALL='uv pip install -q --python $(VENV)'
#   ARGS     more arguments for pytest or the benchmarks    make test ARGS='-k middleware'
#   PEERS    where the environment of the peers stands, with which `make bench` compares
#   CELLS    the cells of the matrix to run, as patterns    make matrix CELLS='py313-* *-mariadb'
#   TAG      the tag of a release                           make release-check TAG=v0.1.0
#   SHOPS    the shops of tests/shops to run                make test-shops SHOPS=oscar
#   SOAK_SECONDS   how long a soak takes                    make soak SOAK_SECONDS=45
#   DATABASE_DRIVER   postgresql or mariadb, with the server's address in TEST_DATABASE_URL; see .ci/with-database

PYTHON ?= python3
DJANGO ?= -r requirements/django.txt
VENV ?= .venv
PEERS ?= .venv-peers
WORKERS ?= auto
ARGS ?=
DATABASE_DRIVER ?=
SOAK_SECONDS ?= 1200
CELLS ?=
export TAG ?=
SHOPS ?= oscar salesman recipes

SHELL := /bin/sh
BIN := $(VENV)/bin
INSTALL ?= $(BIN)/python -m pip -qq --disable-pip-version-check --no-input install
PYTEST := $(BIN)/python -m pytest
DRIVER := $(if $(DATABASE_DRIVER),$(VENV)/.databases)

.DEFAULT_GOAL := help
.PHONY: help venv demo test quick test-browsers test-servers test-faults test-shops soak bench matrix test-wheel lint hooks format build release-check lock screenshots docs test-engines clean FORCE

help:  ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

venv: $(VENV)/.dev  ## Make the environment with all tools, at the pinned versions

demo: $(VENV)/.base  ## Run the example shop against a local fake of Topsort's API
	@$(BIN)/python example_project/demo.py

test: $(VENV)/.dev  ## Run the default suite: random order, warnings are errors, 100 % branch coverage
	@rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest -n $(WORKERS) $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

quick: $(VENV)/.dev $(DRIVER)  ## Run the default suite without the coverage gate
	$(PYTEST) -n $(WORKERS) $(ARGS)

test-servers: $(VENV)/.servers  ## Run pages and exits under gunicorn, uWSGI, uvicorn and others
	$(PYTEST) -m servers -n $(WORKERS) --dist loadgroup $(ARGS)

test-browsers: $(VENV)/.browsers  ## Run Chromium, Topsort's own scripts and a fuzzer against a site
	$(PYTEST) -m browsers tests/browsers $(ARGS)

screenshots: $(VENV)/.browsers  ## Make the pictures of docs/images anew, in Chromium
	@$(BIN)/python example_project/screenshots.py

test-faults: $(VENV)/.servers $(DRIVER)  ## Run the faults of docs/faults.md, one by one
	$(PYTEST) -m faults -n $(WORKERS) $(ARGS)

test-engines: $(VENV)/.engines  ## Run Celery's workers on Redis and RabbitMQ, while any of them is ended or hangs
	$(PYTEST) -m engines -n 2 --dist loadgroup tests/engines $(ARGS)

# What shops use that Django will drop is theirs, and is said while they are loaded, before any conftest.py.
test-shops: $(foreach shop,$(SHOPS),$(VENV)/.shop-$(shop))  ## Run Oscar, Salesman and others from the package index
	set -e; for shop in $(SHOPS); do \
	  echo "== $$shop"; DJANGO_SETTINGS_MODULE=tests.shops.$$shop.settings $(PYTEST) tests/shops/$$shop \
	    -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning $(ARGS); \
	done

soak: $(VENV)/.servers  ## Let shoppers shop while the API comes and goes; SOAK_SECONDS=45 for a short one
	$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS) --keep-logs

bench: $(VENV)/.dev $(PEERS)/.bench  ## Measure us side by side with the clients of other services; ARGS=--quick
	$(BIN)/python -m benchmarks --peers $(PEERS)/bin/python $(ARGS)

matrix: $(VENV)/.tools  ## Run Python x Django x database, as far as they are here; CELLS="py313-* *-mariadb" for some
	@TOX=$(abspath $(BIN))/tox ARGS='$(ARGS)' .ci/matrix $(foreach cell,$(CELLS),'$(cell)')

test-wheel: $(VENV)/.dev  ## Build the wheel, install it elsewhere, use it
	$(PYTEST) -m packaging $(ARGS)

lint: $(VENV)/.dev  ## Check style, types, floors and migrations
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd example_project && $(abspath $(BIN))/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings

hooks: $(VENV)/.tools  ## Run what .pre-commit-config.yaml runs before a commit, over all files
	$(BIN)/pre-commit run --all-files

docs: $(VENV)/.docs  ## Build the documentation site into build/docs; warnings are errors
	@rm -rf build/docs
	$(BIN)/python -m sphinx -b html -n -W --keep-going -q docs build/docs
	@echo "Open build/docs/index.html"

format: $(VENV)/.dev  ## Write the code as `make lint` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

build: $(VENV)/.dev  ## Build the sdist and the wheel into dist/
	@rm -rf dist
	$(BIN)/python -m build --no-isolation

release-check: build $(VENV)/.tools  ## Do all that a release does but publish it; TAG=v0.1.0 holds it to a tag
	.ci/check-version "$$TAG"
	$(BIN)/twine check --strict dist/*
	TOPSORT_DIST=$(abspath dist) $(PYTEST) -m packaging $(ARGS)

lock:  ## Write requirements/dev.txt and tools.txt anew from pyproject.toml (needs uv)
	@{ echo '# Every version that the tools of this project run with. Written by `make lock`; do not edit.'; \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
	    --extra testing --group dev --no-emit-package django pyproject.toml; } > requirements/dev.txt.new
	@mv requirements/dev.txt.new requirements/dev.txt
	@{ echo '# What the matrix, the hooks and a release run with. Written by `make lock`; do not edit.'; \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
	    --constraint requirements/dev.txt --group tools; } > requirements/tools.txt.new
	@mv requirements/tools.txt.new requirements/tools.txt

clean:  ## Remove what these commands made
	rm -rf $(VENV) $(PEERS) build dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache \
	  .import_linter_cache .hypothesis .tox *.egg-info example_project/*.sqlite3
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- The environment. Its stamps make a second run quick; a changed pin, interpreter or Django makes it anew.

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	@echo "Installing the tools into $(VENV) ..."
	@$(INSTALL) -r requirements/dev.txt $(DJANGO)
	@touch $@

$(VENV)/.tools: requirements/tools.txt $(VENV)/.dev
	@echo "Installing what the matrix, the hooks and a release need into $(VENV) ..."
	@$(INSTALL) --constraint requirements/dev.txt -r requirements/tools.txt
	@touch $@

$(VENV)/.databases: requirements/databases.txt $(VENV)/.dev
	@$(INSTALL) -r requirements/databases.txt
	@touch $@

$(VENV)/.servers: requirements/servers.txt requirements/uwsgi.txt $(VENV)/.dev
	@echo "Installing servers into $(VENV) ..."
	@$(INSTALL) --constraint requirements/dev.txt -r requirements/servers.txt
	@$(INSTALL) -r requirements/uwsgi.txt 2> /dev/null || \
	  echo "uWSGI is not installed: there is no wheel of it for this Python, and it could not be built here"
	@touch $@

$(VENV)/.engines: requirements/engines.txt $(VENV)/.dev
	@echo "Installing the brokers' clients into $(VENV) ..."
	@$(INSTALL) --constraint requirements/dev.txt -r requirements/engines.txt
	@touch $@

$(VENV)/.browsers: requirements/browsers.txt $(VENV)/.servers
	@echo "Installing what drives a browser into $(VENV) ..."
	@$(INSTALL) --constraint requirements/dev.txt -r requirements/browsers.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt $(VENV)/.dev
	@echo "Installing what builds the documentation into $(VENV) ..."
	@$(INSTALL) --constraint requirements/dev.txt -r requirements/docs.txt
	@touch $@

# Whatever a shop asks for besides, it gets the Django of this environment or is not installed.
$(VENV)/.shop-%: requirements/shops/%.txt $(VENV)/.dev
	@echo "Installing the shop $* into $(VENV) ..."
	@$(BIN)/python -c 'import django; print("django==" + django.__version__)' > $@.django
	@$(INSTALL) --constraint $@.django -r requirements/shops/$*.txt
	@touch $@

# The peers stand apart: what they need must not change what our own suite runs with.
$(PEERS)/.bench: requirements/benchmarks.txt requirements/django.txt $(PEERS)/.made-from
	@echo "Installing the peers into $(PEERS) ..."
	@$(subst $(VENV),$(PEERS),$(INSTALL)) -r requirements/benchmarks.txt $(DJANGO)
	@touch $@

$(VENV)/.base: pyproject.toml requirements/django.txt $(VENV)/.made-from
	@echo "Installing the package into $(VENV) ..."
	@$(INSTALL) --constraint requirements/dev.txt setuptools
	@$(INSTALL) --constraint requirements/dev.txt --no-build-isolation --editable '.[testing]' $(DJANGO)
	@touch $@

%/.made-from: FORCE
	@command -v $(PYTHON) > /dev/null || { \
	  echo "There is no $(PYTHON) here; name a Python 3.11 or later: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is `$(PYTHON) -V 2>&1`; this needs 3.11 or later: make PYTHON=python3.12" >&2; exit 1; }
	@new="`$(PYTHON) -c 'import sys; print(sys.executable, sys.version)' | tr '\n' ' '` $(DJANGO)"; \
	if [ "$$new" != "`cat $@ 2> /dev/null`" ]; then \
	  echo "Making $* with `$(PYTHON) -V 2>&1` ..."; \
	  if [ -f $*/pyvenv.cfg ]; then rm -rf $*; fi; \
	  $(PYTHON) -m venv $* > /dev/null 2>&1 || $(PYTHON) -m virtualenv --quiet $* 2> /dev/null || { \
	    echo "$(PYTHON) cannot make an environment; install its venv module (Debian: apt install python3-venv)" >&2; \
	    exit 1; }; \
	  printf %s "$$new" > $@; \
	fi

FORCE:
