"""`--save-plan` and `--plan` of every recipe: what was decided, and the same program again from it."""

import json

import numpy as np
import pytest
import torch
from torch import nn

STATIC = ("xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor", "coreml_pt2e_int8_static", "exynos_pt2e_int8_static")
WITHOUT_SAMPLES = (
    "xnnpack_pt2e_int8_dynamic_per_channel",
    "xnnpack_pt2e_int8_dynamic_per_tensor",
    "vulkan_pt2e_int8_weight_only",
    "coreml_pt2e_int8_weight_only",
)
BY_MODULE = (
    "xnnpack_torchao_int8da_int4w_per_channel",
    "xnnpack_torchao_int8da_int4w_per_group",
    "vulkan_torchao_int8da_int4w_per_group",
    "vulkan_torchao_int4_weight_only_per_group",
    "coreml_torchao_int4_weight_only_per_channel",
    "coreml_torchao_int4_weight_only_per_group",
    "coreml_torchao_int8_weight_only_per_channel",
    "coreml_torchao_int8_weight_only_per_group",
    "coreml_codebook_weight_only",
)
SETTINGS = {"coreml_codebook_weight_only": ["--set", "bits=4", "--set", "block_size=[16,-1]"]}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 96), nn.Linear(96, 64), nn.Linear(64, 32)

    def forward(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    torch.manual_seed(6)
    torch.export.save(torch.export.export(Network().eval(), (torch.randn(8, 64),)), folder / "float.pt2")
    np.save(folder / "sample.npy", torch.randn(8, 64).numpy())
    return folder


def quantize(intaglio, network, out, recipe, *options, check=True):
    return intaglio("quantize", network / "float.pt2", "-o", out, "--recipe", recipe, *SETTINGS.get(recipe, []), *options, check=check)


@pytest.mark.parametrize("recipe", STATIC + WITHOUT_SAMPLES + BY_MODULE)
def test_a_plan_says_all_and_gives_the_same_again(recipe, intaglio, network, tmp_path):
    samples = ["--calibrate", network / "sample.npy"] if recipe in STATIC else []
    quantize(intaglio, network, tmp_path / "q.pt2", recipe, *samples, "--save-plan", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    if recipe in BY_MODULE:
        assert [(layer["layer"], layer["node"]) for layer in plan["layers"]] == [("first", "linear"), ("second", "linear_1"), ("last", "linear_2")]
        assert not plan["entries"]
    else:
        weights = [entry for entry in plan["entries"] if "weight" in entry["tensor"]]
        assert len(weights) == 3 and all(min(entry["qparams"]["scale"]) > 1e-5 for entry in weights)
        assert "layers" not in plan
    (tmp_path / "again").mkdir()
    again = tmp_path / "again" / "q.pt2"  # an archive holds its own name
    assert "warning" not in quantize(intaglio, network, again, recipe, "--plan", tmp_path / "plan.json").stderr
    assert intaglio("diff", tmp_path / "q.pt2", again).stdout == "no difference\n" and (tmp_path / "q.pt2").read_bytes() == again.read_bytes()
    # One layer in float is one layer less.
    (tmp_path / "edited.json").write_text(json.dumps(plan | {"in_float": ["linear_1"]}))
    quantize(intaglio, network, tmp_path / "edited.pt2", recipe, "--plan", tmp_path / "edited.json", *samples)
    found = json.loads(intaglio("diff", tmp_path / "q.pt2", tmp_path / "edited.pt2", "--json").stdout)["differences"]
    assert [d["after"] for d in found if "'second'" in d["place"] and d["fact"] == "weight"] == ["float32"]
    assert not [d for d in found if "'last'" in d["place"] and d["fact"] == "weight"]


@pytest.mark.parametrize("recipe", BY_MODULE)
def test_what_a_layer_costs_is_found_of_weights_alone_too(recipe, intaglio, network, tmp_path):
    quantize(intaglio, network, tmp_path / "q.pt2", recipe)
    compare = ["compare", network / "float.pt2", tmp_path / "q.pt2", "--data", network / "sample.npy", "--json"]
    found = json.loads(intaglio(*compare, "--sensitivity").stdout)
    assert {row["layer"] for row in found["layers"]} == {"first", "second", "last"} and 5 < found["quantized_db"] < 80
    assert all(row["alone_db"] > found["quantized_db"] and row["gained_db"] > 0.1 for row in found["layers"])
    worst = found["layers"][0]
    (tmp_path / "plan.json").write_text(json.dumps({"schema": "intaglio.plan", "version": 1, "in_float": [worst["value"]], "entries": []}))
    quantize(intaglio, network, tmp_path / "better.pt2", recipe, "--plan", tmp_path / "plan.json")
    better = json.loads(intaglio("compare", network / "float.pt2", tmp_path / "better.pt2", "--data", network / "sample.npy", "--json").stdout)
    assert abs(better["outputs"][0]["sqnr_db"] - worst["in_float_db"]) < 0.05
    done = quantize(intaglio, network, tmp_path / "m.pt2", recipe, "--calibrate", network / "sample.npy", "--max-loss", found["quantized_db"] + 0.05)
    assert "1 layer in float" in done.stdout


def test_a_layer_of_a_plan_may_be_made_another(intaglio, network, tmp_path):
    recipe = "xnnpack_torchao_int8da_int4w_per_group"
    quantize(intaglio, network, tmp_path / "q.pt2", recipe, "--save-plan", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert {layer["settings"]["weight_dtype"] for layer in plan["layers"]} == {"int4"}
    plan["layers"][2]["settings"] |= {"weight_dtype": "int8", "group_size": "0"}
    (tmp_path / "edited.json").write_text(json.dumps(plan))
    quantize(intaglio, network, tmp_path / "edited.pt2", recipe, "--plan", tmp_path / "edited.json")
    found = json.loads(intaglio("diff", tmp_path / "plan.json", tmp_path / "edited.json", "--json").stdout)["differences"]
    assert {(d["place"], d["fact"], d["before"], d["after"]) for d in found} == {
        ("layer 'last' ('linear_2')", "weight_dtype", "int4", "int8"),
        ("layer 'last' ('linear_2')", "group_size", "32", "0"),
    }
    between = json.loads(intaglio("diff", tmp_path / "q.pt2", tmp_path / "edited.pt2", "--json").stdout)["differences"]
    assert between and all("'last'" in d["place"] for d in between)
    for layer, words in (
        ({"quantize_": "Other"}, "IntxWeightOnlyConfig"),
        ({"settings": {"weight_dtype": "int9"}}, "weight_dtype"),
        ({"node": "nobody"}, "'nobody'"),
    ):
        (tmp_path / "broken.json").write_text(json.dumps(plan | {"layers": [plan["layers"][0] | layer]}))
        done = quantize(intaglio, network, tmp_path / "no.pt2", recipe, "--plan", tmp_path / "broken.json", check=False)
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_plans_tell_what_is_chosen_of_layers(intaglio, network, tmp_path):
    quantize(intaglio, network, tmp_path / "q.pt2", STATIC[1], "--calibrate", network / "sample.npy", "--save-plan", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "edited.json").write_text(json.dumps(plan | {"in_float": ["linear"], "per_channel": ["linear_2"]}))
    found = json.loads(intaglio("diff", tmp_path / "plan.json", tmp_path / "edited.json", "--json").stdout)["differences"]
    assert {(d["place"], d["after"]) for d in found} == {("operator 'linear' in float", "there"), ("operator 'linear_2' per channel", "there")}
