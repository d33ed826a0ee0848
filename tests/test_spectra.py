"""Programs with complex numbers, on the interpreter, delegated and quantized: cases.spectra."""

import itertools

import numpy as np
import pytest
import torch

from cases import in_form, leaves, noise, spectra
from oracle.build import NIGHTLY
from oracle.compare import assert_same, sqnr
from oracle.executorch import execute, method_of

FORMS = ("training", "core") if NIGHTLY else ("training",)
# Near to others that are always looked at.
SIMILAR = {"log_mel_magnitude", "log_mel_batch", "whisper", "global_filter", "spectral_head", "complex_output_batch", "irfft_batch", "normalizations"}
NAMES = [name for name in spectra.CASES if NIGHTLY or name not in SIMILAR]
RECIPES = ["xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor", "xnnpack_pt2e_int8_dynamic_per_channel"]
MODELS = ["recognizer", "rotary", "recognizer_length", "log_power"]
QUANTIZED = list(itertools.product(MODELS, RECIPES)) if NIGHTLY else list(zip(MODELS, itertools.cycle(RECIPES)))


def close(expected: torch.Tensor) -> float:
    """Sums in another order: of the largest value, where angles and logarithms of small ones do not matter."""
    return 3e-5 * max(1.0, float(expected.abs().max()))


@pytest.fixture
def saved(tmp_path):
    def save(name, form="training"):
        case = spectra.CASES[name]
        with torch.no_grad():
            torch.export.save(in_form(case.export(), form), tmp_path / "model.pt2")
        for index, call in enumerate(case.calls):
            np.savez(tmp_path / f"{index}.npz", *(leaf.numpy() for leaf in leaves(call)))
        return case, tmp_path / "model.pt2", [tmp_path / f"{index}.npz" for index in range(len(case.calls))]

    return save


def read(path) -> list:
    with np.load(path) as arrays:
        return [torch.from_numpy(arrays[f"arr_{index}"]) for index in range(len(arrays.files))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_pytorchs(saved, intaglio, document, tmp_path, name, form):
    case, model, samples = saved(name, form)
    said = document("build", model, "-o", tmp_path / "model.pte", "--recipe", "xnnpack_fp32")
    assert said["warnings"] == []
    method = method_of(tmp_path / "model.pte")
    for call, sample, expected in zip(case.calls, samples, case.expected):
        assert all(value.abs().unique().numel() > 1 or value.numel() < 3 for value in expected)
        assert_same(execute(method, call), [value.resolve_conj() for value in expected], close)
        intaglio("run", model, "--input", sample, "-o", tmp_path / "out.npz")
        assert_same(read(tmp_path / "out.npz"), [value.resolve_conj() for value in expected], close)


@pytest.mark.parametrize("name, recipe", QUANTIZED)
def test_what_stands_around_complex_numbers_is_quantized(saved, document, intaglio, tmp_path, name, recipe):
    case, model, samples = saved(name)
    settings = ("--calibrate", tmp_path / "samples") if "static" in recipe else ()
    (tmp_path / "samples").mkdir()
    for seed in range(4):
        np.savez(tmp_path / "samples" / f"{seed}.npz", noise(*case.calls[0][0].shape, seed=seed).numpy())
    said = document("build", model, "-o", tmp_path / "model.pte", "--recipe", recipe, *settings)
    (method,) = said["methods"]
    assert not any("quantize" in op["op"] for op in method["leftover_ops"]), method["leftover_ops"]
    outputs = np.concatenate([execute(method_of(tmp_path / "model.pte"), call)[0].numpy().ravel() for call in case.calls])
    expected = np.concatenate([value[0].numpy().ravel() for value in case.expected])
    assert sqnr(expected, outputs) > 25, sqnr(expected, outputs)
    intaglio("quantize", model, "-o", tmp_path / "quantized.pt2", "--recipe", recipe, *settings)
    intaglio("run", tmp_path / "quantized.pt2", "--input", samples[0], "-o", tmp_path / "out.npz")
    (ours,) = read(tmp_path / "out.npz")
    with torch.no_grad():
        theirs = torch.export.load(tmp_path / "quantized.pt2").module()(*case.calls[0])
    assert sqnr(theirs.numpy(), ours.numpy()) > 35, sqnr(theirs.numpy(), ours.numpy())


def test_a_front_end_is_one_transform_and_delegates(saved, document, tmp_path):
    _, model, _ = saved("recognizer")
    (method,) = document("build", model, "-o", tmp_path / "model.pte", "--recipe", "xnnpack_fp32")["methods"]
    kernels = [op["op"] for op in method["leftover_ops"]]
    assert kernels.count("aten._fft_r2c.default") == 1, kernels
    assert not {"aten.mul.Tensor", "aten.add.Tensor", "aten.sqrt.default", "aten.slice_copy.Tensor", "aten.permute_copy.default"} & set(kernels)
