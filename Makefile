# make            builds build/intaglio
# make demo       the main job on the digits example (MODEL=efficientnet_lite0: on ImageNet weights and photographs)
# make test       unit, golden, command-line and oracle tests
# make nightly    the long proofs: all oracle comparisons, long fuzzing, sanitizer builds (STAGE=fuzz: one of them)
# make bench      our figures beside the oracle's; writes bench/README.md's tables
#
# Each target installs what it needs: Debian packages (root or sudo), the ExecuTorch SDK and, for tests and
# benchmarks, the oracles, into .venv.

BUILD ?= build
BUILD_TYPE ?= Release
MODEL ?= digits
VENV := .venv
PYTHON := $(VENV)/bin/python
CMAKE := $(VENV)/bin/cmake
CTEST := $(VENV)/bin/ctest
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := g++ make ninja-build git ca-certificates python3 python3-venv pkg-config ccache time unzip \
  libdnnl-dev libsimdjson-dev nlohmann-json3-dev flatbuffers-compiler libflatbuffers-dev libfmt-dev libcli11-dev \
  libgtest-dev libbenchmark-dev libssl-dev zlib1g-dev libjpeg-dev libpng-dev

.DEFAULT_GOAL := all
.PHONY: all setup oracle demo test test-fast nightly bench install clean

all: $(BUILD)/build.ninja
	$(CMAKE) --build $(BUILD)

setup: $(VENV)/.sdk
oracle: $(VENV)/.oracle

# What dpkg already knows is not asked of the network again.
$(VENV)/.packages:
	@missing=$$(for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@mkdir -p $(VENV) && touch $@

$(VENV)/.sdk: | $(VENV)/.packages
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install -q --disable-pip-version-check "cmake>=3.28,<4.3"
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps executorch==1.5.1
	@touch $@

# All in one: pip would complain of what the others miss after each.
$(VENV)/.oracle: tests/requirements.txt $(VENV)/.sdk
	$(PYTHON) -m pip install -q --disable-pip-version-check torch==2.13.0 executorch==1.5.1 torchao==0.18.0
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps torchvision==0.28.0 timm==1.0.29
	$(PYTHON) -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

$(BUILD)/build.ninja: $(VENV)/.sdk
	$(CMAKE) -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=$(BUILD_TYPE)

demo: all
	@examples/demo.sh $(BUILD) $(MODEL) $(PYTHON)

test: all $(VENV)/.oracle
	$(CTEST) --test-dir $(BUILD) --output-on-failure -j 2
	$(PYTHON) -m pytest -q -n 2 --dist loadfile tests

test-fast: all
	$(CTEST) --test-dir $(BUILD) --output-on-failure -j 2

nightly: all $(VENV)/.oracle
	tests/nightly.sh $(BUILD) $(STAGE)

bench: all $(VENV)/.oracle
	$(PYTHON) bench/run.py --build $(BUILD)

install: all
	$(CMAKE) --install $(BUILD)

clean:
	rm -rf $(BUILD)
