"""`compare --sensitivity`: what each layer's quantization costs, against PyTorch computing the same variants."""

import json

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators of Q/DQ programs
from torch import nn

from oracle.build import ROOT
from oracle.compare import IS_LIKE_THE_RECORDS

DIGITS = ROOT / "examples" / "digits"
RECIPE = "xnnpack_pt2e_int8_static_per_channel"
qd = torch.ops.quantized_decomposed


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3, stride=2)
        self.last = nn.Linear(4, 5)

    def forward(self, x):
        x = torch.relu_(self.norm(self.first(x)))
        return self.last(self.second(x).mean((2, 3)))


def sqnr(expected, found):
    return 10 * torch.log10((expected.double() ** 2).sum() / ((expected.double() - found.double()) ** 2).sum()).item()


@pytest.fixture(scope="module")
def network(intaglio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensitivity")
    torch.manual_seed(5)
    module, sample = Network().eval(), torch.randn(4, 3, 12, 12)
    module.norm.running_mean.uniform_(-0.2, 0.2)
    module.norm.running_var.uniform_(0.5, 1.5)
    torch.export.save(torch.export.export(module, (sample,)), folder / "float.pt2")
    np.save(folder / "sample.npy", sample.numpy())
    intaglio("quantize", folder / "float.pt2", "-o", folder / "int8.pt2", "--recipe", RECIPE, "--calibrate", folder / "sample.npy")
    done = intaglio("compare", folder / "float.pt2", folder / "int8.pt2", "--data", folder / "sample.npy", "--sensitivity", "--json")
    return module, sample, torch.export.load(folder / "int8.pt2"), json.loads(done.stdout)


def quantization_of(program, operator):
    """The layer's weight as it is read, and the scale, zero point and range of its result."""
    (node,) = [n for n in program.graph.nodes if n.op == "call_function" and operator in str(n.target)]
    weight = next(a for a in node.args if getattr(a, "op", "") == "call_function" and "per_channel" in str(a.target))
    held = [program.state_dict[program.graph_signature.inputs_to_buffers[a.name]] for a in weight.args[:3]]
    result = next(user for user in node.users if "quantize_per_tensor" in str(user.target))
    return qd.dequantize_per_channel(*held, *weight.args[3:]), result.args[1:5]


def test_one_layer_alone_is_what_pytorch_computes(network):
    module, sample, program, found = network
    weight, result = quantization_of(program, "linear")
    expected = module(sample)
    features = module.second(torch.relu(module.norm(module.first(sample)))).mean((2, 3))
    floats = nn.functional.linear(features, weight, module.last.bias)
    rounded = qd.dequantize_per_tensor(qd.quantize_per_tensor(floats, *result, torch.int8), *result, torch.int8)
    row = next(row for row in found["layers"] if row["layer"] == "last")
    assert abs(row["alone_db"] - sqnr(expected, rounded)) < 0.02


def test_the_whole_is_what_compare_says(network):
    module, sample, program, found = network
    assert abs(found["quantized_db"] - sqnr(module(sample), program.module()(sample))) < 0.5  # single steps in 20 values
    assert {"first", "second", "last"} <= {row["layer"] for row in found["layers"]}
    gains = [row["gained_db"] for row in found["layers"]]
    assert gains == sorted(gains, reverse=True) and gains[0] > 0.5
    assert all(row["alone_db"] > found["quantized_db"] for row in found["layers"])


class Odd(nn.Module):
    """A state that is written, a number as an operand."""

    def __init__(self):
        super().__init__()
        self.linear, self.last = nn.Linear(8, 8), nn.Linear(8, 4)
        self.register_buffer("state", torch.zeros(2, 8))

    def forward(self, x):
        y = torch.tanh(self.linear(x + self.state) * 2)
        self.state.copy_(y)
        return self.last(y)


@pytest.mark.parametrize("recipe", [RECIPE, "xnnpack_pt2e_int8_dynamic_per_channel"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_states_numbers_and_half_floats(dtype, recipe, intaglio, document, tmp_path):
    torch.manual_seed(8)
    model = Odd().to(dtype).eval()
    torch.export.save(torch.export.export(model, (torch.randn(2, 8, dtype=dtype),)), tmp_path / "float.pt2")
    np.save(tmp_path / "x.npy", torch.randn(2, 8).to(dtype).numpy())
    intaglio("quantize", tmp_path / "float.pt2", "-o", tmp_path / "q.pt2", "--recipe", recipe, "--calibrate", tmp_path / "x.npy")
    pair = ("compare", tmp_path / "float.pt2", tmp_path / "q.pt2", "--data", tmp_path / "x.npy")
    found = document(*pair, "--sensitivity")
    assert {"linear", "last"} <= {row["layer"] for row in found["layers"]}
    assert abs(found["quantized_db"] - document(*pair)["outputs"][0]["sqnr_db"]) < 1  # half floats round once more
    assert all(row["alone_db"] > found["quantized_db"] - 0.5 for row in found["layers"]) and found["layers"][0]["gained_db"] > 0.2


class Apart(nn.Module):
    """Layers inside of a region and a condition, complex numbers between layers."""

    def __init__(self):
        super().__init__()
        self.first, self.inside, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        with torch.no_grad():
            x = self.first(x)
        x = torch.cond(x.sum() > 0, lambda y: self.inside(y).relu(), lambda y: y - 1, (x,))
        return self.last(torch.view_as_real(torch.view_as_complex(x.reshape(2, 4, 2)) * (1 + 2j)).reshape(2, 8))


@pytest.mark.parametrize("recipe", [RECIPE, "xnnpack_pt2e_int8_dynamic_per_channel"])
def test_regions_and_complex_numbers(recipe, intaglio, document, tmp_path):
    torch.manual_seed(2)
    model, sample = Apart().eval(), torch.randn(2, 8)
    torch.export.save(torch.export.export(model, (sample,)), tmp_path / "float.pt2")
    np.save(tmp_path / "x.npy", sample.numpy())
    intaglio("quantize", tmp_path / "float.pt2", "-o", tmp_path / "q.pt2", "--recipe", recipe, "--calibrate", tmp_path / "x.npy")
    pair = ("compare", tmp_path / "float.pt2", tmp_path / "q.pt2", "--data", tmp_path / "x.npy")
    found = document(*pair, "--sensitivity")
    assert {"first", "last"} <= {row["layer"] for row in found["layers"]}
    assert abs(found["quantized_db"] - document(*pair)["outputs"][0]["sqnr_db"]) < 0.5
    assert found["layers"][0]["gained_db"] > 0.2 and all(row["alone_db"] > found["quantized_db"] - 0.5 for row in found["layers"])


def test_labels_count_right_answers(intaglio, document, tmp_path):
    tensor = "xnnpack_pt2e_int8_static_per_tensor"
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "int8.pt2", "--recipe", tensor, "--calibrate", DIGITS / "calibration")
    labelled = ("--data", DIGITS / "test", "--labels", DIGITS / "test_labels.npy")
    found = document("compare", DIGITS / "digits.pt2", tmp_path / "int8.pt2", *labelled, "--sensitivity")
    whole = document("compare", DIGITS / "digits.pt2", tmp_path / "int8.pt2", *labelled)["accuracy"]
    assert found["accuracy"] == {"reference": whole["reference"], "candidate": whole["candidate"]}
    best = max(found["layers"], key=lambda row: row["in_float_top1"])
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "plan.pt2", "--recipe", tensor, "--calibrate", DIGITS / "calibration",
             "--save-plan", tmp_path / "plan.json")  # fmt: skip
    plan = json.loads((tmp_path / "plan.json").read_text()) | {"in_float": [best["value"]]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "better.pt2", "--recipe", tensor, "--plan", tmp_path / "plan.json")
    better = document("compare", DIGITS / "digits.pt2", tmp_path / "better.pt2", *labelled)["accuracy"]["candidate"]
    assert better > whole["candidate"] and abs(better - best["in_float_top1"]) < 0.004


def test_threads_do_not_matter(intaglio, document, tmp_path):
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "int8.pt2", "--recipe", RECIPE, "--calibrate", DIGITS / "calibration")
    compare = ("compare", DIGITS / "digits.pt2", tmp_path / "int8.pt2", "--data", DIGITS / "calibration", "--sensitivity")
    found = document(*compare, "--threads", 1)
    assert found == document(*compare, "--threads", 3)
    assert len(found["layers"]) == 13 and found["layers"][0]["layer"].startswith("block1")
    assert abs(found["layers"][0]["gained_db"] - 1.11) < (0.05 if IS_LIKE_THE_RECORDS else 0.15)


def test_programs_that_do_not_belong_together_are_one_line(intaglio, network, tmp_path):
    torch.export.save(torch.export.export(nn.Softmax(1), (torch.randn(2, 3),)), tmp_path / "other.pt2")
    np.save(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    done = intaglio("compare", tmp_path / "other.pt2", tmp_path / "other.pt2", "--data", tmp_path / "x.npy", "--sensitivity", check=False)
    assert done.returncode == 1 and "what `quantize` made of it" in done.stderr and done.stderr.count("\n") == 1
