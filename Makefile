SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PROFILE ?= laptop
DEVICE ?= cpu
SEED ?= 0
FIG ?=
PORT ?= 8000
CHROMIUM ?=
BUDGET ?= 25m
# What is given on the command line reaches the shell through its environment, letter by letter: never as a part of a
# command, and never expanded by make.
GIVEN := PYTHON PROFILE DEVICE SEED FIG PORT CHROMIUM BUDGET
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)

PY := .venv/bin/python
JB := $(PY) -c 'from jupyter_book.cli.main import main; main()'  # its script's first line cannot name every folder
NOTEBOOKS := $(basename $(notdir $(wildcard notebooks/*.py)))
PAGES := $(NOTEBOOKS:%=notebooks/%.ipynb)
CODE := $(wildcard factcore factapp factbook tests scripts benchmarks book/_ext notebooks)
PACKAGES := $(foreach depth,* */* */*/*,$(wildcard factcore/$(depth).py factapp/$(depth).py factbook/$(depth).py))
# what an executed notebook depends on besides its own source
INPUTS := .venv/.installed scripts/run_notebook.py $(PACKAGES) $(wildcard data/*.safetensors data/*.toml)

# Caches stay in the environment: nothing is read from, or left in, the home folder.
export MPLCONFIGDIR := $(CURDIR)/.venv/cache/matplotlib
export IPYTHONDIR := $(CURDIR)/.venv/cache/ipython
# Threads that wait sleep: on a core that other programs use as well, a spinning thread keeps out the one it waits for.
export OMP_WAIT_POLICY ?= PASSIVE
unexport MPLBACKEND PYTHONPATH PYTHONHOME

.PHONY: help book test new figure one named paper references timings headline pdf serve lint lock clean distclean

help: ## This list
	@echo "make TARGET [NAME=value ...]"
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do \
	  printf '  %-11s %s\n' "$$name" "$$text"; done
	@printf 'Notebooks: %s. Profiles: smoke, laptop, paper.\n' '$(NOTEBOOKS)'

book: build/book.stamp ## Set up, execute the notebooks (laptop profile), build the book and print its first page
	@$(PY) -c 'import pathlib; print("The book:", pathlib.Path("_build/html/book/intro.html").resolve().as_uri())'

# nbval's run of the references is the smoke profile's only one: their cells are those of the notebooks (a test holds it).
# Two workers, a file (and with it a notebook) to one of them: each takes one thread.
test: $(if $(FIG),named .venv/.installed,build/book.stamp) ## Unit tests, smoke notebooks against their references (nbval), strict book [one page's: FIG=capacity]
	FACTCORE_PROGRESS=0 OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile --durations=5 \
	  --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 240 \
	  $(if $(FIG),tests/test_toolchain.py "tests/references/$$FIG.ipynb" -k "$$FIG or toc or every_page or share")

new: ## Begin notebooks/FIG.py with the cells that all notebooks share: FIG=name
	@[[ "$$FIG" =~ ^[a-z][a-z0-9_]*$$ && ! -e "notebooks/$$FIG.py" ]] || \
	  { echo "make new needs FIG=, small letters, digits and _, a name that no notebook has yet"; exit 1; }
	@awk '/^# %%/ {cell++} cell > 3 {exit} cell == 1 && !told++ {print "# %% [markdown]\n# # Title\n#\n" \
	  "# **What the paper claims** {cite:p}`dugan2025constructing`: …\n#\n# **What this page does**: …\n#\n# **For whom**: …\n"} \
	  cell != 1' notebooks/facts.py > "notebooks/$$FIG.py"
	@echo "notebooks/$$FIG.py"

figure: one named .venv/.installed ## Run one notebook: FIG=capacity [PROFILE=paper] [DEVICE=cuda] [SEED=0]
	$(PY) scripts/run_notebook.py "notebooks/$$FIG.py" "build/$$PROFILE/$$FIG.ipynb" \
	  --profile "$$PROFILE" --device "$$DEVICE" --seed "$$SEED" --log --pictures

one:
	@[[ -n "$$FIG" ]] || { printf 'make figure needs FIG=, one of: %s\n' '$(NOTEBOOKS)'; exit 1; }

named:  # what is wrong is told before anything is installed or run
	@[[ -z "$$FIG" || ( "$$FIG" =~ ^[a-z][a-z0-9_]*$$ && -f "notebooks/$$FIG.py" ) ]] || \
	  { printf 'FIG is one of: %s; not %q\n' '$(NOTEBOOKS)' "$$FIG"; exit 1; }
	@[[ "$$PROFILE" =~ ^(smoke|laptop|paper)$$ ]] || \
	  { printf 'PROFILE is smoke, laptop or paper, not %q\n' "$$PROFILE"; exit 1; }
	@[[ "$$SEED" =~ ^[0-9]{1,18}$$ ]] || { printf 'SEED is a number, 0 or larger, not %q\n' "$$SEED"; exit 1; }
	@[[ "$$BUDGET" =~ ^[1-9][0-9]{0,4}[smh]$$ ]] || { printf 'BUDGET is a time such as 90s, 25m or 2h, not %q\n' "$$BUDGET"; exit 1; }
	@[[ "$$DEVICE" =~ ^(cpu|cuda(:[0-9]{1,3})?)$$ ]] || { printf 'DEVICE is cpu, cuda or cuda:N, not %q\n' "$$DEVICE"; exit 1; }
	@[[ "$$DEVICE" == cpu || -e /dev/nvidiactl || -e /dev/nvgpu || -e /dev/nvmap || -e /dev/dxg || -e /dev/kfd ]] || \
	  { echo "DEVICE=$$DEVICE: this machine shows no GPU"; exit 1; }

paper: named .venv/.installed ## Go on with the papers' sizes, the most valuable first [DEVICE=cuda] [BUDGET=25m]
	$(PY) scripts/paper.py --device "$$DEVICE" --budget "$$BUDGET"

references: named .venv/.installed ## Refresh tests/references/*.ipynb, which nbval compares with (smoke profile) [FIG=capacity]
	@for name in $${FIG:-$(NOTEBOOKS)}; do \
	  $(PY) scripts/run_notebook.py "notebooks/$$name.py" "tests/references/$$name.ipynb" --profile smoke --portable; done
	@$(PY) scripts/share_cells.py  # and what Colab opens

timings: named .venv/.installed ## Measure seconds and memory of every notebook, computing everything [FIG=capacity] [PROFILE=laptop] [DEVICE=cpu]
	@for name in $${FIG:-$(NOTEBOOKS)}; do store="$$(mktemp -d)"; \
	  FACTCORE_RESULTS="$$store" $(PY) scripts/run_notebook.py "notebooks/$$name.py" "build/timings/$$name.ipynb" \
	    --profile "$$PROFILE" --device "$$DEVICE" --measure results/laptop/notebooks.csv; rm -r "$$store"; done

headline: notebooks/capacity.ipynb ## book/_static/headline.png from the capacity page, and README.md's findings from the tables
	$(PY) scripts/headline.py $< book/_static/headline.png
	$(PY) scripts/readme.py

pdf: $(PAGES) ## The whole book as build/book.pdf (needs Chromium: apt install chromium)
	@browser="$${CHROMIUM:-$${FACTCORE_CHROMIUM:-$$(command -v chromium || command -v chromium-browser || true)}}"; \
	[[ -n "$$browser" ]] || { echo "make pdf needs Chromium: apt install chromium, or CHROMIUM=path"; exit 1; }; \
	$(JB) build . --builder custom --custom-builder singlehtml --path-output build/single -q; \
	cp build/single/_build/singlehtml/book/intro.html build/single/_build/singlehtml/book.html;  : beside its _static; \
	page="$$($(PY) -c 'import pathlib; print(pathlib.Path("build/single/_build/singlehtml/book.html").resolve().as_uri())')"; \
	"$$browser" --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$$(mktemp -d)" \
	  --no-pdf-header-footer --virtual-time-budget=60000 --print-to-pdf=build/book.pdf \
	  "$$page" 2> build/chromium.log || { cat build/chromium.log; exit 1; }
	@printf 'The book in one file: %s\n' "$$PWD/build/book.pdf"

serve: build/book.stamp ## Serve the built book on localhost [PORT=8000]
	$(PY) -m http.server --bind 127.0.0.1 --directory _build/html "$$PORT"

lint: .venv/.installed ## ruff, its format, mypy, the tables' provenance, schemas of workflows and forms, known vulnerabilities
	$(PY) -m ruff check .
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy
	$(PY) -m factbook.provenance
	$(PY) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PY) -m check_jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(PY) scripts/audit.py requirements.lock requirements.torch

lock: .venv/.installed ## Resolve requirements.in afresh into requirements.lock, with hashes
	$(PY) -m pip install -qq uv
	{ echo "# Made by 'make lock' from requirements.in, for Python 3.11 and newer. torch and what comes with it: requirements.torch."; \
	  $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --generate-hashes \
	    requirements.in | awk '/^[^ ]/ {skip = /^(nvidia-|cuda-|triton|torch==|pip==)/} !skip'; } > build/requirements.lock
	@cmp -s build/requirements.lock requirements.lock || mv build/requirements.lock requirements.lock

clean: ## Remove everything made but the environment
	rm -rf _build build dist notebooks/*.ipynb .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf .venv

# ---------------------------------------------------------------------------------------------------------------

.venv/.locked: requirements.lock requirements.torch
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "factcore needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@"$$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || \
	  { printf '%q cannot make environments; on Debian and Ubuntu: sudo apt install python3-venv\n' "$$PYTHON"; exit 1; }
	"$$PYTHON" -m venv --clear .venv
	@echo "Installing requirements.lock into .venv (a minute or two)"
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(PY) -m pip install -qq --disable-pip-version-check -r requirements.torch
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PY) -c 'import matplotlib.font_manager'  # builds its cache here, not in the middle of a page
	@mkdir -p "$$IPYTHONDIR/profile_default"
	@# Kernels warn that their sockets are not encrypted (they are local), and call the signal that ends them an error.
	@echo 'c.IPKernelApp.log_level = 50' > "$$IPYTHONDIR/profile_default/ipython_kernel_config.py"
	@mkdir -p build
	@touch $@

notebooks/%.ipynb: notebooks/%.py $(INPUTS) $(wildcard results/*/*.csv)
	@$(PY) scripts/run_notebook.py $< $@ --page

# --all: Sphinx repeats warnings only for pages that it reads again, and a strict build must see them all.
build/book.stamp: $(PAGES) _toc.yml _config.yml $(wildcard book/*.* book/parts/* book/_static/* book/_ext/*.py results/*/*.csv) $(PACKAGES)
	@rm -rf _build/html
	$(JB) build . -W -n --keep-going --all -q
	@mkdir -p build
	@touch $@
