"""Lowering without delegates against ExecuTorch: the ops left, the numbers, and the emitted files on the stock runtime.

`edge_probe` (tests/probes) lowers every case; tests/records/edge_ops.json holds what to_edge leaves of it.
"""

import json
import warnings

import numpy as np
import pytest
import torch

from cases import leaves, ops
from oracle.compare import assert_same
from oracle.executorch import execute, method_of
from oracle.build import probe, record

warnings.filterwarnings("ignore")
CASES = ops.LOWERED | ops.DYNAMIC
RECORD = record("edge_ops")

# Ops that cost nothing, or that lowering folds: views are elided, copies of copies and casts of constants disappear.
FREE = {"view_copy", "unsqueeze_copy", "squeeze_copy", "alias_copy", "_clone_dim_order", "_to_dim_order_copy", "expand_copy",
        "scalar_tensor", "full", "full_like", "arange"}

# Ops that may stand where ExecuTorch has others: the same result from fewer or faster kernels.
BETTER = {
    "linear": "instead of permute_copy and addmm: many times faster",
    "mul": "instead of pow(2), mul.Scalar and div",
    "sqrt": "instead of pow(0.5)",
    "slice_copy": "instead of select_copy and split_with_sizes_copy: delegates take slices",
    "avg_pool2d": "instead of _adaptive_avg_pool2d where sizes divide",
    "max_pool2d_with_indices": "instead of adaptive max pooling",
    "topk": "instead of sort, which has no kernel",
    "cat": "instead of index arithmetic (roll, circular padding)",
    "reflection_pad2d": "instead of index arithmetic",
    "replication_pad2d": "instead of index arithmetic",
    "mm": "bicubic resizing as two products",
    "permute_copy": "bicubic resizing as two products",
    "where": "masks are constants",
    "add": "instead of add.Scalar",
    "elu": "celu is elu with other settings",
    "sub": "instead of remainder, whose kernel gives integers the wrong sign",
    "clamp": "instead of minimum with a constant, and of comparisons",
}

# Cases where more ops than ExecuTorch's are right, and why.
MORE_OPS = {
    "integers": "the remainder of integers as quotient, product and difference: the kernel gives it the wrong sign",
    "instance_norm_batch": "weights are applied after the norm instead of repeated for each sample",
    "sort": "ExecuTorch's program does not load",
    "rope": "two slices instead of one split_with_sizes_copy: the same bytes move",
}


def bases(names) -> list:
    """The op names without namespace and overload, the free ones left out."""
    names = [name.replace("::", ".").split(".")[1] for name in names]
    return [name for name in names if name not in FREE]


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    for name, case in CASES.items():
        with torch.no_grad():
            torch.export.save(case.export(), folder / f"{name}.pt2")
        np.savez(folder / f"{name}.npz", *(leaf.numpy() for leaf in leaves(case.calls[0])))
    done = probe("edge_probe", *(folder / f"{name}.pt2" for name in CASES))
    return folder, dict(zip(CASES, map(json.loads, done.stdout.splitlines())))


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_the_exported_program(probed, name):
    result = probed[1][name]
    assert "error" not in result and "interpreter" not in result and "exported" not in result, result
    assert result["difference"] != "other" and result["difference"] < 2e-5, result


@pytest.mark.parametrize("name", [name for name in ops.LOWERED if isinstance(RECORD.get(name), list)])
def test_ops_are_those_of_executorch_or_better(probed, name):
    ours, theirs = bases(probed[1][name]["ops"]), bases(RECORD[name])
    assert set(ours) - set(theirs) <= BETTER.keys(), (ours, theirs)
    assert len(ours) <= len(theirs) or name in MORE_OPS, (ours, theirs)


@pytest.mark.parametrize("name", CASES)
def test_emitted_file_runs_on_the_stock_runtime(probed, name):
    folder, results = probed
    assert "emission" not in results[name], results[name]
    expected = [leaf for leaf in CASES[name].expected[0] if leaf is not None]
    outputs = execute(method_of(folder / f"{name}.pte"), CASES[name].calls[0])
    # A written input's new value comes first.
    assert_same(outputs[-len(expected) :], expected, lambda wanted: 2e-3 if wanted.dtype == torch.float16 else 1e-4)
