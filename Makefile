# `make` alone explains every command. Python >= 3.11, make and git are all that a machine needs.

PYTHON ?= python3
# Test processes that run side by side; 0 runs the tests in one process.
JOBS ?= 2
# `make demo KEEP=1` leaves the demo running.
KEEP ?=
export KEEP
# `make bench ARGS="--scenario cold --objects 5000"` measures that.
ARGS ?=
# `make image IMAGE=registry.example.com/keyferry:0.1.0` builds under that name; CLUSTER names the one of kind.
IMAGE ?=
CLUSTER ?= keyferry
export IMAGE CLUSTER

# Relative on purpose: the path of the checkout may hold spaces.
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --no-input
LOCK := .lock/dev.txt

# Read by test processes and by the servers that they start.
export PYTHONUTF8 := 1
export PIP_REQUIRE_VIRTUALENV := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster bench lint format crds docs site lock image sbom pin-image kind-up kind-demo kind-down venv clean

help: ## Explain every command
	@echo "Keyferry: commands for people who work on it"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables: PYTHON=python3.12  JOBS=4  KEEP=1  ARGS=--help  IMAGE=NAME:TAG  CLUSTER=NAME"

demo: venv ## Show Keyferry at work on this machine, without a cluster; KEEP=1 leaves it running
	@$(RUN) -m tests.sandbox.demo

test: lint ## Check everything: style, types, floors, generated files, and all tests
	$(RUN) -m pytest -n $(JOBS) --dist loadfile --durations 15 tests

test-cluster: venv ## Run the cluster and contract tests on a real API server (KUBEBUILDER_ASSETS or KEYFERRY_TEST_KUBECONFIG)
	@test -n "$$KUBEBUILDER_ASSETS$$KEYFERRY_TEST_KUBECONFIG" || { \
	  echo "Set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver," >&2; \
	  echo "or KEYFERRY_TEST_KUBECONFIG to the kubeconfig of a cluster made for tests." >&2; \
	  exit 2; }
	$(RUN) -m pytest --durations 15 tests/cluster tests/contract

bench: venv ## Measure beside a bare loop, in some minutes; ARGS=--help tells of more
	$(RUN) -m tests.bench $(ARGS)
	$(if $(ARGS),,$(RUN) -m tests.bench.templates)
	$(if $(ARGS),,$(RUN) -m tests.bench.calls)

lint: venv ## Check style, types, floors, generated files and look for secrets
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy operator/keyferry tests
	$(VENV)/bin/lint-imports
	$(RUN) -m keyferry crds --out crds --check
	$(RUN) -m keyferry crds --out charts/keyferry/files/crds --check
	@git ls-files -z --cached --others --exclude-standard \
	  | xargs -0 $(VENV)/bin/detect-secrets-hook --no-verify --baseline .secrets.baseline

format: venv ## Format the code and mend what ruff can mend
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

crds: venv ## Write the CRDs from the models, into crds/ and the chart
	$(RUN) -m keyferry crds --out crds
	$(RUN) -m keyferry crds --out charts/keyferry/files/crds

docs: venv ## Write the generated pages of docs/
	$(RUN) -m tests.support.pages

site: venv ## Build the site of docs/ into .site/html; warnings are errors
	$(RUN) -m mkdocs build --quiet --config-file .site/mkdocs.yml

lock: venv ## Choose the newest versions that pyproject.toml allows, and write .lock/
	$(RUN) -m uv pip compile $(LOCKING) --all-extras --output-file .lock/run.txt pyproject.toml
	$(RUN) -m uv pip compile $(LOCKING) --group build \
	  --constraints .lock/run.txt --output-file .lock/build.txt
	$(RUN) -m uv pip compile $(LOCKING) --all-extras --group dev \
	  --constraints .lock/run.txt --constraints .lock/build.txt --output-file $(LOCK) pyproject.toml
	@$(MAKE) venv

LOCKING := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --no-config

image: ## Build the image with Docker, as IMAGE (keyferry:VERSION)
	@sh .image/build.sh $(IMAGE)

sbom: venv ## Write what the lock puts into the image as an SBOM, dist/keyferry.cdx.json
	@mkdir -p dist
	$(RUN) -m cyclonedx_py requirements .lock/run.txt --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/keyferry.cdx.json

pin-image: ## Write the digest that the base image has today into the Dockerfile
	@sh .image/pin.sh

kind-up: ## Make a small cluster with kind
	@sh .kind/cluster.sh up

kind-demo: ## Build the image, install the chart into that cluster and show a Secret appear
	@sh .kind/cluster.sh demo

kind-down: ## Remove that cluster
	@sh .kind/cluster.sh down

# The environment is made anew when the lock, the place or Python changed, and Keyferry is installed into it again when
# pyproject.toml did. pip is asked for exactly what the lock says; Keyferry itself comes without dependencies, built by
# the locked backend, and without the network.
venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say: make PYTHON=python3.12" >&2; exit 2; }
	@set -e; \
	locked=$$({ $(PYTHON) -V; pwd; cat $(LOCK); } | cksum); \
	if [ "$$locked" != "$$(cat $(VENV)/made-from-lock 2>/dev/null)" ]; then \
	  echo "Making $(VENV)"; \
	  rm -rf $(VENV); \
	  $(PYTHON) -m venv $(VENV); \
	  $(PIP) install --quiet --require-hashes --only-binary :all: --requirement $(LOCK); \
	  echo "$$locked" >$(VENV)/made-from-lock; \
	fi; \
	project=$$(cksum <pyproject.toml); \
	if [ "$$project" != "$$(cat $(VENV)/made-from-project 2>/dev/null)" ]; then \
	  $(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .; \
	  $(PIP) check; \
	  echo "$$project" >$(VENV)/made-from-project; \
	fi

clean: ## Remove everything that was made here and is not committed
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .demo .site/html
	find operator tests -name __pycache__ -type d -prune -exec rm -rf {} +
