"""Dynamic quantization beside torchao's and ExecuTorch's: tests/dynamic_models.py, tests/records/dynamic.json.

A record holds what ExecuTorch's own `.pte` of the same module gives on the stock runtime.
"""

import io
import json
import os
from pathlib import Path

import dynamic_models
import executorch.kernels.quantized  # noqa: F401  registers what compat=torchao leaves to portable kernels
import numpy as np
import pytest
import torch
from dynamic_models import CASES
from test_models import run_on_stock_runtime, sqnr

RECORD = json.loads((Path(__file__).parent / "records" / "dynamic.json").read_text())
SQNR_MARGIN_DB = 0.5
NAMES = list(RECORD["cases"])
SAME = [name for name in NAMES if CASES[name].same and not CASES[name].configs]


class Setup:
    def __init__(self, name, folder):
        self.name, self.case, self.recorded, self.folder = name, CASES[name], RECORD["cases"][name], folder
        self.model, self.calibration, self.test = dynamic_models.build(name)
        assert dynamic_models.digest(self.model, self.calibration + self.test) == self.recorded["sha256"], "other inputs than the record's"
        self.program = folder / "model.pt2"
        torch.export.save(torch.export.export(self.model, self.calibration[0]), self.program)
        for split, samples in (("calibration", self.calibration), ("test", self.test)):
            (folder / split).mkdir()
            for index, (sample,) in enumerate(samples):
                np.save(folder / split / f"{index:03}.npy", sample.numpy())
        self.reference = self.outputs_of(self.model)
        assert np.ptp(self.reference) > 0.1

    def outputs_of(self, module):
        with torch.no_grad():
            return np.concatenate([module(*sample).numpy() for sample in self.test])

    def arguments(self, compat):
        recipe = self.folder / f"{compat}.json"
        recipe.write_text(json.dumps(dynamic_models.recipe(self.case, compat)))
        return ["--recipe", recipe, "--calibrate", self.folder / "calibration"]

    def recorded_outputs(self):
        from make_records.dynamic import decode

        return decode(self.recorded["outputs"])


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Setup(name, tmp_path_factory.mktemp(name))
        return made[name]

    return get


def built(setup, document, compat="intaglio"):
    pte = setup.folder / f"{compat}.pte"
    result = document("build", setup.program, "-o", pte, *setup.arguments(compat))
    return result["methods"][0], run_on_stock_runtime(pte, setup.test)


@pytest.mark.parametrize("name", NAMES)
def test_at_least_as_good_as_executorchs(setup, document, name):
    case = setup(name)
    method, outputs = built(case, document)
    assert len(np.unique(outputs)) > 8
    assert len(method["delegates"]) == 1 and method["leftover_ops"] == []
    reached = sqnr(case.reference, outputs)
    if "error" in case.recorded:  # ExecuTorch gives nothing that runs
        assert reached > 30
        return
    assert len(method["delegates"]) <= case.recorded["delegates"]
    if case.case.same:
        assert reached >= case.recorded["pte_sqnr_db"] - SQNR_MARGIN_DB
    else:  # ExecuTorch leaves layers in float where Intaglio quantizes
        assert reached >= min(30, case.recorded["pte_sqnr_db"] - SQNR_MARGIN_DB)


@pytest.mark.parametrize("name", [name for name in SAME if "error" not in RECORD["cases"][name]])
def test_same_weights_give_the_same_numbers(setup, document, name):
    """The same int8 weights on the same kernels: `.pte` outputs of both tools agree to float's last bits."""
    case = setup(name)
    _, outputs = built(case, document, "torchao")
    theirs = case.recorded_outputs()
    if name == "branches":
        # ExecuTorch quantizes the image once for both convolutions, and the runtime then computes one of them wrongly.
        assert sqnr(case.reference[: len(theirs)], theirs) < 20 < sqnr(case.reference, outputs)
        return
    np.testing.assert_allclose(outputs[: len(theirs)], theirs, rtol=0, atol=2e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("name", [name for name in NAMES if not CASES[name].configs])
def test_converted_programs_are_torchaos(setup, intaglio, name):
    """compat=torchao: the same operators with the same parameters, and the same bits from PyTorch."""
    case = setup(name)
    if case.case.everything == dynamic_models.STATIC:
        pytest.skip("tests/test_pt2e.py holds static scales to torchao's")
    converted = dynamic_models.quantize(case.case, case.model, case.calibration)
    expected = torch.export.load(io.BytesIO(dynamic_models.save(torch.export.export(converted, case.calibration[0]))))
    out = case.folder / "torchao.pt2"
    intaglio("quantize", case.program, "-o", out, *case.arguments("torchao"))
    ours = torch.export.load(out)
    assert sorted(dynamic_models.ops_of(ours)) == sorted(dynamic_models.ops_of(expected))
    np.testing.assert_array_equal(case.outputs_of(ours.module()), case.outputs_of(expected.module()))


@pytest.mark.parametrize("name", NAMES)
def test_converted_programs_run_in_pytorch(setup, intaglio, name):
    """PyTorch and the interpreter compute the same from what Intaglio writes."""
    case = setup(name)
    out = case.folder / "intaglio.pt2"
    intaglio("quantize", case.program, "-o", out, *case.arguments("intaglio"))
    expected = case.outputs_of(torch.export.load(out).module())
    assert sqnr(case.reference, expected) > 20
    own = []
    for index in range(len(case.test)):
        result = case.folder / "own.npz"
        intaglio("run", out, "--input", case.folder / "test" / f"{index:03}.npy", "-o", result)
        own.append(np.load(result)["arr_0"])
    # A value on the edge between two steps may fall on either side; nothing else differs.
    assert sqnr(expected, np.concatenate(own)) > 45


DIFFERENCES = {  # dequantized tensors that Intaglio has and torchao has not
    "conv_relu": "a convolution before a relu",
    "conv_one_channel": "a convolution with one input channel",
    "conv1d": "a convolution over one dimension",
    "twice": "the second call of a convolution",
    "twice_static": "the second call of a convolution, a pool that is called as a function",
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_to_compat_torchao(setup, document, name):
    case = setup(name)
    counts = {}
    for compat in ("intaglio", "torchao"):
        counts[compat] = document("quantize", case.program, "-o", case.folder / "q.pt2", *case.arguments(compat))["quantized_tensors"]
    assert counts["intaglio"] > counts["torchao"]


REAL = [name for name in RECORD["models"] if name != "resnet18" or os.environ.get("INTAGLIO_NIGHTLY")]


@pytest.mark.parametrize("name", REAL)
def test_real_models(name, document, tmp_path):
    import oracle_models
    from make_records.models import digest

    recorded = RECORD["models"][name]
    model, inputs = oracle_models.MODELS[name]()
    test = inputs(RECORD["real_test"], oracle_models.TEST_SEED)
    assert digest(test) == recorded["test_sha256"], "other inputs than the record's"
    program, pte = tmp_path / "model.pt2", tmp_path / "model.pte"
    torch.export.save(torch.export.export(model, test[0]), program)
    with torch.no_grad():
        reference = np.concatenate([model(*sample).numpy() for sample in test])
    # What torchao leaves in float is more exact: of ResNet-18 fifteen convolutions, 14 MB and 1.6 dB. So the two are compared
    # with the same layers quantized.
    for compat in ("torchao", "intaglio"):
        settings = ["--recipe", "xnnpack_pt2e_int8_dynamic_per_channel", "--set", f"compat={compat}"]
        (method,) = document("build", program, "-o", pte, *settings)["methods"]
        assert len(method["delegates"]) <= recorded["delegates"]
        assert len(method["leftover_ops"]) <= len(recorded["leftover_kernels"]), method["leftover_ops"]
        outputs = run_on_stock_runtime(pte, test)
        margin = SQNR_MARGIN_DB if compat == "torchao" or name != "resnet18" else 2
        assert sqnr(reference, outputs) >= recorded["pte_sqnr_db"] - margin
        assert pte.stat().st_size <= recorded["pte_bytes"]
