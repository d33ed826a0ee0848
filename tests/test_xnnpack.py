"""Small modules through `intaglio lower`, run on the stock runtime, beside eager PyTorch.

Every module is one delegate and nothing else, which no other lowering can undercut; what stays outside is listed here.
"""

import pytest
import torch
from xnnpack_modules import CASES, exported, inputs_of

# Of the largest output. Float engines add in another order; an int8 step may turn the other way on a rounding tie.
TOLERANCE = {"fp32": 2e-5, "int8": 0.02, "fp16": 5e-3}
# XNNPACK has no logarithm of a sum that keeps small probabilities, and in float16 no gelu; a norm's sums need float32.
LEFTOVERS = {
    ("log_softmax", "fp32"): ["aten._log_softmax.default"],
    ("linear_rank3", "fp16"): ["aten.gelu.default"],
    ("layer_norm", "fp16"): ["aten.native_layer_norm.default"],
}


def run(path, inputs):
    from executorch.runtime import Runtime

    # From a path: a program loaded from bytes does not keep them alive.
    program = Runtime.get().load_program(path)
    return [output.clone() for output in program.load_method("forward").execute(list(inputs))]


def flat(outputs):
    return [o for o in (outputs if isinstance(outputs, (tuple, list)) else [outputs]) if o is not None]


@pytest.mark.parametrize("name, mode", CASES)
def test_module(name, mode, document, tmp_path):
    program = exported(name, mode)
    source, target = tmp_path / "m.pt2", tmp_path / "m.pte"
    torch.export.save(program, source)
    method = document("lower", source, "-o", target, "--backend", "xnnpack")["methods"][0]
    assert [op["op"] for op in method["leftover_ops"]] == LEFTOVERS.get((name, mode), []), method["leftover_ops"]
    assert len(method["delegates"]) <= 1 + len(method["leftover_ops"])

    inputs = inputs_of(name, mode, seed=3)
    with torch.no_grad():
        expected = flat(program.module()(*inputs))
    got = run(target, inputs)
    assert len(got) == len(expected)
    for ours, eager in zip(got, expected):
        assert ours.shape == eager.shape
        assert eager.abs().max() > 1e-3, "the module computes nothing"
        assert (ours - eager).abs().max() <= TOLERANCE[mode] * eager.abs().max()
