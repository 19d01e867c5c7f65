# The thin front door: every target is a line or two that calls the package.
# `make` alone lists them.

STUDY = ehime
YEAR = 2022
RELEASE = reports/$(STUDY)/$(YEAR)
PYTHON = python3
UV = uv==0.13.9

PY = .venv/bin/python
READY = .venv/ready

# Whose code the environment runs, from which place, and with which Python. The stamp holds it: a tree
# that was moved or copied, a link to another clone's environment or another Python sets up again.
WHOSE = $(PY) -I -c 'import os, sys, tsunagari; \
  print(os.path.relpath(tsunagari.__file__), os.getcwd(), sys.version)'
ifneq ($(shell $(WHOSE) 2>/dev/null | cmp -s - $(READY) && echo same),same)
.PHONY: $(READY)
endif

# Bytecode is compiled once, at set-up. A shell that forbids it, or brings modules of its own, would
# make every notebook slower or different. pip installs here, whatever it is told to do elsewhere.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER = 0

.DEFAULT_GOAL := help
.PHONY: help setup lock report new-study check-study synthetic templates test lab lint format check bench diff release verify pdf coding-sheet clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STUDY and YEAR choose the survey: make report STUDY=$(STUDY) YEAR=$(YEAR)"

setup: $(READY)  ## locked environment, tsunagari itself and the commit hooks
	@if [ -e .git ]; then $(PY) -m pre_commit install; else \
	  echo "git のフォルダーではないので、コミット時の検査は入れません。 / No git here: the commit hooks are left out." >&2; fi

report: $(READY)  ## everything out of date for one report (ARGS="-p NAME=VALUE" for a parameter)
	@$(PY) -m tsunagari.run.pipeline report --study '$(STUDY)' --year '$(YEAR)' $(ARGS)

test: $(READY)  ## all tests (ARGS="-m 'not slow'" for the quick ones)
	@$(PY) -m pytest $(ARGS)

lab: $(READY)  ## JupyterLab on a start page (PORT=8899: also for other machines, with the token)
	@$(PY) -m tsunagari.starting.lab '$(if $(filter command,$(origin PORT)),$(PORT))' $(ARGS)

lint: $(READY)  ## ruff on modules and notebooks; notebooks without outputs
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m nbstripout --verify --keep-id notebooks/*.ipynb

format: $(READY)  ## put layout and imports in order, strip notebook outputs
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .
	@$(PY) -m nbstripout --keep-id notebooks/*.ipynb

check: lint test  ## lint and test

bench: $(READY)  ## the benchmarks, as ratios in one run
	@$(PY) -m tests.bench

diff: $(READY)  ## headline figures here against the last release
	@$(PY) -m tsunagari.run.pipeline diff --study '$(STUDY)' --year '$(YEAR)'

release: $(READY)  ## check a report again and record the reviewer's sign-off
	@$(PY) -m tsunagari.run.pipeline release --study '$(STUDY)' --year '$(YEAR)'

verify: $(READY)  ## recompute hashes and repeat the attack on any release (RELEASE=folder)
	@$(PY) -m tsunagari.run.pipeline verify '$(RELEASE)'

pdf: $(READY)  ## print the report, its appendix and the summary page (needs Chromium)
	@$(PY) -m tsunagari.run.pipeline pdf --study '$(STUDY)' --year '$(YEAR)'

coding-sheet: $(READY)  ## workbooks for two coders of the free answers, in private/coding
	@$(PY) -m tsunagari.voices.sheet '$(STUDY)' '$(YEAR)'

new-study: $(READY)  ## begin a survey: STUDY= YEAR= PREFECTURE=愛媛県 [MUNICIPALITY=松山市 POPULATION=file]
	@$(PY) -m tsunagari.starting.making '$(STUDY)' '$(YEAR)' '$(PREFECTURE)' '$(MUNICIPALITY)' '$(POPULATION)'

check-study: $(READY)  ## every mistake in a study's files, with file, line and what is allowed
	@$(PY) -m tsunagari.starting.checking '$(STUDY)' '$(YEAR)'

synthetic: $(READY)  ## write the synthetic sample of every wave again, by the recipe
	@$(PY) -m tsunagari.synthetic '$(STUDY)' '$(YEAR)'

templates: $(READY)  ## empty workbooks for the programmes' records
	@$(PY) -m tsunagari.programmes.templates '$(STUDY)' '$(YEAR)'

# Holds the lock of every report meanwhile: a run would lose what it works on.
define CLEAN
import fcntl, glob, subprocess, sys
held = [open(name) for name in glob.glob("data/processed/*/.lock-*")]
try:
    for one in held:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit("E-LOCKED: レポートを作成中です。終わってからもう一度実行してください。 / "
             "A report is being made: run again when it has ended.")
command = "rm -rf reports data/processed/*/[0-9]* data/processed/*/.[!.]*"
sys.exit(subprocess.call(command, shell=True))
endef
export CLEAN

clean:  ## delete processed data and reports, never raw, nor what signed releases have shown
	@$(PYTHON) -c "$$CLEAN"

lock:  ## work out requirements.lock again from pyproject.toml
	@lock_tool=$$(mktemp -d) && trap 'rm -rf "$$lock_tool"' EXIT && $(PYTHON) -m venv "$$lock_tool" && \
	"$$lock_tool/bin/python" -m pip install -q '$(UV)' && "$$lock_tool/bin/uv" pip compile -q \
	  --extra dev --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command 'make lock' -o requirements.lock --upgrade pyproject.toml

# The stamp is written last: a set-up that was cut short starts again from nothing.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 以上が必要です（例: make PYTHON=python3.12 …）。 / Python 3.11 or newer is needed (for example: make PYTHON=python3.12 ...)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python の venv モジュールがありません（Debian では apt-get install python3-venv）。 / Python's venv module is missing (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "環境を準備しています（初回のみ、1〜2 分）。 / Setting up the environment (first time only, 1 to 2 minutes)." >&2
	@[ ! -L .venv ] || rm .venv  # what it leads to is another's
	@$(PYTHON) -m venv --clear .venv
	@$(PY) -m pip --disable-pip-version-check install -qq --no-deps --no-compile --require-hashes -r requirements.lock
	@$(PY) -m pip --disable-pip-version-check install -qq --no-deps --no-build-isolation -e .
	@$(PY) -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@$(WHOSE) >$(READY)
