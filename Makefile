# What a checkout is used for. `make` alone lists the targets; every target installs what it needs into .venv first.

VENV := .venv
PY := $(VENV)/bin/python
CKPT := $(VENV)/bin/ckpt
STAMP := $(VENV)/.installed

# Output in the order in which it is written, also through a pipe.
export PYTHONUNBUFFERED := 1
# Nothing here talks to a model hub.
export HF_HUB_OFFLINE := 1
# Without bytecode every start of a command compiles the tool again.
unexport PYTHONDONTWRITEBYTECODE

# The tests that read tensor values run once more without the compiled kernel, which numpy then stands in for.
READ_VALUES := tests/values/test_compare.py tests/values/test_measure.py tests/cli/test_values.py tests/rules/test_ck4.py tests/gate
# The folders whose tests run in processes that import LeRobot.
WITH_LEROBOT := tests/core tests/lerobot tests/real
IN_PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install demo test pytest pytest-lerobot pytest-others torture browser fleet check format fixtures bench docs dist lock newest clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

install: $(STAMP) ## install the tool, the plugin, LeRobot and the test tools into .venv (some minutes, 6 GB)

$(STAMP): pyproject.toml lerobot_policy_smolvla_reflow/pyproject.toml ckpt_tools/values/kernels.c tools/build_kernels.py $(VENV)/.dependencies
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable lerobot_policy_smolvla_reflow
	@echo "install: ready: $$($(CKPT) --version)"
	@touch $@

$(VENV)/.dependencies: requirements/development.lock tools/install.sh
	@tools/install.sh $(VENV)
	@touch $@

demo: $(STAMP) ## show, compare and repair fixtures, then train a teacher and its student (two minutes)
	@tools/demo.sh $(VENV)/bin

test: ## run all checks and tests, as .ci/run does
	@$(MAKE) --no-print-directory --jobs=3 check pytest-lerobot pytest-others

# Three processes on two cores: one alone imports LeRobot, which takes longest and slows down all that a process
# does afterwards. The others share the rest by files, whose tests share what is slow to make. They take the files in
# order: sorted by their number of tests, as is usual, one long test would come last while the other waits.
pytest:
	@$(MAKE) --no-print-directory --jobs=2 pytest-lerobot pytest-others

pytest-lerobot: $(STAMP)
	$(PY) -m pytest $(WITH_LEROBOT)

pytest-others: $(STAMP)
	$(PY) -m pytest $(IN_PARALLEL) $(addprefix --ignore ,$(WITH_LEROBOT))
	CKPT_NO_KERNEL=1 $(PY) -m pytest -q $(IN_PARALLEL) $(READ_VALUES)

torture: $(STAMP) ## inject faults at every system call of a write (15 minutes; needs strace)
	CKPT_TORTURE=1 $(PY) -m pytest --numprocesses auto --maxprocesses 4 -rP tests/edit/test_faults.py

browser: $(STAMP) ## test the HTML pages in a headless Chromium (a minute; needs chromium)
	CKPT_BROWSER=required $(PY) -m pytest -q tests/report/test_html_browser.py tests/report/test_audit_browser.py \
		tests/project/test_site_browser.py

fleet: $(STAMP) $(VENV)/fleet ## audit on a Ray cluster of two nodes, a Slurm of one, and a Google bucket (minutes; needs root and Slurm)
	CKPT_FLEET=1 PYTHONPATH=$(CURDIR)/$(VENV)/fleet $(PY) -m pytest -q --durations 5 tests/audit/test_fleet.py tests/audit/test_google_bucket.py

# Ray and gcsfs as the extras `fleet` and `gcs` have them, apart from what the other tests see.
$(VENV)/fleet: $(STAMP) Makefile
	$(VENV)/bin/uv pip install --quiet --python $(PY) --compile-bytecode --target $@ --constraint requirements/development.lock 'ray>=2.50,<3' 'gcsfs>=2024.6,<2027' 'gcp-storage-emulator>=2026.7'
	@touch $@

check: $(STAMP) ## run the quick part of test: format, lint, types, import contracts, dependencies
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/deptry ckpt_tools
	cd lerobot_policy_smolvla_reflow && ../$(VENV)/bin/deptry src

format: $(STAMP) ## format the code and apply safe lint fixes
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

fixtures: $(STAMP) ## regenerate the fixtures
	$(PY) fixtures/make.py

# One family: make families FAMILIES=transformers/llama. A file that its models contradict is not written.
families: $(STAMP) ## regenerate what is known about model families from the installed libraries (an hour)
	$(PY) -W ignore -m tools.families $(FAMILIES)

golden: $(STAMP) ## regenerate expected output in tests and documents; review the diff afterwards
	CKPT_GOLDEN=write $(PY) -m pytest -q tests/report/test_golden.py tests/cli/test_contract.py tests/project/test_documents.py \
		tests/project/test_rule_pages.py tests/project/test_man_pages.py tests/project/test_notebook.py tests/audit/test_document.py

bench: $(STAMP) ## run the benchmarks against other tools (many minutes, 7 GB of disk)
	$(PY) -m benchmarks.diff
	$(PY) -m benchmarks.surgery
	$(PY) -m benchmarks.verify
	$(PY) -m benchmarks.hash
	$(PY) -m benchmarks.values
	$(PY) -m benchmarks.remote
	$(PY) -m benchmarks.audit
	$(PY) -m benchmarks.audit_hub
	$(PY) -m benchmarks.audit_reading
	$(PY) -m benchmarks.training_startup
	$(PY) -m benchmarks.training_step

docs: $(STAMP) ## build the documentation site in site/: open site/index.html
	$(PY) -m tools.site

dist: $(STAMP) ## build the files of a release in dist/: source distributions, and wheels for all systems
	$(PY) -m tools.dist

COMPILE := $(VENV)/bin/uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.12 --no-annotate --no-header --quiet

lock: newest ## update all locks after a change of pyproject.toml
	$(COMPILE) --output-file requirements/lowest.lock --upgrade --resolution lowest-direct
	$(COMPILE) --output-file requirements/development.lock --extra train --extra plot --group dev

newest: $(STAMP) ## update the lock of the newest allowed versions
	$(COMPILE) --output-file requirements/newest.lock --upgrade

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
