"""Files on a runtime that shares packed weights (XNNPACK's `weight_cache_enabled`, off by default): the same outputs, bit for bit.

Such a runtime finds what it packed by the names of weights, and frees everything else that it loaded once a delegate is compiled. The runner
in the build's tests/weight_cache has it on.
"""

import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import Case, leaves, noise, programs, seeded
from oracle.archives import save, save_samples

FP32, STATIC, DYNAMIC = "xnnpack_fp32", "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"
PER_CHANNEL, PER_GROUP = "xnnpack_torchao_int8da_int4w_per_channel", "xnnpack_torchao_int8da_int4w_per_group"


class Twins(nn.Module):
    """Layers whose integers are the same: one's weights are four times the other's."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
        self.large.weight.data = 4 * self.small.weight.data

    def forward(self, x):
        return self.small(x), self.large(x)


class Twice(nn.Module):
    """One layer, called on results of other ranges, and a layer of another kind with its weights."""

    def __init__(self):
        super().__init__()
        self.layer, self.point = nn.Linear(8, 8), nn.Conv2d(8, 8, 1)
        self.point.weight.data, self.point.bias.data = self.layer.weight.data[:, :, None, None], self.layer.bias.data

    def forward(self, x):
        first = self.layer(x)
        second = self.layer(8 * first)
        return first, second, self.point(second.transpose(0, 1)[None, :, :, None])


class Constants(nn.Module):
    """What is read at every call beside what is packed."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm, self.slopes = nn.Linear(8, 8), nn.LayerNorm(8), nn.PReLU(8)
        self.table = nn.Parameter(torch.randn(5, 8))

    def forward(self, x):
        y = self.norm(self.layer(x) * self.table + self.table)
        return y @ self.table.T, F.softmax(y * self.table, -1), self.slopes(y)


def made(module, *shape) -> Case:
    with seeded():
        return Case(module().eval(), [(noise(*shape),)])


OWN = {"twins": made(Twins, 3, 64), "twice": made(Twice, 5, 8), "constants": made(Constants, 5, 8)}
CALLS = [(name, OWN[name], recipe) for name in OWN for recipe in (FP32, STATIC, DYNAMIC)]
CALLS += [("twins", OWN["twins"], recipe) for recipe in (PER_CHANNEL, PER_GROUP)]
CALLS += [(name, case, FP32) for name, case in programs.PROGRAMS.items()]


@pytest.mark.parametrize("name,case,recipe", CALLS, ids=[f"{name}-{recipe}" for name, _, recipe in CALLS])
def test_outputs_are_the_same(intaglio, build, tmp_path, name, case, recipe):
    with torch.no_grad():
        save(case, tmp_path / "model.pt2")
    values = [torch.as_tensor(value) for value in leaves((case.calls[0], case.kwargs)) if isinstance(value, torch.Tensor | int | float)]
    samples = save_samples(tmp_path / "samples", [values])
    calibration = ["--calibrate", samples] if recipe == STATIC else []
    intaglio("build", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", "--recipe", recipe, "--no-check", *calibration)
    outputs = {}
    for kind, runtime in (("plain", {}), ("shared", {"INTAGLIO_RUNTIME_DIR": str(build / "tests" / "weight_cache")})):
        sample = next(samples.iterdir())
        intaglio("run", tmp_path / "model.pte", "--input", sample, "-o", tmp_path / f"{kind}.npz", env={**os.environ, **runtime})
        outputs[kind] = np.load(tmp_path / f"{kind}.npz")
    assert list(outputs["plain"]) == list(outputs["shared"])
    for plain, shared in zip(outputs["plain"].values(), outputs["shared"].values(), strict=True):
        np.testing.assert_array_equal(shared, plain)
    if name in OWN:
        assert all(array.std() > 0 for array in outputs["plain"].values())
