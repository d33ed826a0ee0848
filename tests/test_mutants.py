"""A fixed slice of the changed programs that the nights try (tests/mutants), and those that were once bad."""

import copy
import json
import os

import pytest
import torch
from torch import nn
from torch.export import Dim

from cases import Case, seeded
from mutants import __main__ as mutants
from mutants import seeds
from mutants.examine import Examination, Seed
from oracle.archives import save
from oracle.build import BUILD


@pytest.fixture(scope="module")
def programs():
    return seeds.written(BUILD / "mutants", seeds.QUICK)


def test_a_slice(programs):
    tried, bad = mutants.search(programs, "slice", seconds=120, most=12, workers=2)
    assert tried == 12 and not bad, bad


class Sizes(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm((4, 8))

    def forward(self, x):
        rows = x.shape[0]
        return self.norm(x), x.new_ones(rows // 2), x.reshape(rows * 4, 8)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    with seeded():
        case = Case(Sizes().eval(), [(torch.randn(6, 4, 8),)], shapes=({0: Dim("rows", min=4, max=16)},))
    save(case, folder / "sizes.pt2", sample=[(case.calls[0], {})])
    return Seed("sizes", folder / "sizes.pt2", folder / "sizes" / "sample" / "000.npy")


def nodes(document, target):
    return [node for node in document["graph_module"]["graph"]["nodes"] if target in node["target"]]


def argument(document, target, name):
    (found,) = [entry for entry in nodes(document, target)[0]["inputs"] if entry["name"] == name]
    return found["arg"]


def change_argument(target, name, **union):
    def change(document):
        entry = argument(document, target, name)
        entry.clear()
        entry.update(union)

    return change


def change_target(target, new, keep=None):
    def change(document):
        node = nodes(document, target)[0]
        node["target"], node["inputs"] = new, node["inputs"][:keep]

    return change


def change_expressions(old, new):
    def change(document):
        graph = document["graph_module"]["graph"]
        changed = json.loads(json.dumps(graph).replace(old, new))
        assert changed != graph
        document["graph_module"]["graph"] = changed

    return change


def change_range(low, high):
    def change(document):
        (name,) = document["range_constraints"]
        document["range_constraints"][name] = {"min_val": low, "max_val": high}

    return change


def change_size_to_new_symbol(document):
    size = document["graph_module"]["graph"]["tensor_values"]["layer_norm"]["sizes"]
    size[1] = {"as_expr": {"expr_str": "Symbol('s990', positive=True, integer=True)", "hint": {"as_int": 4}}}


CHANGES = {
    "a symbol of no input": (change_size_to_new_symbol, "is of no input"),
    "normalized_shape empty": (change_argument("layer_norm", "normalized_shape", as_ints=[]), "normalized_shape"),
    "normalized_shape repeated": (change_argument("layer_norm", "normalized_shape", as_ints=[4, 8, 8, 8]), "normalized_shape"),
    "normalized_shape too large": (change_argument("layer_norm", "normalized_shape", as_ints=[4, 2**63 - 1]), "normalized_shape"),
    "normalized_shape a number": (change_argument("layer_norm", "normalized_shape", as_float="Infinity"), "normalized_shape"),
    "no such dimension": (change_argument("sym_size", "dim", as_int=7), "dimension 7"),
    "no such dimension, from behind": (change_argument("sym_size", "dim", as_int=-4), "dimension -4"),
    "division by zero": (change_argument("floordiv", "b", as_int=0), "divides by zero"),
    "division of one": (change_target("floordiv", "_operator.floordiv", 1), "2 numbers"),
    "a size that decides": (change_target("floordiv", "torch.sym_not", 1), "true or false is needed"),
    "no values": (change_target("floordiv", "torch.sym_int", 0), "1 number"),
    "a tensor where a number is": (change_argument("floordiv", "a", as_tensor={"name": "x"}), "a number is needed"),
    "an operator of tensors": (change_target("layer_norm", "torch.sym_float", 1), "a number is needed"),
    "a number for a tensor": (change_argument("layer_norm", "eps", as_string="small"), "'eps'"),
    "an expression that divides by zero": (change_expressions("Integer(2))", "Integer(0))"), "divides by zero"),
    "an expression of another value": (change_expressions("Integer(2))", "Integer(3))"), "is said to be"),
    "bounds of zero": (change_range(0, 0), "range"),
    "bounds below zero": (change_range(-9, -1), "range"),
    "bounds without the example": (change_range(4, 5), "range"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_once_bad_is_one_line(sizes, tmp_path, name):
    change, words = CHANGES[name]
    document = copy.deepcopy(sizes.document)
    change(document)
    sizes.write(document, tmp_path / "mutant.pt2")
    sizes.write_sample(sizes.document, tmp_path / "sample.npz")
    examination = Examination(tmp_path)
    done = examination.call("build", tmp_path / "mutant.pt2", "-o", tmp_path / "out.pte", "--recipe", "xnnpack_fp32")
    assert done.returncode == 1 and words in done.text and "mutant.pt2" in done.text, done.text
    assert not examination.findings and not (tmp_path / "out.pte").exists()
    assert not examination.run(0)


LARGE = {
    "product of sums": lambda size, terms: "*".join(f"({size} + {i})" for i in range(1, terms + 1)),
    "product of sums of symbols": lambda size, terms: "*".join(f"(u{i} + {size})" for i in range(1, terms + 1)),
    "sum of products": lambda size, terms: " + ".join(f"({size} + {i})*({size} + 2)" for i in range(1, terms + 1)),
    "sum of quotients": lambda size, terms: " + ".join(f"({size} + {i})//{i + 1}*({size} % {i + 1})" for i in range(1, terms + 1)),
    "maximum": lambda size, terms: "Max(" + ", ".join(f"{size} + u{i}" for i in range(1, terms + 1)) + ")",
    "nested quotients": lambda size, terms: "FloorDiv(" * 60 + " + ".join([size] * terms) + ", 3)" * 60,
}


@pytest.mark.parametrize("terms", [500, 1000, 2000, 4000])
@pytest.mark.parametrize("form", LARGE)
def test_large_expressions_are_answered_at_once(sizes, tmp_path, form, terms):
    document = copy.deepcopy(sizes.document)
    (symbol,) = document["range_constraints"]
    text = LARGE[form](symbol, terms)
    changed = 0
    for entry in document["graph_module"]["graph"]["tensor_values"].values():
        for size in entry["sizes"] + entry["strides"]:
            if "as_expr" in size and not size["as_expr"]["expr_str"].startswith("Symbol"):
                size["as_expr"] = {"expr_str": text}
                changed += 1
    assert changed >= 2
    sizes.write(document, tmp_path / "mutant.pt2")
    before = os.times()
    done = Examination(tmp_path).call("inspect", tmp_path / "mutant.pt2")
    after = os.times()
    assert done.returncode in (0, 1), done.text
    assert after.children_user - before.children_user < 1  # hundredths of a second, but for hangs
