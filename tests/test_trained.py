"""MiniLM's sentence embeddings, Whisper tiny's encoder and decoder, in 8da4w with int8 tables: as close to float as ExecuTorch's own file, every
linear layer in a delegate. `make nightly STAGE=llm` installs the packages."""

import copy
import os
from pathlib import Path

import pytest
import torch

from cases import smollm2, trained
from cases.quantized import dynamic, weight_only
from oracle import executorch
from oracle.compare import sqnr

pytestmark = pytest.mark.skipif("SMOLLM2" not in os.environ, reason="the packages are installed by the nightly stage")

RECIPE = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group"]
LINEARS = {"minilm": 36, "whisper_encoder": 24, "whisper_decoder": 41}
DELEGATES = {"minilm": 2, "whisper_encoder": 1, "whisper_decoder": 2}


def model_of(name: str, packages: Path):
    """The module, its calls, and which of their sizes are dynamic."""
    if name == "minilm":
        return trained.MiniLM(packages), trained.sentences(packages), trained.sentence_shapes()
    model = trained.whisper(packages)
    encoder, sounds = trained.Encoder(model), trained.sounds()
    if name == "whisper_encoder":
        return encoder, sounds, None
    with torch.no_grad():
        states = encoder(*sounds[1])
    tokens = torch.export.Dim("tokens", min=2, max=128)
    return trained.Decoder(model), [(torch.tensor([words]), states) for words in trained.WORDS], ({1: tokens}, None)


@pytest.fixture(scope="module", params=LINEARS)
def subject(request, tmp_path_factory):
    folder = Path(os.environ["SMOLLM2"])
    smollm2.exporter(folder)  # puts transformers on the path
    module, calls, shapes = model_of(request.param, folder / "packages")
    program = torch.export.export(module, calls[0], dynamic_shapes=shapes)
    path = tmp_path_factory.mktemp(request.param) / "model.pt2"
    torch.export.save(program, path)
    with torch.no_grad():
        outputs = [module(*call) for call in calls]
    return request.param, module, calls, shapes, path, outputs


def outputs_of(pte, calls):
    method = executorch.method_of(pte)
    return [executorch.execute(method, call)[0] for call in calls]


def test_float_is_pytorchs(subject, document, tmp_path):
    _, _, calls, _, program, expected = subject
    document("lower", program, "--backend", "xnnpack", "-o", tmp_path / "model.pte")
    for ours, theirs in zip(outputs_of(tmp_path / "model.pte", calls), expected, strict=True):
        assert theirs.std() > 0.01 and sqnr(theirs.numpy(), ours.numpy()) > 90


def test_quantized_is_as_close_as_executorchs_own_file(subject, document, tmp_path):
    from torchao.quantization import quantize_
    from torchao.utils import unwrap_tensor_subclass

    name, module, calls, shapes, program, expected = subject
    built = document("build", program, "-o", tmp_path / "ours.pte", *RECIPE)
    (method,) = built["methods"]
    assert len(method["delegates"]) <= DELEGATES[name] and not any("linear" in op["op"] for op in method["leftover_ops"])
    nodes = [node for delegate in document("inspect", tmp_path / "ours.pte")["methods"][0]["delegates"] for node in delegate["nodes"]]
    assert sum(node["kind"] == "FullyConnected" and " qbint4[" in node["text"] for node in nodes) == LINEARS[name]

    quantized = copy.deepcopy(module)
    quantize_(quantized, weight_only(8), lambda layer, _: type(layer) is torch.nn.Embedding)  # positions of Whisper's decoder are of a class of their own
    quantize_(quantized, dynamic(4, 32))
    executorch.lower_quantized(torch.export.export(unwrap_tensor_subclass(quantized), calls[0], dynamic_shapes=shapes), tmp_path / "theirs.pte")
    cosine = lambda a, b: torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0).item()
    near = [[cosine(a, b) for a, b in zip(outputs_of(tmp_path / f"{side}.pte", calls), expected)] for side in ("ours", "theirs")]
    print(name, [[round(one, 4) for one in side] for side in near], "theirs:", executorch.instructions(tmp_path / "theirs.pte")[0], "delegates")
    assert min(near[0]) > 0.9 and sum(near[0]) > sum(near[1]) - 0.005 * len(calls)
    assert (tmp_path / "ours.pte").stat().st_size <= 1.02 * (tmp_path / "theirs.pte").stat().st_size
    assert 3 * len(method["delegates"]) <= executorch.instructions(tmp_path / "theirs.pte")[0]
