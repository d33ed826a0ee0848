"""Whole float networks on Vulkan: as few delegates as ExecuTorch's partitioner gives, or fewer, and the interpreted program's outputs.

Three by day, all with INTAGLIO_NIGHTLY. tests/records/vulkan.json has ExecuTorch's figures.
"""

import pytest
import torch

from cases import leaves, vulkan as cases
from oracle.archives import save
from oracle.build import NIGHTLY, record
from vulkan.interpreter import Program
from vulkan.meaning import differences, record_of

RECORD = record("vulkan")["models"]
FAST = ["unet", "tagger", "mobilenet_v2"]
# Of the largest output. Batch norms are folded, and sums of thousands are added in another order.
ROUNDING = 5e-5
# Rows that are rounded at run time: the last bit of a sum turns a tie, and all behind it.
ROUNDING_OF_ROWS = {"llama_8da4w": 1e-2}


@pytest.fixture(scope="module", params=list(cases.MODELS) if NIGHTLY else FAST)
def lowered(request, document, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    case = cases.MODELS[request.param]()
    with torch.no_grad():
        save(case, folder / "model.pt2")
    said = document("lower", folder / "model.pt2", "-o", folder / "model.pte", "--backend", "vulkan")
    return request.param, case, Program(folder / "model.pte"), said


def test_delegates(lowered):
    name, _, program, said = lowered
    assert len(program.payloads) == len(said["methods"][0]["delegates"]) <= RECORD[name]["delegates"]
    assert len(program.kernels()) <= len(RECORD[name]["kernels"]), program.kernels()


def test_outputs(lowered):
    name, case, program, _ = lowered
    with torch.no_grad():
        outputs = program(*leaves(case.calls[0]))
    for ours, eager in zip(outputs, case.expected[0], strict=True):
        assert ours.shape == eager.shape and ours.dtype == eager.dtype
        assert eager.std() > 1e-4 * eager.abs().max() > 0, "zero or constant"
        assert (ours - eager).abs().max() <= ROUNDING_OF_ROWS.get(name, ROUNDING) * eager.abs().max()


def test_calls(lowered):
    """Of the networks that are recorded call by call: operators, arguments, types, sizes, storage, layouts and the bytes of constants."""
    name, _, program, _ = lowered
    if name not in cases.CALL_BY_CALL:
        pytest.skip("recorded by its figures")
    (payload,), (theirs,) = program.payloads, RECORD[name]["payloads"]
    assert differences(record_of(payload), theirs) == []
