"""Programs for the Vulkan delegate.

    SEEDS    the three linears of ExecuTorch's documentation, float and in each quantization
    SMALL    what a few kilobytes of weights can hold of each kind of network: ExecuTorch's own files of them are kept as records
    FAILING  what ExecuTorch lowers to payloads that its runtime refuses, aborts on or computes wrongly
    MODELS   whole float networks, smallest first
    grid     linears of every size, group, bias, rank and batch, many in one program
"""

import itertools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torchao.quantization import quantize_
from torchao.utils import unwrap_tensor_subclass

from cases import Case, Function, draw_statistics, language, networks, noise, seeded
from cases.quantized import dynamic, weight_only

GROUP = 32


def seeded_module(make, seed: int = 0) -> nn.Module:
    with seeded(seed):
        return draw_statistics(make())


# ---- the documented linears


def three_linears(bias: bool = False) -> nn.Module:
    return nn.Sequential(nn.Linear(128, 64, bias), nn.Linear(64, 32, bias), nn.Linear(32, 16, bias))


def quantized(make, *inputs, config) -> Case:
    module = seeded_module(make)
    quantize_(module, config)
    return Case(unwrap_tensor_subclass(module), [inputs])


def pt2e(make, *inputs, **config) -> Case:
    """`config`: what Vulkan's own quantizer is set to."""
    from oracle import vulkan

    case = Case(seeded_module(make), [inputs])
    return Case(vulkan.quantize(case, **config), case.calls)


SEEDS = {
    "float": lambda bias=False: Case(seeded_module(lambda: three_linears(bias)), [(noise(32, 128),)]),
    "int8": lambda bias=False: pt2e(lambda: three_linears(bias), noise(32, 128), is_dynamic=False, weight_bits=8),
    "int4": lambda bias=False: pt2e(lambda: three_linears(bias), noise(32, 128), is_dynamic=False, weight_bits=4),
    "int8_dynamic": lambda bias=False: pt2e(lambda: three_linears(bias), noise(32, 128), is_dynamic=True, weight_bits=8),
    "4w": lambda bias=False: quantized(lambda: three_linears(bias), noise(32, 128), config=weight_only(4, GROUP)),
    "8da4w": lambda bias=False: quantized(lambda: three_linears(bias), noise(32, 128), config=dynamic(4, GROUP)),
}
# What ExecuTorch's payload of them runs on the device; the dynamic one has operators that the runtime lacks.
RUNNING_SEEDS = ("float", "int8", "int4", "4w", "8da4w")


# ---- small networks


class SmallCNN(nn.Module):
    """Convolutions with batch norms and clamps, depthwise ones, pools, a branch that is joined, a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU())
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.pool, self.head = nn.MaxPool2d(2, 2), nn.Linear(20, 10)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat((self.pointwise(self.depthwise(x)), x), 1)
        x = F.hardswish(self.pool(x)) + F.avg_pool2d(x, 2, 2)
        return F.softmax(self.head(x.mean((2, 3))), -1)


class SmallUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([self.block(3, 8), self.block(8, 12), self.block(12, 16)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(16, 12, 2, 2), nn.ConvTranspose2d(12, 8, 2, 2)])
        self.join = nn.ModuleList([self.block(24, 12), self.block(16, 8)])
        self.mask = nn.Conv2d(8, 2, 1)

    def block(self, before, after):
        return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1))

    def forward(self, x):
        seen = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2, 2) if seen else x)
            seen.append(x)
        for up, join, skipped in zip(self.up, self.join, reversed(seen[:-1])):
            x = join(torch.cat((up(x), skipped), 1))
        return torch.sigmoid(self.mask(x)), F.interpolate(x, scale_factor=2.0, mode="nearest")


class SmallLSTM(nn.Module):
    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.recurrent, self.head = kind(12, 16, batch_first=True), nn.Linear(16, 8)

    def forward(self, x):
        return self.head(self.recurrent(x)[0][:, -1])


class SmallHeads(nn.Module):
    """Integers beside floats: embedding rows, comparisons, choices, reductions, several outputs."""

    def __init__(self):
        super().__init__()
        self.words, self.norm = nn.Embedding(40, 32), nn.LayerNorm(32)
        self.up, self.down = nn.Linear(32, 48), nn.Linear(48, 32)

    def forward(self, tokens, x):
        x = self.norm(self.words(tokens) + x)
        y = self.down(F.gelu(self.up(x)))
        scores = torch.softmax(x @ y.transpose(1, 2) / 32**0.5, -1)
        return scores @ y, torch.where(y > 0.5, y, x * 2.0), y.amax(-1, keepdim=True), (x - 1).unsqueeze(1)


def images(size: int, seed: int = 1) -> tuple:
    return (networks.structured_images(1, size, seed),)


def small(make, *inputs) -> Case:
    return Case(seeded_module(make), [inputs])


def embedded(config) -> Case:
    """A table of words in four bits."""
    module = seeded_module(lambda: nn.Sequential(nn.Embedding(40, 64), nn.Linear(64, 8)))
    quantize_(module, config, lambda part, name: isinstance(part, nn.Embedding))
    return Case(unwrap_tensor_subclass(module), [(torch.arange(12).reshape(2, 6),)])


SMALL = {
    "cnn": lambda: small(SmallCNN, *images(24)),
    "unet": lambda: small(SmallUNet, *images(16)),
    "lstm": lambda: small(SmallLSTM, noise(1, 4, 12)),
    "heads": lambda: small(SmallHeads, torch.arange(6)[None], noise(1, 6, 32, seed=3)),
    "vit": lambda: Case(language.lively(lambda: language.VisionTransformer(32, 8, 24, 3, 1)), [images(32)]),
    "embedding_int4": lambda: embedded(weight_only(4, GROUP)),
}

# name: (case, what the checks say of ExecuTorch's payload)
FAILING = {
    "sums_of_groups": (lambda: quantized(lambda: nn.Sequential(nn.Linear(64, 12)), noise(5, 64), config=dynamic(4, 16)), "sums"),
    "int4_batches": (lambda: quantized(lambda: nn.Sequential(nn.Linear(64, 16)), noise(2, 3, 64), config=weight_only(4, 32)), "no matrix"),
    "int8_dynamic": (SEEDS["int8_dynamic"], "no such operator"),
    "int8_of_torchao": (lambda: quantized(lambda: nn.Sequential(nn.Linear(64, 16)), noise(5, 64), config=weight_only(8)), "no such operator"),
    "int4_one_row": (lambda: pt2e(lambda: nn.Sequential(nn.Linear(64, 16)), noise(1, 64), is_dynamic=False, weight_bits=4), "one row"),
    "pool_without_stride": (lambda: Case(Function(lambda x: F.max_pool2d(torch.relu(x), 2)), [images(8)]), "stride"),
}


# ---- whole networks


def plain(name: str) -> Case:
    """A network of torchvision with seeded statistics: nothing has been run through it, so that its weights are the same everywhere."""
    import torchvision.models

    return Case(seeded_module(lambda: getattr(torchvision.models, name)(weights=None)), [images(224)])


class UNet(nn.Module):
    """Four levels, by convolutions that double and transposed ones."""

    def __init__(self, width: int = 16, levels: int = 4):
        super().__init__()
        widths = [width << level for level in range(levels)]
        self.down = nn.ModuleList(self.block(a, b) for a, b in zip([3, *widths], widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in zip(widths[-2::-1], widths[:0:-1]))
        self.join = nn.ModuleList(self.block(2 * a, a) for a in widths[-2::-1])
        self.mask = nn.Conv2d(width, 3, 1)

    def block(self, before, after):
        part = lambda a: [nn.Conv2d(a, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]  # noqa: E731
        return nn.Sequential(*part(before), *part(after))

    def forward(self, x):
        seen = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2) if seen else x)
            seen.append(x)
        for up, join, skipped in zip(self.up, self.join, reversed(seen[:-1])):
            x = join(torch.cat((up(x), skipped), 1))
        return torch.softmax(self.mask(x), 1)


class Tagger(nn.Module):
    """Words, two layers of LSTM, a classifier of each word."""

    def __init__(self):
        super().__init__()
        self.words, self.recurrent, self.head = nn.Embedding(200, 32), nn.LSTM(32, 48, 2, batch_first=True), nn.Linear(48, 12)

    def forward(self, tokens):
        return torch.log_softmax(self.head(self.recurrent(self.words(tokens))[0]), -1)


def quantized_llama() -> Case:
    """The small Llama with 8da4w where groups divide: all but the last linears of its blocks."""
    case = one_call(language.MODELS["llama_halves"])
    quantize_(case.module, dynamic(4, GROUP), lambda part, name: isinstance(part, nn.Linear) and part.in_features % GROUP == 0)
    return Case(unwrap_tensor_subclass(case.module), case.calls)


def one_call(make) -> Case:
    case = make()
    return Case(case.module, case.draw(1, networks.TEST_SEED))


MODELS = {
    "unet": lambda: small(UNet, *images(64)),
    "tagger": lambda: small(Tagger, torch.arange(10)[None] * 7),
    "transformer_vit": lambda: one_call(language.MODELS["vit"]),
    "llama": lambda: one_call(language.MODELS["llama"]),
    "llama_halves": lambda: one_call(language.MODELS["llama_halves"]),
    "llama_8da4w": quantized_llama,
    "small_encoder": lambda: one_call(networks.SHARED["small_encoder"]),
    "squeezenet1_1": lambda: one_call(networks.ZOO["squeezenet1_1"]),
    "mobilenet_v2": lambda: plain("mobilenet_v2"),
    "mobilenetv3_small_050": lambda: one_call(networks.ZOO["mobilenetv3_small_050"]),
    "shufflenet_v2_x1_0": lambda: one_call(networks.ZOO["shufflenet_v2_x1_0"]),
    "regnetx_002": lambda: one_call(networks.ZOO["regnetx_002"]),
    "convnext_atto": lambda: one_call(networks.ZOO["convnext_atto"]),
    "efficientnet_lite0": lambda: one_call(networks.SHARED["efficientnet_lite0"]),
}
# Payloads of these are recorded call by call, and constants by their keys.
CALL_BY_CALL = ("mobilenet_v2", "efficientnet_lite0")


# ---- every size of a quantized linear


@dataclass(frozen=True)
class Size:
    n: int
    k: int
    group: int  # 0: one scale a row
    bias: bool
    leading: tuple  # sizes of the input before K

    def __str__(self) -> str:
        return f"N {self.n}, K {self.k}, group {self.group}, {'bias' if self.bias else 'no bias'}, input {[*self.leading, self.k]}"


LEADING = ((1,), (5,), (), (1, 3), (2, 3), (1, 1), (2, 1, 3), (1, 1, 4))


def sizes(groups: bool, wild: bool = False) -> list[Size]:
    """`wild`: also those that the four-bit kernels have no form for."""
    rows = (4, 8, 12, 20, 64) if not wild else (1, 5, 6, 20)
    columns = (4, 8, 12, 16, 24, 32, 40, 96) if not wild else (3, 6, 10, 32)
    made = []
    for n, k, bias, leading in itertools.product(rows, columns, (False, True), LEADING):
        divisors = [0, *(g for g in (2, 4, 8, 12, 16, 32) if g < k and k % g == 0 and (wild or g % 4 == 0))] if groups else [0]
        made += [Size(n, k, group, bias, leading) for group in divisors]
    return made


class Grid(nn.Module):
    """A linear of each size with its own input and output."""

    def __init__(self, chosen: list[Size]):
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(size.k, size.n, size.bias) for size in chosen)

    def forward(self, *inputs):
        return tuple(linear(x) for linear, x in zip(self.linears, inputs))


def grid(chosen: list[Size], config=None, **quantizer) -> Case:
    """`config`: of a group size, one of torchao's; else `quantizer`: what Vulkan's own is set to."""
    inputs = [noise(*size.leading, size.k, seed=seed, scale=1.5) + 0.3 for seed, size in enumerate(chosen)]
    if config is None:
        return pt2e(lambda: Grid(chosen), *inputs, **quantizer)
    module = seeded_module(lambda: Grid(chosen))
    for group in sorted({size.group for size in chosen}):
        of_group = {module.linears[i] for i, size in enumerate(chosen) if size.group == group}
        quantize_(module, config(group), lambda part, name, of_group=of_group: part in of_group)
    return Case(unwrap_tensor_subclass(module), [tuple(inputs)])
