# Two commands do everything on a fresh clone: `make chat` and `make test`.
PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin

.PHONY: chat explain test check docs format bench bench-gpu report notebooks soak wheel clean

chat: .venv/ready
	@$(BIN)/sampling chat "What is the capital of Turkey?" --probabilities --seed 1

explain: .venv/ready
	@$(BIN)/sampling explain "Name a fruit." --temperature 1.2 --top-p 0.9 --presence-penalty 0.5 --seed 15

# Some processes of one thread each: most tests are small, and threads that wait for each other take turns badly. Where a test
# has several, they sleep while they wait. Processes that tests start find modules compiled, also where the environment
# forbids to keep them.
test: .venv/ready
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

check: .venv/ready docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# Strict, without network and without running a notebook. The source is the repository (`-c docs .`), so that links work in both places.
# From nothing: of a page that was read before, no warning would come again.
docs: .venv/ready
	rm -rf build/site
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -n -q -j auto -c docs -b html . build/site

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: .venv/ready
	$(BIN)/python notebooks/execute.py

bench: .venv/ready
	@$(BIN)/python -m benchmarks.sampler --short

# Needs torch with CUDA, transformers, safetensors and numpy in PYTHON, no environment of our own and no network.
bench-gpu:
	$(PYTHON) benchmarks/record.py --device cuda

report: .venv/ready
	$(BIN)/python -m benchmarks.report

soak: .venv/ready
	$(BIN)/python -m benchmarks.soak.disconnects
	$(BIN)/python -m benchmarks.soak.load
	$(BIN)/python -m benchmarks.soak.hostile
	$(BIN)/python -m benchmarks.soak.fuzz

# The source distribution, and the wheel out of it.
wheel: .venv/ready
	$(BIN)/python -m build

# plain venv and pip: the constraints pin what the project was tested with. pip itself compiles everything, on one core; here
# all cores compile what is used. That fails for files in the syntax of a later Python, which nobody imports.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[bench,cli,docs,json,notebooks,serve,verify,test,check]"
	$(BIN)/python -m compileall -qq --workers 0 -x '/(tests|transformers/models)/' .venv/lib || true
	touch .venv/ready

clean:
	rm -rf .venv dist build .pytest_cache .ruff_cache .hypothesis
