# Everything a checkout needs, with any GNU make from 3.81 on. .venv is made and kept up to date by
# scripts/venv, from the hash-locked lists in requirements/.

UV = uv==0.13.8
COMPILE = .venv-tools/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet

# pyright is not to ask the network for a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.PHONY: help serve test check lint format docs bench drills lock clean run-packages test-packages

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1@/p' Makefile | awk -F@ '{ printf "  make %-8s %s\n", $$1, $$2 }'

serve: run-packages ## Start the server: make serve ARGS='agents.py --port 9000'
	@exec .venv/bin/forebay serve $(ARGS)

test: test-packages ## Run every test: make test ARGS='-k stream'
	.venv/bin/python -m pytest -n auto -rs $(ARGS)

check: lint ## Run what should pass before every commit: lint and the quick tests
	.venv/bin/python -m pytest -n auto -rs -m 'not system and not postgres' $(ARGS)

lint: test-packages ## Check format, style, types and layers
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/lint-imports

format: test-packages ## Format the code and sort its imports
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

docs: test-packages ## Write the parts of docs/ that come from the code
	.venv/bin/python -m tests.docs.reference
	.venv/bin/python -m forebay.cli.reference >docs/cli.md.new && mv docs/cli.md.new docs/cli.md

bench: test-packages ## Run the benchmarks: make bench ARGS='…'
	.venv/bin/python -m bench $(ARGS)

drills: test-packages ## Hold the fault drills: make drills ARGS='--faults 50 --db sqlite'
	.venv/bin/python -m drills $(ARGS)

lock: ## Renew the lock files, keeping their versions: make lock ARGS=--upgrade takes the newest
	@PYTHON="$$(scripts/venv python)" && "$$PYTHON" -m venv .venv-tools
	@.venv-tools/bin/python -m pip --disable-pip-version-check install --quiet '$(UV)'
	$(COMPILE) $(ARGS) pyproject.toml requirements/run.in --output-file requirements/run.txt
	$(COMPILE) $(ARGS) pyproject.toml requirements/run.in requirements/test.in \
		--constraints requirements/run.txt --output-file requirements/test.txt

clean: ## Remove everything that make made, but no database and no benchmark result
	rm -rf .venv .venv-tools build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

run-packages:
	@scripts/venv run

test-packages:
	@scripts/venv test
