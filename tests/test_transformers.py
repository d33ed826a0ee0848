"""Transformers from `.pt2` to `.pte`: as good as ExecuTorch's (tests/records/transformers.json) with a fraction of its leftovers."""

import numpy as np
import pytest

from cases import language, networks
from oracle.compare import SQNR_MARGIN_DB, sqnr
from oracle.build import record
from oracle.subject import Subject

RECORD = record("transformers")
STATIC, DYNAMIC = (f"xnnpack_pt2e_int8_{kind}_per_channel" for kind in ("static", "dynamic"))


@pytest.fixture(scope="module", params=list(RECORD["models"]))
def subject(request, tmp_path_factory):
    case = language.MODELS[request.param]()
    calibration = case.draw(RECORD["calibration"], networks.CALIBRATION_SEED)
    test = case.draw(RECORD["test"], networks.TEST_SEED)
    made = Subject(request.param, case, tmp_path_factory.mktemp(request.param), calibration, test)
    made.is_the_records(RECORD["models"][request.param])
    return made


@pytest.mark.parametrize("recipe", ["xnnpack_fp32", STATIC, DYNAMIC])
def test_fewer_pieces_and_no_less_accurate(subject, recipe, document):
    # Dynamic quantization changes the linears only: what ExecuTorch leaves outside is what it leaves in the static program.
    recorded = RECORD["models"][subject.name]["recipes"][STATIC if recipe == DYNAMIC else recipe]
    built, outputs = subject.built(document, recipe)
    (method,) = built["methods"]
    assert len(method["leftover_ops"]) * 4 <= sum(recorded["leftover_kernels"].values()), method["leftover_ops"]
    assert len(method["delegates"]) * 4 <= recorded["delegates"]
    assert len(np.unique(outputs)) > 50
    # In float both are at the last bits of the additions, where a decibel more or less says nothing.
    recorded_sqnr = min(recorded["pte_sqnr_db"], 110)
    assert sqnr(subject.reference, outputs) >= recorded_sqnr - SQNR_MARGIN_DB
