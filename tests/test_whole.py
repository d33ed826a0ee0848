"""Networks that exporters cut run as one delegate, with nothing beside it that was not foreseen: cases.whole."""

import numpy as np
import pytest
import torch

from cases import networks, whole
from oracle import executorch
from oracle.archives import save
from oracle.build import NIGHTLY
from oracle.compare import sqnr

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
RUNS = [(name, recipe) for index, name in enumerate(QUANTIZED) for recipe in ([*STATIC, DYNAMIC] if NIGHTLY else [[*STATIC, DYNAMIC][index % 3]])]


@pytest.mark.parametrize("name, recipe", RUNS)
def test_int8_stays_whole(name, recipe, exported, document):
    row, folder, calls, expected = exported(name)
    left, delegates, pte = built(document, folder, recipe)
    is_whole(row, left, delegates)
    assert sqnr(expected, executorch.run(pte, calls)) > row.sqnr
