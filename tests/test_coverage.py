"""What can be lowered can be calibrated, and the other way: the interpreter and lowering know the same programs."""

import copy
import dataclasses
import warnings

import numpy as np
import pytest
import torch
import torchao.quantization.pt2e  # noqa: F401  registers the quantized operators

from cases import __main__ as corpus
from cases import Case, leaves, seeded
from cases.coverage import NETWORKS, RECURRENT, STANDARDIZED
from oracle.archives import save
from oracle.build import NIGHTLY
from oracle.compare import sqnr
from oracle.executorch import execute, method_of
from oracle.torchao import quantize

warnings.filterwarnings("ignore")
STATIC, STATIC_PER_TENSOR = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"
DYNAMIC, FLOAT = "xnnpack_pt2e_int8_dynamic_per_channel", "xnnpack_fp32"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The archive of a network and the folder of its samples."""
    known = {}

    def get(name, form="training"):
        if (name, form) not in known:
            folder = tmp_path_factory.mktemp(name)
            case = dataclasses.replace(NETWORKS[name], form=form)
            save(case, folder / "m.pt2", data=case.calls)
            known[name, form] = case, folder / "m.pt2", folder / "m" / "data"
        return known[name, form]

    return get


def close(case, outputs, bound):
    """In every call of one loaded program."""
    for wanted, got in zip(case.expected, outputs, strict=True):
        wanted, got = wanted[0].numpy(), np.asarray(got)
        assert wanted.std() > 0.05 and sqnr(wanted, got) > bound, [sqnr(w[0].numpy(), np.asarray(g)) for w, g in zip(case.expected, outputs)]


def settings():
    """Every network with one static recipe and another one; with all of them in `make nightly`."""
    others = [(STATIC_PER_TENSOR, "inference"), (DYNAMIC, "training"), (FLOAT, "inference")]
    for place, name in enumerate(NETWORKS):
        for recipe, form in [(STATIC, "training"), *(others if NIGHTLY else [others[place % 3]])]:
            yield name, recipe, form


@pytest.mark.parametrize("name,recipe,form", settings())
def test_networks_are_built(document, saved, tmp_path, name, recipe, form):
    case, path, data = saved(name, form)
    said = document("build", path, "-o", tmp_path / "m.pte", "--recipe", recipe, "--calibrate", data)
    (method,) = said["methods"]
    assert len(method["delegates"]) == 1 and method["leftover_ops"] == []
    program = method_of(tmp_path / "m.pte")
    close(case, [execute(program, call)[0] for call in case.calls], 100 if recipe == FLOAT else 25)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_and_are_compared(document, intaglio, saved, tmp_path, name):
    case, path, data = saved(name)
    intaglio("run", path, "--input", data / "000.npy", "-o", tmp_path / "o.npz")
    np.testing.assert_allclose(np.load(tmp_path / "o.npz")["arr_0"], case.expected[0][0], rtol=1e-4, atol=1e-5)
    intaglio("lower", path, "-o", tmp_path / "m.pte", "--backend", "xnnpack")
    (output,) = document("compare", path, tmp_path / "m.pte", "--data", data)["outputs"]
    assert output["identical"] or output["sqnr_db"] > 100  # on some processors each bit is the same


@pytest.mark.parametrize("form", ["training", "inference"])
@pytest.mark.parametrize("name", [f"recurrent_{name}" for name in RECURRENT])
def test_state_of_converted_programs_goes_on_in_pytorch(intaglio, saved, tmp_path, name, form):
    case, path, data = saved(name, form)
    intaglio("quantize", path, "-o", tmp_path / "q.pt2", "--recipe", STATIC, "--calibrate", data)
    module = torch.export.load(tmp_path / "q.pt2").module()
    close(case, [module(*copy.deepcopy(call)).detach() for call in case.calls], 25)


def test_one_sample_shows_what_the_next_call_reads(document, saved, tmp_path):
    """torchao sees the state as it was before the only sample: zero, and no later call fits into that."""
    case, path, data = saved("recurrent_Recurrent")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "0.npy").write_bytes((data / "000.npy").read_bytes())
    reached = {}
    for compat in ("intaglio", "torchao"):
        document("build", path, "-o", tmp_path / "m.pte", "--recipe", STATIC, "--calibrate", tmp_path / "one", "--set", f"compat={compat}")
        program = method_of(tmp_path / "m.pte")
        outputs = [execute(program, call)[0].numpy() for call in case.calls[:2]]
        reached[compat] = sqnr(case.expected[1][0].numpy(), outputs[1])
    assert reached["intaglio"] > reached["torchao"] + 3


def test_torchaos_range_of_a_state(intaglio, saved, tmp_path):
    """The same bits under compat=torchao; the default has seen one state more."""
    def of_state(module):
        (node,) = (node for node in module.graph.nodes if node.op == "call_function" and node.name.startswith("quantize") and str(node.args[0]).removeprefix("b_") == "h")
        return node.args[1:3]

    case, path, data = saved("recurrent_Gated")
    ours = {}
    for compat in ("intaglio", "torchao"):
        intaglio("quantize", path, "-o", tmp_path / "q.pt2", "--recipe", STATIC, "--calibrate", data, "--set", f"compat={compat}")
        ours[compat] = of_state(torch.export.load(tmp_path / "q.pt2").graph_module)
    theirs = of_state(quantize(case.export(), copy.deepcopy(case.calls)))
    assert ours["torchao"] == theirs and ours["intaglio"][0] >= theirs[0] > 0.001


@pytest.mark.parametrize("recipe", [STATIC, DYNAMIC])
@pytest.mark.parametrize("name", STANDARDIZED)
def test_standardized_weights_are_quantized_as_plain_ones(document, saved, tmp_path, name, recipe):
    tensors = {}
    for which in (name, "plain"):
        _, path, data = saved(f"standardized_{which}")
        tensors[which] = document("quantize", path, "-o", tmp_path / "q.pt2", "--recipe", recipe, "--calibrate", data)["quantized_tensors"]
    assert tensors[name] == tensors["plain"] > 2


# ---- every program of tests/cases

LOWERED_ONLY = {  # and why no static recipe takes them
    "float64": "float64, and integer kernels stand beside float32",
    "NaN": "is NaN; samples must be numbers",
    "a size outside of the range": " expected, float32 [",
}
CALIBRATED_ONLY = {
    "a size without a bound": "has no upper bound",
    "types of kernels": "kernels do not take these operands",
}
FAMILIES = ("ops", "reach", "kernels", "delegated", "half", "int8", "programs", "archives", "masks", "coverage")
CORPUS = {f"{family}/{name}": make for family in FAMILIES if family in corpus.FAMILIES for name, make in corpus.FAMILIES[family].items()}


@pytest.mark.parametrize("name", [name for place, name in enumerate(CORPUS) if NIGHTLY or place % 20 == 0])
def test_what_lowers_is_calibrated(intaglio, tmp_path, name):
    """A twentieth of all in `make test`, each of them in `make nightly`."""
    with seeded(), torch.no_grad():
        case: Case = CORPUS[name]()
        case.calls = case.calls[:2]
        save(case, tmp_path / "m.pt2", data=[(call, case.kwargs) for call in case.calls])
    if any(not isinstance(leaf, torch.Tensor) for leaf in leaves((case.calls, case.kwargs))):
        pytest.skip("numbers and strings are not samples' by position")
    lowered = intaglio("lower", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--backend", "xnnpack", check=False, ranges_outside=name.startswith("reach/quantized"))
    calibrated = intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", "--recipe", STATIC, "--calibrate", tmp_path / "m" / "data", check=False)
    if lowered.returncode == 0 and calibrated.returncode != 0:
        assert any(reason in calibrated.stderr for reason in LOWERED_ONLY.values()), calibrated.stderr
    elif lowered.returncode != 0 and calibrated.returncode == 0:
        assert any(reason in lowered.stderr for reason in CALIBRATED_ONLY.values()), lowered.stderr
