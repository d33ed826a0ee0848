"""Quantized linears of every size on Vulkan: our payloads, interpreted, beside what PyTorch computes of the converted program.

Many linears are one program. A sample of the sizes by day, all of them with INTAGLIO_NIGHTLY.
"""

import random

import pytest
import torch

from cases import vulkan as cases
from cases.quantized import dynamic, weight_only
from oracle import vulkan as oracle
from oracle.archives import save
from oracle.build import NIGHTLY
from vulkan.interpreter import Program

BY_DAY = 40
AT_ONCE = 240
# Of the largest output: rounding of sums. A product of rounded rows also turns at ties, which the grid's inputs do not meet.
ROUNDING = 5e-6
LEAST = 0.05  # of sums of a few numbers some all but cancel

# name: what makes the case of chosen sizes, whether weights have groups, whether inputs are rounded on the device, too. The runtime has
# no operator that rounds the input of eight-bit weights, or the whole of an input by one range.
KINDS = {
    "4w": (lambda chosen: cases.grid(chosen, lambda group: weight_only(4, group)), True, True),
    "8da4w": (lambda chosen: cases.grid(chosen, lambda group: dynamic(4, group)), True, True),
    "8w": (lambda chosen: cases.grid(chosen, lambda group: weight_only(8, group)), False, True),
    "8da8w": (lambda chosen: cases.grid(chosen, lambda group: dynamic(8, group)), False, False),
    "pt2e_int8": (lambda chosen: cases.grid(chosen, is_dynamic=False, weight_bits=8), False, True),
    "pt2e_int4": (lambda chosen: cases.grid(chosen, is_dynamic=False, weight_bits=4), False, True),
    "pt2e_int8_dynamic": (lambda chosen: cases.grid(chosen, is_dynamic=True, weight_bits=8), False, False),
    "pt2e_int4_dynamic": (lambda chosen: cases.grid(chosen, is_dynamic=True, weight_bits=4), False, False),
}


def chosen_sizes(name: str, wild: bool) -> list[list[cases.Size]]:
    every = cases.sizes(KINDS[name][1], wild)
    if not NIGHTLY:
        return [random.Random(name).sample(every, BY_DAY)]
    return [every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE)]


def lowered(name, chosen, document, folder):
    """The lowered program, its outputs by the interpreter, and PyTorch's."""
    make, _, rounds = KINDS[name]
    case = make(chosen)
    with torch.no_grad():
        program = save(case, folder / "model.pt2")
        document("lower", folder / "model.pt2", "-o", folder / "model.pte", "--backend", "vulkan")
        deployed = Program(folder / "model.pte")
        reference = program if rounds else oracle.without_rounded_inputs(program)
        return deployed, deployed(*case.calls[0]), reference.module()(*case.calls[0])


@pytest.mark.parametrize("wild", [False, True], ids=["aligned", "wild"])
@pytest.mark.parametrize("name", KINDS)
def test_every_size(name, wild, document, tmp_path):
    for number, chosen in enumerate(chosen_sizes(name, wild)):
        (tmp_path / str(number)).mkdir()
        _, ours, expected = lowered(name, chosen, document, tmp_path / str(number))
        for size, got, eager in zip(chosen, ours, expected, strict=True):
            assert got.shape == eager.shape, f"{name}, {size}"
            largest = eager.abs().max()
            assert largest > 1e-4, f"{name}, {size}: nothing is computed"
            difference = float((got - eager).abs().max() / largest.clamp(min=LEAST))
            assert difference <= ROUNDING, f"{name}, {size}: {difference}"


@pytest.mark.parametrize("name", ["4w", "8da4w"])
def test_aligned_sizes_stay_four_bits(name, document, tmp_path):
    """What the kernels have a form for is theirs, whatever the rank of the input: nothing is left to float weights."""
    operator = {"4w": "et_vk.linear_q4gsw.default", "8da4w": "et_vk.linear_dq8ca_q4gsw.default"}[name]
    chosen = random.Random(name).sample(cases.sizes(True), 16)
    deployed, *_ = lowered(name, chosen, document, tmp_path)
    calls = [call.name for payload in deployed.payloads for call in payload.chain]
    assert calls.count(operator) == len(chosen) and not deployed.kernels()
    assert len(deployed.payloads) == 1
