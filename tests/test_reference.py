"""The reference representation: integer arithmetic in plain operators, against the Q/DQ program, PyTorch and torchao."""

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators of Q/DQ programs
from torch import nn
from torch.nn import functional as F

from cases import Quantization
from oracle import torchao
from oracle.build import ROOT, probe

CHANNEL, TENSOR = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"
DYNAMIC = ("xnnpack_pt2e_int8_dynamic_per_channel", "xnnpack_pt2e_int8_dynamic_per_tensor")


class Apply(nn.Module):
    def __init__(self, layers=(), forward=None):
        super().__init__()
        self.layers, self.apply_to = nn.ModuleList(layers), forward

    def forward(self, *inputs):
        return self.apply_to(*self.layers, *inputs) if self.apply_to else nn.Sequential(*self.layers)(*inputs)


def chain(*layers):
    return lambda: Apply(layers=[layer() for layer in layers])


def images(*sizes):
    return lambda: (torch.randn(*sizes),)


def two(*sizes):
    return lambda: (torch.randn(*sizes), 3 * torch.randn(*sizes) + 1)


# name: module, inputs, how often integers are multiplied
LAYERS = {
    "linear": (chain(lambda: nn.Linear(24, 10)), images(5, 24), 1),
    "linear_without_bias": (chain(lambda: nn.Linear(24, 10, bias=False)), images(5, 24), 1),
    "linear_relu_in_a_row": (chain(lambda: nn.Linear(24, 10), nn.ReLU, lambda: nn.Linear(10, 7)), images(2, 3, 24), 2),
    "convolution": (chain(lambda: nn.Conv2d(3, 8, 3, stride=2, padding=1), lambda: nn.ReLU6(True)), images(2, 3, 13, 11), 1),
    "grouped": (chain(lambda: nn.Conv2d(6, 8, 3, padding="same", groups=2)), images(1, 6, 9, 9), 1),
    "depthwise": (chain(lambda: nn.Conv2d(6, 6, 5, padding=2, groups=6), lambda: nn.Hardtanh(-0.5, 0.5)), images(1, 6, 9, 9), 1),
    "dilated": (chain(lambda: nn.Conv2d(3, 5, 3, dilation=2)), images(1, 3, 12, 12), 1),
    "one_dimension": (chain(lambda: nn.Conv1d(3, 5, 3, padding=1)), images(2, 3, 12), 1),
    "transposed": (chain(lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1)), images(1, 4, 5, 6), 1),
    "sum": (lambda: Apply(forward=lambda x, y: x + y), two(2, 3, 5), 0),
    "sum_relu_broadcast": (lambda: Apply(forward=lambda x, y: F.relu(x + y[:, :1])), two(2, 3, 5), 0),
    "product": (lambda: Apply(forward=lambda x, y: x * y), two(2, 3, 5), 0),
    "pools": (
        chain(
            lambda: nn.Conv2d(3, 4, 1), lambda: nn.MaxPool2d(3, 2, 1), lambda: nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten, lambda: nn.Linear(8, 6)
        ),
        images(2, 3, 16, 9),
        2,
    ),
    "mean": (lambda: Apply([nn.Conv2d(3, 4, 3)], lambda conv, x: conv(x).mean((2, 3))), images(1, 3, 9, 9), 1),
}


def export(module, inputs, path):
    torch.manual_seed(7)
    inputs = inputs()
    program = torch.export.export(module().eval(), inputs)
    torch.export.save(program, path / "model.pt2")
    np.savez(path / "sample.npz", *[x.numpy() for x in inputs])
    return inputs


def in_torch(path, inputs):
    return torch.export.load(path).module()(*inputs)


def on_the_interpreter(intaglio, path, sample, out, *options):
    intaglio("run", path, "--input", sample, "-o", out, *options)
    return torch.from_numpy(np.load(out)["arr_0"])


def targets(path):
    return [str(node.target) for node in torch.export.load(path).graph.nodes if node.op == "call_function"]


def last_scale(path):
    nodes = [node for node in torch.export.load(path).graph.nodes if "dequantize_per_tensor" in str(node.target)]
    return nodes[-1].args[1]


@pytest.mark.parametrize("recipe", [CHANNEL, TENSOR])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_within_one_step_of_the_qdq_program(name, recipe, intaglio, tmp_path):
    module, inputs, products = LAYERS[name]
    inputs = export(module, inputs, tmp_path)
    quantize = ["quantize", tmp_path / "model.pt2", "--recipe", recipe, "--calibrate", tmp_path / "sample.npz"]
    intaglio(*quantize, "-o", tmp_path / "qdq.pt2")
    intaglio(*quantize, "-o", tmp_path / "reference.pt2", "--representation", "reference")
    expected, found = in_torch(tmp_path / "qdq.pt2", inputs), in_torch(tmp_path / "reference.pt2", inputs)
    assert len(torch.unique(expected)) > 3
    steps = (found - expected).abs() / last_scale(tmp_path / "qdq.pt2")
    assert steps.max() < 1.01
    assert steps.numel() < 100 or (steps > 0.5).float().mean() < 0.1
    written = targets(tmp_path / "reference.pt2")
    assert written.count("out_dtype") == products and not any("quantized_decomposed" in target for target in written)
    ours = on_the_interpreter(intaglio, tmp_path / "reference.pt2", tmp_path / "sample.npz", tmp_path / "out.npz")
    assert torch.equal(ours, found)
    passing = on_the_interpreter(intaglio, tmp_path / "qdq.pt2", tmp_path / "sample.npz", tmp_path / "out.npz", "--representation", "reference")
    assert torch.equal(passing, found)


@pytest.mark.parametrize("recipe", DYNAMIC)
def test_dynamic_linear_layers_sum_integers(recipe, intaglio, tmp_path):
    module, inputs, products = LAYERS["linear_relu_in_a_row"]
    inputs = export(module, inputs, tmp_path)
    quantize = ["quantize", tmp_path / "model.pt2", "--recipe", recipe]
    intaglio(*quantize, "-o", tmp_path / "qdq.pt2")
    intaglio(*quantize, "-o", tmp_path / "reference.pt2", "--representation", "reference")
    expected, found = in_torch(tmp_path / "qdq.pt2", inputs), in_torch(tmp_path / "reference.pt2", inputs)
    assert expected.abs().max() > 0.1 and found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert targets(tmp_path / "reference.pt2").count("out_dtype") == products
    ours = on_the_interpreter(intaglio, tmp_path / "reference.pt2", tmp_path / "sample.npz", tmp_path / "out.npz")
    torch.testing.assert_close(ours, found, rtol=1e-5, atol=1e-5)


class Summed(nn.Module):
    """Per-tensor layers, sums with and without a relu, a product: what torchao's patterns find, and what they do not."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.plain = nn.Linear(16, 12), nn.Linear(16, 12), nn.Linear(12, 4)

    def forward(self, x):
        a, b = self.first(x), self.second(x)
        return self.plain((a + b) * F.relu(a + b))


@pytest.mark.parametrize("dynamic", [False, True])
def test_torchaos_arithmetic_is_reproduced(dynamic, tmp_path):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    torch.manual_seed(3)
    module, sample = (nn.Linear(16, 12) if dynamic else Summed()).eval(), torch.randn(40, 16)
    program = torch.export.export(module, (sample,))
    everything = Quantization(everything={"is_per_channel": False, "is_dynamic": dynamic})
    results = {}
    for reference in (False, True):
        prepared = torchao.prepare(program, everything)
        prepared(sample)
        converted = torch.export.export(convert_pt2e(prepared, use_reference_representation=reference), (sample,))
        results[reference] = converted.module()(sample)
        if not reference:
            torch.export.save(converted, tmp_path / "qdq.pt2")
    probe("write_reference", tmp_path / "qdq.pt2", tmp_path / "theirs.pt2", "torchao")
    found = in_torch(tmp_path / "theirs.pt2", (sample,))
    assert results[True].std() > 0.01 and not torch.equal(results[True], results[False])
    assert found.dtype == results[True].dtype and torch.equal(found, results[True])
    probe("write_reference", tmp_path / "qdq.pt2", tmp_path / "ours.pt2", "intaglio")
    ours = in_torch(tmp_path / "ours.pt2", (sample,))
    assert (ours - results[False]).abs().mean() < (found - results[False]).abs().mean() / 2


def test_digits_agree_in_both_representations(intaglio, tmp_path):
    digits = ROOT / "examples" / "digits"
    quantize = ["quantize", digits / "digits.pt2", "--recipe", CHANNEL, "--calibrate", digits / "calibration"]
    intaglio(*quantize, "-o", tmp_path / "qdq.pt2")
    intaglio(*quantize, "-o", tmp_path / "reference.pt2", "--representation", "reference")
    sample = sorted((digits / "test").glob("*.npy"))[0]
    x = torch.from_numpy(np.load(sample))
    expected, found = in_torch(tmp_path / "qdq.pt2", (x,)), in_torch(tmp_path / "reference.pt2", (x,))
    assert torch.equal(found.argmax(1), expected.argmax(1))
    assert ((found - expected).abs() / last_scale(tmp_path / "qdq.pt2")).max() < 1.01
    ours = on_the_interpreter(intaglio, tmp_path / "reference.pt2", sample, tmp_path / "out.npz")
    assert torch.equal(ours, found)
