"""CoreMLQuantizer beside ExecuTorch's: the same converted program under compat=torchao; by default, what is put right."""

import json
import operator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import networks, noise, seeded
from oracle import coreml_quantizer
from oracle.build import NIGHTLY, probe
from oracle.compare import sqnr
from oracle.wiring import DEQUANTIZE, QUANTIZE, count, same, wiring


def conv(inputs, outputs, kernel=3, activation=None, groups=1):
    layers = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation] if activation else []))


class Mobile(nn.Module):
    """An inverted residual, as MobileNetV2 has them, and its head."""

    def __init__(self):
        super().__init__()
        self.stem, self.wide = conv(3, 8, 3, nn.ReLU6(inplace=True)), conv(8, 24, 1, nn.ReLU6(inplace=True))
        self.deep, self.narrow = conv(24, 24, 3, nn.ReLU6(), groups=24), conv(24, 8, 1)
        self.head, self.drop, self.out = conv(8, 16, 1, nn.ReLU()), nn.Dropout(0.2), nn.Linear(16, 5)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.narrow(self.deep(self.wide(x)))
        return self.out(self.drop(F.adaptive_avg_pool2d(self.head(x), 1).flatten(1)))


class Pools(nn.Module):
    """Every pool as a module; a sum with an activation; flattening. (Of a module that is called twice ExecuTorch takes one call's input and
    another's result, whichever a set of nodes gives first.)"""

    def __init__(self):
        super().__init__()
        self.layer, self.other = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.most, self.more, self.mean, self.whole = nn.MaxPool2d(2), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2)
        self.flat, self.last = nn.Flatten(), nn.Flatten()
        self.rows, self.most_of_rows, self.out = nn.Conv1d(6, 4, 3), nn.MaxPool1d(2), nn.Linear(4, 3)

    def forward(self, x):
        x = self.most(F.relu(self.layer(x)))
        x = self.more(F.relu(self.other(x) + x))
        x = self.flat(self.whole(self.mean(x))).reshape(x.shape[0], 6, 4)
        return self.out(self.last(self.most_of_rows(self.rows(x))))


class Functions(nn.Module):
    """The same by functions, and means."""

    def __init__(self):
        super().__init__()
        self.layer, self.next, self.out = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.silu(self.layer(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.next(x)), 2)
        y = torch.mean(self.next(torch.cat([x, x[:, :2]], 1)), [2, 3], keepdim=True) + F.adaptive_avg_pool2d(x, 1)
        return self.out(torch.flatten(y, 1)).mean(-1)


class Chains(nn.Module):
    """Activations behind each other's layers in every order; a gate; one convolution called twice; results that several read."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1, bias=i % 2 == 0) for i in range(9))
        self.same = nn.Conv2d(4, 4, 3, padding="same")

    def forward(self, x):
        acts = [F.relu6, F.relu, F.silu, F.relu, lambda t: F.hardtanh(t, 0.0, 6.0), F.hardswish, F.leaky_relu]
        for layer, act in zip(self.layers, acts):
            x = act(layer(x))
        x = self.layers[7](x) * torch.sigmoid(self.layers[8](x))
        y = self.layers[7](x)
        z = F.relu(y) + y
        return self.same(z + z) * 0.5, F.gelu(z + 1.0) - x, F.softplus(z)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16, bias=False)
        self.up, self.gate, self.down = nn.Linear(16, 24), nn.Linear(16, 24), nn.Linear(24, 16)

    def forward(self, x, mask):
        q, k, v = self.qkv(self.norm(x)).reshape(2, 6, 3, 16).unbind(2)
        scores = torch.matmul(q, k.transpose(-1, -2)) * 0.25 + mask
        x = x + self.out(torch.matmul(F.softmax(scores, -1), v))
        return x + self.down(F.silu(self.gate(x)) * F.gelu(self.up(x)))


class Exact(nn.Module):
    """Products alone: nothing is summed, and so nothing in another order."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(6, 6, 1, groups=6, bias=False) for _ in range(4))

    def forward(self, x):
        x = F.relu6(self.layers[0](x) * 3.0)
        y = F.relu(self.layers[1](x)) + x
        return F.hardtanh(self.layers[2](y) * y, 0.0, 6.0) + self.layers[3](x)


class Volumes(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows, self.boxes = nn.Conv1d(3, 4, 3), nn.Conv3d(1, 3, 2)

    def forward(self, x):
        return F.elu(self.boxes(F.hardsigmoid(self.rows(x)).reshape(1, 1, 4, 2, 3)))


def images(*sizes):
    return lambda seed: (noise(*sizes, seed=seed),)


def words(seed):
    return noise(2, 6, 16, seed=seed), torch.where(noise(2, 6, 6, seed=seed + 7) > 1.0, -100.0, 0.0)


CASES = {
    "mobile": (Mobile, images(2, 3, 12, 12)),
    "pools": (Pools, images(1, 3, 16, 16)),
    "functions": (Functions, images(1, 3, 14, 14)),
    "chains": (Chains, images(1, 4, 6, 6)),
    "exact": (Exact, images(2, 6, 5, 5)),
    "attention": (Attention, words),
    "volumes": (Volumes, images(1, 3, 8)),
}
# A sum's last bit may move a value to the next of 255 steps, and with it a range.
STEP = 1 / 100


def config(**fields):
    return {"global_config": fields or {"quantization_scheme": "symmetric"}}


def exported(make, draw, samples=4, strict=False):
    with seeded():
        model = make().eval()
        networks.draw_batch_norms(model, 5)
    calls = [draw(seed) for seed in range(samples)]
    return torch.export.export(model, calls[0], strict=strict), calls


@pytest.fixture
def ours(tmp_path):
    """ours(program, samples, config, compat) -> the program that Intaglio converts, as PyTorch loads it."""

    def call(program, samples, settings, compat="intaglio"):
        torch.export.save(program, tmp_path / "float.pt2")
        (tmp_path / "samples").mkdir(exist_ok=True)
        for index, sample in enumerate(samples):
            np.savez(tmp_path / "samples" / f"{index:03}.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(sample)})
        (tmp_path / "config.json").write_text(json.dumps(settings))
        probe("coreml_quantize", tmp_path / "float.pt2", tmp_path / "samples", tmp_path / "ours.pt2", tmp_path / "config.json", compat)
        return torch.export.load(tmp_path / "ours.pt2")

    return call


def loaded(program, folder):
    """As the file has it: of strict export, constants lose what they were made for."""
    torch.export.save(program, folder / "loaded.pt2")
    return torch.export.load(folder / "loaded.pt2")


COMPARED = [(name, {}) for name in CASES]
COMPARED = COMPARED if NIGHTLY else [(name, {}) for name in ("mobile", "exact", "chains")]
COMPARED += [("mobile", {"activation_dtype": "float32"}), ("attention", {"activation_dtype": "float32", "weight_per_channel": False})]
COMPARED += [("mobile", {"quantization_scheme": "affine", "weight_per_channel": False})] * NIGHTLY + [("exact", {"quantization_scheme": "affine", "weight_per_channel": False})]
COMPARED += [("pools", {"weight_dtype": "quint8", "weight_observer": "min_max", "activation_observer": "min_max"})] * NIGHTLY


@pytest.mark.parametrize("name, fields", COMPARED)
def test_the_converted_program_is_executorchs(ours, name, fields):
    program, samples = exported(*CASES[name])
    oracle = coreml_quantizer.quantized(program, samples, config(**fields))
    assert count(oracle, QUANTIZE) >= 4 or "float32" in fields.values()
    same(ours(program, samples, config(**fields), "torchao"), oracle, 0 if name == "exact" else STEP)


@pytest.mark.parametrize("name", ["functions", "pools", "mobile"] if NIGHTLY else ["functions"])
def test_what_strict_export_records_is_looked_at(ours, name, tmp_path):
    program, samples = exported(*CASES[name], strict=True)
    program = loaded(program, tmp_path)
    same(ours(program, samples, config(), "torchao"), coreml_quantizer.quantized(program, samples, config()), STEP)


OVERRIDES = {
    "a module's name": {"module_name_configs": {"stem.0": {"activation_dtype": "float32"}}},
    "a module's name, in float": {"module_name_configs": {"narrow": None, "head": None}},
    "a type": {"module_type_configs": {"Conv2d": None}},
    "a type and a name": {"module_type_configs": {"Linear": {"weight_per_channel": False}}, "module_name_configs": {"deep": None}},
}


@pytest.mark.parametrize("strict", [False, True] if NIGHTLY else [True])
@pytest.mark.parametrize("name", OVERRIDES if NIGHTLY else ["a type and a name"])
def test_overrides_do_what_they_do_there(ours, name, strict, tmp_path):
    program, samples = exported(*CASES["mobile"], strict=strict)
    program = loaded(program, tmp_path)
    settings = config() | OVERRIDES[name]
    mine = settings | {"module_type_configs": {}}
    types = {"Conv2d": "torch.nn.modules.conv.Conv2d", "Linear": "torch.nn.modules.linear.Linear"}
    mine["module_type_configs"] = {types[key]: value for key, value in settings.get("module_type_configs", {}).items()}
    same(ours(program, samples, mine, "torchao"), coreml_quantizer.quantized(program, samples, settings), STEP)


@pytest.mark.skipif(not NIGHTLY, reason="exports networks and patterns: `make nightly`")
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "squeezenet", "vision_transformer", "convnext"])
def test_networks_convert_as_executorchs(ours, name):
    case = networks.SMALL[name]()
    samples = [tuple(sample) for sample in case.calls]
    program = torch.export.export(case.module, samples[0])
    same(ours(program, samples, config(), "torchao"), coreml_quantizer.quantized(program, samples, config()), STEP)


PATTERNS = {
    "in place": lambda: coreml_quantizer.utils.get_conv_pattern(2, F.relu, True),
    "a method": lambda: coreml_quantizer.utils.get_linear_pattern(F.tanh, False),
    "with a norm": lambda: coreml_quantizer.utils.get_linear_bn_pattern(F.relu6, False),
    "written twice": lambda: coreml_quantizer.utils.get_binary_op_act_pattern(operator.iadd, F.hardswish, True),
    "alone": lambda: coreml_quantizer.utils.get_binary_op_act_pattern(torch.matmul, None),
}


@pytest.mark.skipif(not NIGHTLY, reason="exports patterns: `make nightly`")
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_what_the_exporter_makes(name):
    def text(pattern):
        nodes = {node: str(index) for index, node in enumerate(node for node in pattern.graph.nodes if node.op != "call_module")}
        return [(node.op, str(node.target) * (node.op == "call_function"), [nodes[one] for one in node.all_input_nodes]) for node in nodes]

    with coreml_quantizer.quick_patterns():
        quick = PATTERNS[name]()
    assert text(quick) == text(PATTERNS[name]())


# ---- what is put right by default


def read_as(operand):
    """(what is quantized, scale, zero point) of an operand that comes as integers; None of one in float."""
    if not isinstance(operand, list) or operand[0] != DEQUANTIZE:
        return None
    source = operand[1][0]
    return (source[1][0], *source[1][1:3]) if isinstance(source, list) and source[0] == QUANTIZE else None


def calls_of(program, op):
    return [(f"%{index}", call) for index, call in enumerate(wiring(program)) if call[0] == op]


def readers(program, name):
    found = []
    for call in wiring(program):
        for operand in call[1] if isinstance(call[1], list) else []:
            seen = read_as(operand)
            if operand == name or (seen is not None and seen[0] == name):
                found.append(seen)
    return found


def keep_parameters(program, op) -> bool:
    """Every result of the op is read with the scale and zero point that its operand has."""
    found = calls_of(program, op)
    assert found
    before = [read_as(call[1][0]) for _, call in found]
    return all(
        seen is not None and all(reader is not None and reader[1:] == seen[1:] for reader in readers(program, name))
        for (name, _), seen in zip(found, before)
    )


def integer_weights(program) -> dict:
    """Of each layer's weight: its integers, under the name of the layer's operator and its place."""
    state = dict(program.state_dict) | dict(program.constants)
    found = {}
    for index, call in enumerate(wiring(program)):
        weight = call[1][1] if isinstance(call[1], list) and len(call[1]) > 1 else None
        is_dequantized = isinstance(weight, list) and str(weight[0]).startswith("quantized_decomposed.dequantize")
        if is_dequantized and isinstance(weight[1][0], str) and weight[1][0] in state:
            found[f"{call[0]} {index}"] = state[weight[1][0]]
    return found


MOVING = ["aten.max_pool2d.default", "aten.avg_pool2d.default", "aten.adaptive_avg_pool2d.default", "aten.flatten.using_ints"]


@pytest.mark.parametrize("op", MOVING)
def test_pools_and_flattening_keep_parameters_whatever_they_are_exported_from(ours, op):
    program, samples = exported(*CASES["functions"])
    assert keep_parameters(ours(program, samples, config()), op)
    assert not keep_parameters(ours(program, samples, config(), "torchao"), op)


class Means(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x):
        return self.out(F.relu6(self.layer(x)).mean([2, 3]))


def test_a_mean_keeps_parameters(ours):
    program, samples = exported(Means, images(1, 3, 9, 9))
    assert keep_parameters(ours(program, samples, config()), "aten.mean.dim")
    assert not keep_parameters(ours(program, samples, config(), "torchao"), "aten.mean.dim")


def test_a_type_is_configured_under_default_export(ours):
    program, samples = exported(*CASES["mobile"])
    settings = config() | {"module_type_configs": {"torch.nn.modules.linear.Linear": None}}
    linears = [{name: 1 for name in integer_weights(ours(program, samples, settings, compat)) if "linear" in name} for compat in ("intaglio", "torchao")]
    assert len(linears[0]) == 0 and len(linears[1]) == 1


def test_a_name_is_configured_and_not_only_excluded(ours):
    program, samples = exported(*CASES["mobile"])
    settings = config() | {"module_name_configs": {"out": {"weight_dtype": "qint4", "activation_dtype": "float32"}}}
    for compat, count_of_linears in (("intaglio", 1), ("torchao", 0)):
        converted = ours(program, samples, settings, compat)
        assert sum("linear" in name for name in integer_weights(converted)) == count_of_linears
    (name,) = [name for name in integer_weights(ours(program, samples, settings)) if "linear" in name]
    assert integer_weights(ours(program, samples, settings))[name].abs().max() <= 8


def test_an_operator_is_configured(ours):
    program, samples = exported(*CASES["mobile"])
    converted = ours(program, samples, config() | {"operator_configs": {"aten.linear": None}})
    assert not any("linear" in name for name in integer_weights(converted)) and len(integer_weights(converted)) == 5


@pytest.mark.parametrize("name", ["chains", "mobile", "pools"])
def test_a_tensor_is_quantized_once(ours, name):
    program, samples = exported(*CASES[name])

    def twice(converted):
        return sum(node.args[0].target is torch.ops.quantized_decomposed.dequantize_per_tensor.default
                   for node in converted.graph.nodes if str(node.target) == QUANTIZE)  # fmt: skip

    assert twice(ours(program, samples, config())) == 0 < twice(ours(program, samples, config(), "torchao"))


@pytest.mark.parametrize("dtype, low, high", [("qint4", -8, 7), ("quint4", 0, 15)])
def test_four_bits_are_four_bits(ours, dtype, low, high):
    program, samples = exported(*CASES["mobile"])
    for compat in ("intaglio", "torchao"):
        weights = torch.cat([weight.flatten() for weight in integer_weights(ours(program, samples, config(weight_dtype=dtype), compat)).values()])
        inside = low <= weights.min() and weights.max() <= high
        assert inside == (compat == "intaglio") and weights.unique().numel() > 10


def test_layers_that_the_matcher_passes_over(ours):
    """A convolution that is called twice, one with padding in words, a sum of a tensor and itself."""
    program, samples = exported(*CASES["chains"])
    layers = [sum("conv2d" in name for name in integer_weights(ours(program, samples, config(), compat))) for compat in ("intaglio", "torchao")]
    assert layers == [11, 9]
    for compat in ("intaglio", "torchao"):
        converted = ours(program, samples, config(), compat)
        ((name, _),) = [(name, call) for name, call in calls_of(converted, "aten.add.Tensor") if call[1][0] == call[1][1]]
        assert [reader is not None for reader in readers(converted, name)] == [compat == "intaglio"]


def test_a_mask_takes_no_range(ours):
    program, samples = exported(*CASES["attention"])

    def closeness(converted):
        with torch.no_grad():
            pairs = [(program.module()(*sample), converted.module()(*sample)) for sample in samples]
        return sqnr(torch.stack([a for a, _ in pairs]).numpy(), torch.stack([b for _, b in pairs]).numpy())

    assert closeness(ours(program, samples, config())) > closeness(ours(program, samples, config(), "torchao")) + 3


def test_configurations_share_their_scheme(ours, tmp_path):
    program, samples = exported(*CASES["volumes"])
    settings = config() | {"module_name_configs": {"rows": {"quantization_scheme": "affine"}}}
    torch.export.save(program, tmp_path / "float.pt2")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    done = probe("coreml_quantize", tmp_path / "float.pt2", tmp_path, tmp_path / "ours.pt2", tmp_path / "config.json", "intaglio", check=False)
    assert done.returncode == 1 and "quantization_scheme" in done.stderr
