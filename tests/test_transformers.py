"""Transformers from `.pt2` to `.pte`: as good as ExecuTorch's (tests/records/transformers.json) with a fraction of its leftovers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_models import run_on_stock_runtime, sqnr

ROOT = Path(__file__).resolve().parent.parent
RECORD = json.loads((ROOT / "tests" / "records" / "transformers.json").read_text())
SQNR_MARGIN_DB = 0.5


class Setup:
    def __init__(self, name, folder):
        from make_records.models import digest
        from make_records.transformers import CALIBRATION_SEED, TEST_SEED
        from transformer_models import MODELS

        model, inputs = MODELS[name]()
        self.record = RECORD["models"][name]
        calibration, self.test = inputs(RECORD["calibration"], CALIBRATION_SEED), inputs(RECORD["test"], TEST_SEED)
        assert digest(calibration) == self.record["calibration_sha256"], "other inputs than the record's"
        assert digest(self.test) == self.record["test_sha256"], "other inputs than the record's"
        self.folder, self.program = folder, folder / f"{name}.pt2"
        torch.export.save(torch.export.export(model, calibration[0]), self.program)
        (folder / "calibration").mkdir()
        for index, (sample,) in enumerate(calibration):
            np.save(folder / "calibration" / f"{index:03}.npy", sample.numpy())
        with torch.no_grad():
            self.reference = np.concatenate([model(*sample).numpy() for sample in self.test])
        assert np.ptp(self.reference) > 0.1


@pytest.fixture(scope="module", params=list(RECORD["models"]))
def setup(request, tmp_path_factory):
    return Setup(request.param, tmp_path_factory.mktemp(request.param))


STATIC, DYNAMIC = (f"xnnpack_pt2e_int8_{kind}_per_channel" for kind in ("static", "dynamic"))


@pytest.mark.parametrize("recipe", ["xnnpack_fp32", STATIC, DYNAMIC])
def test_fewer_pieces_and_no_less_accurate(setup, recipe, document):
    # Dynamic quantization changes the linears only: what ExecuTorch leaves outside is what it leaves in the static program.
    recorded = setup.record["recipes"][STATIC if recipe == DYNAMIC else recipe]
    pte = setup.folder / f"{recipe}.pte"
    calibration = ["--calibrate", setup.folder / "calibration"] if "static" in recipe else []
    built = document("build", setup.program, "-o", pte, "--recipe", recipe, *calibration)
    (method,) = built["methods"]
    assert len(method["leftover_ops"]) * 4 <= sum(recorded["leftover_kernels"].values()), method["leftover_ops"]
    assert len(method["delegates"]) * 4 <= recorded["delegates"]
    outputs = run_on_stock_runtime(pte, setup.test)
    assert len(np.unique(outputs)) > 50
    # In float both are at the last bits of the additions, where a decibel more or less says nothing.
    recorded_sqnr = min(recorded["pte_sqnr_db"], 110)
    assert sqnr(setup.reference, outputs) >= recorded_sqnr - SQNR_MARGIN_DB
