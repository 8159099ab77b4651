# Everything runs in virtual environments of its own, made here from Python 3.11+ and pip and the lock files.
# `make` alone lists what there is.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INTEROP := .venv-interop
TYPINGS := .venv-typings
SOURCES := firmware gateway protocol provisioning simulator tests

# The first interpreter that is new enough; `make PYTHON=/path/to/python3.12 ...` names another.
NEW_ENOUGH = import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo "$$python" && break; done)

# Quiet pip, no question asked; --require-hashes takes nothing but what the lock names. The lock names everything, so
# pip has nothing to choose: with --no-deps a version that was published since cannot come into its way.
export PIP_QUIET := 1
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP_INSTALL = @PYTHONWARNINGS=ignore "$(PYTHON)" -m pip --python $(1)/bin/python install
LOCKED = $(PIP_INSTALL) --no-deps --require-hashes -r $(2)

# Processes of pytest; the machine of a hall and the machine of CI both have two cores.
WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest -rs
TYPED = $(TYPINGS)/esp32/made.stamp $(TYPINGS)/unix/made.stamp
TESTING = $(VENV)/run.stamp $(VENV)/develop.stamp $(INTEROP)/made.stamp $(TYPED)

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## /  make \1@/p' Makefile | awk -F@ '{ printf "%-26s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(VENV)/run.stamp ## a hall in a box; FOR=30 ends it after 30 seconds, CHAOS=1 kills gateway and broker on the way
	@$(BIN)/hallseal-simulator demo $(if $(FOR),--for $(FOR)) $(if $(filter-out 0,$(CHAOS)),--chaos)

.PHONY: test
test: $(TESTING) ## the whole suite, on CPython and on the MicroPython VM
	@tests/debian.sh
	$(PYTEST) -n $(WORKERS) --dist loadgroup

.PHONY: test-micropython
test-micropython: $(TESTING) ## only what runs on the MicroPython VM
	$(PYTEST) -n $(WORKERS) --dist loadgroup -m micropython

.PHONY: powercut
powercut: $(TESTING) ## cuts a device's power at every operation of its flash; the last line counts
	@$(BIN)/python tests/powercut_campaign.py

.PHONY: coverage
coverage: $(TESTING) ## the suite with branch coverage; the report is printed
	$(PYTEST) -n $(WORKERS) --dist loadgroup --cov --cov-report=term

.PHONY: firmware
firmware: $(VENV)/run.stamp ## the bundles of both kinds of devices into build/firmware, with their sizes
	@$(BIN)/hallseal-provision release build build/firmware

.PHONY: linked
linked: $(VENV)/run.stamp ## the device modules linked into build/linked, as a small board freezes them
	@$(BIN)/hallseal-simulator link build/linked

.PHONY: check
check: $(VENV)/develop.stamp $(TYPED) ## lint, format and types; changes nothing
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/ruff format --check $(wildcard $(SOURCES))
	$(BIN)/mypy
	$(BIN)/mypy --config-file firmware/mypy.ini
	$(BIN)/mypy --config-file simulator/vm/mypy.ini

.PHONY: fix
fix: $(VENV)/develop.stamp ## what ruff can mend by itself
	$(BIN)/ruff check --fix $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

# Debian's package unifont, in the version whose digest the program knows; the suite compares what stands there with it.
FONT ?= /usr/share/unifont/unifont.hex

.PHONY: glyphs
glyphs: $(VENV)/run.stamp ## the glyphs of the displays anew, after a change of texts or names
	$(BIN)/python -m simulator.glyph_subset $(FONT)

.PHONY: venv
venv: $(TESTING) ## the environments, without running anything

.PHONY: clean
clean: ## removes the environments and what tools left behind
	rm -rf $(VENV) $(INTEROP) $(TYPINGS) .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage \
		.coverage.* build hallseal.egg-info
	find $(wildcard $(SOURCES)) -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment: what a hall and the demo run on first, the tools of developers on top when they are asked for.
# A changed lock makes it from nothing again, so that nothing lingers.
$(VENV)/locked.stamp: requirements.lock
	$(call new_venv,$(VENV))
	$(call LOCKED,$(VENV),requirements.lock)
	@touch $@

$(VENV)/run.stamp: $(VENV)/locked.stamp pyproject.toml
	$(call PIP_INSTALL,$(VENV)) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/develop.stamp: $(VENV)/locked.stamp requirements-dev.lock | $(VENV)/run.stamp
	$(call LOCKED,$(VENV),requirements-dev.lock)
	@touch $@

$(INTEROP)/made.stamp: tests/interop/requirements.lock
	$(call new_venv,$(INTEROP))
	$(call LOCKED,$(INTEROP),tests/interop/requirements.lock)
	@touch $@

# What MicroPython offers, as types. No environment: mypy takes the folders in place of CPython's standard library.
$(TYPINGS)/%/made.stamp: tests/typings/%.lock
	@rm -rf $(@D)
	@PYTHONWARNINGS=ignore "$(PYTHON)" -m pip install --root-user-action ignore --no-deps --target $(@D) \
		--require-hashes -r $<
	@touch $@

# Without pip of its own: the pip at hand installs into it. Debian keeps what `venv` needs for that in another package.
define new_venv
	@test -n "$(PYTHON)" || { echo "Hallseal needs Python 3.11 or later, with venv; none was found." >&2; exit 1; }
	@"$(PYTHON)" -m pip --version >/dev/null || { echo "Hallseal needs pip for $(PYTHON)." >&2; exit 1; }
	@echo "making $(1) with $$("$(PYTHON)" --version)"
	@rm -rf $(1) && "$(PYTHON)" -m venv --without-pip $(1)
endef

# Needs a registry of packages. One lock serves every platform (markers say what is for which), so it is made by uv.
UV_VERSION := 0.13.9
COMPILE = @.venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock"

.PHONY: lock
lock: ## the lock files anew after a change of pins in pyproject.toml; UPGRADE=1 takes newer versions below them
	$(call new_venv,.venv-lock)
	$(call PIP_INSTALL,.venv-lock) uv==$(UV_VERSION)
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra simulator --group build -o requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --all-extras --group build -c requirements.lock \
		-o requirements-dev.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) tests/interop/requirements.in -o tests/interop/requirements.lock
	$(COMPILE) --no-deps tests/typings/esp32.in -o tests/typings/esp32.lock
	$(COMPILE) --no-deps tests/typings/unix.in -o tests/typings/unix.lock
