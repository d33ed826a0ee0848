"""`--max-loss`: the fewest layers left in float for a bound on what quantization may lose."""

import json

import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators of Q/DQ programs

from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
CHANNEL, TENSOR = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"


def quantize(intaglio, out, *options, recipe=CHANNEL, check=True):
    return intaglio("quantize", DIGITS / "digits.pt2", "-o", out, "--recipe", recipe, "--calibrate", DIGITS / "calibration", *options, check=check)


def sqnr(document, candidate):
    return document("compare", DIGITS / "digits.pt2", candidate, "--data", DIGITS / "calibration")["outputs"][0]["sqnr_db"]


def test_the_bound_holds_with_as_few_layers_as_it_takes(intaglio, document, tmp_path):
    counts = {}
    for bound in (30, 36, 40, 45):
        quantize(intaglio, tmp_path / "q.pt2", "--max-loss", bound, "--save-plan", tmp_path / f"{bound}.json")
        assert sqnr(document, tmp_path / "q.pt2") >= bound
        counts[bound] = json.loads((tmp_path / f"{bound}.json").read_text()).get("in_float", [])
    assert counts[30] == [] and 1 <= len(counts[36]) < len(counts[40]) < len(counts[45]) < 10
    # None of them can be done without.
    quantize(intaglio, tmp_path / "q.pt2", "--save-plan", tmp_path / "all.json")
    plan = json.loads((tmp_path / "all.json").read_text())
    for name in counts[40]:
        (tmp_path / "fewer.json").write_text(json.dumps(plan | {"in_float": [other for other in counts[40] if other != name]}))
        intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "f.pt2", "--recipe", CHANNEL, "--plan", tmp_path / "fewer.json")
        assert 36 < sqnr(document, tmp_path / "f.pt2") < 40


def test_the_plan_leaves_the_same_layers_in_float_again(intaglio, tmp_path):
    quantize(intaglio, tmp_path / "q.pt2", "--max-loss", 40, "--save-plan", tmp_path / "plan.json")
    again = ["quantize", DIGITS / "digits.pt2", "-o", tmp_path / "again.pt2", "--recipe", CHANNEL, "--plan", tmp_path / "plan.json"]
    assert "warning" not in intaglio(*again).stderr
    first, second = (torch.export.load(tmp_path / name).state_dict for name in ("q.pt2", "again.pt2"))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert sum(tensor.dtype == torch.float32 and tensor.dim() > 1 for tensor in first.values()) >= 2  # weights


def test_labels_make_it_points_of_accuracy(intaglio, document, tmp_path):
    judged = ["--max-loss", 0, "--labels", DIGITS / "test_labels.npy", "--evaluate", DIGITS / "test"]
    done = quantize(intaglio, tmp_path / "q.pt2", *judged, recipe=TENSOR)
    assert "points of top-1 accuracy lost" in done.stdout and "1 layer in float: classifier" in done.stdout
    found = document("compare", DIGITS / "digits.pt2", tmp_path / "q.pt2", "--data", DIGITS / "test", "--labels", DIGITS / "test_labels.npy")
    assert found["accuracy"]["candidate"] >= found["accuracy"]["reference"] > 0.95


def test_build_runs_what_was_chosen(intaglio, tmp_path):
    build = ["build", DIGITS / "digits.pt2", "-o", tmp_path / "m.pte", "--recipe", CHANNEL, "--calibrate", DIGITS / "calibration"]
    done = intaglio(*build, "--max-loss", 40)
    assert "5 layers in float" in done.stdout and "1 delegate with 100.0 %" in done.stdout


@pytest.mark.parametrize(
    "options, status, words",
    [
        (["--max-loss", "200"], 1, "cannot be met"),
        (["--labels", DIGITS / "test_labels.npy"], 2, "--max-loss"),
        (["--max-loss", "1", "--labels", DIGITS / "test_labels.npy"], 1, "labels"),  # of other samples
    ],
)
def test_what_cannot_be_is_one_line(options, status, words, intaglio, tmp_path):
    done = quantize(intaglio, tmp_path / "q.pt2", *options, check=False)
    assert done.returncode == status and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "q.pt2").exists()


def test_a_plan_of_another_model_is_one_line(intaglio, tmp_path):
    quantize(intaglio, tmp_path / "q.pt2", "--save-plan", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["in_float"] = ["nobody"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    again = ["quantize", DIGITS / "digits.pt2", "-o", tmp_path / "again.pt2", "--recipe", CHANNEL, "--plan", tmp_path / "plan.json"]
    done = intaglio(*again, check=False)
    assert done.returncode == 1 and "'nobody'" in done.stderr and done.stderr.count("\n") == 1
