"""Everything that an archive can hold: name -> function that makes the case."""

import collections

import torch
from torch import nn
from torch.export import Dim

from cases import DYNAMIC, STATIC, Case, Quantization

Point = collections.namedtuple("Point", "x y")
torch.utils._pytree._register_namedtuple(Point, serialized_type_name="cases.archives.Point")
torch.serialization.add_safe_globals([Point])  # it stands in the sample inputs


def of(module, *args, **fields) -> Case:
    return Case(module.eval(), [args], **fields)


class Nested(nn.Module):
    """kwargs, nested containers, a mutated buffer, a non-persistent one, literal inputs, lifted constants."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("shift", torch.ones(2, 4), persistent=False)

    def forward(self, x, nested, flag=True, k=2, limit=float("inf"), mode="a", nothing=None, point=None):
        self.count.add_(1)
        y = self.linear(x) + nested["a"][0] * nested["b"] + self.shift[:1] + torch.tensor([1.0, 2.0, 3.0, 4.0])
        y = torch.clamp(y, min=0, max=limit) + point.x
        first, second = torch.split(y, 2, dim=1)
        biggest = torch.max(y, dim=1)
        return {"é;,": first * k, "list": [second, 3, None]}, biggest[0], point


def nested(form="training"):
    args = torch.randn(3, 4), collections.OrderedDict(a=[torch.randn(3, 4), (torch.ones(1),)], b=torch.randn(3, 4))
    kwargs = dict(flag=True, k=2, limit=float("inf"), mode="a", nothing=None, point=Point(torch.randn(4), torch.randn(1)))
    return of(Nested(), *args, kwargs=kwargs, form=form)


class Aliases(nn.Module):
    """Tied, sliced, transposed, expanded and channels-last weights."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.b.weight = self.a.weight
        base = torch.randn(100)
        self.register_buffer("slice", base[10:16])
        self.register_buffer("other_slice", base[50:62:2])
        self.register_buffer("transposed", torch.randn(6, 3).t())
        self.register_buffer("expanded", torch.randn(1, 6).expand(5, 6))
        self.register_buffer("as_int", base.view(torch.int32)[:6])
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def forward(self, x, image):
        y = self.b(self.a(x)) + self.slice + self.other_slice + self.expanded[:1] + self.as_int
        return y @ self.transposed.t(), self.conv(image)


class Sizes(nn.Module):
    def forward(self, x, y, n):
        rows = x.shape[0]
        flat = torch.cat([x[1:] + y, y]).reshape(-1)
        return flat, rows * 2 + n, x.new_zeros(rows * 3, n), torch.nn.functional.pad(x, (0, 1)), x.view(rows * 4)


def sizes():
    rows = Dim("rows", min=3, max=64)
    return of(Sizes(), torch.randn(5, 4), torch.randn(4, 4), 7, shapes=({0: rows}, {0: rows - 1}, Dim.DYNAMIC))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x, at):
        index = at.item()
        torch._check(index >= 0)
        torch._check(index < 4)

        def positive(a):
            return self.linear(a).sin(), a + 1

        def negative(a):
            return self.linear(a) + 1, a.cos()

        branch = torch.cond(x.sum() > 0, positive, negative, (x,))
        with torch.no_grad():
            quiet = x * 2
        return branch, x[:, :index], torch.full((2,), float("nan")), torch.where(x > 0, x, float("-inf")), quiet


class Dtypes(nn.Module):
    """Every element type that an archive can hold as a buffer."""

    names = ("uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 bool uint16 uint32 uint64 "
             "float8_e4m3fn float8_e5m2").split()

    def __init__(self):
        super().__init__()
        for name in self.names:
            self.register_buffer(f"of_{name}", torch.arange(5).to(getattr(torch, name)))
        self.register_buffer("nothing", torch.zeros(0, 3))
        self.register_buffer("scalar", torch.tensor(2.5))

    def forward(self, x):
        parts = [getattr(self, f"of_{name}").view(-1)[:0].to(torch.float32) for name in self.names if "complex" not in name]
        parts += [torch.view_as_real(self.of_complex64).reshape(-1)[:0], torch.view_as_real(self.of_complex128).reshape(-1)[:0].float()]
        return torch.cat([x.reshape(-1), *parts, self.nothing.reshape(-1)]) * self.scalar, x.to(torch.float64), self.of_float8_e5m2


class Arguments(nn.Module):
    """One of every argument kind that can be had: index lists with None, device, layout, memory format, complex, strings."""

    def forward(self, x, index):
        picked = x[:, index]
        placed = torch.zeros(2, 3, dtype=torch.float16, device="cpu", layout=torch.strided)
        packed = x[None].contiguous(memory_format=torch.channels_last)
        rounded = torch.div(x, 3, rounding_mode="floor")
        scaled = nn.functional.interpolate(x[None], scale_factor=2.0, mode="nearest")
        parts = torch.ops.aten.unbind.int(x, 0)
        turned = x.to(torch.complex64) * (1 + 2j)
        return picked, placed, packed, rounded, scaled, parts[1], turned, torch.add(x, x, alpha=2), x[..., 1:, ::2], x.mean(())


class Mutations(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("state", torch.zeros(3))

    def forward(self, x):
        x.mul_(2)
        self.state.copy_(x.mean((0, 2, 3)))
        return self.norm(x).relu_()


def small_cnn():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.Conv2d(8, 8, 3, groups=8),
                         nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 5)).eval()


def torchao_int4():
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerGroup, quantize_
    from torchao.utils import unwrap_tensor_subclass

    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8)).eval()
    quantize_(model, Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32)))
    return of(unwrap_tensor_subclass(model), torch.randn(2, 64))


def preserved():
    layers = collections.OrderedDict(first=nn.Linear(4, 4), second=nn.Linear(4, 2))
    return of(nn.Sequential(layers), torch.randn(2, 4), options={"preserve_module_call_signature": ("first",)})


def mlp():
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))


ARCHIVES = {
    "nested": nested,
    "nested_inference": lambda: nested("inference"),
    "aliases": lambda: of(Aliases(), torch.randn(2, 6), torch.randn(1, 3, 8, 8)),
    "dynamic": sizes,
    "branches": lambda: of(Branches(), torch.randn(4, 4), torch.tensor(2), shapes=({0: Dim("q")}, None)),
    "branches_inference": lambda: of(Branches(), torch.randn(4, 4), torch.tensor(2), form="inference"),
    "dtypes": lambda: of(Dtypes(), torch.randn(2, 2)),
    "arguments": lambda: of(Arguments(), torch.randn(3, 4, 5), torch.tensor([0, 2])),
    "mutations": lambda: of(Mutations(), torch.randn(2, 3, 4, 4)),
    "mutations_inference": lambda: of(Mutations(), torch.randn(2, 3, 4, 4), form="inference"),
    "cnn": lambda: of(small_cnn(), torch.randn(1, 3, 12, 12)),
    "cnn_core": lambda: of(small_cnn(), torch.randn(1, 3, 12, 12), form="core"),
    "strict": lambda: of(small_cnn(), torch.randn(1, 3, 12, 12), options={"strict": True}),
    "torchao_8da4w": torchao_int4,
    "preserved_signature": preserved,
    "encoder": lambda: of(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), torch.randn(2, 5, 16),
                          shapes=({0: Dim("batch", min=1, max=8), 1: Dim("length", min=2, max=32)},)),
}
QUANTIZED = {  # by torchao's flow
    "pt2e_static": lambda: of(small_cnn(), torch.randn(1, 3, 12, 12), quantization=Quantization(STATIC)),
    "pt2e_dynamic": lambda: of(mlp(), torch.randn(2, 16), quantization=Quantization(DYNAMIC)),
}
