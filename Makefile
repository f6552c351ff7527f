# Everything runs from here; `make help` lists what there is.

PYTHON ?= python3
PIP_ARGS ?=
ONLY ?=
PORT ?= 8000
SWEEP ?= book/sweeps/regression-grid.yaml
OUT ?= out/$(basename $(notdir $(SWEEP)))

# One thread per process: chapters and tests run side by side, and results do not depend on how threads divide a sum.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PIP_ARGS
unexport PYTHONHASHSEED

# What has been computed is found again by whoever executes a chapter, as long as nothing that it came from has changed.
STORE := $(CURDIR)/_build/store
book notebooks: export LIB_STORE := $(STORE)

RUN := .venv/bin/python

.PHONY: help venv book test check processors seeds colab notebooks records sweep bench serve zip links clean
.DEFAULT_GOAL := help

help: ## list these targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

venv: ## make or repair .venv (the others do this themselves)
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); this book needs Python 3.11, 3.12 or 3.13." \
		"Name it: make book PYTHON=python3.12"; exit 1; }
	@$(PYTHON) book/environment.py $(if $(filter file,$(origin PYTHON)),,--chosen)

book: venv ## execute every chapter and build the book; the last line is the page to open
	@$(RUN) book/make.py book

test: venv ## lint, unit, statistical, notebook and browser tests, then every chapter against its stored outputs
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pytest -n 2 --dist loadgroup tests
	LIB_STORE="$(STORE)" $(RUN) -m pytest -n 2 --dist loadscope --no-loadscope-reorder -p tests.longest_first \
		--nbval --nbval-current-env --nbval-cell-timeout=1200 notebooks
	@$(RUN) tests/browser/chromium.py

check: venv ## lint and the fast tests, in three minutes: before every commit
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m pytest -q -n 2 --dist loadgroup -m "not slow and not browser" tests

processors: venv ## whether all chapters show the same on other processors (for maintainers; an hour; ONLY="02 06")
	@$(RUN) tests/processors.py $(ONLY)

seeds: venv ## which words of the ledger change at other seeds (for maintainers; a quarter of an hour)
	@$(RUN) tests/seeds.py

colab: venv ## begin every chapter in a clean environment with the versions that Colab has (Python 3.11 or 3.12)
	@$(RUN) tests/colab/run.py

notebooks: venv ## execute the committed notebooks again, in place (ONLY="02 06" for some of them)
	@$(RUN) book/make.py notebooks $(ONLY)

records: venv ## run the sweeps that are recorded, keep them in lib/stored/sweeps (ONLY="gaussian-grid"; minutes to hours)
	@$(RUN) book/make.py records $(ONLY)

sweep: venv ## run a sweep of notebooks (SWEEP="book/sweeps/regression-grid.yaml" OUT="out/regression-grid")
	@$(RUN) -m lib.batch run $(SWEEP) --out $(OUT)

bench: venv ## how fast it is, as ratios measured in one run
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(RUN) tests/bench.py

serve: venv ## serve the built book on this machine and open it (PORT=8000)
	@$(RUN) book/make.py serve --port $(PORT) --open

zip: venv ## put the built book into one file, for readers without a network
	@$(RUN) book/make.py zip

links: venv ## ask for every address outside the book that its pages link to (needs a network)
	@$(RUN) book/make.py links

clean: ## remove the environment and everything built
	rm -rf .venv _build
