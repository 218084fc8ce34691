# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
PY := .venv/bin/python
UV_VERSION := 0.13.9
# The oldest that is here, as CI has it; a distribution's python3 may be older than all of them. Each is
# tried: pyenv has commands for those too that are not chosen.
PYTHON = $(firstword $(foreach each,3.11 3.12 3.13 3.14,$(shell python$(each) -c 'print("python$(each)")' 2>/dev/null)))
# The certificates that this machine trusts, not a bundle of uv's own.
export UV_SYSTEM_CERTS := 1
# Tests and flow runs are many short processes; each would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

# One more than there are processors: much of the time a test waits. Whole files in the order given,
# not those with the most tests first: few and long ones would come last, and alone.
SIDE_BY_SIDE := -n $(shell expr $$(nproc) + 1) --dist loadfile --no-loadscope-reorder

# What says in its first line which shell it is for, and has no name that ends with .sh.
SHELL_COMMANDS := .ci/run deployments/install-system-packages \
	$(addprefix images/recipes/worker/files/usr/lib/tradewind/,initramfs/init name-servers)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: demo
demo: system venv ## two KVM hosts on this machine, one real machine moved between them
	$(PY) -m lab demo

.PHONY: demo-down
demo-down: ## end the demo and leave nothing behind
	$(PY) -m lab down

.PHONY: test
test: system venv ## everything CI runs
	$(MAKE) --no-print-directory -j2 check-beside live || { tail -n 40 build/check.log; exit 1; }

# An emulated guest leaves a third of two cores idle, which is enough for `check` meanwhile.
.PHONY: check-beside
check-beside: venv
	@mkdir -p build
	@nice $(MAKE) --no-print-directory check >build/check.log 2>&1 || { cat build/check.log; exit 1; }
	@tail -n 1 build/check.log

.PHONY: test-all
test-all: system venv check ## everything, the longer live cases too
	$(PY) -m lab test --slow

.PHONY: faults
faults: system venv ## each step × each fault on the lab, for hours; goes on where it was; writes docs/reliability.md
	$(PY) -m tests.live.faults

.PHONY: check
check: venv ## lint, types, layers, unit, contract and flow tests (the inner loop)
	@$(MAKE) --no-print-directory -j3 lint docs unit

.PHONY: lint
lint: venv ## format, lint, spelling, types, layers and shell programs
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/codespell .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	$(PY) -m tests.house
	$(PY) -m tests.words
	.venv/bin/shellcheck --shell=sh $$(git ls-files '*.sh')
	.venv/bin/shellcheck $(SHELL_COMMANDS)

.PHONY: unit
unit: venv ## unit, contract and flow tests
	.venv/bin/pytest -q $(SIDE_BY_SIDE) tests/flows tests/contract tests/unit

.PHONY: docs
docs: venv ## the documentation as a site in build/docs, its links checked
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

.PHONY: live
live: venv ## the live tests, on the lab
	$(PY) -m lab test

.PHONY: system
system: ## the system packages (Debian, SUSE, Red Hat families)
	deployments/install-system-packages --lab

.PHONY: venv
venv: .venv/.stamp ## the Python environment, exactly as locked

.venv/.stamp: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.14 is here: run deployments/install-system-packages"; exit 1; }
	@test -x .uv/bin/uv || ($(PYTHON) -m venv .uv && .uv/bin/pip install -q uv==$(UV_VERSION))
	.uv/bin/uv venv -q --clear --python $(PYTHON) .venv
	.uv/bin/uv pip sync -q --compile-bytecode --require-hashes requirements.lock
	.uv/bin/uv pip install -q --no-deps -e .
	@touch $@

.PHONY: lock
lock: ## resolve the dependencies anew into requirements.lock
	.uv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --python-version 3.11 \
	  pyproject.toml --group pyproject.toml:dev -o requirements.lock

.PHONY: fix
fix: venv ## format and mend what ruff can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: bench
bench: venv ## our mover beside nbdcopy and qemu-img convert (docs/benchmarks.md), as root
	$(PY) -m bench
