"""VulkanQuantizer beside ExecuTorch's: the same converted graph, weights and scales bit for bit."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import seeded
from test_quantize_api import graph_of

WEIGHT_ONLY, DYNAMIC = {}, {"is_dynamic": True}
FOUR_BITS = {"weight_bits": 4}
BOUNDS = {"weight_qmin": -127, "is_dynamic": True, "act_qmin": -100, "act_qmax": 90}


class Heads(nn.Module):
    """Linears of several shapes, with and without bias, one called twice, tied weights, numbers in sums and products, a convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.up, self.down, self.twice = nn.Linear(6 * 16, 40), nn.Linear(40, 7, bias=False), nn.Linear(7, 7)
        self.left, self.right = nn.Linear(7, 5), nn.Linear(7, 5)
        self.right.weight = self.left.weight
        with torch.no_grad():
            self.up.weight[0] = 0
            self.up.weight[1] = self.up.weight[1].abs()
            self.up.weight[2] *= 1e-9
            self.up.weight[3, ::5] *= 100

    def forward(self, x):
        x = torch.relu(self.conv(x)).flatten(1)
        x = self.down(torch.relu(self.up(x) + 1) * 0.5)
        x = self.twice(self.twice(x) * 2 - 1)
        return self.left(x) + self.right(x)


class Attention(nn.Module):
    """Three dimensions, a residual sum, a linear that reads another's result."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(12, 12) for _ in range(3))
        self.out, self.head = nn.Linear(12, 12), nn.Linear(12, 3, bias=False)

    def forward(self, x):
        mixed = F.softmax(self.q(x) @ self.k(x).transpose(-1, -2) * 0.3, -1) @ self.v(x)
        return self.head(self.out(mixed + x))


def exported(make, sizes):
    with seeded():
        model, sample = make().eval(), torch.randn(*sizes)
    return torch.export.export(model, (sample,)), (sample,)


HEADS, ATTENTION = (Heads, (2, 3, 4, 4)), (Attention, (2, 5, 12))


def theirs(program, sample, config, only=None):
    """ExecuTorch's program, as its users export it."""
    from executorch.backends.vulkan.quantizer.vulkan_quantizer import VulkanQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = VulkanQuantizer().set_global(get_symmetric_quantization_config(**config))
    if only:
        quantizer.set_filter_function(lambda node: any(path.endswith(only) for path, _ in node.meta.get("nn_module_stack", {}).values()))
    prepared = prepare_pt2e(program.module(), quantizer)
    prepared(*sample)
    return torch.export.export(convert_pt2e(prepared), sample)


@pytest.fixture
def ours(intaglio, tmp_path):
    """ours(program, rules, **settings) -> the program that Intaglio writes, as PyTorch loads it."""

    def call(program, rules, **settings):
        torch.export.save(program, tmp_path / "float.pt2")
        recipe = {"schema": "intaglio-recipe/1", "backend": "vulkan", "settings": settings, "rules": rules}
        (tmp_path / "recipe.json").write_text(json.dumps(recipe))
        intaglio("quantize", tmp_path / "float.pt2", "-o", tmp_path / "ours.pt2", "--recipe", tmp_path / "recipe.json")
        return torch.export.load(tmp_path / "ours.pt2")

    return call


def constants_in_use(program):
    """The parameters and buffers that something reads, by name in the order of their placeholders; torchao keeps the float weights, too."""
    names = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    specs = [spec for spec in program.graph_signature.input_specs if spec.arg.name in names and spec.target in program.state_dict]
    return {spec.target: program.state_dict[spec.target] for spec in specs}


def same(mine, oracle, sample):
    assert graph_of(mine) == graph_of(oracle)
    kept, expected = constants_in_use(mine), constants_in_use(oracle)
    # Numbers of sums and products come before the scales here, behind them there.
    in_order = lambda constants: [name for name in constants if not name.startswith("_tensor_constant")]
    assert set(kept) == set(expected) and in_order(kept) == in_order(expected)
    for name, tensor in expected.items():
        assert kept[name].dtype == tensor.dtype and torch.equal(kept[name], tensor), name
    assert torch.equal(mine.module()(*sample), oracle.module()(*sample))


@pytest.mark.parametrize("config", [WEIGHT_ONLY, FOUR_BITS, DYNAMIC, FOUR_BITS | DYNAMIC, BOUNDS], ids=str)
@pytest.mark.parametrize("model", [HEADS, ATTENTION], ids=["heads", "attention"])
def test_the_converted_program_is_executorchs(ours, model, config):
    program, sample = exported(*model)
    oracle = theirs(copy.deepcopy(program), sample, config)
    assert sum("dequantize_per_channel" in name for name, *_ in graph_of(oracle)) >= 5
    same(ours(program, [{"config": config}]), oracle, sample)


def test_a_filter_picks_modules(ours):
    program, sample = exported(*ATTENTION)
    oracle = theirs(copy.deepcopy(program), sample, FOUR_BITS, only="head")
    assert sum("dequantize" in name for name, *_ in graph_of(oracle)) == 1
    same(ours(program, [{"match": {"module_name": "head"}, "config": FOUR_BITS}]), oracle, sample)


@pytest.mark.parametrize("config, said", [
    ({"weight_bits": 3}, "weight_bits=3: Vulkan's weights have 8 or 4 bits"),
    ({"weight_qmin": 5}, "weight_qmin and weight_qmax: integers from 5 to 127"),
    ({"act_qmin": 3, "act_qmax": -3, "is_dynamic": True}, "act_qmin and act_qmax"),
])  # fmt: skip
def test_bad_settings_are_one_line(intaglio, tmp_path, config, said):
    program, _ = exported(*ATTENTION)
    torch.export.save(program, tmp_path / "float.pt2")
    recipe = {"schema": "intaglio-recipe/1", "backend": "vulkan", "rules": [{"config": config}]}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    done = intaglio("quantize", tmp_path / "float.pt2", "-o", tmp_path / "o.pt2", "--recipe", tmp_path / "recipe.json", check=False)
    assert done.returncode in (1, 2) and said in done.stderr and len(done.stderr.splitlines()) == 1
