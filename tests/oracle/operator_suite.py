"""The operator suite of the `executorch` wheel (executorch.backends.test.suite.operators), its cases taken one by one.

The suite is a set of pytest functions that call `run_test` with a module and its inputs. `each_case` runs them with
another `run_test`, so that somebody else's stages can stand in the place of its own. Inputs are seeded by the case's
name: whoever asks for a case gets the same tensors.
"""

import contextlib
import dataclasses
import functools
import gc
import hashlib
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import numpy as np
import pytest
import torch

from cases import networks  # noqa: F401  stubs torchvision's operators, which the suite's package imports
from oracle.archives import to_numpy
from oracle.torchao import quicken_quantizer

SUITE = "executorch.backends.test.suite.operators"
ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE = 1e-1, 4e-2  # the suite's own

# The suite's flows and the recipe that takes the place of each.
RECIPES = {
    "xnnpack": "xnnpack_fp32",
    "xnnpack_static_int8_per_channel": "xnnpack_pt2e_int8_static_per_channel",
    "xnnpack_static_int8_per_tensor": "xnnpack_pt2e_int8_static_per_tensor",
    "xnnpack_dynamic_int8_per_channel": "xnnpack_pt2e_int8_dynamic_per_channel",
}


def quantizes(flow: str) -> bool:
    return flow != "xnnpack"


def seed_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


@dataclass
class SuiteCase:
    """What one call of the suite's runner asks for."""

    name: str
    base_name: str
    model: torch.nn.Module
    inputs: tuple
    random_inputs: bool
    dynamic_shapes: Any

    def digest(self) -> str:
        """Of every tensor the case brings: example inputs, test inputs, weights."""
        state = hashlib.sha256()
        tensors = [*self.model.state_dict().values(), *torch.utils._pytree.tree_leaves((self.inputs, self.test_inputs()))]
        for value in tensors:
            state.update(repr((value.dtype, value.shape) if torch.is_tensor(value) else value).encode())
            if torch.is_tensor(value):
                state.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return state.hexdigest()[:12]

    def folder(self, build: Path) -> Path:
        """Where what was exported and computed of the case is kept."""
        return build / "operator_suite" / "cases" / f"{self.name}.{self.digest()}"

    def test_inputs(self) -> tuple:
        """What the suite compares outputs on: its example inputs, or random tensors of their sizes."""
        if not self.random_inputs:
            return self.inputs
        from executorch.backends.test.harness.tester import Tester

        torch.manual_seed(seed_of(self.name + " test"))
        return next(Tester.generate_random_inputs(SimpleNamespace(example_inputs=self.inputs, dynamic_shapes=None)))


@contextlib.contextmanager
def whole(target: Path):
    """Where to write what becomes `target` once it is complete: several processes may keep and read the same files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"unfinished-{os.getpid()}-{target.name}")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def keep_program(case: SuiteCase, program: torch.export.ExportedProgram, folder: Path) -> None:
    """Writes program.pt2, and the example inputs as calibration.npz."""
    arrays = [value for value in torch.utils._pytree.tree_leaves(case.inputs) if torch.is_tensor(value)]
    with whole(folder / "calibration.npz") as path:
        np.savez(path, *(to_numpy(value) for value in arrays))
    with whole(folder / "program.pt2") as path:
        torch.export.save(program, path)


def fifth(name: str) -> int:
    """Which of five parts a case is in: decided by its name alone."""
    return hashlib.sha256(name.encode()).digest()[0] % 5


def flow_of(name: str) -> str:
    """One of the flows for a case: decided by its name alone."""
    return list(RECIPES)[hashlib.sha256(name.encode()).digest()[1] % len(RECIPES)]


class _Plugin:
    """Hands the suite's cases to `handle` and keeps the outcome of those that never get as far."""

    def __init__(self, handle: Callable[[SuiteCase], None], keep: Callable[[str], bool]):
        self.handle, self.keep = handle, keep
        self.names: list[str] = []
        self.unreached: dict[str, str] = {}

    @staticmethod
    def name_of(item) -> str:
        name = item.name.removeprefix("test_")
        return re.sub(r"-?xnnpack-?(?=])", "", name).replace("[xnnpack-", "[").removesuffix("[]")

    def pytest_collection_modifyitems(self, config, items):
        kept = [item for item in items if self.keep(self.name_of(item))]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item):
        self.name = self.name_of(item)
        assert self.name not in self.names, f"two cases are called {self.name}"
        self.names.append(self.name)
        self.seed(self.name)

    @staticmethod
    def seed(name: str) -> None:
        torch.manual_seed(seed_of(name))
        random.seed(seed_of(name))

    def run_test(self, model, inputs, flow, test_name, base_name, subtest, params, **options):
        from executorch.backends.test.suite.reporting import TestCaseSummary, TestResult

        name = self.name + (f"#{subtest}" if subtest else "")
        random_inputs = options.get("generate_random_test_inputs", True)
        self.handle(SuiteCase(name, base_name, model, inputs, random_inputs, options.get("dynamic_shapes")))
        self.seed(f"{self.name}#{subtest + 1}")
        return TestCaseSummary(
            flow.backend, base_name, flow.name, test_name, subtest, params, TestResult.SUCCESS, None, []
        )

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item):
        torch._dynamo.reset()  # its caches would grow by every program

    def pytest_runtest_logreport(self, report):
        if report.outcome != "passed":
            self.unreached[report.nodeid] = f"{report.outcome} in {report.when}: {report.longrepr}"


_current: list[_Plugin] = []


def _run_test(*arguments, **options):
    """What the suite's conftest imports, once a process, under the name of its own function."""
    return _current[0].run_test(*arguments, **options)


@functools.cache
def quicken_torch() -> None:
    """Leaves out what is done again for every program with the same result."""
    from torch._export import utils

    # Torch walks its table of composite operators three times for each program it lowers.
    utils._collect_all_valid_cia_ops_for_namespace = functools.cache(utils._collect_all_valid_cia_ops_for_namespace)
    quicken_quantizer()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@functools.cache
def _given():
    """The flow that the suite's conftest hands to its tests, once a process."""
    from executorch.backends.test.suite.flows.xnnpack import XNNPACK_TEST_FLOW

    return dataclasses.replace(XNNPACK_TEST_FLOW)


def each_case(
    handle: Callable[[SuiteCase], None], quantize: bool, keep: Callable[[str], bool] = lambda name: True
) -> dict[str, str]:
    """Calls handle(case) for the cases whose names keep() accepts, with the modules that flows are given which quantize, or
    those that do not: some cases choose theirs by that. Returns the test functions that raised or skipped."""
    from executorch.backends.test.suite import flow, runner

    quicken_torch()
    plugin = _Plugin(handle, keep)
    _current[:] = [plugin]
    _given().quantize = quantize
    flow.all_flows, runner.run_test = lambda: {"xnnpack": _given()}, _run_test
    # A slow machine is no failure of a case: no time limits.
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:timeout", "-c", "/dev/null", "--capture=no", "--pyargs", SUITE]
    pytest.main(options, plugins=[plugin])
    return plugin.unreached
