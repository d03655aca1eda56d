# Every target is safe to run twice and does only the work that is missing.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
NODE   := node_modules/.package-lock.json
# The IPFS node of the tests keeps its packages to itself: newer releases of some of them break it.
IPFS   := tests/ipfs/node_modules/.package-lock.json

# Brownie pins other versions of web3 and its kin than ours, so it lives in an environment of its own.
BROWNIE      := .venv-brownie
# So do slither and halmos.
ANALYSIS     := .venv-analysis
# Slither and halmos call forge by its name.
ANALYSE       = PATH="$(CURDIR)/scripts:$(CURDIR)/$(ANALYSIS)/bin:$$PATH"
# Its settings and accounts stay out of the tests, and the tests out of them.
BROWNIE_HOME := $(CURDIR)/build/brownie-home
FREE_PORT     = $(shell $(PYTHON) -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

.PHONY: demo test setup lint format bench false-alarms paper contracts vectors clean test-python test-contracts test-contracts-long coverage-contracts test-brownie brownie-setup analysis-setup slither halmos mutate verify-contracts
.DEFAULT_GOAL := demo

demo: $(VENV)/.run-ready  ## set up with pip alone, then run the whole job
	$(VENV)/bin/clicooper demo $(ARGS)

test: test-contracts coverage-contracts test-brownie test-python  ## set up everything the tests need, then run them all

setup: $(VENV)/.dev-ready $(NODE) $(IPFS)

test-python: $(VENV)/.dev-ready $(NODE) $(IPFS)
	$(PY) -m pytest -n 2 --dist loadfile --cov --cov-report=term $(ARGS)

test-contracts: $(VENV)/.dev-ready $(NODE)  ## also that the artifacts are of these sources, and that no call costs 1 % more gas
	scripts/forge test
	$(PY) scripts/compile.py --check
	$(PY) benchmarks/gas.py --check

test-contracts-long: $(NODE)  ## 128 runs of 512 calls an invariant, 20,000 fuzz runs: about half an hour
	FOUNDRY_PROFILE=long scripts/forge test

coverage-contracts: $(NODE)  ## every line, branch and function of contracts/; gas differs without the optimizer, so not its tests
	@mkdir -p build
	FOUNDRY_PROFILE=coverage scripts/forge coverage --no-match-coverage '(node_modules|tests)' --no-match-contract 'Gas|Invariants' \
		--report lcov --report-file build/lcov.info
	$(PYTHON) scripts/coverage_gate.py build/lcov.info

verify-contracts: slither halmos  ## static analysis and proofs of the contract

analysis-setup: $(ANALYSIS)/.ready $(NODE)

slither: analysis-setup  ## fails on a finding of medium impact or above that the source gives no reason for
	FOUNDRY_PROFILE=mutate $(ANALYSE) slither .

halmos: analysis-setup  ## proves solvency, single payout and exit on the committed bytecode; writes tests/contract/proofs.json
	FOUNDRY_PROFILE=prove $(ANALYSE) python scripts/prove.py --forge-build-out build/prove --match-contract 'Proof$$' \
		--loop 40 --solver-timeout-assertion 900s --proof-timeout 1800 $(ARGS)

mutate: analysis-setup  ## thousands of small changes of the contracts, of which the tests must notice 95 %: half an hour from nothing
	$(ANALYSE) python scripts/mutate.py $(ARGS)

brownie-setup: $(BROWNIE)/.ready $(NODE)

test-brownie: brownie-setup  ## the contract through Brownie, on its own Anvil
	@mkdir -p $(BROWNIE_HOME)
	@HOME=$(BROWNIE_HOME) scripts/brownie networks modify development port=$(FREE_PORT) >/dev/null
	HOME=$(BROWNIE_HOME) scripts/brownie test $(ARGS)

lint: $(VENV)/.dev-ready $(NODE)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	scripts/forge fmt --check

format: $(VENV)/.dev-ready $(NODE)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	scripts/forge fmt

bench: $(VENV)/.dev-ready $(NODE) $(IPFS)
	for file in benchmarks/[a-z]*.py; do $(PY) $$file || exit 1; done

.PHONY: fuzz
fuzz: $(VENV)/.dev-ready  ## 20,000 changed inputs: nothing crashes, hangs or accuses the honest; ARGS=--write writes docs/figures/fuzz.md
	OMP_NUM_THREADS=1 $(PY) -m tests.fuzz $(ARGS)

false-alarms: $(VENV)/.dev-ready  ## replay 10,000 honest intervals under other threads and precisions: accuses nobody
	OMP_WAIT_POLICY=PASSIVE $(PY) -m scripts.false_alarms $(ARGS)

paper: $(VENV)/.run-ready  ## the paper's claims beside what is measured here; ARGS='--frontier --write' regenerates docs/figures/privacy.md
	@$(PY) scripts/paper.py $(ARGS)

contracts: $(VENV)/.dev-ready $(NODE)  ## rebuild the compiled contract and compare bytes
	$(PY) scripts/compile.py --check

.PHONY: same-bits
same-bits: $(VENV)/.dev-ready  ## the same training in 24 kinds of processes: every bit is equal; ARGS=--write writes docs/figures/same-bits.md
	$(PY) -m scripts.same_bits $(ARGS)

.PHONY: calibrate-marks
calibrate-marks: $(VENV)/.dev-ready  ## how often marks deceive by chance, over 1,000 models; draws the plot of docs/watermark.md
	$(PY) -m scripts.calibrate_marks --plot docs/images/mark-calibration.svg $(ARGS)

vectors: $(VENV)/.dev-ready
	$(PY) scripts/make_vectors.py

clean:
	rm -rf $(VENV) $(BROWNIE) $(ANALYSIS) node_modules tests/ipfs/node_modules build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch comes first: with no torch installed, a requirement that admits it may pull gigabytes of CUDA packages.
$(VENV)/.run-ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.11")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the Python packages (about two minutes, once)"
	@$(PIP) torch
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready
	@echo "Installing the tools of the tests"
	@$(PIP) --editable '.[dev]'
	@touch $@

$(BROWNIE)/.ready: constraints-brownie.txt
	@test -x $(BROWNIE)/bin/python || $(PYTHON) -m venv $(BROWNIE)
	@echo "Installing Brownie (about a minute, once)"
	@$(BROWNIE)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-brownie.txt eth-brownie
	@touch $@

$(ANALYSIS)/.ready: constraints-analysis.txt
	@test -x $(ANALYSIS)/bin/python || $(PYTHON) -m venv $(ANALYSIS)
	@echo "Installing slither and halmos (about a minute, once)"
	@$(ANALYSIS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-analysis.txt slither-analyzer halmos
	@touch $@

$(NODE): package.json package-lock.json
	@command -v npm >/dev/null || { echo "Node.js with npm is needed for the contract tests (not for the demo)" >&2; exit 1; }
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(IPFS): tests/ipfs/package.json tests/ipfs/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js with npm is needed for the tests of the stores (not for the demo)" >&2; exit 1; }
	@echo "Installing the IPFS node of the tests (about four minutes, once)"
	cd tests/ipfs && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
