"""Causal attention of every length, and encoder layers that the exporter leaves as one operator, beside PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

from cases import Case, seeded
from oracle.archives import save
from oracle.compare import sqnr
from oracle.executorch import execute, method_of

FLOAT = "xnnpack_fp32"
INT8 = {"static": "xnnpack_pt2e_int8_static_per_channel", "per_tensor": "xnnpack_pt2e_int8_static_per_tensor",
        "dynamic": "xnnpack_pt2e_int8_dynamic_per_channel"}


class Attention(nn.Module):
    """Queries of one sequence, keys and values of the same or of another one."""

    def __init__(self, heads=4, shared=4):
        super().__init__()
        self.q, self.k, self.v, self.o = nn.Linear(32, heads * 8), nn.Linear(32, shared * 8), nn.Linear(32, shared * 8), nn.Linear(heads * 8, 32)
        self.heads, self.shared = heads, shared

    def split(self, x, heads):
        return x.view(x.shape[0], x.shape[1], heads, 8).transpose(1, 2)

    def forward(self, x, y=None):
        y = x if y is None else y
        q, k, v = self.split(self.q(x), self.heads), self.split(self.k(y), self.shared), self.split(self.v(y), self.shared)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.heads != self.shared)
        return self.o(mixed.transpose(1, 2).flatten(2))


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Attention(), Attention()])

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


N, M = Dim("n", min=1, max=32), Dim("m", min=1, max=32)
BATCH = Dim("batch", min=1, max=4)


def drawn(*sizes):
    return tuple(torch.randn(*size) for size in sizes)


def lengths(*pairs):
    return [drawn((1, n, 32), (1, m, 32)) for n, m in pairs]


# name -> module, calls, dynamic shapes
CAUSAL = {
    "one_length": (Attention, [drawn((1, n, 32)) for n in (7, 1, 2, 12, 32)], ({1: N},)),
    "two_layers": (Layers, [drawn((1, n, 32)) for n in (7, 3, 31)], ({1: N},)),
    "batches": (Attention, [drawn((b, n, 32)) for b, n in ((2, 7), (4, 32), (3, 5))], ({0: BATCH, 1: N},)),
    "grouped": (lambda: Attention(4, 2), [drawn((1, n, 32)) for n in (7, 2, 30)], ({1: N},)),
    "grouped_to_one": (lambda: Attention(4, 1), [drawn((1, n, 32)) for n in (7, 2, 30)], ({1: N},)),
    "other_keys": (Attention, lengths((7, 5), (5, 7), (2, 32), (32, 3)), ({1: N}, {1: M})),
    "grouped_other_keys": (lambda: Attention(4, 2), lengths((7, 5), (5, 7), (32, 3)), ({1: N}, {1: M})),
    "fixed_keys": (Attention, lengths((7, 16), (20, 16), (16, 16)), ({1: N}, None)),
    "fixed_queries": (Attention, lengths((6, 9), (6, 3), (6, 32)), (None, {1: M})),
}


def built(intaglio, folder, recipe):
    done = intaglio("build", folder / "m.pt2", "-o", folder / "m.pte", "--recipe", recipe, "--calibrate", folder / "m" / "data", "--quiet")
    assert "portable" not in done.stderr
    return folder / "m.pte"


def interpreted(intaglio, folder, index):
    sample = sorted((folder / "m" / "data").iterdir())[index]
    intaglio("run", folder / "m.pt2", "--input", sample, "-o", folder / "out.npz")
    return np.load(folder / "out.npz")["arr_0"]


def close(wanted, got, least):
    assert wanted.std() > 0.05 and wanted.shape == got.shape and sqnr(wanted, got) > least, (wanted.shape, sqnr(wanted, got))


def check(intaglio, folder, case, recipes, floor):
    with torch.no_grad():
        save(case, folder / "m.pt2", data=case.calls)
    wanted = [leaves[0].numpy() for leaves in case.expected]
    for index in {0, len(wanted) - 1}:
        close(wanted[index], interpreted(intaglio, folder, index), floor if floor > 40 else 100)
    for recipe in recipes:
        method = method_of(built(intaglio, folder, recipe))
        for call, expected in zip(case.calls, wanted, strict=True):
            close(expected, execute(method, call)[0].numpy(), 100 if recipe == FLOAT else floor)


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_attention_at_every_length(intaglio, tmp_path, name):
    make, calls, shapes = CAUSAL[name]
    with seeded():
        case = Case(make().eval(), calls, shapes=shapes)
    kinds = list(INT8.values())
    check(intaglio, tmp_path, case, [FLOAT, kinds[list(CAUSAL).index(name) % 3]], 25)


@pytest.mark.parametrize("kind", INT8)
def test_causal_attention_under_every_recipe(intaglio, tmp_path, kind):
    make, calls, shapes = CAUSAL["one_length"]
    with seeded():
        case = Case(make().eval(), calls, shapes=shapes)
    check(intaglio, tmp_path, case, [INT8[kind]], 25)


def test_half_attention_of_any_length_takes_the_lowest_half(intaglio, tmp_path):
    class Plain(nn.Module):
        def forward(self, q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True).float()

    with seeded():
        calls = [tuple(torch.randn(2, n, 8).half() for _ in range(3)) for n in (7, 2, 20)]
    check(intaglio, tmp_path, Case(Plain(), calls, shapes=({1: N},) * 3), [], 50)
    method = method_of(built(intaglio, tmp_path, FLOAT))
    for call in calls:
        close(Plain()(*(x.float() for x in call)).numpy(), execute(method, call)[0].numpy(), 50)


def test_the_mask_is_made_once_for_all_layers(document, tmp_path):
    make, calls, shapes = CAUSAL["two_layers"]
    with seeded(), torch.no_grad():
        save(Case(make().eval(), calls, shapes=shapes), tmp_path / "m.pt2", data=calls)
    said = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", FLOAT)
    assert sum("arange" in op["op"] for op in said["methods"][0]["leftover_ops"]) == 1


# ---- nn.TransformerEncoder under no_grad, exported strictly: one operator a layer


class Encoder(nn.Module):
    def __init__(self, layers=2, **options):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, layers) if layers > 1 else layer

    def forward(self, x, *masks):
        return self.encoder(x, *masks)


PADDED, AHEAD = torch.arange(5).expand(2, 5) >= torch.tensor([[5], [3]]), torch.ones(5, 5).triu(1).bool()
ENCODERS = {
    "plain": (lambda: Encoder(), ()),
    "norm_first": (lambda: Encoder(norm_first=True, activation="gelu"), ()),
    "padding": (lambda: Encoder(1), (None, PADDED)),
    "mask": (lambda: Encoder(1), (AHEAD,)),
    "float_mask": (lambda: Encoder(1), (torch.zeros(5, 5).masked_fill(AHEAD, float("-inf")),)),
    "both": (lambda: Encoder(1), (AHEAD, PADDED)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_layers_of_one_operator(intaglio, tmp_path, name):
    make, masks = ENCODERS[name]
    with seeded():
        case = Case(make().eval(), [(torch.randn(2, 5, 16), *masks)], options={"strict": True})
    with torch.no_grad():
        check(intaglio, tmp_path, case, [FLOAT, INT8["static"], INT8["dynamic"]][: 2 if masks else 3], 25)
    program = torch.export.load(tmp_path / "m.pt2")
    assert any("_transformer_encoder_layer_fwd" in str(node.target) for node in program.graph.nodes)


def test_encoder_layers_are_quantized_like_those_of_several_operators(document, tmp_path):
    counts = {}
    for strict in (True, False):
        with seeded(), torch.no_grad():
            case = Case(Encoder().eval(), [(torch.randn(2, 5, 16),)], options={"strict": strict})
            save(case, tmp_path / f"{strict}.pt2", data=case.calls)
        for kind, recipe in INT8.items():
            said = document("build", tmp_path / f"{strict}.pt2", "-o", tmp_path / "m.pte", "--recipe", recipe,
                            "--calibrate", tmp_path / f"{strict}" / "data")
            weights = said["methods"][0]["delegates"]
            counts.setdefault(kind, []).append((len(weights), len(said["methods"][0]["leftover_ops"])))
    assert all(one == other == (1, 0) for one, other in counts.values()), counts
