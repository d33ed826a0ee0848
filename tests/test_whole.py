"""Networks that exporters cut run as one delegate, with nothing beside it that was not foreseen: cases.whole."""

import numpy as np
import pytest
import torch
from torch import nn

from cases import Case, Function, draw_statistics, networks, seeded, whole
from oracle import executorch
from oracle.archives import save
from oracle.build import NIGHTLY
from oracle.compare import outputs_of, sqnr

STATIC = [f"xnnpack_pt2e_int8_static_per_{kind}" for kind in ("channel", "tensor")]
DYNAMIC = "xnnpack_pt2e_int8_dynamic_per_channel"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    known = {}

    def get(name):
        if name not in known:
            row = whole.ALL[name]
            case, folder = row.case(), tmp_path_factory.mktemp(name)
            calls = case.draw(3, networks.TEST_SEED)
            save(case, folder / "model.pt2", calibration=case.draw(4, networks.CALIBRATION_SEED), test=calls)
            with torch.no_grad():
                expected = np.concatenate([case.module(*call).float().numpy() for call in calls])
            assert np.isfinite(expected).all() and len(np.unique(expected)) > 10
            known[name] = row, folder, calls, expected
        return known[name]

    return get


def built(document, folder, recipe, *settings):
    """Leftover operators, delegates, and the `.pte`."""
    pte = folder / f"{recipe}.pte"
    calibrated = ["--calibrate", folder / "model" / "calibration"] if "static" in recipe else []
    said = document("build", folder / "model.pt2", "-o", pte, "--recipe", recipe, *calibrated, *settings)
    assert "int8" not in recipe or said["quantized_tensors"] > 0 or folder.name.startswith("step_in_part")  # which has no layer
    (method,) = said["methods"]
    return [op["op"].rpartition(".")[0] for op in method["leftover_ops"]], len(method["delegates"]), pte


def is_whole(row, left, delegates):
    foreseen = set(row.left.split()) - {"-"}
    assert delegates == 1, left
    # Quantized embeddings have names of their own.
    assert {op for op in left if "embedding" not in op} <= foreseen, left


@pytest.mark.parametrize("name", whole.ALL)
def test_floats_are_pytorchs(name, exported, document):
    row, folder, calls, expected = exported(name)
    left, delegates, pte = built(document, folder, "xnnpack_fp32")
    is_whole(row, left, delegates)
    np.testing.assert_allclose(executorch.run(pte, calls).astype(np.float32), expected, row.tolerance, row.tolerance)


QUANTIZED = [name for name in whole.ALL if name not in {**whole.HALF, **whole.CORE} and "volume" not in name and name not in ("reflection_one_image", "one_image")]
CHOSEN = {"dropped_positions": [DYNAMIC]}  # which quantizes what samples need not reach
RUNS = [(name, recipe) for index, name in enumerate(QUANTIZED)
        for recipe in ([*STATIC, DYNAMIC] if NIGHTLY else CHOSEN.get(name, [[*STATIC, DYNAMIC][index % 3]]))]


@pytest.mark.parametrize("name, recipe", RUNS)
def test_int8_stays_whole(name, recipe, exported, document):
    row, folder, calls, expected = exported(name)
    left, delegates, pte = built(document, folder, recipe)
    is_whole(row, left, delegates)
    assert sqnr(expected, executorch.run(pte, calls)) > row.sqnr


class Frozen(nn.Module):
    """The numbers of a batch norm, written out as detectors write them."""

    def __init__(self, norm):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(norm, name).detach().reshape(1, -1, 1, 1))

    def forward(self, x):
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        return x * scale + (self.bias - self.running_mean * scale)


def norms(freeze):
    """Convolutions with batch norms, whose images go on times a number that is computed of constants."""
    with seeded(3):
        layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 6, 3), nn.BatchNorm2d(6)]
        module = draw_statistics(nn.Sequential(*layers))
    half = torch.full((6, 1, 1), 0.25)
    return nn.Sequential(*(freeze(m) if isinstance(m, nn.BatchNorm2d) else m for m in module), Function(lambda x: torch.tanh(x) * (half + half)))


def test_batch_norms_that_are_written_out_are_folded(tmp_path, intaglio, document):
    draw = lambda count, seed: [(torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed + i)),) for i in range(count)]
    calls, said, outputs = draw(3, 200), [], []
    for name, freeze in (("frozen", Frozen), ("norms", lambda norm: norm)):
        module, folder = norms(freeze), tmp_path / name
        save(Case(module, calls[:1]), folder / "model.pt2", calibration=draw(4, 100))
        arguments = ["build", folder / "model.pt2", "-o", folder / "out.pte", "--recipe", STATIC[0], "--calibrate", folder / "model" / "calibration"]
        assert "in every sample" not in intaglio(*arguments).stderr
        said.append(document(*arguments))
        outputs.append(executorch.run(folder / "out.pte", calls))
    assert said[0]["quantized_tensors"] == said[1]["quantized_tensors"] > 0
    expected = outputs_of(module, calls)
    assert sqnr(expected, outputs[0]) > 25 and sqnr(outputs[1], outputs[0]) > 40
