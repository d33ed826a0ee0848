"""`diff`: what changed between two plans, two programs, two `.pte` files."""

import json

import pytest

from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
CHANNEL, TENSOR = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"


@pytest.fixture(scope="module")
def made(intaglio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diff")
    for name, recipe in (("channel", CHANNEL), ("tensor", TENSOR)):
        options = ["--recipe", recipe, "--calibrate", DIGITS / "calibration"]
        intaglio("build", DIGITS / "digits.pt2", "-o", folder / f"{name}.pte", *options, "--save-plan", folder / f"{name}.json")
        intaglio("quantize", DIGITS / "digits.pt2", "-o", folder / f"{name}.pt2", *options)
    return folder


def differences(intaglio, before, after):
    return json.loads(intaglio("diff", before, after, "--json").stdout)["differences"]


@pytest.mark.parametrize("kind", ["json", "pt2", "pte"])
def test_a_file_does_not_differ_from_itself(kind, intaglio, made):
    assert differences(intaglio, made / f"channel.{kind}", made / f"channel.{kind}") == []
    assert intaglio("diff", made / f"channel.{kind}", made / f"channel.{kind}").stdout == "no difference\n"


def test_plans_differ_where_weights_have_other_scales(intaglio, made):
    found = differences(intaglio, made / "channel.json", made / "tensor.json")
    weights = [d for d in found if d["fact"] == "parameters"]
    assert len(weights) == 7 and all("weight" in d["place"] and "channels (axis 0)" in d["before"] and "one scale" in d["after"] for d in weights)
    assert {"tensor 'p_classifier_weight', layer 'classifier'"} <= {d["place"] for d in weights}
    assert all("weight" in d["place"] for d in found if d["fact"] == "observer")


def test_programs_differ_by_layer(intaglio, made):
    found = differences(intaglio, DIGITS / "digits.pt2", made / "channel.pt2")
    classifier = {d["fact"]: (d["before"], d["after"]) for d in found if d["place"].startswith("layer 'classifier'")}
    assert classifier["weight"] == ("float32", "int8 in [-127, 127], a scale for each of 10 channels (axis 0)")
    assert classifier["input"][0] == "float32" and "one scale" in classifier["input"][1] and "result" in classifier
    assert any(d["fact"] == "" and "batch_norm" in d["place"] and d["before"] == "there" for d in found)
    between = differences(intaglio, made / "channel.pt2", made / "tensor.pt2")
    assert between and not any("weight" in d["fact"] and d["before"] == d["after"] for d in between)


def test_pte_files_differ_in_size_and_delegates(intaglio, made, tmp_path):
    intaglio("lower", DIGITS / "digits.pt2", "-o", tmp_path / "portable.pte", "--backend", "portable")
    found = {(d["place"], d["fact"]): (d["before"], d["after"]) for d in differences(intaglio, tmp_path / "portable.pte", made / "channel.pte")}
    assert found["method 'forward'", "delegates"] == ("0", "1")
    assert found["method 'forward', portable kernels", "aten::convolution.out"][1] == ""


def test_two_kinds_are_one_line(intaglio, made):
    done = intaglio("diff", made / "channel.pte", made / "channel.json", check=False)
    assert done.returncode == 2 and "one kind" in done.stderr and done.stderr.count("\n") == 1
    (made / "broken.pte").write_bytes(b"no program")
    done = intaglio("diff", made / "broken.pte", made / "channel.pte", check=False)
    assert done.returncode == 1 and "broken.pte" in done.stderr and done.stderr.count("\n") == 1
