# `make demo` and `make test` each set up all they need. Nothing is installed outside this folder.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.set-up
# Where torch comes from. On many machines plain PyPI brings gigabytes of CUDA; the README says what to set.
TORCH_INDEX_URL ?=
TORCH := torch==2.13.0
# what torch itself brings for GPUs comes with it, from wherever it comes
NOT_LOCKED := $(addprefix --no-emit-package ,torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,\
	cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 \
	nccl-cu13 nvjitlink nvshmem-cu13 nvtx))
# vLLM pins its own torch: tests of it run it from an environment of its own.
VLLM_VENV := $(abspath $(or $(COMD_VLLM_VENV),.venv-vllm))
LMMS_EVAL_VENV := $(abspath $(or $(COMD_LMMS_EVAL_VENV),.venv-lmms-eval))
export TORCH_INDEX_URL

.PHONY: help setup demo up test test-unit test-integration test-captions test-cluster test-browser test-acceptance test-vllm test-handover test-compose chaos lint format bench bench-gpu locks clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(STAMP)  ## the virtual environment with pinned dependencies

$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "CoMD wants Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV) (a few minutes, once)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --constraint constraints.txt setuptools wheel
	@$(PY) -m pip install --quiet $(TORCH) $(if $(TORCH_INDEX_URL),--index-url "$(TORCH_INDEX_URL)")
	@$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[stack,engine,train,dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## the whole loop on this machine: a tiny student learns from a scripted teacher
	@$(PY) -m comd demo $(DEMO_FLAGS)

up: $(STAMP)  ## the whole stack on this machine, until Ctrl-C
	@$(PY) -m comd up $(UP_FLAGS)

test: test-unit test-integration test-captions test-browser test-acceptance  ## every test

test-unit: $(STAMP)
	@$(PY) -m pytest tests/unit

test-integration: $(STAMP)
	@$(PY) -m pytest tests/integration --numprocesses 3 --dist loadfile  # mostly waiting: three files at a time

test-captions: $(STAMP)  # apart: spaCy and Ray are large, and leave threads behind
	@$(PY) -m pytest tests/captions -m "not cluster"

test-cluster: $(STAMP)  ## the caption selection on a Ray cluster, on this machine
	@$(PY) -m pytest tests/captions -m cluster

test-browser: $(STAMP)  ## the dashboard in a real Chromium; skipped where there is none
	@$(PY) -m pytest tests/browser

test-acceptance: $(STAMP)
	@$(PY) -m pytest tests/acceptance --numprocesses 2 --dist loadfile

test-vllm: $(STAMP)  ## roles, whole loop and student on vLLM's CPU build, in an environment of its own (3.5 GB)
	@$(PYTHON) tests/vllm/environment.py "$(VLLM_VENV)" || \
		{ status=$$?; test $$status = 77 && echo "skipped: tests/vllm"; exit $$(( status == 77 ? 0 : status )); }; \
	COMD_VLLM_VENV="$(VLLM_VENV)" $(PY) -m pytest tests/vllm

test-handover: $(STAMP)  ## lmms-eval itself (2.4 GB), and VLMEvalKit where it is named; docs/other-benchmarks.md
	@$(PYTHON) -m tests.handover.environment "$(LMMS_EVAL_VENV)" || \
		{ status=$$?; test $$status = 77 && echo "skipped: tests/handover"; exit $$(( status == 77 ? 0 : status )); }; \
	COMD_LMMS_EVAL_VENV="$(LMMS_EVAL_VENV)" $(PY) -m pytest tests/handover -v

test-compose: $(STAMP)  ## the containers, run for real: images, the demo's loop, crashes, a swap (half an hour; wants Docker)
	@$(PY) -m pytest tests/compose -v

chaos: $(STAMP)  ## the fault tests in their long form, about an hour; docs/faults.md
	@$(PY) -m tests.chaos $(CHAOS_FLAGS)

lint: $(STAMP)  ## ruff and the type checker
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: $(STAMP)  ## lay the code out
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

bench: $(STAMP)  ## the long measurements; their results go to benchmarks/baselines
	@$(PY) -m benchmarks.loop_controls
	@$(PY) -m benchmarks.trainer_steps
	@$(PY) -m benchmarks.padding
	@$(PY) -m benchmarks.trainer_start
	@$(PY) -m benchmarks.role_overhead
	@$(PY) -m benchmarks.usage_sums
	@$(PY) -m benchmarks.whole_path
	@$(PY) -m benchmarks.assessment_window
	@$(PY) -m benchmarks.rouge_l
	@$(PY) -m benchmarks.recovery
	@$(PY) -m benchmarks.scale --in-process 50000
	@$(PY) -m benchmarks.scale_queries 50000 500000
	@$(PY) -m benchmarks.dashboard_pages 500000

bench-gpu: $(STAMP)  ## the trainer on this machine's GPUs beside TRL's; without one: BENCH_FLAGS="--tiny --cpu"
	@$(PY) -m benchmarks.gpu.run $(BENCH_FLAGS)

locks: $(STAMP)  ## what the images install, from pyproject.toml and constraints.txt; with hashes
	@for name in roles coordinator coordinator-tracking trainer; do \
		$(PY) -m uv pip compile --quiet pyproject.toml --constraint constraints.txt --output-file locks/$$name.txt \
			--generate-hashes --no-header --no-annotate --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
			$$( [[ $$name = coordinator* ]] && echo --extra coordinator; [[ $$name = *-tracking ]] && echo --extra tracking; [ $$name = trainer ] && echo --extra train --extra captions $(NOT_LOCKED) ) || exit 1; \
	done; \
	grep -E '^(setuptools|wheel)==' constraints.txt | $(PY) -m uv pip compile --quiet - --output-file locks/build.txt \
		--generate-hashes --no-header --no-annotate

clean:  ## remove what running left behind (not the environment)
	rm -rf runs var .pytest_cache .mypy_cache .ruff_cache .hypothesis
