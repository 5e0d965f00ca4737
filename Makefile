# `make help` lists what there is.

# Python 3.11 or newer, for the virtual environment.
PYTHON ?= python3
# The address of a package index with CPU builds of torch; empty: the public index, whose build for Linux brings CUDA.
TORCH_INDEX ?=
# Your own text for the demo.
TEXT ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PERF_ANALYZER := build/perf_analyzer
PEERS := triton mosec litserve
# Triton's wheel runs models by a Python 3.11.4 or older of its own, on the modules of this one, which must not be newer.
PEER_PYTHON ?= /usr/bin/python3

.DEFAULT_GOAL := help
.PHONY: help demo test quick faults mutants lint format proto bench bench-peers clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo.done ## train on text, export, verify, publish, serve, stream; TEXT=file.txt for your own text
	@$(PY) -m demo $(if $(TEXT),--text "$(TEXT)")

test: $(VENV)/test.done $(PERF_ANALYZER)/done ## every test, in as many processes as there are cores
	@OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses auto --dist loadfile --cov --cov-report=term

quick: $(VENV)/test.done ## train the recipes that take half a minute or less, each held to its figure
	@rm -rf build/quick build/quick.json
	@$(PY) -m training reproduce --quick --seeds 1 --runs build/quick --record build/quick.json

faults: $(VENV)/test.done ## the fault tests with ten times as many of everything
	@RECUR_FAULTS_SCALE=10 $(PY) -m pytest -m "long or not long" tests/faults

mutants: $(VENV)/test.done ## break the server on purpose, one way at a time, and see a test turn red each time
	@$(PY) -m tests.faults.mutants

lint: $(VENV)/test.done ## format, lint, types, layers, and the generated code is current
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	@mkdir -p build/proto
	$(call protoc,build/proto)
	@diff -r -x __init__.py -x __pycache__ build/proto/server/pb server/pb || { echo 'run `make proto`'; exit 1; }

format: $(VENV)/test.done ## format the code, mend what lint can mend
	$(VENV)/bin/ruff check --quiet --fix .
	$(VENV)/bin/ruff format --quiet .

proto: $(VENV)/test.done ## generate server/pb from proto/
	$(call protoc,.)

bench: $(VENV)/test.done ## speed beside a bare echo and ONNX Runtime; writes build/bench.json
	@$(PY) -m benchmarks $(if $(WORK),--work $(WORK))

bench-peers: $(VENV)/test.done $(PEERS:%=build/peers/%/done) ## calls of one step, beside Triton, mosec and LitServe with the same model
	@$(PY) -m benchmarks.peers

build/peers/%/done: benchmarks/peers/%.txt
	@echo 'installing $* into build/peers/$* (once)'
	@rm -rf build/peers/$*
	@$(PEER_PYTHON) -m venv build/peers/$*
	@build/peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clean: ## remove what was installed and built, but no models and no runs
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage recur.egg-info

define protoc
@$(PY) -m grpc_tools.protoc -Iserver/pb=proto/inference --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) server/pb/grpc_service.proto
endef

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: pyproject.toml constraints.txt | $(PY)
	@echo 'installing into $(VENV) (once)'
	@$(PIP) '.[server,training,client]'
	@touch $@

$(VENV)/test.done: pyproject.toml constraints.txt | $(PY)
	@echo 'installing into $(VENV) (once)'
	@$(PIP) '.[server,native,training,search,ray,client,test]'
	@touch $@ $(VENV)/demo.done

# A C++ load generator. Its wheel needs a library of Debian's and one of CUDA's; where one is missing its tests are skipped.
$(PERF_ANALYZER)/done: constraints.txt | $(PY)
	@mkdir -p $(PERF_ANALYZER)
	@-$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(PERF_ANALYZER) tritonclient==2.50.0 nvidia-cuda-runtime-cu12==12.9.79
	@-rm -rf $(PERF_ANALYZER)/tritonclient $(PERF_ANALYZER)/tritonclient-*
	@-if [ "$$(id -u)" = 0 ] && [ -f /etc/debian_version ] && ! ldconfig -p | grep -q libb64; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libb64-0d >/dev/null; fi
	@touch $@
