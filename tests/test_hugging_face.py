"""Language models as transformers writes them, beside PyTorch: `make nightly STAGE=llm`, which has transformers in $SMOLLM2/packages."""

import json
import os
from pathlib import Path

import pytest
import torch

from cases import hugging_face, smollm2
from cases.decoders import greedy
from oracle import executorch
from oracle.compare import sqnr

pytestmark = pytest.mark.skipif("SMOLLM2" not in os.environ, reason="transformers is installed by the nightly stage")

PROMPTS = [[5, 9, 77, 3], [100, 9, 7, 5, 4, 3, 2, 1, 44, 45, 46, 47], [40]]
RECIPE = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", "scale_dtype=bfloat16"]


@pytest.fixture(scope="module", params=[*hugging_face.MODELS, *hugging_face.EXPERTS, "whisper"])
def exported(request, tmp_path_factory):
    """The program on disk, what a call has between tokens and positions, and the number of layers."""
    export = smollm2.exporter(Path(os.environ["SMOLLM2"]))
    program = tmp_path_factory.mktemp(request.param) / "model.pt2"
    if request.param == "whisper":
        torch.export.save(hugging_face.whisper(), program)
        return program, (hugging_face.states(),), 2
    model = hugging_face.causal(request.param)
    torch.export.save(export.export(model, hugging_face.LENGTH), program)
    return program, (), 10 if request.param in hugging_face.EXPERTS else model.config.num_hidden_layers


def said(module, pte, between):
    """PyTorch's tokens and logits, and the file's logits for the same tokens, step by step from one prompt to the next."""
    method = executorch.method_of(pte)
    theirs, ours, tokens = [], [], []

    def step(new, positions):
        call = (new, *between, positions)
        theirs.append((module(*call) if between else module(input_ids=new, cache_position=positions))[0])
        ours.append(executorch.execute(method, call)[0][0])
        return theirs[-1]

    with torch.no_grad():
        for prompt in PROMPTS:
            tokens += greedy(step, prompt, 12)
    return torch.cat(theirs), torch.cat(ours), tokens


def test_float_is_pytorchs(exported, document, tmp_path):
    program, between, layers = exported
    (method,) = document("lower", program, "--backend", "xnnpack", "-o", tmp_path / "model.pte")["methods"]
    assert len(method["delegates"]) == layers + 1
    theirs, ours, tokens = said(torch.export.load(program).module(), tmp_path / "model.pte", between)
    assert sqnr(theirs.numpy(), ours.numpy()) > 100 and torch.equal(theirs.argmax(-1), ours.argmax(-1))
    assert len(set(tokens)) > 2 and theirs.std() > 0.05


def test_quantized_is_pytorchs(exported, document, tmp_path):
    program, between, layers = exported
    document("quantize", program, "-o", tmp_path / "quantized.pt2", *RECIPE)
    (method,) = document("build", program, "-o", tmp_path / "model.pte", *RECIPE)["methods"]
    assert len(method["delegates"]) == layers + 1
    import torchao  # noqa: F401

    theirs, ours, _ = said(torch.export.load(tmp_path / "quantized.pt2").module(), tmp_path / "model.pte", between)
    # A last bit of an input that becomes int8 at run time is a step of it here and there.
    assert sqnr(theirs.numpy(), ours.numpy()) > 30 and (theirs.argmax(-1) == ours.argmax(-1)).float().mean() > 0.9


@pytest.mark.parametrize("name", ["llama_yarn", "gemma3", "gpt2", "falcon"])
def test_without_caches(name, document, tmp_path):
    smollm2.exporter(Path(os.environ["SMOLLM2"]))
    program = hugging_face.plain(name)
    torch.export.save(program, tmp_path / "plain.pt2")
    document("lower", tmp_path / "plain.pt2", "--backend", "xnnpack", "-o", tmp_path / "plain.pte")
    module, method = program.module(), executorch.method_of(tmp_path / "plain.pte")
    for texts, length in ((2, 7), (1, 2), (4, hugging_face.LENGTH)):
        call = (torch.arange(texts * length).reshape(texts, length) * 7 % 120 + 3,)
        with torch.no_grad():
            expected = module(*call)
        assert expected.std() > 0.05 and sqnr(expected.numpy(), executorch.execute(method, call)[0].numpy()) > 100


def test_linears_that_are_written_as_products_are_quantized(document, tmp_path):
    """Falcon's: `input @ self.weight.T` in a module made of nn.Linear."""
    smollm2.exporter(Path(os.environ["SMOLLM2"]))
    torch.export.save(hugging_face.plain("falcon"), tmp_path / "plain.pt2")
    said = document("quantize", tmp_path / "plain.pt2", "-o", tmp_path / "quantized.pt2", *RECIPE)
    assert "9 of 9 linears quantized" in json.dumps(said)
