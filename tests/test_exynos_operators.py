"""The operators of Samsung's compiler, one by one: the calls are ExecuTorch's, the parameters are those written down in `exynos/operators.py`,
the scales are what the ranges say. And its limits: what is beyond one stays outside, and `inspect` says why."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import noise, seeded
from exynos import operators
from oracle import exynos
from test_exynos import lowered, same_as_executorchs  # noqa: F401  a fixture
from test_exynos_quantizer import theirs


def flat(values):
    return torch.utils._pytree.tree_leaves(values)


def step_of(*tensors):
    """Scale and zero point of what was seen, as the facts of the quantizer have them."""
    low, high = (torch.stack([f(t) for t in tensors]) for f in (torch.min, torch.max))
    low, high = low.min().clamp(max=0), high.max().clamp(min=0)
    scale = max(float((high - low) / 255), 2.0**-12)
    return scale, max(-128, min(127, -128 - round(float(low) / scale)))


def rows_beside_nodes(rows, ops):
    """(row, its nodes) in order; nodes that quantize stand between."""
    plain = iter(op for op in ops if "QUANTIZE" not in op["type"])
    for name, row in rows.items():
        yield name, row, [next(plain) for _ in row.nodes]
    assert next(plain, None) is None


@pytest.mark.parametrize("group", operators.GROUPS)
def test_every_operator_in_float(lowered, group):  # noqa: F811
    rows = operators.GROUPS[group]
    [graph] = same_as_executorchs(lowered, operators.program_of(rows))
    for name, row, nodes in rows_beside_nodes(rows, graph["ops"]):
        for node, (kind, params) in zip(nodes, row.nodes):
            assert (node["type"], {p["name"]: p["value"] for p in node["params"]}) == (kind, params), name
        for index in {i for node in nodes for i in node["inputs"] + node["outputs"]}:
            tensor = graph["tensors"][index]
            assert tensor["quantize"] is None and tensor["data_type"] in ("FLOAT32", "INT32", "INT64"), name
            assert tensor["layout"] == ("NCHW" if len(tensor["dims"]) == 4 else "UNDEFINED"), name


@pytest.mark.parametrize("group", operators.GROUPS)
def test_every_operator_in_int8(lowered, group):  # noqa: F811
    rows = {name: row for name, row in operators.GROUPS[group].items() if row.quantizes}
    program = operators.program_of(rows)
    [graph] = same_as_executorchs(lowered, theirs(program, [operators.INPUTS]))
    results = program.module()(*operators.INPUTS)
    for (name, row, nodes), result in zip(rows_beside_nodes(rows, graph["ops"]), results):
        tensor = graph["tensors"][nodes[-1]["outputs"][0]]
        quantize, params = tensor["quantize"], {p["name"]: p["value"] for p in nodes[-1]["params"]}
        if row.range:
            assert (tensor["data_type"], quantize["type"]) == ("INT8", "AINT8"), name
            assert (params.get("quant_dtype") == "AINT8") == row.says_int8, name
        if row.range == "own":
            scale, zero_point = step_of(*flat(result))
            assert math.isclose(quantize["scales"][0], scale, rel_tol=1e-5) and quantize["zero_points"] == [zero_point], name
        if row.range == "fixed":
            assert (quantize["scales"], quantize["zero_points"]) == ([1 / 256], [0]), name


# ---- limits


def says(call):
    """A program of one call on a tensor of [2, 4, 8, 8] and one of indices."""

    class Says(nn.Module):
        def forward(self, x, ids):
            return call(x, ids)

    return Says


class Computed(nn.Module):
    """A transposed convolution whose weight is computed."""

    def forward(self, x, ids):
        return F.conv_transpose2d(x, x[0, :, :2, :2].unsqueeze(0).permute(1, 0, 2, 3) * 2.0)


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("one", noise(2, 4, 8, 8, seed=5))
        self.register_buffer("two", noise(2, 4, 8, 8, seed=6))

    def forward(self, x, ids):
        return torch.cat([self.one, x, self.two], 1)


class Layered(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, ids):
        return self.layer(x)


# What is written, what of it stays outside and why.
LIMITS = {
    "alpha of a sum": (says(lambda x, ids: torch.add(x, x.tanh(), alpha=2)), "add: takes an alpha of 1"),
    "alpha of a difference": (says(lambda x, ids: torch.sub(x, x.tanh(), alpha=0.5)), "sub: takes an alpha of 1"),
    "output padding": (lambda: Layered(nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1)), "convolution: takes no output padding"),
    "computed weight": (Computed, "convolution: takes a constant weight"),
    "average with ceil_mode": (says(lambda x, ids: F.avg_pool2d(x, 3, 2, ceil_mode=True)), "avg_pool2d: takes ceil_mode=False"),
    "average with a divisor": (says(lambda x, ids: F.avg_pool2d(x, 2, divisor_override=3)), "avg_pool2d: takes a divisor that is the size of the window"),
    "maximum with ceil_mode": (says(lambda x, ids: F.max_pool2d(x, 3, 2, ceil_mode=True)), "max_pool2d: takes ceil_mode=False"),
    "places of maxima": (says(lambda x, ids: F.max_pool2d(x, 2, return_indices=True)[1]), "takes values alone, not where they stood"),
    "sum in another type": (says(lambda x, ids: x.sum(1, dtype=torch.float64)), "float64"),
    "clamp by tensors": (says(lambda x, ids: torch.clamp(x, x.tanh(), x.tanh() + 1.0)), "clamp"),
    "two constants": (Joined, "cat: takes at most one constant"),
    "two expanded dimensions": (says(lambda x, ids: x[:, :1, :1].expand(-1, 4, 8, -1)), "expand_copy: takes at most one expanded dimension"),
    "new dimensions": (says(lambda x, ids: x.expand(3, 2, 4, 8, 8)), "expand_copy: takes at most one expanded dimension"),
    "padding with a number": (says(lambda x, ids: F.pad(x, (1, 1), value=2.0)), "constant_pad_nd: takes zeros"),
    "two tensors of indices": (says(lambda x, ids: x[ids, ids]), "index: takes one tensor of indices"),
    "norm of two dimensions": (lambda: Layered(nn.LayerNorm((8, 8))), "layer_norm: takes the last dimension"),
    "norm without weights": (says(lambda x, ids: F.layer_norm(x, (8,))), "layer_norm: takes weight and bias"),
    "group norm without weights": (lambda: Layered(nn.GroupNorm(2, 4, affine=False)), "native_group_norm: takes weight and bias"),
    "batch norm without weights": (lambda: Layered(nn.BatchNorm2d(4, affine=False)), "takes weight and bias"),
    "powers of integers": (says(lambda x, ids: torch.pow(x.to(torch.int32), 2)), "pow: takes float32 tensors"),
    "another dimension": (says(lambda x, ids: x.topk(2, dim=1)[0]), "topk: takes the last dimension"),
    "the smallest": (says(lambda x, ids: x.topk(2, largest=False)[0]), "topk: takes the largest"),
    "unsorted": (says(lambda x, ids: x.topk(2, sorted=False)[0].sum(-1)), "topk: takes sorted values"),
    "no node": (says(lambda x, ids: torch.cumsum(x, 1)), "cumsum: Samsung's compiler has no node for it"),
    "a type": (says(lambda x, ids: torch.tanh(x.double())), "tanh: not of float64"),
    "softmax in another type": (says(lambda x, ids: F.softmax(x.half(), -1, dtype=torch.float32)), "softmax"),
}


def of_limit(make):
    with seeded():
        model = make().eval()
    inputs = (noise(2, 4, 8, 8, seed=3), torch.tensor([1, 0, 1]))
    return torch.export.export(model, inputs), inputs


def same_on_the_host(intaglio, path, program, inputs, folder):
    np.savez(folder / "x.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(inputs)})
    intaglio("run", path, "--input", folder / "x.npz", "-o", folder / "y.npz", "--quiet")
    assert np.allclose(np.load(folder / "y.npz")["arr_0"], flat(program.module()(*inputs))[0].detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_beyond_a_limit_stays_outside(intaglio, lowered, tmp_path, name):  # noqa: F811
    make, why = LIMITS[name]
    program, inputs = of_limit(make)
    path = lowered(program)
    said = intaglio("inspect", tmp_path / "program.pt2", "--backend", "exynos", "--verbose").stdout
    assert why in said, said
    same_on_the_host(intaglio, path, program, inputs, tmp_path)


# What has no node as it is written, but parts that have.
IN_PARTS = {
    "convolution of three dimensions": lambda: Layered(nn.Conv3d(2, 3, (1, 2, 2))),
    "negative padding": says(lambda x, ids: F.pad(x, (1, -1))),
    "rms norm without a weight": lambda: Layered(nn.RMSNorm(8, elementwise_affine=False)),
    "pixels of one image": says(lambda x, ids: F.pixel_shuffle(x[0], 2)),
    "causal attention": says(lambda x, ids: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
}


@pytest.mark.parametrize("name", IN_PARTS)
def test_what_has_no_node_is_taken_in_parts(intaglio, lowered, tmp_path, name):  # noqa: F811
    program, inputs = of_limit(IN_PARTS[name])
    path = lowered(program)
    assert "0 operators outside" in intaglio("inspect", path).stdout
    same_on_the_host(intaglio, path, program, inputs, tmp_path)


def test_sizes_that_are_not_known_stay_outside(intaglio, tmp_path):
    program = torch.export.export(Layered(nn.ReLU()), (noise(2, 4, seed=1), torch.tensor([0])), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=8)}, None))
    torch.export.save(program, tmp_path / "program.pt2")
    assert "relu: takes tensors of known sizes" in intaglio("inspect", tmp_path / "program.pt2", "--backend", "exynos", "--verbose").stdout
