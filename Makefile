# The logic is in tools/run_checks.py; these are its names.
PYTHON ?= python3
ARGS ?=
PROFILE ?= release
export ARGS PROFILE INTERPRETER

RUN = $(PYTHON) tools/run_checks.py

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## */\1\t/p' $(MAKEFILE_LIST) | expand -t 16

test:  ## build and install the release wheel, run every check (ARGS="-k name" narrows pytest)
	@$(RUN) all

quick:  ## the same on a wheel that links in seconds: for daily work, not for measurements
	@PROFILE=quick $(RUN) all

dev:  ## build that quick wheel and install it into .venv
	@PROFILE=quick $(RUN) install

pytest:  ## only pytest, on a fresh wheel (PROFILE=quick for the quick one)
	@$(RUN) pytest

lint:  ## every check that runs no test
	@$(RUN) lint

fmt:  ## format Rust and Python
	@$(RUN) format

wheel:  ## dist/pgiam-*.whl
	@$(RUN) wheel

wheel-portable:  ## the same for manylinux2014, linked with zig (ARGS="--target ... --zig musllinux_1_2" for others)
	@$(RUN) wheel-portable

sdist:  ## dist/pgiam-*.tar.gz
	@$(RUN) sdist

free-threaded:  ## build for INTERPRETER=/path/to/python3.14t and run the tests without the GIL
	@$(RUN) free-threaded

demo:  ## build the quick wheel, run a service on the sandbox, count what happened (ARGS="--flavor dsql")
	@PROFILE=quick $(RUN) demo

bench:  ## measure on the release wheel, and write the figures into docs/ (ARGS="--only core" for a part, unwritten)
	@$(RUN) bench

SECONDS = 60
fuzz:  ## fuzz what comes from outside, SECONDS=60 for each target (ARGS="sts dns" for some of them)
	@PROFILE=quick ARGS="--seconds $(SECONDS) $(ARGS)" $(RUN) fuzz

lock:  ## pin tests/requirements.in in tests/requirements.txt (ARGS=--upgrade for newer versions)
	@$(RUN) lock

clean:  ## remove everything that was built
	rm -rf .venv .venv-release .venv-free-threaded dist target .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help test quick dev pytest lint fmt wheel wheel-portable sdist free-threaded demo bench fuzz lock clean
