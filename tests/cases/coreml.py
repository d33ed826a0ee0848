"""Programs for Core ML: `PROGRAMS`, each with the targets and the precision that ExecuTorch's own payloads of it are kept in.

Results that are several are joined to one: a delegate's outputs have an order of their own.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F
from torchao.quantization import quantize_
from torchao.utils import unwrap_tensor_subclass

from cases import Case, Function, draw_statistics, noise, seeded
from cases.quantized import weight_only


def seeded_module(make, seed: int = 0) -> nn.Module:
    with seeded(seed):
        return draw_statistics(make().eval())


def joined(*tensors):
    return torch.cat([tensor.float().flatten() for tensor in tensors])


class Mobile(nn.Module):
    """An inverted residual and a head, as MobileNetV2 has them; an activation of MobileNetV3."""

    def __init__(self):
        super().__init__()
        layer = lambda i, o, k, **kw: nn.Sequential(nn.Conv2d(i, o, k, bias=False, padding=k // 2, **kw), nn.BatchNorm2d(o))
        self.stem, self.wide, self.deep = layer(3, 8, 3, stride=2), layer(8, 24, 1), layer(24, 24, 3, groups=24)
        self.narrow, self.head, self.out = layer(24, 8, 1), layer(8, 16, 1), nn.Linear(16, 6)

    def forward(self, x):
        x = F.relu6(self.stem(x))
        x = x + self.narrow(F.relu6(self.deep(F.relu6(self.wide(x)))))
        return self.out(F.adaptive_avg_pool2d(F.hardswish(self.head(x)), 1).flatten(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.skip, self.out = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(3, 8, 1), nn.Linear(8, 5, bias=False)

    def forward(self, x):
        y = F.relu(self.second(F.relu(self.norm(self.first(x)))) + self.skip(x))
        return self.out(F.max_pool2d(y, 2, 2).mean([2, 3]))


class VisionBlock(nn.Module):
    def __init__(self, width=32, heads=2):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class LanguageBlock(nn.Module):
    """One token at a time, with caches: a Llama of one layer, one key head for two query heads."""

    def __init__(self, vocabulary=50, width=32, heads=4, length=8):
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.words, self.norm1, self.norm2, self.last = nn.Embedding(vocabulary, width), RMSNorm(width), RMSNorm(width), RMSNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = nn.Linear(width, width // 2, bias=False), nn.Linear(width, width // 2, bias=False)
        self.gate, self.up = nn.Linear(width, 48, bias=False), nn.Linear(width, 48, bias=False)
        self.down, self.logits = nn.Linear(48, width, bias=False), nn.Linear(width, vocabulary, bias=False)
        angles = torch.outer(torch.arange(length), 100 ** (-torch.arange(0, self.head, 2) / self.head))
        self.register_buffer("cos", torch.cat([angles, angles], -1).cos())
        self.register_buffer("sin", torch.cat([angles, angles], -1).sin())
        self.register_buffer("keys", torch.zeros(1, heads // 2, length, self.head))
        self.register_buffer("values", torch.zeros(1, heads // 2, length, self.head))

    def turned(self, x, position):
        low, high = x.chunk(2, -1)
        return x * self.cos[position] + torch.cat([-high, low], -1) * self.sin[position]

    def forward(self, token, position):
        x = self.words(token)
        y = self.norm1(x)
        split = lambda t, heads: t.view(1, 1, heads, self.head).transpose(1, 2)
        query = self.turned(split(self.query(y), self.heads), position)
        here = (torch.arange(self.keys.shape[2]) == position).view(1, 1, -1, 1)
        self.keys.copy_(torch.where(here, self.turned(split(self.key(y), self.heads // 2), position), self.keys))
        self.values.copy_(torch.where(here, split(self.value(y), self.heads // 2), self.values))
        keys, values = (t.repeat_interleave(2, 1) for t in (self.keys, self.values))
        mask = torch.where(torch.arange(keys.shape[2]) <= position, 0.0, -1e4).view(1, 1, 1, -1)
        mixed = F.scaled_dot_product_attention(query, keys, values, mask)
        x = x + self.out(mixed.transpose(1, 2).reshape(1, 1, -1))
        z = self.norm2(x)
        return self.logits(self.last(x + self.down(F.silu(self.gate(z)) * self.up(z))))


class Resized(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.layer = nn.GroupNorm(2, 4), nn.Conv1d(4, 6, 3, padding=1, dilation=1)
        self.up, self.same = nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1), nn.ConvTranspose2d(4, 4, 2, 2, groups=2)

    def forward(self, x):
        fine = F.interpolate(x, scale_factor=2.0, mode="nearest") + F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return joined(self.up(self.norm(x)) + self.same(x) * fine, self.layer(x.flatten(2)))


def activations(x):
    y = torch.stack([F.relu(x), F.relu6(x * 4), F.silu(x), torch.sigmoid(x), torch.tanh(x), F.softplus(x), F.gelu(x)])
    z = torch.cat([F.leaky_relu(x, 0.1), F.elu(x), F.hardswish(x), F.hardsigmoid(x), F.mish(x), x.clamp(-0.5, 0.5), F.hardtanh(x, -1.0, 1.0)])
    return joined(y, z, F.softmax(x, -1), F.log_softmax(x, 1))


def arithmetic(x, y):
    positive = x.abs() + 0.5
    sums = joined(x.sum(-1), y.mean([1, 2]), torch.amax(x, 2), x.argmax(1), x.mean(1, keepdim=True))
    pairs = joined(x + y, x - 0.5, 2.0 - y, x * y, x / positive, torch.maximum(x, y), positive.pow(1.5), torch.where(x > y, x, y))
    return joined(sums, pairs, torch.rsqrt(positive), positive.sqrt(), x.exp(), torch.sin(x), torch.matmul(x, y.transpose(1, 2)), -x)


def moves(x):
    a, b = x.split([2, 4], 1)
    c, d = x.chunk(2, 2)
    parts = [x.permute(0, 2, 1), x[:, 1:5:2, -3:], x[:, 2], a.unsqueeze(0).squeeze(0), b.reshape(2, -1), x[:, :1].expand(2, 6, 8)]
    return joined(*parts, torch.cat([c, d * 2], 1), torch.stack([c, d]), F.pad(x, (1, 2, 0, 1), value=0.25), x.repeat(1, 2, 1), x.flip(0))


def pools(x):
    most = joined(F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 2, 2, ceil_mode=True), F.max_pool2d(x, (2, 3), 1))
    return joined(most, F.avg_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), F.adaptive_avg_pool2d(x, 3))


def linears(bias=True):
    return nn.Sequential(nn.Linear(64, 96, bias), nn.ReLU(), nn.Linear(96, 32, bias), nn.SiLU(), nn.Linear(32, 16, bias))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.layers = nn.Embedding(40, 64), linears(False)

    def forward(self, tokens):
        return self.layers(self.words(tokens))


def of_torchao(make, call, config, *, embeddings=None) -> Case:
    module = seeded_module(make)
    if embeddings is not None:
        quantize_(module, embeddings, lambda part, name: isinstance(part, nn.Embedding))
    quantize_(module, config)
    return Case(unwrap_tensor_subclass(module), [call])


def codebook(bits: int, block_size: list[int], make=linears, call=(noise(3, 64),)) -> Case:
    from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig

    with seeded(1):
        return of_torchao(make, call, CodebookWeightOnlyConfig(dtype=getattr(torch, f"uint{bits}"), block_size=block_size))


def of_pt2e(make, calls, **config) -> Case:
    from oracle import coreml_quantizer

    module = seeded_module(make)
    settings = {"global_config": config or {"quantization_scheme": "symmetric"}}
    return Case(coreml_quantizer.quantized(torch.export.export(module, calls[0]), calls, settings).module(), calls)


images = [(noise(1, 3, 16, 16, seed=seed),) for seed in range(3)]
tokens = [(torch.tensor([[word]]), torch.tensor([place])) for place, word in enumerate((7, 3, 41, 7))]


@dataclass
class Entry:
    make: object
    targets: dict = field(default_factory=lambda: {"iOS17": "FLOAT16", "iOS18": "FLOAT32"})  # to the precision


EVERY = {"iOS15": "FLOAT32", "iOS16": "FLOAT16", "iOS17": "FLOAT16", "iOS18": "FLOAT16"}
NEW, NEWEST = {"iOS17": "FLOAT16", "iOS18": "FLOAT16"}, {"iOS18": "FLOAT16"}
PROGRAMS = {
    "mobile": Entry(lambda: Case(seeded_module(Mobile), images), EVERY),
    "residual": Entry(lambda: Case(seeded_module(Residual), images)),
    "vision": Entry(lambda: Case(seeded_module(VisionBlock), [(noise(2, 6, 32),)]), EVERY),
    "language": Entry(lambda: Case(seeded_module(LanguageBlock), tokens), {"iOS18": "FLOAT32"}),
    "resized": Entry(lambda: Case(seeded_module(Resized), [(noise(1, 4, 5, 6),)])),
    "activations": Entry(lambda: Case(Function(activations), [(noise(2, 3, 8),)])),
    "arithmetic": Entry(lambda: Case(Function(arithmetic), [(noise(2, 3, 8), noise(2, 3, 8, seed=1))])),
    "moves": Entry(lambda: Case(Function(moves), [(noise(2, 6, 8),)])),
    "pools": Entry(lambda: Case(Function(pools), [(noise(1, 2, 9, 9),)])),
    "static": Entry(lambda: of_pt2e(Mobile, images), NEW),
    "static_residual": Entry(lambda: of_pt2e(Residual, images), NEWEST),
    "weights": Entry(lambda: of_pt2e(Mobile, images, activation_dtype="float32"), NEW),
    "int8": Entry(lambda: of_torchao(linears, (noise(3, 64),), weight_only(8)), {"iOS16": "FLOAT16", "iOS18": "FLOAT16"}),
    "int4": Entry(lambda: of_torchao(linears, (noise(3, 64),), weight_only(4)), NEWEST),
    "int4_groups": Entry(
        lambda: of_torchao(Words, (torch.tensor([[3, 9, 31]]),), weight_only(4, 32), embeddings=weight_only(8)), NEWEST
    ),
    "codebook": Entry(lambda: codebook(3, [16, -1]), NEWEST),
    "codebook_columns": Entry(lambda: codebook(6, [-1, 32]), NEWEST),
    "codebook_whole": Entry(lambda: codebook(4, [-1, -1]), NEWEST),
}
