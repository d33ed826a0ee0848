"""What torchao's `quantize_` leaves, lowered: XNNPACK takes the linears, the runtime's kernels the embeddings."""

import numpy as np
import pytest

from cases import quantized
from oracle import executorch
from oracle.archives import save
from oracle.compare import outputs_of, sqnr

# A product of rows quantized at run time: XNNPACK rounds their ranges otherwise than torchao, here and there by one step. Scales of
# groups lose 16 bits besides.
STEP_DB = 36


def lowered(document, case, folder, *arguments):
    """What `lower` says, the file, and PyTorch's outputs."""
    program, pte = folder / "model.pt2", folder / "model.pte"
    save(case, program)
    said = document("lower", program, "--backend", "xnnpack", "-o", pte, *arguments)
    reference = outputs_of(case.module, case.calls).astype(np.float32)
    assert np.isfinite(reference).all() and np.ptp(reference) > 0.1
    return said, pte, reference


def weight_types(document, pte):
    nodes = [node for delegate in document("inspect", pte)["methods"][0]["delegates"] for node in delegate["nodes"]]
    return [node["inputs"][1]["type"] for node in nodes if node["kind"] == "FullyConnected"]


@pytest.mark.parametrize("name", quantized.LINEARS)
def test_linears_are_one_delegate(name, document, tmp_path):
    make, weight_type = quantized.LINEARS[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    (method,) = said["methods"]
    assert len(method["delegates"]) == 1 and not method["leftover_ops"] and not said["warnings"]
    assert sqnr(reference, executorch.run(pte, case.calls).astype(np.float32)) > STEP_DB


@pytest.mark.parametrize("name", ["int4_group_32", "int4_per_row", "int8_per_row", "int4_dynamic_length"])
def test_linears_as_executorch_lowers_them(name, document, tmp_path):
    case = quantized.LINEARS[name][0]()
    _, pte, _ = lowered(document, case, tmp_path, "--compat", "torchao")
    executorch.lower(case.export(), tmp_path / "theirs.pte")
    ours, theirs = executorch.run(pte, case.calls), executorch.run(tmp_path / "theirs.pte", case.calls)
    assert executorch.instructions(pte) == executorch.instructions(tmp_path / "theirs.pte")
    np.testing.assert_array_equal(ours, theirs)


def test_one_scale_a_row_stays_exact(document, tmp_path):
    """ExecuTorch rounds it to bfloat16."""
    case = quantized.LINEARS["int4_per_row"][0]()
    errors = []
    for compat in ("intaglio", "torchao"):
        _, pte, reference = lowered(document, case, tmp_path, "--compat", compat)
        errors.append(sqnr(reference, executorch.run(pte, case.calls)))
    assert errors[0] > 100 > 60 > errors[1]


@pytest.mark.parametrize("name", quantized.OUTSIDE)
def test_weights_without_a_kernel_are_refused(name, document, tmp_path):
    make, why = quantized.OUTSIDE[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    assert {op["rule"] for op in said["methods"][0]["leftover_ops"] if why in op["rule"]}
    (warning,) = said["warnings"]
    assert why in warning and "'gate'" in warning and "2 more" in warning
    # Inputs of layers that compute in float are not quantized.
    assert sqnr(reference, executorch.run(pte, case.calls)) > STEP_DB


@pytest.mark.parametrize("name", quantized.WEIGHT_ONLY)
def test_weight_only_linears_are_expanded(name, document, tmp_path):
    case = quantized.WEIGHT_ONLY[name]()
    said, pte, reference = lowered(document, case, tmp_path)
    (warning,) = said["warnings"]
    assert "Int8DynamicActivationIntxWeightConfig" in warning
    np.testing.assert_allclose(executorch.run(pte, case.calls), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", quantized.EMBEDDINGS)
def test_embeddings_have_kernels(name, document, tmp_path):
    make, kernel = quantized.EMBEDDINGS[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    delegates, kernels = executorch.instructions(pte)
    assert delegates == 1 and kernels == [f"quantized_decomposed::embedding_{kernel}.out"] and not said["warnings"]
    assert sqnr(reference, executorch.run(pte, case.calls).astype(np.float32)) > STEP_DB
