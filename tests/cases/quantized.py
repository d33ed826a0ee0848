"""Programs that torchao's `quantize_` has quantized, exported as its users export them.

`LINEARS`: three linears around a gate, each with dynamic activations. `EMBEDDINGS`: rows of a quantized table in front of them.
`WEIGHT_ONLY`: linears whose inputs stay float. `OUTSIDE`: dynamic ones that XNNPACK has no kernel for, and why.
"""

import functools

import torch
from torch import nn
from torch.nn import functional as F
from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig
from torchao.quantization import MappingType, PerAxis, PerGroup, quantize_
from torchao.quantization.quant_api import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig
from torchao.utils import unwrap_tensor_subclass

from cases import Case

INT = {bits: getattr(torch, f"int{bits}") for bits in range(1, 9)}
WIDTH, HIDDEN, OUT, ROWS = 64, 96, 40, 100


def granularity(group: int):
    return PerGroup(group) if group else PerAxis(0)


def dynamic(bits: int, group: int = 0, mapping=MappingType.SYMMETRIC):
    """`group` 0: one scale a row."""
    return Int8DynamicActivationIntxWeightConfig(
        weight_dtype=INT[bits], weight_granularity=granularity(group), weight_mapping_type=mapping
    )


def weight_only(bits: int, group: int = 0, mapping=MappingType.SYMMETRIC):
    return IntxWeightOnlyConfig(weight_dtype=INT[bits], granularity=granularity(group), mapping_type=mapping)


class Gated(nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, HIDDEN), nn.Linear(width, HIDDEN, bias=False), nn.Linear(HIDDEN, OUT)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.layer = nn.Embedding(ROWS, WIDTH), Gated()

    def forward(self, tokens):
        return self.layer(self.words(tokens))


def is_embedding(module, name):
    return isinstance(module, nn.Embedding)


def case(make, inputs, linears=None, embeddings=None, dtype=torch.float32, shapes=None) -> Case:
    torch.manual_seed(0)
    module = make().eval().to(dtype)
    calls = [tuple(x.to(dtype) if x.is_floating_point() else x for x in call) for call in inputs()]
    if linears:
        quantize_(module, linears)
    if embeddings:
        quantize_(module, embeddings, is_embedding)
    return Case(unwrap_tensor_subclass(module), calls, shapes=shapes)


def floats(*sizes):
    return lambda: [(torch.randn(*sizes),) for _ in range(2)]


def tokens():
    return [(torch.randint(0, ROWS, (2, 5)),) for _ in range(2)]


gated = functools.partial(case, Gated, floats(2, 5, WIDTH))
embedded = functools.partial(case, Embedded, tokens, dynamic(4, 32))

# name: (function that makes the case, element type of the weights in the delegate)
LINEARS = {
    "int4_group_32": (lambda: gated(dynamic(4, 32)), "qbint4"),
    "int4_per_row": (lambda: gated(dynamic(4)), "qcint4"),
    "int8_per_row": (lambda: gated(dynamic(8)), "qcint8"),
    "int6_per_row": (lambda: gated(dynamic(6)), "qcint8"),
    "int2_group_32": (lambda: gated(dynamic(2, 32)), "qbint4"),
    "int3_per_row": (lambda: gated(dynamic(3)), "qcint4"),
    "int4_no_clipping": (lambda: gated(dynamic(4, 32, MappingType.SYMMETRIC_NO_CLIPPING_ERR)), "qbint4"),
    "int4_vector_rows": (lambda: case(Gated, floats(5, WIDTH), dynamic(4, 32)), "qbint4"),
    "int4_odd_rows": (lambda: case(lambda: Gated(49), floats(2, 5, 49), dynamic(4)), "qcint8"),
    "int4_many_groups": (lambda: case(lambda: Gated(256), floats(3, 256), dynamic(4, 32)), "qbint4"),
    "int4_half": (lambda: gated(dynamic(4, 32), dtype=torch.float16), "qbint4"),
    "int4_dynamic_length": (
        lambda: gated(dynamic(4, 32), shapes=({1: torch.export.Dim("length", min=1, max=64)},)),
        "qbint4",
    ),
}

OUTSIDE = {
    "int4_group_16": (lambda: gated(dynamic(4, 16)), "groups of a multiple of 32, not of 16"),
    "int8_group_32": (lambda: gated(dynamic(8, 32)), "choose PerAxis(0)"),
    "int4_zero_points": (lambda: gated(dynamic(4, 32, MappingType.ASYMMETRIC)), "choose a symmetric mapping type"),
}

# name: (function that makes the case, what the warning says)
CHOOSE_8DA4W = "choose Int8DynamicActivationIntxWeightConfig"
WEIGHT_ONLY = {
    "int4_group_32": (lambda: gated(weight_only(4, 32)), CHOOSE_8DA4W),
    "int8_per_row": (lambda: gated(weight_only(8)), CHOOSE_8DA4W),
    "int3_group_32": (lambda: gated(weight_only(3, 32)), CHOOSE_8DA4W),
    "uint3_code_books": (
        lambda: gated(CodebookWeightOnlyConfig(torch.uint3, [8, -1])),
        "in 2 layers more: the file has a byte for each weight, 16.1 kB where packed codes are 6.0 kB, and every call looks up 64.5 kB of floats",
    ),
}

# name: (function that makes the case, kernel)
EMBEDDINGS = {
    "int8_per_row": (lambda: embedded(weight_only(8)), "byte"),
    "int8_group_32": (lambda: embedded(weight_only(8, 32)), "byte"),
    "int4_group_32": (lambda: embedded(weight_only(4, 32)), "4bit"),
    "int4_per_row": (lambda: embedded(weight_only(4)), "4bit"),
    "int3_group_32": (lambda: embedded(weight_only(3, 32)), "4bit"),
    "int2_group_32": (lambda: embedded(weight_only(2, 32)), "2bit"),
    "int1_per_row": (lambda: embedded(weight_only(1)), "2bit"),
    "int6_group_32": (lambda: embedded(weight_only(6, 32)), "byte"),
    "int4_zero_points": (lambda: embedded(weight_only(4, 32, MappingType.ASYMMETRIC)), "4bit"),
    "int8_half": (lambda: embedded(weight_only(8), dtype=torch.float16), "byte"),
}
