"""Small modules through `intaglio lower`, run on the stock runtime, beside eager PyTorch.

Every module is one delegate and nothing else, which no other lowering can undercut; what stays outside is listed here.
"""

import dataclasses

import pytest
import torch

from cases import layers, leaves
from oracle.executorch import execute, method_of
from oracle.archives import save
from oracle.torchao import converted

# Of the largest output. Float engines add in another order; an int8 step may turn the other way on a rounding tie.
TOLERANCE = {"fp32": 2e-5, "int8": 0.02, "fp16": 5e-3}
# XNNPACK has no logarithm of a sum that keeps small probabilities.
LEFTOVERS = {
    ("log_softmax", "fp32"): ["aten._log_softmax.default"],
}


def case_of(name, mode):
    case = layers.DELEGATED[name]
    if mode == "int8":
        return converted(dataclasses.replace(case, calls=[case.draw(1, seed)[0] for seed in (1, 2)]))
    return layers.in_half(case) if mode == "fp16" else case


def tensors(outputs):
    return [leaf for leaf in leaves(outputs) if leaf is not None]


@pytest.mark.parametrize("name, mode", layers.FORMATS)
def test_module(name, mode, document, tmp_path):
    case = case_of(name, mode)
    target = tmp_path / "m.pte"
    program = save(case, tmp_path / "m.pt2")
    method = document("lower", tmp_path / "m.pt2", "-o", target, "--backend", "xnnpack")["methods"][0]
    assert [op["op"] for op in method["leftover_ops"]] == LEFTOVERS.get((name, mode), []), method["leftover_ops"]
    assert len(method["delegates"]) <= 1 + len(method["leftover_ops"])

    (call,) = case.draw(1, 3)
    with torch.no_grad():
        expected = tensors(program.module()(*call))
    got = execute(method_of(target), call)
    assert len(got) == len(expected)
    for ours, eager in zip(got, expected):
        assert ours.shape == eager.shape
        assert eager.abs().max() > 1e-3, "the module computes nothing"
        assert (ours - eager).abs().max() <= TOLERANCE[mode] * eager.abs().max()
