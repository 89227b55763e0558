# Two commands matter: `make demo` and `make test`. The others are their parts.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# Container images like to set it; without bytecode, each process compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help install image demo test install-dev lint types layers unit properties contract integration chaos conformance nodes frameworks lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: ## create .venv with the locked dependencies
	@$(PYTHON) deploy/install.py

image: install ## build the default environment image, which sandboxes run in
	@$(BIN)/flowray image build

demo: image ## start FlowRay here, run an example flow over HTTP, stop again
	@$(BIN)/flowray demo

test: install-dev lint types layers unit properties contract integration ## everything CI runs

install-dev:
	@$(PYTHON) deploy/install.py --lock dev
	@$(BIN)/flowray image build

lint: ## ruff: rules and format
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

types: ## mypy, strict, tests too
	@$(BIN)/mypy --no-error-summary

layers: ## import-linter: imports go down only
	@$(BIN)/lint-imports --no-cache

unit: ## without Ray, sandboxes or servers; seconds
	@$(BIN)/python -m tests.unit

properties: ## what holds for any input: hypothesis searches, seeded worlds
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/properties

contract: ## ports and clients against real servers
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/contract

integration: ## real sandboxes, a Ray cluster, real flows, real attacks
	@$(BIN)/python -m pytest -q tests/integration tests/acceptance tests/attacks tests/chaos

chaos: ## a long round of chaos: make chaos MINUTES=30 SEED=1
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

conformance: install-dev ## a real Langflow beside FlowRay, asked the same; minutes
	@$(BIN)/python -m pytest -q tests/conformance

nodes: ## a service on two Ray nodes that others look after
	@$(BIN)/python -m pytest -q tests/nodes

frameworks: ## nodes of other frameworks; builds their images first, minutes
	@$(BIN)/python -m pytest -q tests/frameworks

lock: ## resolve the dependencies anew
	uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 --extra local --extra langchain pyproject.toml -o deploy/locks/service.txt
	uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 --extra local --extra langchain --group dev pyproject.toml -o deploy/locks/dev.txt
	for image in default haystack llamaindex; do \
	  uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 sandbox/flowray_sandbox/images/$$image.in -o sandbox/flowray_sandbox/images/$$image.txt || exit 1; \
	done

clean: ## remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .import_linter_cache
