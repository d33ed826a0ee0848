"""Lowering without delegates against ExecuTorch: the ops left, the numbers, and the emitted files on the stock runtime.

`edge_probe` (tests/probes) lowers every case; tests/records/edge_ops.json holds what to_edge leaves of it.
"""

import json
import re
import warnings

import executorch.kernels.quantized  # noqa: F401  registers quantized_decomposed's kernels
import numpy as np
import pytest
import torch

from cases import Case, Function, leaves, ops, reach
from oracle.compare import assert_same
from oracle.executorch import execute, method_of
from oracle.archives import save
from oracle.build import ROOT, probe, record

warnings.filterwarnings("ignore")
CASES = ops.LOWERED | ops.DYNAMIC | reach.NUMBERS | reach.SIZES
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
    "logical_or": "a mask's rows without a key are opened, and their results multiplied by 0",
    "add": "instead of add.Scalar",
    "elu": "celu is elu with other settings",
    "sub": "instead of remainder, whose kernel gives integers the wrong sign",
    "clamp": "instead of minimum with a constant, and of comparisons",
} | dict.fromkeys(["amax", "exp", "log", "maximum", "neg"], "rows of a float mask without a key, in arithmetic that delegates take")

# Cases where more ops than ExecuTorch's are right, and why.
MORE_OPS = {
    "integers": "the remainder of integers as quotient, product and difference: the kernel gives it the wrong sign",
    "instance_norm_batch": "weights are applied after the norm instead of repeated for each sample",
    "sort": "ExecuTorch's program does not load",
    "sdpa_mask": "rows of the mask without a key in arithmetic: no delegate takes comparisons",
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


@pytest.mark.parametrize("name", reach.SIZES)
def test_sizes_follow_the_data(probed, name):
    """In one loaded program; the first call comes again at the end."""
    case, method = reach.SIZES[name], method_of(probed[0] / f"{name}.pte")
    for call, expected in zip([*case.calls, case.calls[0]], [*case.expected, case.expected[0]]):
        assert_same(execute(method, call), expected, 1e-4)


@pytest.mark.parametrize("name", reach.RANDOM)
def test_random_numbers(intaglio, tmp_path, name):
    """Every call draws anew, on the runtime and on the interpreter; nothing counts as a constant."""
    function, low, high, mean = reach.RANDOM[name]
    case = Case(Function(function), [(torch.zeros(4000),)])
    path = tmp_path / "m.pt2"
    save(case, path, data=case.calls)
    intaglio("lower", path, "-o", tmp_path / "m.pte", "--backend", "portable")
    method = method_of(tmp_path / "m.pte")
    drawn = [execute(method, case.calls[0])[0] for _ in range(2)]
    intaglio("run", path, "--input", tmp_path / "m" / "data" / "000.npy", "-o", tmp_path / "o.npz")
    drawn.append(torch.from_numpy(np.load(tmp_path / "o.npz")["arr_0"]))
    (expected,) = case.expected[0]
    for numbers in drawn:
        assert numbers.dtype == expected.dtype and numbers.shape == expected.shape
        numbers = numbers.double()
        assert low <= numbers.min() and numbers.max() <= high and numbers.std() > 0
        assert abs(numbers.mean() - mean) < 0.05 * (high - low)
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


# ---- the runtime's kernels that no program is lowered to, and why

INSTEAD = {  # what is written for the operator: fewer or faster kernels, or what delegates take
    "aten::_to_copy.out": "dim_order_ops::_to_dim_order_copy.out", "aten::clone.out": "dim_order_ops::_clone_dim_order.out",
    "aten::add.Scalar_out": "aten::add.out", "aten::sub.Scalar_out": "aten::sub.out", "aten::mul.Scalar_out": "aten::mul.out",
    "aten::rsub.Scalar_out": "aten::sub.out", "aten::div.Scalar_out": "aten::div.out", "aten::div.Scalar_mode_out": "aten::div.out_mode",
    "aten::floor_divide.out": "aten::div.out_mode", "aten::clamp.Tensor_out": "aten::maximum.out and minimum.out",
    "aten::arange.out": "aten::arange.start_out", "aten::ones.out": "aten::full.out", "aten::zeros.out": "aten::full.out",
    "aten::empty.out": "aten::full.out: what is not written yet is zero", "dim_order_ops::_empty_dim_order.out": "aten::full.out",
    "aten::full_like.out": "aten::full.out", "aten::fill.Scalar_out": "aten::full.out", "aten::fill.Tensor_out": "aten::expand_copy.out",
    "aten::copy.out": "aten::expand_copy.out", "aten::lift_fresh_copy.out": "nothing: constants do not change",
    "aten::glu.out": "aten::sigmoid.out of a half", "aten::masked_fill.Scalar_out": "aten::where.self_out",
    "aten::pixel_shuffle.out": "aten::permute_copy.out between views", "aten::pixel_unshuffle.out": "aten::permute_copy.out between views",
    "aten::roll.out": "aten::cat.out of slices", "aten::stack.out": "aten::cat.out",
    "aten::max_pool2d_with_indices_backward.grad_input": "aten::scatter_add.out: it adds to what its memory held",
    "aten::var.out": "aten::var.correction_out", "aten::var_mean.correction_out": "aten::var.correction_out and mean.out",
}
OTHERWISE = {
    "aten::_native_batch_norm_legit.out": "it takes evaluation mode alone, as _native_batch_norm_legit_no_training.out does",
    "et_copy::_d2h_copy.out": "memory of devices beside the processor is not planned",
    "et_copy::_h2d_copy.out": "memory of devices beside the processor is not planned",
    "executorch_prim::et_copy_index.tensor": "collects the results of torch.ops.higher_order.map",
    "executorch_prim::floordiv.int": "floordiv.Scalar takes integers too",
    "executorch_prim::mod.int": "mod.Scalar takes integers too",
    "executorch_prim::ceil.Scalar": "torch.export.save does not write math.ceil",
    "executorch_prim::round.Scalar": "torch.export.save does not write round",
    "executorch_prim::sym_int.Scalar": "torch.export writes math.trunc",
    "aten::_conj_physical.out": "complex numbers", "aten::view_as_real_copy.out": "complex numbers",
    "aten::_fft_c2r.out": "complex numbers", "aten::_fft_r2c.out": "complex numbers",
    "quantized_decomposed::add.out": "integer sums run in delegates; outside, in float between quantize and dequantize",
    "quantized_decomposed::mixed_linear.out": "no quantizer writes a float16 layer with integer weights",
    "quantized_decomposed::mixed_mm.out": "no quantizer writes a float16 product with integer weights",
    "quantized_decomposed::embedding_2bit.dtype_out": "embedding_2bit.out is the form for float32",
    "quantized_decomposed::embedding_4bit.dtype_out": "embedding_4bit.out is the form for float32",
    "quantized_decomposed::embedding_byte.dtype_out": "embedding_byte.out is the form for float32",
}


def test_every_kernel_of_the_runtime_is_reached_or_says_why_not(probed, document):
    folder, _ = probed
    table = (ROOT / "src" / "pte" / "kernel_table.inc").read_text()
    kernels = set(re.findall(r'^KERNEL\([^"]*"([^"]+)"', table, re.MULTILINE))
    reached = set()
    for path in folder.glob("*.pte"):
        for method in document("inspect", path)["methods"]:
            reached |= {operator["op"] for operator in method["operators"]}
    explained = INSTEAD.keys() | OTHERWISE.keys()
    assert len(kernels) > 250 and explained <= kernels
    assert kernels - reached - explained == set(), "no program reaches these kernels"
    assert reached & explained == set(), "these kernels are reached"
