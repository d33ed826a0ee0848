"""Dynamic quantization beside torchao's and ExecuTorch's: layers.DYNAMICALLY, tests/records/dynamic.json.

A record holds what ExecuTorch's own `.pte` of the same module gives on the stock runtime.
"""

import io
import json

import executorch.kernels.quantized  # noqa: F401  registers what compat=torchao leaves to portable kernels
import numpy as np
import pytest
import torch

from cases import STATIC, Case, layers, networks, seeded
from oracle.archives import save
from oracle.compare import SQNR_MARGIN_DB, decoded, digest, outputs_of, sqnr
from oracle.build import NIGHTLY, record
from oracle.executorch import execute, method_of
from oracle.subject import Subject
from oracle.torchao import ops_of, quantize

RECORD = record("dynamic")
NAMES = list(RECORD["cases"])
# Wholly dynamic, with the layers in int8 that torchao has: the runtime's outputs are comparable.
SAME = [name for name in NAMES if name not in layers.MORE_THAN_TORCHAO and not layers.dynamically(name).quantization.configs]


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    known = {}

    def get(name):
        if name not in known:
            case = layers.dynamically(name)
            state = [*case.module.state_dict().values(), *(call[0] for call in case.calls)]
            assert digest(*state) == RECORD["cases"][name]["sha256"], "other inputs than the record's"
            calibration, test = case.calls[: layers.CALIBRATION], case.calls[layers.CALIBRATION :]
            known[name] = Subject(name, case, tmp_path_factory.mktemp(name), calibration, test)
        return known[name]

    return get


def recipe_of(subject, compat="intaglio"):
    path = subject.folder / f"{compat}.json"
    path.write_text(json.dumps(subject.case.quantization.recipe(compat)))
    return path


def built(subject, document, compat="intaglio"):
    said, outputs = subject.built(document, recipe_of(subject, compat))
    return said["methods"][0], outputs


@pytest.mark.parametrize("name", NAMES)
def test_at_least_as_good_as_executorchs(subject, document, name):
    made, recorded = subject(name), RECORD["cases"][name]
    method, outputs = built(made, document)
    assert len(np.unique(outputs)) > 8
    assert len(method["delegates"]) == 1 and method["leftover_ops"] == []
    reached = sqnr(made.reference, outputs)
    if "error" in recorded:  # ExecuTorch gives nothing that runs
        assert reached > 30
        return
    assert len(method["delegates"]) <= recorded["delegates"]
    if name in layers.MORE_THAN_TORCHAO:  # ExecuTorch leaves layers in float where Intaglio quantizes
        assert reached >= min(30, recorded["pte_sqnr_db"] - SQNR_MARGIN_DB)
    else:
        assert reached >= recorded["pte_sqnr_db"] - SQNR_MARGIN_DB


@pytest.mark.parametrize("name", [name for name in SAME if "error" not in RECORD["cases"][name]])
def test_same_weights_give_the_same_numbers(subject, document, name):
    """The same int8 weights on the same kernels: `.pte` outputs of both tools agree to float's last bits."""
    made, recorded = subject(name), RECORD["cases"][name]["outputs"]
    _, outputs = built(made, document, "torchao")
    theirs = decoded(recorded["float32"], "<f4").reshape(recorded["sizes"])
    if name == "branches":
        # ExecuTorch quantizes the image once for both convolutions, and the runtime then computes one of them wrongly.
        assert sqnr(made.reference[: len(theirs)], theirs) < 20 < sqnr(made.reference, outputs)
        return
    np.testing.assert_allclose(outputs[: len(theirs)], theirs, rtol=0, atol=2e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("name", [name for name in NAMES if not layers.dynamically(name).quantization.configs])
def test_converted_programs_are_torchaos(subject, intaglio, name):
    """compat=torchao: the same operators with the same parameters, and the same bits from PyTorch."""
    made = subject(name)
    if made.case.quantization.everything == STATIC:
        pytest.skip("tests/test_pt2e.py holds static scales to torchao's")
    converted = quantize(made.case.export(), made.calibration, made.case.quantization)
    saved = io.BytesIO()
    torch.export.save(torch.export.export(converted, made.calibration[0]), saved)
    saved.seek(0)
    expected = torch.export.load(saved)
    out = made.folder / "torchao.pt2"
    intaglio("quantize", made.program, "-o", out, *made.arguments(recipe_of(made, "torchao")))
    ours = torch.export.load(out)
    assert sorted(ops_of(ours)) == sorted(ops_of(expected))
    np.testing.assert_array_equal(outputs_of(ours.module(), made.test), outputs_of(expected.module(), made.test))


@pytest.mark.parametrize("name", NAMES)
def test_converted_programs_run_in_pytorch(subject, intaglio, name):
    """PyTorch and the interpreter compute the same from what Intaglio writes."""
    made = subject(name)
    out = made.folder / "intaglio.pt2"
    intaglio("quantize", made.program, "-o", out, *made.arguments(recipe_of(made)))
    expected = outputs_of(torch.export.load(out).module(), made.test)
    assert sqnr(made.reference, expected) > 20
    own = []
    for sample in sorted(made.test_folder.iterdir()):
        result = made.folder / "own.npz"
        intaglio("run", out, "--input", sample, "-o", result)
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
def test_differences_to_compat_torchao(subject, document, name):
    made = subject(name)
    counts = {}
    for compat in ("intaglio", "torchao"):
        said = document("quantize", made.program, "-o", made.folder / "q.pt2", *made.arguments(recipe_of(made, compat)))
        counts[compat] = said["quantized_tensors"]
    assert counts["intaglio"] > counts["torchao"]


REAL = [name for name in RECORD["models"] if name != "resnet18" or NIGHTLY]


@pytest.mark.parametrize("name", REAL)
def test_real_models(name, document, tmp_path):
    recorded = RECORD["models"][name]
    case = networks.SHARED[name]()
    real = Subject(name, case, tmp_path, [], case.draw(RECORD["real_test"], networks.TEST_SEED))
    assert digest(*(call[0] for call in real.test)) == recorded["test_sha256"], "other inputs than the record's"
    # What torchao leaves in float is more exact: of ResNet-18 fifteen convolutions, 14 MB and 1.6 dB. So the two are compared
    # with the same layers quantized.
    for compat in ("torchao", "intaglio"):
        said, outputs = real.built(document, "xnnpack_pt2e_int8_dynamic_per_channel", "--set", f"compat={compat}")
        (method,) = said["methods"]
        assert len(method["delegates"]) <= recorded["delegates"]
        assert len(method["leftover_ops"]) <= len(recorded["leftover_kernels"]), method["leftover_ops"]
        margin = SQNR_MARGIN_DB if compat == "torchao" or name != "resnet18" else 2
        assert sqnr(real.reference, outputs) >= recorded["pte_sqnr_db"] - margin
        assert said["bytes"] <= recorded["pte_bytes"]


KNOWN_LENGTHS = {
    "repeated": lambda x: x.repeat_interleave(torch.tensor([2, 0, 1, 3]), 1),
    "repeated_alike": lambda x: x.repeat_interleave(torch.tensor([2]), 1),
    "repeated_by_what_is_computed": lambda x: x.repeat_interleave(torch.arange(4) * 2, 1),
    "masked": lambda x: x[:, torch.tensor([True, False, True, True])],
    "masked_by_what_is_computed": lambda x: x[:, torch.arange(4) > 1],
}


class Behind(torch.nn.Module):
    def __init__(self, chosen):
        super().__init__()
        self.before, self.after, self.chosen = torch.nn.Linear(8, 8), torch.nn.Linear(8, 5), chosen

    def forward(self, x):
        return self.after(torch.relu(self.chosen(self.before(x))))


@pytest.mark.parametrize("recipe", ["xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"])
@pytest.mark.parametrize("name", KNOWN_LENGTHS)
def test_a_length_that_a_constant_decides_keeps_no_layer_in_float(document, intaglio, tmp_path, name, recipe):
    tensors = {}
    for kind, chosen in {"fixed": lambda x: x.index_select(1, torch.tensor([0, 2, 3])), "known": KNOWN_LENGTHS[name]}.items():
        with seeded():
            case = Case(Behind(chosen).eval(), [(torch.randn(2, 4, 8),) for _ in range(3)])
        with torch.no_grad():
            save(case, tmp_path / f"{kind}.pt2", calibration=case.calls)
        arguments = ["--recipe", recipe, "--calibrate", tmp_path / kind / "calibration"]
        tensors[kind] = document("build", tmp_path / f"{kind}.pt2", "-o", tmp_path / f"{kind}.pte", *arguments)["quantized_tensors"]
    assert tensors["known"] >= tensors["fixed"] > 0
    expected, method = case.expected[0][0].numpy(), method_of(tmp_path / "known.pte")
    assert sqnr(expected, execute(method, case.calls[0])[0].numpy()) > 30
    intaglio("quantize", tmp_path / "known.pt2", "-o", tmp_path / "q.pt2", *arguments)
    with torch.no_grad():
        assert sqnr(expected, torch.export.load(tmp_path / "q.pt2").module()(*case.calls[0]).numpy()) > 30
