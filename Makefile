# Two commands do all the set-up: `make demo` and `make test` build .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# SQL is tested on both majors that are supported. Random statements are divided between them: of the seeds
# the even ones are for DuckDB 2, the odd ones for DuckDB 1 (tests/comparing.py).
DUCKDB_1 := $(VENV)/duckdb-1
SQL_TESTS := $(addprefix tests/query/test_,answers.py answers_fuzzed.py asking.py sql_fuzzed.py sql_fill.py hints.py pruning.py publishing.py)
# Each process has tests that stand together, so that what a file sets up is set up once; and one thread, as
# there is a process for each core.
APART := -n auto --dist worksteal
ALONE := OMP_NUM_THREADS=1

.PHONY: setup demo test bench train-demo

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Belvedere needs Python 3.11 or later, not %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev,datasets,judges,masks,polars,xarray]'
	$(BIN)/uv pip install --quiet --no-deps --target $(DUCKDB_1) 'duckdb==1.5.5'
	@touch $@

demo: setup
	$(BIN)/belvedere demo

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers 2
	$(ALONE) $(BIN)/pytest $(APART)
	$(ALONE) PYTHONPATH=$(DUCKDB_1) $(BIN)/pytest -q $(APART) $(SQL_TESTS)

bench: setup
	$(BIN)/python -m benchmarks
	$(BIN)/pytest -m slow

train-demo: setup
	$(BIN)/python -m belvedere.demo.train_clip
	$(BIN)/python -m belvedere.demo.train_classifier
	$(BIN)/python -m belvedere.demo.train_captioner
	$(BIN)/python -m belvedere.demo.train_painter
