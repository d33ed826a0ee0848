"""EnnQuantizer beside ExecuTorch's: the same converted graph, weights and parameters under compat=torchao; by default, what is put right."""

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators that quantized programs are made of
from torch import nn
from torch.nn import functional as F

from cases import networks, noise, seeded
from oracle.build import NIGHTLY, probe
from oracle.compare import sqnr
from oracle.wiring import DEQUANTIZE, QUANTIZE, count, same, wiring


class Cnn(nn.Module):
    """Layers with every activation that they take in, and one that they do not; a sum, a cat, pools; convolutions alone."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depthwise, self.alone = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.clipped, self.rows = nn.Conv2d(16, 8, 1), nn.Conv1d(8, 6, 3)
        self.hidden, self.head = nn.Linear(6 * 14, 10), nn.Linear(10, 5)

    def forward(self, x):
        x = F.relu6(self.norm(self.first(x)))
        x = torch.cat([F.relu(self.depthwise(x)) + x, self.alone(x)], 1)
        x = F.max_pool2d(F.hardtanh(self.clipped(x), 0.0, 6.0), 2)
        x = self.rows(F.avg_pool2d(x, (1, 1)).flatten(2))
        return F.softmax(self.head(F.relu(self.hidden(x.flatten(1)))), -1)


class Elementwise(nn.Module):
    """Sums, differences, products and quotients of tensors and numbers, sums of sums, and every function of one tensor."""

    def forward(self, x, y):
        z = (x + y) * y - 0.5
        z = ((z + x) + y) / (y.abs() + 3.0)
        one = torch.tanh(z) + torch.sin(z) + torch.cos(z)
        two = F.hardswish(z) * F.hardsigmoid(z) + F.leaky_relu(z, 0.1)
        three = F.gelu(z).mean(-1, keepdim=True) * torch.rsqrt(z.pow(2) + 1.0) + torch.sqrt(torch.clamp(z, 0.5, 2.0))
        return torch.ceil(one), (1.0 - two) * 2.0, three.sum(-1), torch.sigmoid(z) * z, torch.sigmoid(x).mean()


class Moves(nn.Module):
    """What moves values, behind a layer, behind an operator that stays in float, and behind an input."""

    def __init__(self):
        super().__init__()
        self.layer, self.next = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x, places):
        y = self.layer(x)
        moved = y.permute(0, 2, 1).reshape(2, 4, 16).transpose(1, 2).unsqueeze(1).expand(2, 3, 16, 4)
        in_float = F.silu(y)
        q, k = F.softplus(y).reshape(2, 8, 2, 4).unbind(2)
        parts = torch.stack([y, in_float]).select(0, 1)[:, 1:5]
        return moved, self.next(in_float), in_float.view(-1), F.pad(x, (1, 1)), y[places], torch.bmm(self.next(x), parts.permute(0, 2, 1)), q + k


class Attention(nn.Module):
    """A mask, norms, a table, softmax behind a sum and behind a product, a fused attention."""

    def __init__(self):
        super().__init__()
        self.table, self.qkv = nn.Embedding(20, 12), nn.Linear(12, 36)
        self.norm, self.out = nn.LayerNorm(12), nn.Linear(12, 12)
        self.scale = nn.Parameter(noise(12, seed=3) + 1.5)

    def forward(self, words, mask):
        x = self.norm(self.table(words))
        q, k, v = self.qkv(x).reshape(2, 6, 3, 12).unbind(2)
        mixed = F.softmax(torch.matmul(q, k.transpose(-1, -2)) * 0.3 + mask, -1) @ v
        fused = F.scaled_dot_product_attention(q, k, v)
        x = F.rms_norm(self.out(mixed) + x + fused, (12,), self.scale)
        return F.log_softmax(x.transpose(1, 2), -1), x.topk(3).values


class Groups(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6)
        with torch.no_grad():
            self.norm.weight.copy_(noise(6, seed=2))

    def forward(self, x):
        return self.norm(self.layer(x)) * 2.0


class Resized(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.slopes = nn.Conv2d(2, 4, 3), nn.PReLU(4)
        self.up, self.batch = nn.ConvTranspose2d(4, 4, 2, stride=2), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.slopes(self.layer(x))
        fine = F.interpolate(x, scale_factor=2, mode="nearest") + F.interpolate(x, scale_factor=2, mode="bilinear")
        return F.adaptive_avg_pool2d(self.up(x) * fine, 2).squeeze(0), self.batch(F.hardtanh(fine, -1.0, 1.0))


def images(*sizes):
    return lambda seed: (noise(*sizes, seed=seed),)


WORDS = lambda seed: (torch.arange(12).reshape(2, 6) + seed % 8, torch.where(noise(2, 6, 6, seed=seed) > 1.0, -100.0, 0.0))
CASES = {
    "cnn": (Cnn, images(2, 3, 8, 8)),
    "elementwise": (Elementwise, lambda seed: (noise(2, 3, 4, seed=seed), noise(2, 3, 4, seed=seed + 50))),
    "moves": (Moves, lambda seed: (noise(2, 8, 8, seed=seed), torch.tensor([1, 0, 1]))),
    "attention": (Attention, WORDS),
    "resized": (Resized, images(1, 2, 7, 7)),
    "groups": (Groups, images(1, 3, 6, 6)),
}


def exported(make, draw, samples=3):
    with seeded():
        model = make().eval()
        networks.draw_batch_norms(model, 5)
    calls = [draw(seed) for seed in range(samples)]
    return torch.export.export(model, calls[0]), calls


def theirs(program, samples, per_channel=True):
    from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer, Precision
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = EnnQuantizer()
    quantizer.setup_quant_params(Precision.A8W8, per_channel, False)
    prepared = prepare_pt2e(program.module(), quantizer)
    for sample in samples:
        prepared(*sample)
    return torch.export.export(convert_pt2e(prepared, fold_quantize=False), samples[0])


@pytest.fixture
def ours(tmp_path):
    """ours(program, samples, compat, *options) -> the program that Intaglio converts, as PyTorch loads it."""

    def call(program, samples, compat="intaglio", *options):
        torch.export.save(program, tmp_path / "float.pt2")
        (tmp_path / "samples").mkdir(exist_ok=True)
        for index, sample in enumerate(samples):
            np.savez(tmp_path / "samples" / f"{index:03}.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(sample)})
        probe("exynos_quantize", tmp_path / "float.pt2", tmp_path / "samples", tmp_path / "ours.pt2", compat, *options)
        return torch.export.load(tmp_path / "ours.pt2")

    return call


# A scale per channel of a group norm's weight, which has one dimension, is an IndexError in torchao.
SCHEMES = [(name, True) for name in CASES if name != "groups"] + [(name, False) for name in ("cnn", "groups")]


def same_in_pytorch(mine, oracle, sample, least=50):
    """The same graph, and the same numbers where PyTorch runs what it loads; a last bit of a scale may move one across a step."""
    same(mine, oracle)
    for found, expected in zip(outputs(mine, sample), outputs(oracle, sample), strict=True):
        assert torch.equal(found, expected) or sqnr(expected.numpy(), found.numpy()) > least


@pytest.mark.parametrize("name, per_channel", SCHEMES)
def test_the_converted_program_is_executorchs(ours, name, per_channel):
    program, samples = exported(*CASES[name])
    oracle = theirs(program, samples, per_channel)
    assert count(oracle, QUANTIZE) >= 4
    same_in_pytorch(ours(program, samples, "torchao", *([] if per_channel else ["per_tensor"])), oracle, samples[0])


def network(name):
    """A network and its samples: EfficientNet-Lite0 is trained, the others are drawn."""
    if name == "efficientnet_lite0":
        case = networks.efficientnet_lite0()
        samples = [tuple(sample) for sample in case.draw(2, 1)]
    else:
        case = networks.SMALL[name]()
        samples = [tuple(sample) for sample in case.calls]
    return torch.export.export(case.module, samples[0]), samples


@pytest.mark.skipif(not NIGHTLY, reason="exports networks: `make nightly`")
@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2", "mobilenet_v3_small", "squeezenet", "vision_transformer", "convnext"])
def test_networks_convert_as_executorchs(ours, name):
    program, samples = network(name)
    oracle = theirs(program, samples)
    assert count(oracle, QUANTIZE) >= 40
    # What a last bit moves in a first layer goes through all others.
    same_in_pytorch(ours(program, samples, "torchao"), oracle, samples[0], least=20)


# ---- what is put right by default


class Gate(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x)


class GateAmongOthers(nn.Module):
    """The gate comes first in a cat, and one that is moved."""

    def forward(self, x):
        gate = torch.sigmoid(x)
        return torch.cat([gate, x * 3.0], 1), gate.view(-1) * 1.0


class Behind(nn.Module):
    """Layers and moves behind what stays in float."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        with torch.no_grad():
            self.first.bias -= 1.0

    def forward(self, x):
        x = self.first(x) * 20.0
        return self.second(F.silu(x)), F.elu(x).reshape(-1)


class OwnClamp(nn.Module):
    """A clamp that no layer of the compiler takes in."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return F.hardtanh(self.layer(x), 0.0, 2.0)


def outputs(program, sample):
    with torch.no_grad():
        result = program.module()(*sample)
    return [result] if isinstance(result, torch.Tensor) else list(result)


def loss(program, samples, converted):
    """dB of each output over the samples."""
    pairs = [(outputs(program, sample), outputs(converted, sample)) for sample in samples]
    return [sqnr(torch.stack([a[i] for a, _ in pairs]).numpy(), torch.stack([b[i] for _, b in pairs]).numpy()) for i in range(len(pairs[0][0]))]


def test_a_sigmoid_reaches_one(ours):
    program, samples = exported(Gate, lambda seed: (noise(2, 50, seed=seed) * 4,))
    original, right = ours(program, samples, "torchao"), ours(program, samples)
    assert outputs(original, samples[0])[0].max() == 127 / 256
    assert outputs(right, samples[0])[0].max() > 0.99
    assert loss(program, samples, right)[0] > 40 > 10 > loss(program, samples, original)[0]


def test_a_gates_range_is_nobody_elses(ours):
    program, samples = exported(GateAmongOthers, lambda seed: (noise(2, 50, seed=seed) * 4,))
    original, right = ours(program, samples, "torchao"), ours(program, samples)
    assert min(loss(program, samples, right)) > 30 and min(loss(program, samples, original)) < 10


def test_what_is_behind_a_float_operator_has_its_own_range(ours):
    program, samples = exported(Behind, lambda seed: (noise(4, 6, seed=seed),))
    original, right = ours(program, samples, "torchao"), ours(program, samples)
    (layer, move), (their_layer, their_move) = loss(program, samples, right), loss(program, samples, original)
    assert move > their_move + 10 and layer > their_layer > 30


def test_a_layer_before_a_clamp_of_its_own_is_quantized(ours):
    program, samples = exported(OwnClamp, images(1, 3, 8, 8))
    results = {compat: wiring(ours(program, samples, compat)) for compat in ("torchao", "intaglio")}
    clamps = {compat: next(call[1][0] for call in calls if call[0] == "aten.hardtanh.default") for compat, calls in results.items()}
    assert clamps["torchao"] == "%0" and clamps["intaglio"][0] == DEQUANTIZE


def test_a_group_norm_takes_weights_per_channel(ours):
    program, samples = exported(*CASES["groups"])
    assert loss(program, samples, ours(program, samples))[0] > 30
