"""The interpreter gives PyTorch's results: single operators and whole models, in training IR, inference IR and core ATen.

Everything is exported and saved first and run by one process of `interpreter_run`; each case then compares its outputs
with the eager module's.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from cases import Case, Function, in_form, leaves, seeded
from cases.kernels import COMPUTED
from cases.networks import SMALL
from oracle.archives import to_numpy
from oracle.compare import sqnr
from oracle.build import probe
from oracle.torchao import converted

FORMS = ("training", "inference", "core")
# Sums in another order differ by a few units in the last place of the largest value.
RELATIVE, ABSOLUTE = 2e-5, 2e-6
# bfloat16 and float16 steps round differently where PyTorch computes a whole expression wider.
LOOSE = {"half": 1e-2}


def tensors(outputs) -> list:
    return [leaf for leaf in leaves(outputs) if isinstance(leaf, torch.Tensor)]


def write_case(folder, name, case: Case, forms=FORMS):
    """Saves the forms; returns the command line's triples."""
    np.savez(folder / f"{name}.npz", *(value.numpy() for value in case.calls[0]))
    program, triples = case.export(), []
    for form in forms:
        torch.export.save(in_form(program, form), folder / f"{name}.{form}.pt2")
        triples += [folder / f"{name}.{form}.pt2", folder / f"{name}.npz", folder / f"{name}.{form}.out.npz"]
    return triples


def run_tool(arguments):
    """Errors by the file's name."""
    done = probe("interpreter_run", *arguments, check=False)
    assert done.returncode in (0, 1), done.stderr
    lines = [line.partition(".pt2: ") for line in done.stderr.splitlines()]
    return {Path(path).name: message for path, _, message in lines}


@pytest.fixture(scope="session")
def results(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("interpreter")
    selected = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    triples, failed = [], {}
    for name in (name for name in COMPUTED if name in selected):
        try:
            triples += write_case(folder, name, COMPUTED[name])
        except Exception as error:  # noqa: BLE001 - PyTorch cannot export it: shown by the case itself
            failed[name] = repr(error)
    return folder, failed, run_tool(triples)


def compare(name, actual, expected):
    assert len(actual) == len(expected)
    for i, want in enumerate(expected):
        got = torch.from_numpy(actual[f"arr_{i}"])
        assert got.dtype == want.dtype and got.shape == want.shape, (i, got.dtype, got.shape, want.dtype, want.shape)
        if not want.dtype.is_floating_point or name.startswith("quantized_"):
            assert torch.equal(got, want), i
            continue
        scale = want[torch.isfinite(want)].abs().max().item() if torch.isfinite(want).any() else 1.0
        tolerance = LOOSE.get(name, RELATIVE)
        torch.testing.assert_close(got, want, rtol=tolerance, atol=ABSOLUTE + tolerance * scale, equal_nan=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", COMPUTED)
def test_operator(results, name, form):
    folder, failed, errors = results
    assert name not in failed, failed[name]
    assert f"{name}.{form}" not in errors, errors[f"{name}.{form}"]
    with np.load(folder / f"{name}.{form}.out.npz") as actual:
        compare(name, actual, tensors(COMPUTED[name].expected[0]))


@pytest.mark.parametrize("name", SMALL)
def test_model(tmp_path, name):
    case = SMALL[name]()
    errors = run_tool(["--threads", "2", *write_case(tmp_path, name, case, FORMS[:2])])
    assert not errors, errors
    for form in FORMS[:2]:
        with np.load(tmp_path / f"{name}.{form}.out.npz") as actual:
            for i, want in enumerate(tensors(case.expected[0])):
                got = torch.from_numpy(actual[f"arr_{i}"])
                spread = want.std().item()
                assert got.shape == want.shape and spread > 1e-4 and got.std().item() > 0.5 * spread, "zero or constant"
                torch.testing.assert_close(got, want, rtol=0, atol=2e-4 * want.abs().max().item())


def test_quantized_model(tmp_path):
    """A program that torchao converted: floats between dequantize and quantize, results equal up to a rounding flip."""
    case = converted(SMALL["timm_resnet10t"]())
    errors = run_tool(write_case(tmp_path, "model", case, FORMS[:1]))
    assert not errors, errors
    (expected,) = tensors(case.expected[0])
    assert expected.std() > 1e-3
    with np.load(tmp_path / "model.training.out.npz") as actual:
        assert sqnr(expected.numpy(), actual["arr_0"]) > 35


def rounded_cases(dtype):
    """Function, inputs, and how much of the result has PyTorch's bits: sums differ in order, and an exponential in its last bits."""
    with seeded(3):
        draw = lambda *sizes: torch.randn(*sizes).to(dtype)  # noqa: E731
        x, y, w, bias, heads = draw(16, 96), draw(16, 96), draw(64, 96) / 10, draw(64), [draw(1, 4, 24, 32) for _ in range(3)]
    seen = torch.arange(24)[None] <= torch.arange(24)[:, None] + 3
    attend = torch.nn.functional.scaled_dot_product_attention
    return {
        "numbers": (lambda x: ((x * 1.7 + 0.3) / 1.3 - 0.7).where(x > 0.3, 2.1 - x), (x,), 1),
        "numbers_in_tensors": (lambda x: (x + torch.tensor(1.7)) * torch.tensor(1.3), (x,), 1),
        "alpha": (lambda x, y: torch.add(x, y, alpha=1.7) - torch.rsub(x, y, alpha=0.3), (x, y), 1),
        "bias": (lambda x: torch.nn.functional.linear(x, w, bias), (x,), 0.99),
        "addmm": (lambda x: torch.addmm(bias, x, w.t()), (x,), 0.99),
        "attention": (lambda q, k, v: attend(q, k, v, attn_mask=seen), heads, 0.85 if dtype == torch.bfloat16 else 0.6),
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_narrow_floats_are_rounded_where_pytorch_rounds(dtype, intaglio, tmp_path):
    for name, (function, inputs, share) in rounded_cases(dtype).items():
        program = torch.export.export(Function(function), tuple(inputs))
        torch.export.save(program, tmp_path / "m.pt2")
        np.savez(tmp_path / "in.npz", *map(to_numpy, inputs))
        intaglio("run", tmp_path / "m.pt2", "--input", tmp_path / "in.npz", "-o", tmp_path / "out.npz")
        with torch.no_grad():
            expected = to_numpy(program.module()(*inputs)).view(np.uint16)
        with np.load(tmp_path / "out.npz") as arrays:
            equal = arrays["arr_0"].view(np.uint16) == expected
        assert equal.mean() >= share and len(np.unique(expected)) > 50, (name, equal.mean())
