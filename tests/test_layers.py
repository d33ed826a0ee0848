"""`compare --layers`: where two programs part."""

import json

import numpy as np
import pytest
import torch

from oracle.build import ROOT
from oracle.compare import IS_LIKE_THE_RECORDS

DIGITS = ROOT / "examples" / "digits"
RECIPE = "xnnpack_pt2e_int8_static_per_channel"


@pytest.fixture(scope="module")
def programs(intaglio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    made = {"float": DIGITS / "digits.pt2"}
    for name in ("qdq", "reference"):
        made[name] = folder / f"{name}.pt2"
        intaglio("quantize", made["float"], "-o", made[name], "--recipe", RECIPE, "--calibrate", DIGITS / "calibration", "--representation", name)
    return made


def layers(intaglio, reference, candidate, *options):
    done = intaglio("compare", reference, candidate, "--layers", "--data", DIGITS / "test", "--json", *options)
    return json.loads(done.stdout)


def test_every_layer_of_the_float_program_is_compared(intaglio, programs, document):
    found = layers(intaglio, programs["float"], programs["qdq"])["values"]
    places = [row["layer"] for row in found]
    assert {"stem.0", "block1.depthwise", "block1.pointwise", "pool", "widen.0", "block2.depthwise", "head", "classifier"} <= set(places)
    whole = document("compare", programs["float"], programs["qdq"], "--data", DIGITS / "test")["outputs"][0]
    # The last layer's floats, before they are quantized as the program's result.
    assert found[-1]["layer"] == "classifier" and whole["sqnr_db"] < found[-1]["sqnr_db"] < whole["sqnr_db"] + 6
    assert all(25 < row["sqnr_db"] < 60 for row in found)
    quantized = [row for row in found if row["clipped"] is not None]
    assert len(quantized) > 8 and all(row["clipped"] < 0.01 and 0.5 < row["range_used"] <= 1 for row in quantized)
    assert any(row["clipped"] > 0 for row in quantized)


def test_the_reference_representation_parts_from_qdq_by_single_steps(intaglio, programs):
    for options in ([programs["reference"]], [programs["qdq"], "--representation", "reference"]):
        rows = [row for row in layers(intaglio, programs["qdq"], *options)["values"] if row["differing"] is not None]
        assert len(rows) >= 12
        assert rows[0]["differing"] == 0  # the input itself
        assert 0 < max(row["differing"] for row in rows) < 0.3
        assert 1 <= max(row["most_steps"] for row in rows) <= 4
        assert rows[-1]["layer"] == "classifier" and rows[-1]["most_steps"] == 1  # of the outputs


def test_the_reference_representation_is_what_the_delegate_computes(intaglio, programs):
    rows = layers(intaglio, programs["reference"], programs["qdq"], "--numerics", "integer")["values"]
    assert len(rows) >= 12
    if IS_LIKE_THE_RECORDS:
        assert all(row["differing"] == 0 for row in rows)
    else:  # one value in 276,480 was seen, and a few behind it
        assert all(row["differing"] <= 1e-4 and row["most_steps"] <= 2 for row in rows)
        assert sum(row["differing"] == 0 for row in rows) >= 8
    # As against the Q/DQ program, which both part from.
    assert any(row["differing"] > 0 for row in layers(intaglio, programs["qdq"], programs["qdq"], "--numerics", "integer")["values"])


def test_the_delegates_values_stand_beside_the_float_programs(intaglio, programs):
    as_written = {row["layer"]: row["sqnr_db"] for row in layers(intaglio, programs["float"], programs["qdq"])["values"]}
    rows = layers(intaglio, programs["float"], programs["qdq"], "--numerics", "integer")["values"]
    assert len(rows) >= 10 and {"stem.2", "widen.2", "classifier"} <= {row["layer"] for row in rows}
    assert all(20 < row["sqnr_db"] < 60 and row["clipped"] is not None for row in rows)
    assert all(abs(row["sqnr_db"] - as_written[row["layer"]]) < 6 for row in rows if row["layer"] == "classifier")


def test_what_cannot_be_compared_is_one_line(intaglio, programs, tmp_path):
    intaglio("lower", programs["qdq"], "-o", tmp_path / "digits.pte", "--backend", "xnnpack")
    done = intaglio("compare", programs["float"], tmp_path / "digits.pte", "--layers", "--data", DIGITS / "test", check=False)
    assert done.returncode == 2 and "--numerics integer" in done.stderr and done.stderr.count("\n") == 1
    intaglio("build", programs["float"], "-o", tmp_path / "d.enn", "--recipe", "exynos_pt2e_int8_static", "--calibrate", DIGITS / "calibration")
    done = intaglio("compare", programs["float"], tmp_path / "d.enn", "--layers", "--data", DIGITS / "test", check=False)
    assert done.returncode == 2 and "--layers looks into .pt2 programs" in done.stderr and done.stderr.count("\n") == 1
    done = intaglio("compare", programs["float"], programs["qdq"], "--layers", "--tokens", tmp_path / "tokens", check=False)
    assert done.returncode == 2 and "--data" in done.stderr


def test_samples_unlike_those_of_the_calibration_are_told(intaglio, programs, tmp_path):
    sample = sorted((DIGITS / "test").glob("*.npy"))[0]
    np.save(tmp_path / "bright.npy", 3 * np.load(sample))
    told = intaglio("compare", programs["float"], programs["qdq"], "--layers", "--data", tmp_path / "bright.npy").stderr
    assert "leave the ranges that calibration chose" in told and told.count("\n") == 1
    assert intaglio("compare", programs["float"], programs["qdq"], "--layers", "--data", sample).stderr == ""


def test_a_quantized_file_that_is_larger_is_told(intaglio, tmp_path):
    """An embedding's floats stay beside the integers of the layer that is tied to it."""

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.linear = torch.nn.Embedding(300, 300), torch.nn.Linear(300, 300, bias=False)
            self.table.weight = self.linear.weight

        def forward(self, x):
            return self.linear(self.table(x))

    torch.export.save(torch.export.export(Tied(), (torch.zeros(2, dtype=torch.long),)), tmp_path / "tied.pt2")
    build = ["build", tmp_path / "tied.pt2", "-o", tmp_path / "tied.pte", "--recipe"]
    done = intaglio(*build, "xnnpack_pt2e_int8_dynamic_per_channel")
    assert (tmp_path / "tied.pte").stat().st_size > (tmp_path / "tied.pt2").stat().st_size
    assert "quantized, the file has 453.6 kB and the float model" in done.stderr and done.stderr.count("\n") == 1
    assert intaglio(*build, "xnnpack_fp32").stderr == ""
