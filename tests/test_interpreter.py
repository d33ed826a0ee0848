"""The interpreter gives PyTorch's results: single operators and whole models, in training IR, inference IR and core ATen.

Everything is exported and saved first and run by one process of `interpreter_run`; each case then compares its outputs
with the eager module's.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import interpreter_cases

ROOT = Path(__file__).resolve().parent.parent
FORMS = ("training", "inference", "core")
# Sums in another order differ by a few units in the last place of the largest value.
RELATIVE, ABSOLUTE = 2e-5, 2e-6
# bfloat16 and float16 steps round differently where PyTorch computes a whole expression wider.
LOOSE = {"half": 1e-2}
# PyTorch's own decomposition differs from its eager kernel by more than rounding: (form) -> why
SKIPPED = {}


def flat(outputs):
    return [o for o in torch.utils._pytree.tree_leaves(outputs) if isinstance(o, torch.Tensor)]


def forms_of(module, inputs):
    program = torch.export.export(module, inputs, strict=False)
    yield "training", program
    yield "inference", program.run_decompositions({})
    yield "core", program.run_decompositions()


def write_case(folder, name, module, inputs, forms=FORMS):
    """Saves the forms; returns the command line's triples."""
    np.savez(folder / f"{name}.npz", **{f"arr_{i}": t.detach().numpy() for i, t in enumerate(inputs)})
    triples = []
    for form, program in forms_of(module, inputs):
        if form not in forms:
            break
        torch.export.save(program, folder / f"{name}.{form}.pt2")
        triples += [folder / f"{name}.{form}.pt2", folder / f"{name}.npz", folder / f"{name}.{form}.out.npz"]
    return triples


def run_tool(triples, *options):
    tool = Path(os.environ.get("INTAGLIO_BUILD", ROOT / "build")) / "tests/probes/interpreter_run"
    assert tool.exists(), f"{tool} is not built"
    done = subprocess.run([tool, *options, *map(str, triples)], capture_output=True, text=True, timeout=600)
    errors = {}
    for line in done.stderr.splitlines():
        path, _, message = line.partition(".pt2: ")
        errors[Path(path).name] = message
    assert done.returncode in (0, 1), done.stderr
    return errors


@pytest.fixture(scope="session")
def results(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("interpreter")
    selected = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    triples, expected, failed = [], {}, {}
    for name, (module, inputs) in interpreter_cases.CASES.items():
        if name not in selected:
            continue
        try:
            triples += write_case(folder, name, module, inputs)
        except Exception as error:  # noqa: BLE001 - PyTorch cannot export it: shown by the case itself
            failed[name] = repr(error)
        with torch.no_grad():
            expected[name] = [t.clone() for t in flat(module(*[i.clone() for i in inputs]))]
    return folder, expected, failed, run_tool(triples)


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
@pytest.mark.parametrize("name", interpreter_cases.CASES)
def test_operator(results, name, form):
    folder, expected, failed, errors = results
    assert name not in failed, failed[name]
    if (name, form) in SKIPPED:
        pytest.skip(SKIPPED[name, form])
    assert f"{name}.{form}" not in errors, errors[f"{name}.{form}"]
    with np.load(folder / f"{name}.{form}.out.npz") as actual:
        compare(name, actual, expected[name])


@pytest.mark.parametrize("name", interpreter_cases.MODELS)
def test_model(tmp_path, name):
    module, inputs = interpreter_cases.MODELS[name]()
    with torch.no_grad():
        expected = flat(module(*inputs))
    errors = run_tool(write_case(tmp_path, name, module, inputs, FORMS[:2]), "--threads", "2")
    assert not errors, errors
    for form in FORMS[:2]:
        with np.load(tmp_path / f"{name}.{form}.out.npz") as actual:
            for i, want in enumerate(expected):
                got = torch.from_numpy(actual[f"arr_{i}"])
                spread = want.std().item()
                assert got.shape == want.shape and spread > 1e-4 and got.std().item() > 0.5 * spread, "zero or constant"
                torch.testing.assert_close(got, want, rtol=0, atol=2e-4 * want.abs().max().item())


def test_quantized_model(tmp_path):
    """A program that torchao converted: floats between dequantize and quantize, results equal up to a rounding flip."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    module, inputs = interpreter_cases.MODELS["timm_resnet10t"]()
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(module, inputs).module(), quantizer)
    prepared(*inputs)
    converted = convert_pt2e(prepared)
    with torch.no_grad():
        expected = converted(*inputs)
    torch.export.save(torch.export.export(converted, inputs), tmp_path / "model.pt2")
    np.savez(tmp_path / "model.npz", arr_0=inputs[0].numpy())
    errors = run_tool([tmp_path / "model.pt2", tmp_path / "model.npz", tmp_path / "out.npz"])
    assert not errors, errors
    with np.load(tmp_path / "out.npz") as actual:
        noise = torch.from_numpy(actual["arr_0"]) - expected
    assert expected.std() > 1e-3
    assert 10 * torch.log10(expected.square().mean() / noise.square().mean().clamp(min=1e-30)) > 35
