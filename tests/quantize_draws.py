"""Programs of drawn layers for `quantize_`: every kind of layer and weight, each with a configuration of its own.

    (cd tests && ../.venv/bin/python -m quantize_draws --seeds 0:200)

One draw is one module: exporting takes its time, and a rule for each layer makes many configurations of one program.
"""

import argparse
import copy
import random
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig
from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, PerAxis, PerGroup, quantize_
from torchao.quantization.quant_primitives import MappingType
from torchao.utils import unwrap_tensor_subclass

WEIGHT_ONLY, DYNAMIC, CODEBOOK = "IntxWeightOnlyConfig", "Int8DynamicActivationIntxWeightConfig", "CodebookWeightOnlyConfig"
FLOATS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
MAPPINGS = ("symmetric", "symmetric_no_clipping_err", "asymmetric")


def torchao_config(config):
    """A rule's configuration as torchao's."""
    fields = dict(config)
    kind = fields.pop("quantize_")
    if kind == CODEBOOK:
        return CodebookWeightOnlyConfig(dtype=getattr(torch, fields["dtype"]), block_size=list(fields["block_size"]))
    groups = fields.get("group_size", 0 if kind == WEIGHT_ONLY else 32)
    granularity = PerGroup(groups) if groups else PerAxis(0)
    dtype = getattr(torch, fields.get("weight_dtype", "int8"))
    mapping = MappingType[fields.get("mapping_type", "symmetric").upper()]
    scale = FLOATS.get(fields.get("scale_dtype"))
    algorithm = fields.get("intx_choose_qparams_algorithm", "affine")
    if kind == WEIGHT_ONLY:
        return IntxWeightOnlyConfig(dtype, granularity, mapping, scale, intx_choose_qparams_algorithm=algorithm)
    return Int8DynamicActivationIntxWeightConfig(dtype, granularity, mapping, scale, intx_choose_qparams_algorithm=algorithm)


# ---- weights


def ties(weight):
    """Values that lie halfway between two integers once the largest has made the scale one."""
    weight.copy_((weight * 5).round().clamp(-15, 15) / 2)
    weight[:, 0] = 7.5


def huge_ranges(weight):
    limits = torch.finfo(weight.dtype)
    low, high = torch.log2(torch.tensor(limits.tiny, dtype=torch.float64)), torch.log2(torch.tensor(limits.max, dtype=torch.float64)) - 1
    exponents = low + (high - low) * torch.rand(weight.shape, dtype=torch.float64)
    weight.copy_(torch.sign(weight).double() * torch.exp2(exponents))


def one_outlier(weight):
    weight[-1, weight.shape[1] // 2] = 3e4


def tiny_rows(weight):
    """Rows whose magnitudes go down to denormals and zero."""
    limits = torch.finfo(weight.dtype)
    for row, size in zip(weight, (0.0, limits.tiny, limits.tiny / 8, limits.smallest_normal * 3, 1e-30, 1e-7)):
        row.copy_(row.double() * size)


WEIGHTS = {
    "normal": lambda w: None,
    "small": lambda w: w.mul_(0.02),
    "zeros": lambda w: w.zero_(),
    "constant rows": lambda w: w.copy_(w[:, :1].expand_as(w).clone()),
    "one sign": lambda w: w.copy_(w.abs() if torch.rand(()) < 0.5 else -w.abs()),
    "tiny rows": tiny_rows,
    "near the largest": lambda w: w.copy_(w.sign() * torch.rand_like(w) * torch.finfo(w.dtype).max),
    "huge ranges": huge_ranges,
    "negative zeros": lambda w: w.copy_(torch.where(torch.rand_like(w) < 0.5, torch.tensor(-0.0, dtype=w.dtype), w)),
    "one outlier": one_outlier,
    "few values": lambda w: w.copy_((w * 1.2).round()),
    "mostly zeros": lambda w: w.mul_(torch.rand_like(w) < 0.1),
    "bfloat16 values": lambda w: w.copy_(w.bfloat16().to(w.dtype)),
    "heavy tails": lambda w: w.copy_((w.double() ** 5).clamp(-6e4, 6e4)),
    "ties": ties,
    "infinite": lambda w: w[0].fill_(float("inf")),
    "not a number": lambda w: w[-1, -1:].fill_(float("nan")),
}


def laid_out(weight, layout):
    """The same values, stored otherwise."""
    rows, columns = weight.shape
    if layout == "transposed":
        return weight.t().contiguous().t()
    if layout == "offset":
        return torch.cat([weight.new_ones(3, columns), weight])[3:]
    if layout == "sliced":
        return torch.cat([weight, weight], 1)[:, :columns]
    if layout == "expanded":
        return weight[:1].expand(rows, columns)
    return weight


# ---- layers


class OwnLinear(nn.Linear):
    def forward(self, x):
        return F.gelu(super().forward(x)) * 2


class Functional(nn.Module):
    """A weight of no linear module: left in float."""

    def __init__(self, layer, is_embedding):
        super().__init__()
        self.weight, self.is_embedding = layer.weight, is_embedding

    def forward(self, x):
        return F.embedding(x, self.weight) if self.is_embedding else F.linear(x, self.weight)


class Twice(nn.Module):
    """One layer, called at two shapes."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x), self.inner(x[..., :1, :])


class Tied(nn.Module):
    """An embedding and a linear, or two linears, over one weight."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second
        second.weight = first.weight

    def forward(self, x):
        return self.first(x), self.second(x if x.is_floating_point() else self.first(x).sin())


@dataclass
class Drawn:
    """A module of the program with its input, and the layers in it with the configurations that they get (None: float)."""

    module: nn.Module
    x: torch.Tensor
    configs: dict  # name inside the module: configuration
    text: str


def drawn_config(draw, columns, rows, dtype, is_embedding):
    """A configuration that fits the sizes."""
    kinds = [WEIGHT_ONLY] * 4 + ([] if is_embedding else [DYNAMIC] * 4) + ([] if dtype == torch.bfloat16 else [CODEBOOK])
    kind = draw.choice(kinds)
    if kind == CODEBOOK:
        blocks = [size for size in range(1, rows + 1) if rows % size == 0]
        return {"quantize_": kind, "dtype": f"uint{draw.randint(1, 8)}", "block_size": draw.choice([[draw.choice(blocks), -1], [-1, -1], [rows, columns]])}
    sizes = [size for size in range(2, columns + 1) if columns % size == 0]
    fields = {"quantize_": kind, "weight_dtype": f"int{draw.choice([1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8])}", "group_size": draw.choice([0, *sizes]),
              "mapping_type": draw.choice(MAPPINGS), "scale_dtype": draw.choice(["weight", "weight", *FLOATS]),
              "intx_choose_qparams_algorithm": draw.choice(["affine", "affine", "hqq_scale_only"])}
    if fields["weight_dtype"] == "int1" and fields["mapping_type"] == "symmetric_no_clipping_err":
        fields["mapping_type"] = "asymmetric"
    return fields


def width_of(draw):
    return draw.choice([draw.randint(2, 40), draw.choice([32, 64, 96, 128, 160]), draw.choice([256, 576, 768, 1000, 1023, 2048, 4099])])


def drawn_layer(draw):
    dtype = FLOATS[draw.choice(["float32", "float32", "float16", "bfloat16"])]
    kind = draw.choice(["linear"] * 4 + ["embedding"] * 3 + ["own", "functional", "functional embedding", "twice", "tied", "tied embedding", "bag", "nested"])
    is_embedding = kind in ("embedding", "functional embedding", "tied embedding", "bag")
    columns, rows = width_of(draw), draw.choice([1, 2, 3, 8, 17, 32, 48])
    bias = draw.random() < 0.5
    layer = nn.Embedding(rows, columns, padding_idx=draw.choice([None, 0, rows - 1])) if is_embedding else (OwnLinear if kind == "own" else nn.Linear)(columns, rows, bias)
    layer = layer.to(dtype)
    values, layout = draw.choice(list(WEIGHTS)), draw.choice(["plain"] * 4 + ["transposed", "offset", "sliced", "expanded"])
    with torch.no_grad():
        WEIGHTS[values](layer.weight.normal_())
        layer.weight = nn.Parameter(laid_out(layer.weight.data, layout))
    lead = [draw.randint(1, 3) for _ in range(draw.choice([0, 1, 1, 2, 3, 5]))]
    x = torch.randint(0, rows, lead or [3]) if is_embedding else torch.randn(*lead, columns).to(dtype) * draw.choice([1, 1, 0, 1e-3, 50])
    config = drawn_config(draw, columns, rows, dtype, is_embedding)
    configs = {"": config}
    if kind.startswith("functional"):
        layer, configs = Functional(layer, is_embedding), {}
    elif kind == "bag":
        bag = nn.EmbeddingBag(rows, columns, mode="mean").to(dtype)
        layer, configs, x = bag, {}, torch.randint(0, rows, (2, 3))
    elif kind == "twice":
        layer, configs, x = Twice(layer), {"inner": config}, x.reshape(1, -1, columns).repeat(1, 2, 1)
    elif kind.startswith("tied"):
        second = nn.Linear(columns, rows, bias).to(dtype)
        other = drawn_config(draw, columns, rows, dtype, False) if draw.random() < 0.5 or is_embedding else config
        layer, configs = Tied(layer, second), {"first": config, "second": other}
    elif kind == "nested":
        layer, configs = nn.Sequential(nn.Identity(), nn.ModuleDict({"a": layer})["a"]), {"1": config}
    return Drawn(layer, x, configs, f"{kind} {rows}x{columns} {dtype} {values}, {layout}, input {tuple(x.shape)}")


class Model(nn.Module):
    def __init__(self, modules):
        super().__init__()
        self.layers = nn.ModuleList(modules)

    def forward(self, *xs):
        return tuple(layer(x) for layer, x in zip(self.layers, xs, strict=True))


@dataclass
class Draw:
    model: nn.Module
    inputs: tuple
    configs: dict  # fully qualified name: configuration
    texts: dict

    def rules(self, only=None):
        return [({"module_name": name, "op": "*"}, config) for name, config in self.configs.items() if only is None or name == only]


def drawn(seed, layers=10):
    draw = random.Random(seed)
    torch.manual_seed(seed)
    parts = [drawn_layer(draw) for _ in range(layers)]
    configs, texts = {}, {}
    for number, part in enumerate(parts):
        for inner, config in part.configs.items():
            name = f"layers.{number}" + (f".{inner}" if inner else "")
            configs[name], texts[name] = config, f"{part.text}: {config}"
    return Draw(Model([part.module for part in parts]).eval(), tuple(part.x for part in parts), configs, texts)


# ---- torchao's side


def quantized_by_torchao(model, configs):
    """A copy of the model, as its users export it; torchao's own error where it has one."""
    model = copy.deepcopy(model)
    for name, config in configs.items():
        quantize_(model, torchao_config(config), lambda _, fqn, name=name: fqn == name)
    unwrap_tensor_subclass(model)
    return model


def is_refused(model, name, config):
    """Whether nothing is to be had: torchao's error, or scales that are no numbers."""
    try:
        part = quantized_by_torchao(model, {name: config}).get_submodule(name)
    except (AssertionError, RuntimeError, ValueError, TypeError, ZeroDivisionError):
        return True
    scale = part.parametrizations.weight.original1
    return not scale.isfinite().all()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="0:20")
    first, last = map(int, parser.parse_args().seeds.split(":"))
    for seed in range(first, last):
        for name, text in drawn(seed).texts.items():
            print(seed, name, text)


if __name__ == "__main__":
    main()
