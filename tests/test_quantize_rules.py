"""Rules and settings of `quantize_`: what takes a layer, what is told of settings that cannot be, layers of unusual form."""

import pytest
import torch
from torch import nn

from oracle.compare import sqnr
from oracle.executorch import run
from quantize_draws import CODEBOOK, DYNAMIC, WEIGHT_ONLY
from test_quantize_api import PER_GROUP, WORDS, Words, config, recipe, tied_names


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "words.pt2"
    torch.export.save(torch.export.export(Words().eval(), (WORDS,)), path)
    return path


def test_a_layer_is_taken_by_its_own_name(intaglio, words, tmp_path):
    """A name takes an embedding, too; a pattern without type or operator takes linears, as torchao's default filter does."""

    def taken(match):
        intaglio("quantize", words, "-o", tmp_path / "q.pt2", "--recipe", recipe(tmp_path / "r.json", (match, config(WEIGHT_ONLY))))
        return [name.split(".")[0] for name in tied_names(torch.export.load(tmp_path / "q.pt2"))]

    assert taken({"module_name": "table"}) == ["table"]
    assert taken({"module_name": "*"}) == ["down", "head", "up"]
    assert taken({"module_name": "ta*", "op": "embedding"}) == ["table"]


@pytest.mark.parametrize(("fields", "said"), [
    (config(WEIGHT_ONLY, group_size=1), "a group size of 1"),
    (config(DYNAMIC, weight_dtype="int1", mapping_type="symmetric_no_clipping_err"), "int1 has no positive integer"),
    (config(CODEBOOK, dtype="uint3", block_size=[16]), "a block size of [16]; give rows and columns"),
    (config(CODEBOOK, dtype="uint3", block_size=[16, -1, 1]), "a block size of [16, -1, 1]"),
    (config(CODEBOOK, dtype="uint3", block_size=[0, -1]), "a block size of [0, -1]"),
], ids=str)
def test_what_no_layer_could_take_is_told_of_the_rule(intaglio, words, tmp_path, fields, said):
    rules = recipe(tmp_path / "r.json", ({"module_name": "up"}, config(WEIGHT_ONLY)), ({}, fields))
    refused = intaglio("quantize", words, "-o", tmp_path / "q.pt2", "--recipe", rules, check=False)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert f"r.json: rules[1].config: {said}" in refused.stderr


@pytest.mark.parametrize(("settings", "said"), [
    (("embedding_group_size=1",), "setting embedding_group_size=1: a group has two elements or more"),
    (("embedding=none", "embedding_group_size=32"), "embedding=none leaves tables in float"),
], ids=str)
def test_settings_that_contradict_are_refused(intaglio, words, tmp_path, settings, said):
    options = [word for setting in settings for word in ("--set", setting)]
    refused = intaglio("quantize", words, "-o", tmp_path / "q.pt2", "--recipe", PER_GROUP, *options, check=False)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and said in refused.stderr


def test_a_mapping_that_fitted_scales_do_not_use_is_told(intaglio, words, tmp_path):
    fields = config(WEIGHT_ONLY, intx_choose_qparams_algorithm="hqq_scale_only")
    call = ("quantize", words, "-o", tmp_path / "q.pt2", "--recipe")
    assert "not used" not in intaglio(*call, recipe(tmp_path / "r.json", ({}, fields))).stderr
    assert "mapping type" in intaglio(*call, recipe(tmp_path / "r.json", ({}, fields | {"mapping_type": "asymmetric"}))).stderr


class Projection(nn.Linear):
    pass


def test_the_type_is_told_of_a_layer_that_no_filter_takes(intaglio, tmp_path):
    model = nn.Sequential(nn.Linear(32, 32), Projection(32, 32)).eval()
    torch.export.save(torch.export.export(model, (torch.ones(1, 32),)), tmp_path / "m.pt2")
    done = intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", "--recipe", PER_GROUP)
    assert "1 of 2 linears quantized, 1 left in float: no filter takes modules of type 'Projection' ('1')" in done.stdout


@pytest.mark.parametrize("lead", [(1, 1, 2, 1, 2, 2, 1), (2,) * 9], ids=str)
def test_linears_of_many_dimensions_are_delegated(document, tmp_path, lead):
    """More than XNNPACK has: each row keeps its own range."""
    model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 32)).eval()
    rows = torch.randn(*lead, 64) * torch.logspace(-2, 2, 64).reshape(-1)[torch.randperm(64)]
    torch.export.save(torch.export.export(model, (rows,)), tmp_path / "m.pt2")
    built = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", PER_GROUP)
    assert {op["op"] for op in built["methods"][0]["leftover_ops"]} <= {"aten.view_copy.default"}
    assert len(built["methods"][0]["delegates"]) == 1
    document("quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", "--recipe", PER_GROUP)
    with torch.no_grad():
        expected = torch.export.load(tmp_path / "q.pt2").module()(rows)
    assert sqnr(expected.numpy(), run(tmp_path / "m.pte", [(rows,)]).reshape(expected.shape)) > 35
