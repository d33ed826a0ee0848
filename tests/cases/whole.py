"""Networks that exporters cut, and what of each stays beside its one delegate: borders, windows, half precision, masks.

A row names what is left for portable kernels; a dash stands for nothing.
"""

import functools
from dataclasses import dataclass, replace
from typing import Callable

import torch
from torch import nn
from torch.nn import functional

from cases import Case, Function, draw_statistics, seeded


@dataclass
class Whole:
    make: Callable[[], nn.Module]
    draw: Callable[[torch.Generator], tuple]
    left: str = "-"  # operators outside, by name
    tolerance: float = 1e-4
    sqnr: float = 18  # of static int8
    shapes: dict | None = None
    form: str = "training"

    def case(self) -> Case:
        with seeded(7):
            module = draw_statistics(self.make())
        of = lambda count, seed: [self.draw(torch.Generator().manual_seed(seed + index)) for index in range(count)]
        return Case(module, of(1, 1), draw=of, shapes=self.shapes, form=self.form)


def images(*sizes, dtype=torch.float32):
    return lambda generator: (torch.randn(*sizes, generator=generator).to(dtype),)


# ---- borders


class Bordered(nn.Module):
    """A border between two convolutions."""

    def __init__(self, border, rank=2):
        super().__init__()
        convolution = nn.Conv1d if rank == 1 else nn.Conv2d
        self.first, self.border, self.second = convolution(3, 8, 3), border, convolution(8, 6, 3)

    def forward(self, x):
        return self.second(self.border(torch.relu(self.first(x))))


class Volume(nn.Module):
    def __init__(self, border):
        super().__init__()
        self.border = border

    def forward(self, x):
        return torch.tanh(self.border(torch.sin(x)))


class BlurPool(nn.Module):
    """A fixed filter over a mirrored border, or every second element where the filter is one."""

    def __init__(self, channels, taps):
        super().__init__()
        taps = torch.tensor(taps) / sum(taps)
        self.register_buffer("filter", torch.outer(taps, taps)[None, None].repeat(channels, 1, 1, 1))
        self.border = nn.ReflectionPad2d([(len(taps) - 1) // 2, len(taps) // 2] * 2)

    def forward(self, x):
        x = self.border(x)
        if self.filter.shape[-1] == 1:
            return x[:, :, ::2, ::2]
        return functional.conv2d(x, self.filter, stride=2, groups=x.shape[1])


class Style(nn.Module):
    """Mirrored convolutions between instance norms, resized by nearest neighbours."""

    def __init__(self):
        super().__init__()
        mirrored = lambda i, o, k, s=1: nn.Sequential(nn.ReflectionPad2d(k // 2), nn.Conv2d(i, o, k, s))
        self.down = nn.Sequential(mirrored(3, 8, 9), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), mirrored(8, 16, 3, 2))
        self.body = nn.Sequential(mirrored(16, 16, 3), nn.InstanceNorm2d(16, affine=True), nn.ReLU(), mirrored(16, 16, 3))
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), mirrored(16, 8, 3), nn.ReLU(), mirrored(8, 3, 9))

    def forward(self, x):
        x = self.down(x)
        return self.up(x + self.body(x))


def padded(mode):
    return nn.Sequential(nn.Conv2d(3, 8, 5, padding=2, padding_mode=mode), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1, padding_mode=mode))


def batches(*sizes):
    """Images in batches of several sizes, and how they are exported."""
    draw = lambda generator: (torch.randn(int(torch.randint(2, 5, (), generator=generator)), *sizes, generator=generator),)
    return {"draw": draw, "shapes": ({0: torch.export.Dim("batch", min=1, max=4)},)}


BORDERS = {
    "reflection_1d": Whole(lambda: Bordered(nn.ReflectionPad1d((3, 5)), 1), images(2, 3, 20)),
    "replication_1d": Whole(lambda: Bordered(nn.ReplicationPad1d((7, 0)), 1), images(1, 3, 20)),
    "reflection_2d": Whole(lambda: Bordered(nn.ReflectionPad2d((1, 2, 3, 0))), images(1, 3, 12, 15)),
    "reflection_all_but_one": Whole(lambda: Bordered(nn.ReflectionPad2d((0, 6, 9, 9))), images(1, 3, 12, 9)),
    "replication_2d": Whole(lambda: Bordered(nn.ReplicationPad2d((12, 1, 0, 2))), images(2, 3, 12, 15)),
    "reflection_one_image": Whole(lambda: Volume(nn.ReflectionPad2d(2)), images(3, 5, 7)),
    "reflection_volume": Whole(lambda: Volume(nn.ReflectionPad3d((1, 2, 0, 1, 2, 1))), images(1, 2, 4, 5, 6)),
    "replication_volume": Whole(lambda: Volume(nn.ReplicationPad3d(1)), images(2, 4, 5, 6)),
    "no_border": Whole(lambda: Bordered(nn.ReflectionPad2d(0)), images(1, 3, 12, 15)),
    "reflection_batches": Whole(lambda: Bordered(nn.ReflectionPad2d(2)), **batches(3, 12, 15)),
    "reflect_mode": Whole(lambda: padded("reflect"), images(1, 3, 11, 12)),
    "replicate_mode": Whole(lambda: padded("replicate"), images(1, 3, 11, 12)),
    "circular_mode": Whole(lambda: padded("circular"), images(1, 3, 11, 12)),
    "blur_1": Whole(lambda: Bordered(BlurPool(8, [1.0])), images(1, 3, 15, 16)),
    "blur_3": Whole(lambda: Bordered(BlurPool(8, [1.0, 2, 1])), images(1, 3, 15, 16)),
    "blur_4": Whole(lambda: Bordered(BlurPool(8, [1.0, 3, 3, 1])), images(1, 3, 16, 15)),
    "picked": Whole(lambda: Bordered(Function(lambda x: x[:, :, torch.tensor([4, 3, 2, -1, 5, 6, 7, 8, 8])])), images(1, 3, 12, 13)),
    "style": Whole(Style, images(1, 3, 24, 24)),
}


# ---- windows


def pool(kind, *arguments, rank=2, border=None, **keywords):
    """A pool between two convolutions. `border`: of minus infinity, as TensorFlow's SAME is written."""
    edge = lambda x: functional.pad(x, border, value=-torch.inf) if border else x
    return functools.partial(Bordered, Function(lambda x: getattr(functional, kind)(edge(x), *arguments, **keywords)), rank)


def halo(x):
    """Attention of each block to its surroundings: windows that overlap."""
    batch, channels, height, width = x.shape
    keys = functional.pad(x, (1, 1, 1, 1)).unfold(2, 6, 4).unfold(3, 6, 4).reshape(batch, channels, 9, 36).permute(0, 2, 3, 1)
    queries = x.reshape(batch, channels, 3, 4, 3, 4).permute(0, 2, 4, 3, 5, 1).reshape(batch, 9, 16, channels)
    mixed = torch.softmax(queries @ keys.transpose(-1, -2), -1) @ keys
    return mixed.reshape(batch, 3, 3, 4, 4, channels).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


def pyramid(x):
    """As scene parsing networks pool: means over grids of several sizes, beside the image."""
    resized = lambda bins: functional.interpolate(functional.adaptive_avg_pool2d(x, bins), size=x.shape[-2:], mode="bilinear")
    return sum((resized(bins) for bins in (2, 3, 6)), x)


WINDOWS = {
    "max_1_of_2": Whole(pool("max_pool2d", 1, 2), images(1, 3, 16, 17)),
    "max_1_of_3_ceil": Whole(pool("max_pool2d", 1, 3, ceil_mode=True), images(2, 3, 16, 17)),
    "max_2_of_3": Whole(pool("max_pool2d", 2, 3), images(1, 3, 16, 17)),
    "max_2_of_3_padded": Whole(pool("max_pool2d", 2, 3, 1), images(1, 3, 16, 17)),
    "max_2_of_3_padded_ceil": Whole(pool("max_pool2d", 2, 3, 1, ceil_mode=True), images(1, 3, 15, 17)),
    "max_2_of_5_dilated": Whole(pool("max_pool2d", 2, 5, 1, 3), images(1, 3, 26, 27)),
    "max_3_of_4_by_2_dilated": Whole(pool("max_pool2d", (2, 3), (4, 2), (1, 1), (2, 2), ceil_mode=True), images(1, 3, 26, 27)),
    "max_ceil": Whole(pool("max_pool2d", 3, 2, 1, ceil_mode=True), images(1, 3, 16, 17)),
    "max_line": Whole(pool("max_pool1d", 2, 3, 1, ceil_mode=True, rank=1), images(1, 3, 30)),
    "max_batches": Whole(pool("max_pool2d", 2, 3, 1, ceil_mode=True), **batches(3, 16, 17)),
    "average_ceil": Whole(pool("avg_pool2d", 3, 2, 1, ceil_mode=True), images(1, 3, 16, 17)),
    "average_ceil_uncounted": Whole(pool("avg_pool2d", 3, 2, 1, ceil_mode=True, count_include_pad=False), images(1, 3, 17, 18)),
    "average_ceil_divided": Whole(pool("avg_pool2d", 2, 2, ceil_mode=True, divisor_override=3), images(1, 3, 17, 18)),
    "average_2_of_3": Whole(pool("avg_pool2d", 2, 3, 1, ceil_mode=True), images(1, 3, 17, 18)),
    "average_1_of_2": Whole(pool("avg_pool2d", 1, 2), images(1, 3, 17, 18)),
    "average_batches": Whole(pool("avg_pool2d", 3, 2, 1, ceil_mode=True), **batches(3, 16, 17)),
    "average_line": Whole(pool("avg_pool1d", 3, 2, ceil_mode=True, rank=1), images(1, 3, 30)),
    "one_image": Whole(lambda: Function(lambda x: functional.avg_pool2d(functional.max_pool2d(torch.sin(x), 2, 3, 1), 2, 2, ceil_mode=True)),
                       images(3, 20, 25)),
    "adaptive": Whole(pool("adaptive_avg_pool2d", (5, 4)), images(1, 3, 16, 17)),
    "adaptive_larger": Whole(pool("adaptive_avg_pool2d", (20, 17)), images(1, 3, 16, 17)),
    "adaptive_columns": Whole(pool("adaptive_avg_pool2d", (7, None)), images(2, 3, 17, 17)),
    "adaptive_line": Whole(pool("adaptive_avg_pool1d", 9, rank=1), images(1, 3, 30)),
    "adaptive_batches": Whole(pool("adaptive_avg_pool2d", (5, 4)), **batches(3, 16, 17)),
    "adaptive_volume": Whole(lambda: Volume(nn.AdaptiveAvgPool3d((2, 3, 5))), images(1, 2, 5, 7, 8)),
    "halo": Whole(lambda: Bordered(Function(halo)), images(1, 3, 14, 14)),
    "max_same": Whole(pool("max_pool2d", 3, 2, border=(0, 1, 0, 1)), images(1, 3, 16, 16)),
    "pyramid": Whole(lambda: Bordered(Function(pyramid)), images(1, 3, 18, 15)),
    "step_batches": Whole(lambda: Bordered(Function(lambda x: x[:, :, 1::2, ::3])), **batches(3, 16, 17)),
    "step_in_part": Whole(lambda: Function(lambda x: torch.tanh(torch.sin(x)[:, :, 2:7:4, 1:12:5])), images(1, 3, 9, 13)),
}


# ---- resizing by nearest neighbours


def nearest(size=None, factor=None, mode="nearest"):
    """Between two convolutions, of an image of 14 by 18."""
    return lambda: Bordered(Function(lambda x: functional.interpolate(x, size=size, scale_factor=factor, mode=mode)))


RESIZED = {
    "nearest_larger": Whole(nearest((19, 25)), images(1, 3, 16, 20)),
    "nearest_smaller": Whole(nearest((9, 11)), images(2, 3, 16, 20)),
    "nearest_by_one_and_a_half": Whole(nearest(factor=1.5), images(1, 3, 16, 20)),
    "nearest_rows_twice": Whole(nearest((28, 25)), images(1, 3, 16, 20)),
    "nearest_columns_thrice": Whole(nearest((9, 54)), images(1, 3, 16, 20)),
    "nearest_rows_alone": Whole(nearest((17, 18)), images(1, 3, 16, 20)),
    "nearest_factor_beside_the_sizes": Whole(nearest(factor=3.03), images(1, 3, 16, 20)),  # thrice as large, but not sampled so
    "nearest_about_twice": Whole(nearest(factor=2.03), images(1, 3, 16, 20)),  # sampled as twice as large
    "nearest_factor_that_float32_rounds": Whole(nearest((2 * 41, 3 * 41)), images(1, 3, 4, 5)),
    "nearest_exact": Whole(nearest((19, 11), mode="nearest-exact"), images(1, 3, 16, 20)),
    "nearest_line": Whole(lambda: Bordered(nn.Upsample(size=31), 1), images(1, 3, 20)),
    "nearest_volume": Whole(lambda: Volume(nn.Upsample(size=(3, 82, 5))), images(1, 2, 2, 2, 3)),
}


# ---- half precision


class RootMeanSquare(nn.Module):
    """As language models have it: in float32, back in the input's type before the weight."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


class Decoder(nn.Module):
    def __init__(self, norm, activation, width=32, heads=2):
        super().__init__()
        self.words = nn.Embedding(50, width)
        self.norms = nn.ModuleList(norm(width) for _ in range(3))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.activation, self.heads = activation, heads

    def forward(self, tokens):
        x = self.words(tokens)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norms[0](x)).chunk(3, -1))
        scores = torch.softmax(q @ k.transpose(2, 3) * 0.25, -1, dtype=torch.float32).to(q.dtype)
        x = x + self.out((scores @ v).transpose(1, 2).flatten(2))
        return self.norms[2](x + self.down(self.activation(self.up(self.norms[1](x)))))


def tokens(generator):
    return (torch.randint(5, 50, (1, 9), generator=generator),)


def half(make):
    return lambda: make().half()


HALF = {
    "root_mean_square": Whole(half(lambda: Decoder(RootMeanSquare, nn.SiLU())), tokens, "aten.embedding", 1e-2),
    "library_root_mean_square": Whole(half(lambda: Decoder(nn.RMSNorm, nn.GELU("tanh"))), tokens, "aten.embedding", 1e-2),
    "layer_norm": Whole(half(lambda: Decoder(nn.LayerNorm, nn.GELU())), tokens, "aten.embedding", 1e-2),
    "group_norm": Whole(half(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.GELU(), nn.Conv2d(8, 4, 3))),
                        images(1, 3, 12, 13, dtype=torch.float16), tolerance=1e-2),
    "instance_norm": Whole(half(lambda: Bordered(nn.InstanceNorm2d(8))), images(1, 3, 12, 13, dtype=torch.float16), tolerance=1e-2),
    "windows": Whole(half(pool("max_pool2d", 2, 3, 1, ceil_mode=True)), images(1, 3, 16, 17, dtype=torch.float16), tolerance=1e-2),
    "border": Whole(half(lambda: Bordered(nn.ReflectionPad2d((1, 2, 3, 0)))), images(1, 3, 12, 15, dtype=torch.float16), tolerance=1e-2),
    "casts": Whole(lambda: Function(lambda x: (torch.sin(x.half()).float() * x).exp()), images(2, 30), tolerance=2e-3),
}


# ---- masks


class Encoder(nn.Module):
    """Two layers of attention over words, positions and one type, as BERT has them; `attend(q, k, v, keep)`."""

    def __init__(self, attend, positions=None, width=32, heads=2):
        super().__init__()
        self.words, self.places, self.types = nn.Embedding(50, width), nn.Embedding(20, width), nn.Embedding(2, width)
        self.register_buffer("place_ids", torch.arange(20)[None])
        self.register_buffer("type_ids", torch.zeros(1, 20, dtype=torch.long))
        self.layers = nn.ModuleList(nn.ModuleList([nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)]) for _ in range(2))
        self.attend, self.positions, self.heads = attend, positions, heads

    def forward(self, ids, keep):
        length = ids.shape[1]
        places = self.positions(ids) if self.positions else self.place_ids[:, :length]
        types = torch.gather(self.type_ids.expand(ids.shape[0], -1), 1, places)
        x = self.words(ids) + self.types(types) + self.places(places)
        for norm, qkv, out in self.layers:
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv(norm(x)).chunk(3, -1))
            x = x + out(self.attend(q, k, v, keep).transpose(1, 2).flatten(2))
        return x


def boolean(keep):
    """As transformers make it: of places, with conditions that always hold."""
    batch, length = keep.shape
    rows, columns = torch.arange(batch)[:, None, None, None], torch.arange(length)[None, None, None]
    queries = torch.arange(length)[None, None, :, None]
    return (queries >= 0) & keep.bool()[rows, columns]


def weighted(q, k, v, mask):
    return torch.softmax(mask(q @ k.transpose(2, 3) * 0.25), -1) @ v


def filled(value):
    return lambda q, k, v, keep: weighted(q, k, v, lambda scores: scores.masked_fill(keep[:, None, None] == 0, value))


def library(mask):
    return lambda q, k, v, keep: functional.scaled_dot_product_attention(q, k, v, attn_mask=mask(keep))


def added(value):
    return lambda keep: torch.where(keep[:, None, None].bool(), 0.0, value)


def after_padding(ids):
    """RoBERTa's: counted from the first word that is there."""
    there = ids.ne(1).int()
    return (torch.cumsum(there, 1).type_as(there) * there).long() + 1


def sentences(batch=1, nothing=False):
    """Words, and which of them are there; `nothing`: none in the last sentence."""

    def draw(generator):
        ids = torch.randint(5, 50, (batch, 12), generator=generator)
        keep = (torch.arange(12) < torch.randint(6, 12, (batch, 1), generator=generator)).long()
        if nothing:
            keep[-1] = 0
        return ids, keep

    return draw


class First(nn.Module):
    """What is made of the first word, of any length."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, ids, keep):
        return self.encoder(ids, keep)[:, 0]


def any_length(generator):
    length = int(torch.randint(6, 18, (), generator=generator))
    return torch.randint(5, 50, (1, length), generator=generator), (torch.arange(length) < length - 2).long()[None]


LENGTHS = ({1: torch.export.Dim("length", min=4, max=20)},) * 2
MASK = "aten.embedding dim_order_ops._to_dim_order_copy aten.where aten.view_copy"
BOOLEAN = f"{MASK} aten.expand_copy"
ANY_LENGTH = "aten.embedding aten.slice_copy aten.view_copy aten.full aten.where aten.select_copy"
GUARDED = "aten.any aten.logical_not"
MASKS = {
    "filled": Whole(lambda: Encoder(filled(-1e9)), sentences(), "aten.embedding aten.eq aten.where aten.view_copy"),
    "filled_infinite": Whole(lambda: Encoder(filled(-torch.inf)), sentences(2), "aten.embedding aten.eq aten.where aten.view_copy"),
    "boolean": Whole(lambda: Encoder(library(boolean)), sentences(), f"{BOOLEAN} {GUARDED} aten.logical_or"),
    "boolean_nothing": Whole(lambda: Encoder(library(boolean)), sentences(2, True), f"{BOOLEAN} {GUARDED} aten.logical_or"),
    "added": Whole(lambda: Encoder(library(added(-1e4))), sentences(), MASK),
    "added_infinite": Whole(lambda: Encoder(library(added(-torch.inf))), sentences(2, True), MASK),
    "chosen": Whole(lambda: Encoder(lambda q, k, v, keep: weighted(q, k, v, lambda s: torch.where(boolean(keep), s, -torch.inf))), sentences(), BOOLEAN),
    "zeroed": Whole(lambda: Encoder(lambda q, k, v, keep: torch.where(keep[:, None, :, None] > 0, weighted(q, k, v, lambda s: s), 0.5 * v)), sentences(2),
                    "aten.embedding aten.gt aten.where aten.view_copy"),
    "any_length": Whole(lambda: First(Encoder(library(lambda keep: keep[:, None, None].bool()))), any_length,
                        f"{ANY_LENGTH} dim_order_ops._to_dim_order_copy {GUARDED} aten.logical_or", shapes=LENGTHS),
    "any_length_filled": Whole(lambda: First(Encoder(filled(-1e9))), any_length, f"{ANY_LENGTH} aten.eq", shapes=LENGTHS),
    "roberta": Whole(lambda: Encoder(filled(-1e9), after_padding), sentences(),
                     "aten.embedding aten.eq aten.where aten.view_copy aten.ne aten.cumsum aten.mul aten.add dim_order_ops._to_dim_order_copy"),
}

# ---- functions that have no operator of their own in the runtime, or more than one spelling

ROOT, SLOPE = 2**0.5, (2 / torch.pi) ** 0.5
GELUS = {
    "half_first": lambda x: x * 0.5 * (1.0 + torch.erf(x / ROOT)),
    "half_last": lambda x: (x * (1 + torch.erf(x * 0.7071067811865475))) * 0.5,
    "multiplied_out": lambda x: 0.5 * (x + x * torch.erf(x / ROOT)),
    "divided": lambda x: x / 2 * (1 + (x / 1.4142135).erf()),
    "quotient": lambda x: x * torch.div(torch.erf(torch.div(x, ROOT)) + 1, 2),
    "tensor": lambda x: x * 0.5 * (1.0 + torch.erf(x / torch.sqrt(torch.tensor(2.0)))),
    "distribution": lambda x: x * torch.special.ndtr(x),
    "complement": lambda x: x * 0.5 * torch.erfc(-x / ROOT),
    "twice": lambda x: x * (2 - torch.erfc(x / ROOT)),
    "tanh": lambda x: 0.5 * x * (1 + torch.tanh(SLOPE * (x + 0.044715 * torch.pow(x, 3.0)))),
    "tanh_squares": lambda x: 0.5 * x * (1 + torch.tanh(x * SLOPE * (1 + 0.044715 * x * x))),
    "sigmoid": lambda x: x * torch.sigmoid(2 * SLOPE * (x + 0.044715 * x**3)),
}
LOGARITHMS = {
    "softplus": functional.softplus,
    "softplus_beta": lambda x: functional.softplus(x, beta=3.0, threshold=30),
    "mish": functional.mish,
    "log_sigmoid": functional.logsigmoid,
    "log_add_exp": lambda x: torch.logaddexp(x, 1 - x),
}


def between_layers(function):
    return Whole(lambda: nn.Sequential(nn.Linear(12, 16), Function(lambda x: function(3 * x)), nn.Linear(16, 10)), images(64, 12))


class Queries(nn.Module):
    """Attention of queries that are weights; `mask` from the scores."""

    def __init__(self, mask=None):
        super().__init__()
        self.queries, self.keys, self.values = nn.Parameter(torch.randn(2, 3, 16)), nn.Linear(12, 16), nn.Linear(12, 16)
        self.mask = mask

    def forward(self, x):
        k, v = self.keys(x), self.values(x)
        if self.mask:
            return functional.scaled_dot_product_attention(k, k, v, attn_mask=self.mask(k))
        return torch.softmax(torch.bmm(self.queries, k.transpose(1, 2)) * 0.25, -1) @ v


def distances(k):
    """What is added to the scores is computed with them; to the last query everything is infinitely far."""
    far = torch.zeros(k.shape[1], 1)
    far[-1] = -torch.inf
    return k @ k.transpose(1, 2) * 0.1 + far


class Positions(nn.Module):
    """A table of positions that a network makes of constants, by way of much more."""

    def __init__(self, dropped=0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropped)
        self.layer, self.wide, self.narrow = nn.Linear(12, 16), nn.Linear(2, 512), nn.Linear(512, 16)
        self.register_buffer("places", torch.randn(49, 2))
        self.register_buffer("choice", torch.randint(0, 49, (5,)))

    def forward(self, x):
        return torch.tanh(self.layer(x)) + 0.3 * self.narrow(self.dropout(self.wide(self.places).relu()))[self.choice]


def volumes():
    """Weights whose depths are too large to be copies."""
    return nn.Sequential(nn.Conv3d(40, 48, 3, padding=1, bias=False), nn.BatchNorm3d(48), nn.ReLU(), nn.Conv3d(48, 40, (2, 1, 3), stride=2))


def normalized_lines():
    """Each weight is a direction and a length."""
    weight_norm = nn.utils.parametrizations.weight_norm
    return nn.Sequential(weight_norm(nn.Conv1d(64, 96, 3)), nn.ReLU(), weight_norm(nn.ConvTranspose1d(96, 64, 4, 2)))


FUNCTIONS = {
    **{f"gelu_{name}": between_layers(function) for name, function in GELUS.items()},
    **{name: between_layers(function) for name, function in LOGARITHMS.items()},
    "variance": between_layers(lambda x: x / (x.var(-1, keepdim=True) + 0.5).sqrt()),
    "deviation_of_images": Whole(lambda: Bordered(Function(lambda x: x / (x.std((2, 3), correction=0)[:, :, None, None] + 0.3))), images(2, 3, 12, 11)),
    "variance_of_channels": Whole(lambda: Bordered(Function(lambda x: x / (x.var(1, keepdim=True, correction=3) + 0.3))), images(1, 3, 12, 11)),
    "variance_of_batches": Whole(lambda: Bordered(Function(lambda x: x / (torch.var_mean(x, -1, keepdim=True)[0] + 0.3))), **batches(3, 12, 11)),
    "constant_queries": Whole(Queries, images(2, 5, 12)),
    "computed_mask": Whole(lambda: Queries(distances), images(2, 5, 12)),
    "computed_positions": Whole(Positions, images(2, 5, 12)),
    "dropped_positions": Whole(lambda: Positions(0.1), images(2, 5, 12)),
    "normalized_lines": Whole(normalized_lines, images(1, 64, 12)),
    "volumes": Whole(volumes, images(1, 40, 4, 6, 6)),
}

# As PyTorch's own decompositions write them.
CORE = {
    f"{name}_core": replace(row, form="core", left=left)
    for name, row, left in [
        *((name, BORDERS[name], "-") for name in ("reflection_1d", "reflection_volume", "reflect_mode", "replicate_mode", "circular_mode", "blur_3")),
        ("max_2_of_3_padded", WINDOWS["max_2_of_3_padded"], "-"),
        ("boolean", MASKS["boolean"], f"{BOOLEAN} {GUARDED} aten.eq"),
        ("added_infinite", MASKS["added_infinite"], MASKS["added_infinite"].left),
    ]
}

ALL = {**BORDERS, **WINDOWS, **RESIZED, **HALF, **MASKS, **FUNCTIONS, **CORE}
