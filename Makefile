# make            builds build/intaglio
# make demo       the main job on the digits example (MODEL=efficientnet_lite0: on ImageNet weights and photographs;
#                 MODEL=smollm2: a language model on ExecuTorch's text runner)
# make test       unit, golden, command-line and oracle tests
# make format     writes every C++ file in the style that .ci/run asks for
# make nightly    the long proofs: all oracle comparisons, older runtimes, long fuzzing, sanitizer builds (STAGE=fuzz: one of them)
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
  libdnnl-dev libmimalloc-dev libsimdjson-dev nlohmann-json3-dev flatbuffers-compiler libflatbuffers-dev protobuf-compiler libprotobuf-dev \
  libfmt-dev libcli11-dev libgtest-dev libbenchmark-dev libssl-dev zlib1g-dev libjpeg-dev libpng-dev libpcre2-dev libicu-dev libsentencepiece-dev

.DEFAULT_GOAL := all
.PHONY: all everything setup oracle demo test test-fast nightly bench format check-format install clean

# One line a step: what is being compiled shows on a terminal, in one line, and what fails everywhere.
compile = ninja -C $(BUILD) $$([ -t 1 ] || echo --quiet) $(1)

# What the command line needs, and no test.
all: $(BUILD)/build.ninja
	@[ -e $(BUILD)/intaglio ] || echo "compiling $$(ninja -C $(BUILD) -t inputs intaglio | grep -c '[.]o$$') files: minutes without a compiler cache"
	@$(call compile,intaglio)

everything: $(BUILD)/build.ninja
	@echo "compiling the library and the tests"
	@$(call compile,all)

setup: $(VENV)/.sdk
oracle: $(VENV)/.oracle

# What dpkg already knows is not asked of the network again.
$(VENV)/.packages:
	@missing=$$(for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing Debian packages:" $$missing; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@mkdir -p $(VENV) && touch $@

$(VENV)/.sdk: | $(VENV)/.packages
	@echo "getting CMake and the ExecuTorch SDK into $(VENV)"
	@python3 -m venv $(VENV)
	@$(PYTHON) -m pip install -q --disable-pip-version-check "cmake>=3.28,<4.3"
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps executorch==1.5.1
	@touch $@

# All in one: pip would complain of what the others miss after each.
$(VENV)/.oracle: tests/requirements.txt $(VENV)/.sdk
	@echo "getting PyTorch, torchao, ExecuTorch and what else the oracles need into $(VENV)"
	@$(PYTHON) -m pip install -q --disable-pip-version-check torch==2.13.0 executorch==1.5.1 torchao==0.18.0
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps torchvision==0.28.0 timm==1.0.29
	@$(PYTHON) -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

$(VENV)/.style: $(VENV)/.sdk
	@$(PYTHON) -m pip install -q --disable-pip-version-check clang-format==18.1.8
	@touch $@

$(BUILD)/build.ninja: $(VENV)/.sdk
	@echo "configuring $(BUILD)"
	@$(CMAKE) --preset release -B $(BUILD) -DCMAKE_BUILD_TYPE=$(BUILD_TYPE) --log-level=WARNING >/dev/null

demo: all
	@examples/demo.sh $(BUILD) $(MODEL) $(PYTHON)

test: everything $(VENV)/.oracle
	$(CTEST) --test-dir $(BUILD) --output-on-failure -j 2
	$(PYTHON) -m pytest -q -n 2 --dist loadfile tests

test-fast: everything
	$(CTEST) --test-dir $(BUILD) --output-on-failure -j 2

nightly: everything $(VENV)/.oracle
	tests/nightly.sh $(BUILD) $(STAGE)

bench: everything $(VENV)/.oracle
	$(PYTHON) bench/run.py --build $(BUILD)

SOURCES = git ls-files '*.cpp' '*.h'

format: $(VENV)/.style
	@$(SOURCES) | xargs $(VENV)/bin/clang-format -i

check-format: $(VENV)/.style
	@$(VENV)/bin/clang-format --version >/dev/null
	@differing=$$($(SOURCES) | xargs $(VENV)/bin/clang-format --dry-run 2>&1 | sed -n 's/:[0-9].*//p' | sort -u); \
	[ -z "$$differing" ] || { echo "not in the style of .clang-format (make format):"; echo "$$differing"; exit 1; }

install: everything
	$(CMAKE) --install $(BUILD)

clean:
	rm -rf $(BUILD)
