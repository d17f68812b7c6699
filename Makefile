# `make demo`, `make notebook`, `make test` and `make check` need nothing but Python 3.11 or later: they set up .venv first.
PYTHON ?= python3
# On a machine with a GPU, or for another build: make TORCH="torch==2.13.0+cu130" with pip set up for it.
TORCH ?= torch==2.13.0
BIN := .venv/bin

.PHONY: all demo notebook test check format lint types docs clean

all: .venv/ready

# torch comes first and alone, so that what needs it takes the build that is there.
.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[all,dev]"
	touch $@

demo: .venv/ready
	rm -rf runs/demo
	$(BIN)/sparring train digits --out runs/demo
	$(BIN)/sparring sample runs/demo --n 100 --seed 1 --out runs/demo/samples.png

notebook: .venv/ready
	rm -rf runs/notebook
	mkdir -p runs/notebook
	OUT=$(CURDIR)/runs/notebook $(BIN)/jupyter-execute --output=../runs/notebook/executed.ipynb examples/from_data_to_edited_picture.ipynb

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: lint types test docs

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/ready
	$(BIN)/mypy

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache
