"""In-place operators, views among them, on the runtime, on the interpreter and in quantized programs, beside PyTorch."""

import numpy as np
import pytest
import torch
import torchao.quantization.pt2e  # noqa: F401  registers the quantized operators
from torch import nn

from cases import Case, Function, seeded
from oracle.archives import save
from oracle.compare import sqnr

RECIPES = ["xnnpack_fp32", "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"]

# Writes through the view reach what it is a view of; what was taken before keeps its sizes.
VIEWS = {
    "unsqueeze_": lambda y: y.unsqueeze_(1),
    "squeeze_": lambda y: y.unsqueeze_(0).squeeze_(),
    "squeeze_dim": lambda y: y.unsqueeze_(-1).squeeze_(-1),
    "squeeze_dims": lambda y: y.unsqueeze_(0).unsqueeze_(2).squeeze_((0, 2)),
    "transpose_": lambda y: y.transpose_(0, 1),
    "t_": lambda y: y.t_(),
    "swapaxes_": lambda y: y.swapaxes_(1, 0),
    "swapdims_": lambda y: y.swapdims_(0, -1),
    "chain": lambda y: y.t_().unsqueeze_(0).transpose_(1, 2).squeeze_(0).t_(),
}


# Parts of a tensor of three matrices that are written through.
PARTS = {
    "diagonal": lambda y: y.diagonal(0, 1, 2),
    "diagonal_above": lambda y: y.diagonal(1, 2, 1),
    "diagonal_below": lambda y: y.diagonal(-2, 0, 2),
    "diagonal_of_a_matrix": lambda y: y[1].diagonal(),
    "diagonal_of_what_is_turned": lambda y: y.transpose(0, 2)[1:].diagonal(1),
    "tensor_split_places": lambda y: y.tensor_split((1, -1), 2)[1],
    "tensor_split_sections": lambda y: y.tensor_split(3, -1)[0],
    "hsplit": lambda y: y.hsplit([1])[1],
    "vsplit": lambda y: y.vsplit(3)[1],
    "dsplit": lambda y: y.dsplit([2, 9])[1],
    "ravel": lambda y: y.ravel()[7:19],
    "mH": lambda y: y.mH[1:],
}


class Turned(nn.Module):
    def __init__(self, turn):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 5)
        self.turn = turn

    def forward(self, x):
        y = self.first(x)
        row = y[0]
        z = self.turn(y)
        row.mul_(3)
        z.add_(z.mean())
        return z, self.second(row), y * 2


def written(folder, module, *calls, **options):
    case = Case(module.eval(), list(calls), **options)
    with torch.no_grad():
        save(case, folder / "m.pt2", data=case.calls)
    return case, folder / "m.pt2", sorted((folder / "m" / "data").iterdir())


def outputs(intaglio, path, sample, target):
    intaglio("run", path, "--input", sample, "-o", target)
    return list(np.load(target).values())


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_views_are_taken_and_written_through(intaglio, tmp_path, name, strict):
    with seeded():
        case, path, data = written(tmp_path, Turned(VIEWS[name]), (torch.randn(6, 6),), options={"strict": strict})
    expected = [leaf.numpy() for leaf in case.expected[0]]
    assert all(one.std() > 0.1 for one in expected)
    for recipe in RECIPES[: 1 if strict else 2]:
        intaglio("build", path, "-o", tmp_path / "m.pte", "--recipe", recipe, "--calibrate", data[0].parent)
        for wanted, got in zip(expected, outputs(intaglio, tmp_path / "m.pte", data[0], tmp_path / "out.npz"), strict=True):
            assert wanted.shape == got.shape and sqnr(wanted, got) > (100 if "fp32" in recipe else 25)
    for wanted, got in zip(expected, outputs(intaglio, path, data[0], tmp_path / "out.npz"), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["training", "core"])
@pytest.mark.parametrize("name", PARTS)
def test_parts_are_written_through(intaglio, tmp_path, name, form):
    def write(x):
        y = x * 2
        before = y[0] + 0
        part = PARTS[name](y)
        part.add_(torch.arange(float(part.shape[-1])) + 1)
        return y, before, part * 3

    with seeded():
        case, path, data = written(tmp_path, Function(write), (torch.randn(3, 4, 5),), form=form)
    intaglio("build", path, "-o", tmp_path / "m.pte", "--recipe", "xnnpack_fp32")
    for engine in ("m.pte", "m.pt2"):
        for wanted, got in zip(case.expected[0], outputs(intaglio, tmp_path / engine, data[0], tmp_path / "out.npz"), strict=True):
            np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compat, low, high", [("intaglio", 25, 100), ("torchao", 0, 15)])
def test_quantized_programs_keep_what_is_written_through_views_and_torchao_loses_it(intaglio, tmp_path, compat, low, high):
    with seeded():
        case, path, data = written(tmp_path, Turned(VIEWS["chain"]), (torch.randn(6, 6),))
    arguments = ["--recipe", RECIPES[1], "--calibrate", data[0].parent, "--set", f"compat={compat}"]
    intaglio("quantize", path, "-o", tmp_path / "q.pt2", *arguments)
    got = torch.export.load(tmp_path / "q.pt2").module()(*case.calls[0])[0].detach().numpy()
    assert low < sqnr(case.expected[0][0].numpy(), got) < high


def test_sizes_that_callers_would_see_are_refused(intaglio, tmp_path):
    class Buffer(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.ones(3, 4))

        def forward(self, x):
            return x @ self.table.t_()

    program = torch.export.export(Buffer(), (torch.randn(2, 4),))
    torch.export.save(program, tmp_path / "m.pt2")
    done = intaglio("lower", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--backend", "xnnpack", check=False)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "changes the sizes of 'b_table'" in done.stderr and "test_in_place.py:" in done.stderr


# One operator after the other, each on a fresh part: written as PyTorch's methods, so that their own schemas are met.
OPERATORS = {
    "absolute": lambda y: y.absolute_(),
    "addcmul": lambda y: y.addcmul_(y, y, value=0.5),
    "addmm": lambda y: y.addmm_(y.clone(), y.clone()),
    "arctan": lambda y: y.arctan_(),
    "arctan2": lambda y: y.arctan2_(y.flip(0)),
    "bitwise_or": lambda y: (y * 9).int().__ior__(4),
    "clip": lambda y: y.clip_(torch.full_like(y, -0.5), torch.full_like(y, 0.4)),
    "copy": lambda y: y.copy_(y.flip(0)[:1]),
    "cumsum": lambda y: y.cumsum_(1),
    "divide": lambda y: y.divide_(0.3, rounding_mode="trunc"),
    "fill_diagonal": lambda y: y.fill_diagonal_(4.0),
    "floor_divide": lambda y: y.floor_divide_(torch.full_like(y, 0.2)),
    "greater": lambda y: y.greater_(0.1),
    "index_fill": lambda y: y.index_fill_(0, torch.tensor([0, 2]), 0.5),
    "index_put": lambda y: y.index_put_((torch.tensor([0, 2]),), torch.ones(3)),
    "put": lambda y: y.put_(torch.tensor([1, 5, -1]), y[0].clone(), accumulate=True),
    "renorm": lambda y: y.renorm_(2, 0, 0.9),
    "ldexp": lambda y: y.ldexp_(torch.tensor([1.0, 2, 3])),
    "left_shift": lambda y: (y * 9).int().__ilshift__(2),
    "lerp": lambda y: y.lerp_(y.flip(0), 0.3),
    "logit": lambda y: y.logit_(),
    "masked_fill": lambda y: y.masked_fill_(y > 0.2, -1.0),
    "multiply": lambda y: y.multiply_(torch.tensor(3)),
    "negative": lambda y: y.negative_(),
    "not_equal": lambda y: y.round_(decimals=1).not_equal_(0.1),
    "pow": lambda y: y.pow_(torch.full_like(y, 2.0)),
    "resize": lambda y: y.resize_(4),
    "scatter": lambda y: y.scatter_(0, torch.tensor([[0, 1, 2]]), y.flip(1), reduce="add"),
    "set": lambda y: y.set_(y.flip(1)),
    "sigmoid": lambda y: y.sigmoid_(),
    "subtract": lambda y: y.subtract_(y.flip(0), alpha=2),
    "triu": lambda y: y.triu_(1),
    "true_divide": lambda y: y.true_divide_(0.7),
    "wrapped_diagonal": lambda y: y.repeat(3, 1).fill_diagonal_(-2.0, wrap=True),
    "zero": lambda y: y[1].zero_(),
}


def test_every_family_of_operators_writes_what_pytorch_writes(intaglio, tmp_path):
    def chain(x):
        results = []
        for operator in OPERATORS.values():
            y = x * 1
            results += [operator(y), y + 1]
        return tuple(results)

    case, path, data = written(tmp_path, Function(chain), (torch.tensor([[0.3, -0.2, 0.7], [0.5, 0.9, -0.4], [0.1, 0.6, 0.8]]),))
    intaglio("build", path, "-o", tmp_path / "m.pte", "--recipe", "xnnpack_fp32")
    for engine in ("m.pte", "m.pt2"):
        found = outputs(intaglio, tmp_path / engine, data[0], tmp_path / "out.npz")
        names = [name for operator in OPERATORS for name in (operator, f"{operator}'s operand")]
        for name, wanted, got in zip(names, case.expected[0], found, strict=True):
            np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-4, atol=1e-5, equal_nan=True, err_msg=f"{name} on {engine}")
