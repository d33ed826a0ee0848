"""Static int8 models with attention under masks, beside the float models: cases.masks."""

import numpy as np
import pytest

from cases import masks, networks
from oracle.build import NIGHTLY
from oracle.compare import sqnr
from oracle.subject import Subject

STATIC = [f"xnnpack_pt2e_int8_static_per_{kind}" for kind in ("channel", "tensor")]
RUNS = [(name, recipe) for index, name in enumerate(masks.CASES) for recipe in (STATIC if NIGHTLY else STATIC[index % 2 :][:1])]


@pytest.fixture
def subject(tmp_path):
    def get(name):
        case = masks.CASES[name]
        return Subject(name, case, tmp_path, case.draw(8, networks.CALIBRATION_SEED), case.draw(4, networks.TEST_SEED))

    return get


@pytest.mark.parametrize("name, recipe", RUNS)
def test_masks_take_nothing_from_the_scores(name, recipe, subject, document):
    made = subject(name)
    said, outputs = made.built(document, recipe)
    assert len(np.unique(outputs)) > 50
    assert sqnr(made.reference, outputs) > 24, sqnr(made.reference, outputs)
    assert [warning for warning in said["warnings"] if "which is lost" in warning] == []
    (method,) = said["methods"]
    assert not any("quantize" in op["op"] for op in method["leftover_ops"]), method["leftover_ops"]


@pytest.mark.parametrize("name", ["smallest", "buffer_heads", "two_masks_heads"])
def test_torchao_quantizes_the_sum_and_is_warned(name, subject, document):
    made = subject(name)
    said, outputs = made.built(document, STATIC[0], "--set", "compat=torchao")
    assert sqnr(made.reference, outputs) < 15
    warning = next(warning for warning in said["warnings"] if "which is lost" in warning)
    assert "aten.add.Tensor" in warning and "masks.py:" in warning and '"config": null' in warning


@pytest.mark.parametrize("name", ["infinite_flat", "library_infinite_weights", "library_boolean", "masked_fill_infinite_scaled_heads"])
def test_hidden_scores_do_not_keep_the_file_from_being_checked(name, subject, document):
    said, outputs = (made := subject(name)).built(document, "xnnpack_pt2e_int8_dynamic_per_channel", "--strict")
    (agreement,) = said["agreement"]
    assert agreement["checked"] and agreement["within_bounds"] and agreement["outputs"][0]["bound_db"] > 20
    assert sqnr(made.reference, outputs) > 30
