"""Whole programs in every form that torch.export takes, small and seeded: name -> case.

What is on trial is the form (control flow, sizes, containers, types, state), not the operators, which ops.py has.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

from cases import Case, Function, seeded

PROGRAMS = {}


def case(function):
    with seeded():
        PROGRAMS[function.__name__] = function()
    return function


class One(Function):
    """Exports name their inputs after the arguments."""

    def forward(self, x):
        return self.function(x)


class Two(Function):
    def forward(self, x, y):
        return self.function(x, y)


# ---- control flow


class Branches(nn.Module):
    """Both branches use one linear layer, each one of its own, and a constant."""

    def __init__(self):
        super().__init__()
        self.shared, self.small, self.large = nn.Linear(6, 6), nn.Linear(6, 4), nn.Linear(6, 4)
        self.register_buffer("offset", torch.linspace(-1, 1, 4))

    def forward(self, x):
        def positive(x, y):
            return self.large(F.relu(self.shared(x))) * 2 + self.offset, y.softmax(-1)

        def negative(x, y):
            return self.small(self.shared(x).tanh()) - self.offset.cumsum(0), x - y

        first, second = torch.cond(x.sum() > 0, positive, negative, (x, x * 3))
        return first + second[:, :4], second


@case
def cond():
    x = torch.rand(3, 6)
    return Case(Branches(), [(x,), (-x,), (x + 1,)])


@case
def cond_nested():
    def inner(x):
        return torch.cond(x[0, 0] > 2, lambda x: x.exp(), lambda x: x @ x.transpose(0, 1), (x,))

    def middle(x):
        return torch.cond(x[0, 0] > 1, inner, lambda x: x.cos(), (x,))

    x = torch.rand(4, 4)
    function = lambda x: torch.cond(x[0, 0] > 0, middle, lambda x: x.sin(), (x,)) + 1  # noqa: E731
    return Case(One(function), [(x + shift,) for shift in (-2, 0.5, 1.01, 2.5, -2)])


@case
def cond_twice_with_views():
    def function(x, flag):
        y = torch.cond(flag, lambda x: x.flatten().clone(), lambda x: x.T.flatten() * 1, (x,))
        z = torch.cond(flag.logical_not(), lambda x, y: x.flatten() + y, lambda x, y: y * 2, (x, y))
        return y.view(3, 4) + 1, torch.cat([y, z]), z

    x = torch.rand(3, 4)
    return Case(Two(function), [(x, torch.tensor(True)), (x, torch.tensor(False)), (x + 1, torch.tensor(True))])


class CondOnState(nn.Module):
    """One branch gives the old state away, which is overwritten afterwards."""

    def __init__(self):
        super().__init__()
        self.register_buffer("state", torch.zeros(3))

    def forward(self, x):
        y = torch.cond(x.sum() > 0, lambda x, s: s.clone(), lambda x, s: x * 2, (x, self.state))
        self.state.copy_(self.state + x)
        return y


@case
def cond_on_state():
    return Case(CondOnState(), [(torch.tensor([1.0, 2, 3]),), (torch.tensor([4.0, 5, 6]),), (torch.tensor([-7.0, 0, 0]),),
                                (torch.tensor([1.0, 1, 1]),)])


@case
def cond_on_size():
    function = lambda x: torch.cond(x.shape[0] > 4, lambda x: x.relu() + x.shape[0], lambda x: x - 1, (x,))  # noqa: E731
    calls = [(torch.randn(n, 3),) for n in (6, 3, 4, 5)]
    return Case(One(function), calls, ({0: Dim("n", min=2, max=8)},))


@case
def cond_in_network():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.a = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Hardswish())
            self.b = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid())
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            x = self.stem(x)
            x = torch.cond(x.mean() > 0.5, lambda x: self.a(x), lambda x: self.b(x), (x,))
            return self.head(x.mean((2, 3)))

    x = torch.randn(1, 3, 16, 16)
    return Case(Network().eval(), [(x,), (x * 4,), (x * 0.1,)])


# ---- sizes


def images(*sizes):
    return [(torch.randn(*size),) for size in sizes]


@case
def dynamic_batch_network():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8), nn.Hardswish(),
                            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    return Case(network, images((2, 3, 12, 12), (1, 3, 12, 12), (5, 3, 12, 12), (8, 3, 12, 12)), ({0: Dim("n", min=1, max=8)},))


@case
def derived_sizes():
    """Height and width are multiples of 16, as in the suite's dynamic models."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1),
                            nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(8, 4)).eval()
    shapes = ({2: 16 * Dim("h", min=1, max=4), 3: 16 * Dim("w", min=1, max=4)},)
    return Case(network, images((1, 3, 32, 48), (1, 3, 16, 16), (1, 3, 64, 32)), shapes)


@case
def dynamic_feature_map():
    """Sizes reach the output, through an interpolation by a factor and a skip connection."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(7, 2, 1)

        def forward(self, x):
            y = F.interpolate(self.down(x).relu(), scale_factor=2.0, mode="nearest")
            return self.up(torch.cat([x, y], 1))

    shapes = ({2: 2 * Dim("h", min=2, max=8), 3: 2 * Dim("w", min=2, max=8)},)
    return Case(Network(), images((1, 3, 8, 12), (1, 3, 4, 16), (1, 3, 16, 4)), shapes)


@case
def dynamic_encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True, activation="gelu")
    shapes = ({0: Dim("n", min=1, max=4), 1: Dim("length", min=2, max=12)},)
    return Case(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), images((2, 5, 16), (1, 12, 16), (4, 2, 16)), shapes)


@case
def dynamic_attention():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

        def forward(self, x):
            n, length, _ = x.shape
            q, k, v = self.qkv(x).view(n, length, 3, 2, 8).permute(2, 0, 3, 1, 4)
            mask = torch.ones(length, length, dtype=torch.bool).tril()
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return self.out(y.transpose(1, 2).reshape(n, length, 16))

    shapes = ({0: Dim("n", min=1, max=4), 1: Dim("length", min=2, max=12)},)
    return Case(Attention(), images((2, 5, 16), (1, 12, 16), (4, 2, 16)), shapes)


@case
def symbolic_views():
    def function(x):
        n, length, width = x.shape
        flat = x.reshape(n * length, width)
        return flat.sum(-1), x.flatten(1), x.view(n, length, 3, 2).transpose(2, 3), x.new_zeros(n, length) + length

    shapes = ({0: Dim("n", min=1, max=4), 1: Dim("length", min=2, max=9)},)
    return Case(One(function), images((2, 5, 6), (1, 9, 6), (4, 2, 6)), shapes)


@case
def symbolic_slices():
    def function(x):
        n = x.shape[0]
        return x[: n - 1] * 2, x[-1], x[1:], torch.cat([x, x[:1]]).flip(0), torch.arange(n) + 0.5 * n

    return Case(One(function), images((6, 3), (3, 3), (9, 3)), ({0: Dim("n", min=3, max=9)},))


@case
def symbolic_expand():
    def function(x, y):
        return x[None].expand(y.shape[0], -1, -1) + y[:, None], x.repeat(2, 1), y.unsqueeze(0).expand(x.shape[0], *y.shape)

    calls = [(torch.randn(a, 4), torch.randn(b, 4)) for a, b in ((3, 2), (1, 5), (6, 1))]
    return Case(Two(function), calls, ({0: Dim("a", max=6)}, {0: Dim("b", max=6)}))


@case
def two_inputs_of_one_size():
    batch = Dim("n", min=1, max=6)
    calls = [(torch.randn(n, 3), torch.randn(n, 5)) for n in (3, 1, 6)]
    return Case(Two(lambda x, y: (torch.cat([x, y], 1), x @ x.T)), calls, ({0: batch}, {0: batch}))


@case
def neighbouring_size():
    length = Dim("length", min=3, max=8)
    calls = [(torch.randn(n), torch.randn(n + 1)) for n in (4, 3, 8)]
    return Case(Two(lambda x, y: x + y[1:]), calls, ({0: length}, {0: length + 1}))


# ---- inputs, outputs, containers


class Containers(nn.Module):
    def forward(self, pair, table, *, scale=None):
        first, (second, nothing) = pair
        total = first + second * (1 if nothing is None else 2)
        result = {"sum": total, "parts": [first * 2, (second, None)], "product": first * table["b"] + table["a"]}
        return OrderedDict(result=result, same=first, scaled=None if scale is None else total * scale)


@case
def containers():
    def call(n):
        return ((torch.randn(n), [torch.randn(n), None]), {"b": torch.randn(n), "a": torch.randn(n)})

    return Case(Containers(), [call(4), call(4)], kwargs={"scale": torch.tensor([0.5, 2, 3, 4])})


@case
def integers_and_booleans():
    def function(x, y):
        z = x[:, None] * 3 + torch.arange(4)
        return z, z % 3, z // 2, y & (x > 1), y.to(torch.int32) + 1, x.masked_fill(~y, -1), (x / 2).round(), y.any(), x.bool() | y

    calls = [(torch.tensor([4, -7, 2]), torch.tensor([True, False, True])), (torch.tensor([0, 1, -1]), torch.tensor([False] * 3))]
    return Case(Two(function), calls)


class Scalars(nn.Module):
    def forward(self, x, n: int, factor: float, flag: bool, nothing):
        y = x * factor + n
        return (y if flag else -y), n


@case
def scalars_fixed_by_export():
    x = torch.randn(3)
    return Case(Scalars(), [(x, 3, 0.5, True, None)])


@case
def symbolic_integer():
    """The runtime takes a number back only as it was exported."""
    calls = [(torch.randn(4, 3), 5), (torch.randn(4, 3), 5)]
    return Case(Two(lambda x, y: (x * y, y + 1)), calls, ({}, Dim.DYNAMIC))


@case
def small_integer_types():
    def function(x, y):
        return x.to(torch.float32) * 0.1, x + x, y.to(torch.int64) * 2, y.float().sum()

    return Case(Two(function), [(torch.tensor([1, 200, 255], dtype=torch.uint8), torch.tensor([-5, 7], dtype=torch.int16))])


class InputsAsOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.arange(3.0))

    def forward(self, x, y):
        z = x + y
        return x, z, self.table, y.view(3), z, 7, z.view(1, 3), x.T.reshape(3), torch.tensor([1.5, 2.5]), None, True


@case
def inputs_constants_and_duplicates_as_outputs():
    return Case(InputsAsOutputs(), [(torch.randn(3, 1)[:, 0], torch.randn(3)), (torch.randn(3), torch.randn(3))])


@case
def unused_input():
    return Case(Two(lambda x, y: x.relu()), [(torch.randn(3), torch.randn(2)), (torch.randn(3), torch.randn(2))])


@case
def identity():
    return Case(One(lambda x: x), [(torch.randn(3),), (torch.randn(3),)])


@case
def empty_tensor():
    return Case(One(lambda x: (torch.cat([x, x[:0]]), x[:, :0].sum(1), x.new_zeros(0, 3))), images((2, 3)))


@case
def zero_dimensional():
    return Case(Two(lambda x, y: (x + y, x.reshape(1), (x * y).item() if False else x * y)), [(torch.tensor(2.0), torch.tensor(3.0))])


# ---- types


def network(width=8):
    return nn.Sequential(nn.Linear(6, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, 4), nn.Softmax(-1))


@case
def half_network():
    return Case(network().half(), [(torch.randn(3, 6).half(),), (torch.randn(3, 6).half(),)], tolerance=4e-3)


@case
def half_convolution():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1), nn.Hardswish(),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    return Case(layers.half(), [(torch.randn(1, 3, 8, 8).half(),)], tolerance=4e-3)


@case
def bfloat16_network():
    return Case(network().bfloat16(), [(torch.randn(3, 6).bfloat16(),)], tolerance=3e-2)


@case
def bfloat16_convolution():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    return Case(layers.bfloat16(), [(torch.randn(1, 3, 8, 8).bfloat16(),)], tolerance=3e-2)


@case
def half_weights_float_activations():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 6).half())

        def forward(self, x):
            return F.linear(x, self.weight.float()), F.linear(x.half(), self.weight).float()

    return Case(Layer(), [(torch.randn(2, 6),)], tolerance=1e-2)


@case
def double_network():
    return Case(network().double(), [(torch.randn(3, 6).double(),)], tolerance=1e-6)


# ---- state


class KeyValueCache(nn.Module):
    def __init__(self, write):
        super().__init__()
        self.register_buffer("keys", torch.zeros(1, 2, 8, 4))
        self.register_buffer("values", torch.zeros(1, 2, 8, 4), persistent=False)
        self.write = write

    def forward(self, x, position):
        q, k, v = x.chunk(3, -1)
        self.write(self.keys, position, k)
        self.write(self.values, position, v)
        mask = torch.arange(8) <= position[-1]
        return F.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=mask[None].expand(x.shape[2], 8))


def decoding(write):
    calls = [(torch.randn(1, 2, 1, 12), torch.tensor([position])) for position in (0, 1, 2, 3)]
    return Case(KeyValueCache(write), calls)


def assign(cache, position, value):
    cache[:, :, position] = value


@case
def cache_by_index_copy():
    return decoding(lambda cache, position, value: cache.index_copy_(2, position, value))


@case
def cache_by_index_put():
    return decoding(assign)


@case
def cache_by_item():
    class Cache(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("cache", torch.zeros(8, 3))

        def forward(self, x, position):
            start = position.item()
            torch._check(start >= 0)
            torch._check(start < 8)
            self.cache.narrow(0, start, 1).copy_(x)
            return self.cache * 2, self.cache[start]

    return Case(Cache(), [(torch.randn(1, 3), torch.tensor(i)) for i in (0, 3, 7, 3)])


class Rolling(nn.Module):
    """State that starts elsewhere than at zero, a counter and a window."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.arange(12.0).view(4, 3))
        self.register_buffer("count", torch.tensor(5))
        self.register_buffer("flags", torch.zeros(4, dtype=torch.bool))

    def forward(self, x):
        before = self.window.clone()
        self.window[:-1] = self.window[1:].clone()
        self.window[-1] = x
        self.window[:, 0] *= 2
        self.count += 1
        self.flags.copy_(self.window.sum(1) > 10)
        return before, self.window.mean(0), self.count, self.flags, self.window


@case
def rolling_state():
    return Case(Rolling(), [(torch.randn(3),) for _ in range(4)])


@case
def swapped_state():
    class Swap(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", torch.tensor([1.0, 2.0]))
            self.register_buffer("b", torch.tensor([3.0, 4.0]))

        def forward(self, x):
            a = self.a.clone()
            self.a.copy_(self.b)
            self.b.copy_(a + x)
            return self.a - self.b

    return Case(Swap(), [(torch.tensor([0.5, 1.0]),)] * 3)


@case
def state_kept_as_it_is():
    class Keep(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(2, 3))

        def forward(self, x):
            self.total.add_(x)
            return (x * 2).sum()

    return Case(Keep(), images((2, 3), (2, 3)))


@case
def lifted_constants():
    def function(x):
        table = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        return x @ table.T + torch.tensor(2.0), table[0] + x, torch.tensor([1, 2]) * 2, torch.tensor([True, False])

    return Case(One(function), images((4, 3), (4, 3)))


@case
def tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(10, 6), nn.Linear(6, 10, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens):
            return self.head(self.embedding(tokens).mean(1))

    return Case(Tied(), [(torch.randint(0, 10, (2, 4)),), (torch.randint(0, 10, (2, 4)),)])


@case
def a_module_called_twice():
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()).eval()
    return Case(One(lambda x: block(block(x)) + x), images((1, 4, 6, 6)))
