"""Loops (cases/loops.py) from `.pt2` to `.pte` and on the interpreter, beside PyTorch."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch._higher_order_ops.map import map as mapped
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim

from cases import Case, seeded
from cases.loops import LOOPS
from oracle.archives import save
from oracle.build import probe
from oracle.compare import assert_same, sqnr
from oracle.executorch import execute, method_of

warnings.filterwarnings("ignore")


@pytest.fixture(scope="module")
def lowered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loops")
    arguments = []
    for name, case in LOOPS.items():
        with torch.no_grad():
            save(case, folder / f"{name}.pt2", data=case.calls)
        arguments += [folder / f"{name}.pt2", folder / f"{name}.portable.pte"]
    return folder, probe("edge_lower", *arguments, check=False).stderr


@pytest.mark.parametrize("name", LOOPS)
def test_loops_run_as_in_pytorch(lowered, intaglio, name, tmp_path):
    folder, errors = lowered
    case, program = LOOPS[name], folder / f"{name}.pt2"
    assert any(isinstance(leaf, torch.Tensor) and leaf.numel() > 1 and leaf.float().std() > 0.05 for leaf in case.expected[0])
    intaglio("lower", program, "-o", folder / f"{name}.xnnpack.pte", "--backend", "xnnpack")
    for backend in ("portable", "xnnpack"):
        path = folder / f"{name}.{backend}.pte"
        assert path.exists(), errors
        method = method_of(path)
        for call, expected in zip(case.calls, case.expected, strict=True):
            assert_same(execute(method, call), expected, case.tolerance)
    for sample, expected in zip(sorted((folder / name / "data").iterdir()), case.expected, strict=True):
        intaglio("run", program, "--input", sample, "-o", tmp_path / "out.npz")
        found = np.load(tmp_path / "out.npz")
        assert_same([torch.from_numpy(found[f"arr_{i}"]) for i in range(len(expected))], expected, case.tolerance)


class Between(nn.Module):
    """A loop between layers that are quantized."""

    def __init__(self, loop):
        super().__init__()
        self.before, self.inside, self.after = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 5)
        self.loop = loop

    def forward(self, x):
        return self.after(self.loop(self, torch.relu(self.before(x))))


def scanned(self, x):
    return scan(lambda h, x: (torch.tanh(self.inside(h) + x), h * 2), x[0], x, dim=0)[1]


def repeated(self, x):
    return while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, torch.tanh(self.inside(x)) + x), (torch.tensor(0), x))[1]


@pytest.mark.parametrize("loop, kind", [(scanned, "static"), (repeated, "dynamic")])
def test_what_is_inside_stays_in_float_and_a_line_says_so(document, intaglio, tmp_path, loop, kind):
    recipe = f"xnnpack_pt2e_int8_{kind}_per_channel"
    with seeded():
        case = Case(Between(loop).eval(), [(torch.randn(4, 3, 8),) for _ in range(4)])
    with torch.no_grad():
        save(case, tmp_path / "m.pt2", data=case.calls)
    data = tmp_path / "m" / "data"
    said = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", recipe, "--calibrate", data)
    (line,) = [warning for warning in said["warnings"] if "higher_order." in warning]
    assert "stays in float" in line and "% of the work" in line and "test_loops.py:" in line and "unrolls" in line
    assert said["quantized_tensors"] >= 4
    intaglio("run", tmp_path / "m.pte", "--input", data / "000.npy", "-o", tmp_path / "out.npz")
    wanted, got = case.expected[0][0].numpy(), np.load(tmp_path / "out.npz")["arr_0"]
    assert wanted.std() > 0.2 and 30 < sqnr(wanted, got) < 100
    intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", "--recipe", recipe, "--calibrate", data)
    got = torch.export.load(tmp_path / "q.pt2").module()(*case.calls[0]).detach().numpy()
    assert 30 < sqnr(wanted, got) < 100


def summed(self, x):
    return scan(lambda h, x: (torch.tanh(self.inside(h) + x), h * 2), x.sum(0), x, dim=0)[1]


@pytest.mark.parametrize("recipe", ["xnnpack_fp32", "xnnpack_pt2e_int8_dynamic_per_channel"])
@pytest.mark.parametrize("loop", [summed, lambda self, x: mapped(lambda x: torch.tanh(self.inside(x)) + x, x)], ids=["scan", "map"])
def test_a_loop_without_iterations_is_refused_as_pytorch_refuses_it(intaglio, tmp_path, loop, recipe):
    with seeded():
        case = Case(Between(loop).eval(), [(torch.randn(t, 3, 8),) for t in (4, 1, 9)], shapes=({0: Dim("t", min=0, max=9)},))
    with torch.no_grad():
        save(case, tmp_path / "m.pt2")
    intaglio("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", recipe)
    method = method_of(tmp_path / "m.pte")
    for call, expected in zip(case.calls, case.expected, strict=True):
        assert sqnr(expected[0].numpy(), execute(method, call)[0].numpy()) > (100 if recipe == "xnnpack_fp32" else 30)
    with pytest.raises(Exception):
        case.module(torch.randn(0, 3, 8))
    np.save(tmp_path / "none.npy", np.zeros((0, 3, 8), np.float32))
    for kind, words in (("pt2", "a tensor without rows"), ("pte", "index 0 out of range")):
        done = intaglio("run", tmp_path / f"m.{kind}", "--input", tmp_path / "none.npy", check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and words in done.stderr
