"""The MIL interpreter of tests/coreml reproduces the programs that ExecuTorch writes: what it then says of ours counts."""

import numpy as np
import pytest
import torch

from cases import copied, leaves
from cases import coreml as cases
from coreml import weights
from coreml.interpreter import Model
from coreml.package import Package
from make_records.coreml import digest, payload
from oracle.build import record
from oracle.compare import sqnr

RECORD = record("coreml").get("programs", {})
# dB: float16 rounds each result once; activations of 8 bits are computed with scales that are rounded, and may come out a step beside.
FLOAT16, STATIC = 50, 30


@pytest.fixture(scope="module")
def made():
    known = {}

    def make(name):
        if name not in known:
            known[name] = cases.PROGRAMS[name].make()
            assert digest(known[name].export()) == RECORD[name], "the record is of another program: tests/make_records/coreml.py"
        return known[name]

    return make


RECORDED = [(name, target) for name, entry in cases.PROGRAMS.items() for target in entry.targets]


@pytest.mark.parametrize("name, target", RECORDED)
def test_executorchs_own_programs(made, name, target):
    case = made(name)
    model = Model(payload(name, target))
    for call, expected in zip(case.calls, case.expected, strict=True):
        (output,) = model(leaves(copied(call)))
        (wanted,) = expected
        output, wanted = output.float().numpy(), wanted.numpy().reshape(output.shape)
        assert wanted.std() > 1e-3
        if cases.PROGRAMS[name].targets[target] == "FLOAT32":
            np.testing.assert_allclose(output, wanted, rtol=1e-3, atol=1e-4)
        else:
            assert sqnr(wanted, output) > (STATIC if name.startswith("static") else FLOAT16)


def test_records_hold_every_constexpr():
    kinds = {kind for name, target in RECORDED for kind in Model(payload(name, target)).kinds}
    assert {"constexpr_affine_dequantize", "constexpr_blockwise_shift_scale", "constexpr_lut_to_dense", "quantize", "dequantize"} <= kinds
    assert {"read_state", "scaled_dot_product_attention", "conv", "layer_norm", "gather"} <= kinds


@pytest.mark.parametrize("code, values, expected", [
    (weights.INT4, [1, 2, 3, 4, 5, 6, 7], "21436507"),
    (weights.INT4, [-1, -8, 7], "8f07"),
    (weights.UINT3, [1, 2, 3, 4, 5, 6, 7], "d1581f"),
    (weights.UINT6, [1, 2, 3, 4, 5, 6, 7], "813010857100"),
    (weights.UINT1, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1], "cd05"),
])  # fmt: skip
def test_bits_are_one_stream(code, values, expected):
    assert weights.unpacked(bytes.fromhex(expected), code, len(values)).tolist() == values


@pytest.mark.parametrize("damage", ["sentinel", "type", "size", "version"])
def test_a_damaged_record_is_refused(damage):
    package = Package(payload("static", "iOS17"))
    file = bytearray(package.weights)
    file[{"sentinel": 64, "type": 68, "size": 72, "version": 4}[damage]] ^= 1
    package.files["Data/com.apple.CoreML/weights/weight.bin"] = bytes(file)
    with pytest.raises((ValueError, KeyError)):
        Model(package)
