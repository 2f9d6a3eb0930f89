# Needs Python 3.11 or later with venv, git and make. Everything goes into .venv and .nox, nothing is global.

PYTHON ?= python3
NOX := .venv/bin/nox

.PHONY: help setup demo test clean

help:
	@echo "make demo    see agents' histories stored, queried, changed, and found again after a kill"
	@echo "make test    run every test, on each of Python 3.11, 3.12 and 3.13 that is here, and certify every backend (S3 and PgBouncer in part),"
	@echo "             on servers in containers; where no container engine runs it offers to start one"
	@echo "make setup   only prepare .venv; then .venv/bin/nox -l lists every other task"
	@echo "make clean   remove the environments, caches and built files"
	@echo "Another Python: make test PYTHON=python3.12"

setup: $(NOX)

demo: $(NOX)
	@$(NOX) -s demo

test: $(NOX)
	@compliance-tests/images/engine run sh -c '$(NOX) -s tests; tests=$$?; $(NOX) -s certify -- --level quick && exit $$tests'

# uv comes by pip, all else by uv; the versions and hashes of both stand in requirements.txt.
$(NOX): requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here: install Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This is Python %d.%d, and daystore needs 3.11 or later. If you have one, name it: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt >.venv/uv.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
	.venv/bin/uv pip install --quiet --python .venv/bin/python --constraints requirements.txt --group tasks
	@touch $(NOX)

clean:
	rm -rf .venv .nox .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist site
	find . -name __pycache__ -prune -exec rm -rf {} +
