# What a developer or sysadmin does with this checkout. `make` alone explains itself.
# Every target but help, build, install and clean first runs deploy/bootstrap, which
# installs what is missing (Debian packages by apt-get, Python packages into .venv).

PYTHON      := .venv/bin/python
C_SOURCES    = $(wildcard pam_module/*.c pam_module/*.h pam_module/*/*.c)
# The suites of `make test`, in the order that finds a mistake soonest.
SUITES       = $(wildcard tests/unit tests/property tests/integration tests/migration tests/stack tests/portal)
PYTEST_ARGS ?=
# How many processes run them: one more than cores, since many tests wait for servers.
TEST_JOBS   ?= $(shell expr $$(nproc) + 1)
BENCH_ARGS  ?=
DEMO_ARGS   ?=
export FUZZ_SECONDS ?= 60
CAMPAIGN_ARGS ?=
# `make campaign fuzz flood` runs these two, and not the target `fuzz` as well.
CAMPAIGNS    := $(if $(filter campaign,$(firstword $(MAKECMDGOALS))),$(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS)))
# Versions for every Python and machine that setup.cfg admits, with the hashes of their files.
LOCK         = uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

LIBDIR      ?= /usr/lib/mailauth
UNITDIR     ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
DESTDIR     ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast coverage lint lock campaign bench simulate fuzz messages dev build install clean

help: ## explain these targets
	@echo "mailauth: two-factor authentication for mail servers"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	  awk -F'|' '{ printf "  make %-9s %s\n", $$1, $$2 }'
	@echo
	@echo "  PYTEST_ARGS='tests/stack -k imap' make test   runs a part"

demo: ## show the whole story on private servers, from nothing, in a few minutes
	@deploy/bootstrap run
	@deploy/demo $(DEMO_ARGS)

test: ## run all tests: unit, property, integration, and real mail servers
	@deploy/bootstrap $(if $(filter tests/%,$(PYTEST_ARGS)),test,stack)
	$(PYTHON) -m pytest -n $(TEST_JOBS) --dist loadgroup --durations=15 \
	  $(if $(filter tests/%,$(PYTEST_ARGS)),,$(SUITES)) $(PYTEST_ARGS)

test-fast: ## run what needs no server, in less than a minute: unit and property tests
	@deploy/bootstrap test
	$(PYTHON) -m pytest -q -n $(TEST_JOBS) --dist loadgroup tests/unit tests/property $(PYTEST_ARGS)

coverage: ## measure which branches the tests take that run in one process, and list those that they leave out
	@deploy/bootstrap test
	$(PYTHON) -m pytest -q -n $(TEST_JOBS) --dist loadgroup --cov=mailauth --cov-branch --cov-report=term-missing:skip-covered \
	  tests/unit tests/property tests/integration tests/migration $(PYTEST_ARGS)

lint: ## check style, types, layers and the C sources' format
	@deploy/bootstrap test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy mailauth tests deploy pam_module/harness
	.venv/bin/lint-imports
	clang-format --dry-run --Werror $(C_SOURCES)
	$(MAKE) -C pam_module analyse

lock: ## choose the newest versions that setup.cfg admits, for the requirements*.lock
	python3 -m venv build/lock && build/lock/bin/pip install -q 'uv>=0.5,<1'
	build/lock/bin/$(LOCK) --extra fast setup.cfg -o requirements.lock
	build/lock/bin/$(LOCK) --extra fast --extra dev setup.cfg -o requirements-dev.lock
	build/lock/bin/$(LOCK) --extra fast --extra ldap setup.cfg -o requirements-ldap.lock

campaign: ## run what takes long: `make campaign NAME`; alone it lists them (CAMPAIGN_ARGS)
	@$(if $(CAMPAIGNS),deploy/bootstrap bench)
	@$(if $(CAMPAIGNS),$(PYTHON),python3) -m tests.campaigns $(CAMPAIGNS) $(CAMPAIGN_ARGS)

ifneq ($(CAMPAIGNS),)
.PHONY: $(CAMPAIGNS)
$(CAMPAIGNS): campaign
	@:
else
bench: ## measure logins a second against bare Dovecot (BENCH_ARGS)
	@deploy/bootstrap bench
	$(PYTHON) -m tests.campaigns bench $(BENCH_ARGS)

simulate: ## play a year of thieves and strangers against the limits, and print what each can do
	@deploy/bootstrap test
	$(PYTHON) -m tests.campaigns simulation

fuzz: ## feed random input to the parsers (FUZZ_SECONDS each)
	@deploy/bootstrap test
	$(PYTHON) -m tests.campaigns fuzz
endif

messages: ## collect the sentences for users into the catalogs in mailauth/locale
	@deploy/bootstrap run
	@mkdir -p build
	.venv/bin/pybabel -q extract -F babel.cfg --no-location --sort-output --project=mailauth -o build/mailauth.pot .
	.venv/bin/pybabel -q update -i build/mailauth.pot -d mailauth/locale -D mailauth \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width=110

dev: ## install everything that the other targets need
	@deploy/bootstrap bench

build: ## compile the C helpers
	@$(MAKE) --no-print-directory -C pam_module

install: build ## install helpers, Lua passdb and systemd units (DESTDIR)
	$(MAKE) -C pam_module install DESTDIR=$(DESTDIR)
	install -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR)
	install -m 0644 deploy/dovecot-2.3/mailauth.lua $(DESTDIR)$(LIBDIR)/
	install -m 0644 deploy/systemd/*.service deploy/systemd/*.socket $(DESTDIR)$(UNITDIR)/
	install -m 0644 deploy/systemd/mailauth.sysusers $(DESTDIR)$(SYSUSERSDIR)/mailauth.conf

clean: ## remove what was built (not .venv)
	$(MAKE) -C pam_module clean
	rm -rf .coverage build dist mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
