"""SmolLM2-135M on ExecuTorch's text runner, exported by `make nightly STAGE=llm` (or `make demo MODEL=smollm2`) into $SMOLLM2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cases.decoders import greedy
from oracle import executorch

pytestmark = pytest.mark.skipif("SMOLLM2" not in os.environ, reason="the model is exported by the nightly stage")

PROMPTS = ["The capital of France is", "Once upon a time"]
RECIPE = "xnnpack_torchao_int8da_int4w_per_group"


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(os.environ["SMOLLM2"])


@pytest.fixture(scope="module")
def tokenizer(folder):
    sys.path.append(str(folder / "packages"))
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))


@pytest.fixture(scope="module")
def quantized(folder, document, tmp_path_factory):
    """What PyTorch makes of the quantized program, whose numbers are torchao's (tests/test_quantize_api.py)."""
    path = tmp_path_factory.mktemp("smollm2") / "quantized.pt2"
    document("quantize", folder / "smollm2.pt2", "-o", path, "--recipe", RECIPE)
    import torchao  # noqa: F401

    module = torch.export.load(path).module()
    return lambda tokens, positions: module(input_ids=tokens, cache_position=positions)


def test_the_same_greedy_tokens(folder, tokenizer, quantized):
    method = executorch.method_of(folder / "smollm2.pte")
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = tokenizer.encode(prompt).ids
            expected = greedy(quantized, ids, 16)
            assert greedy(lambda tokens, positions: executorch.execute(method, (tokens, positions))[0], ids, 16) == expected


def test_the_text_runner_says_the_same(folder, tokenizer, quantized):
    script = Path(__file__).parent.parent / "examples" / "smollm2" / "generate.py"
    done = subprocess.run(
        [sys.executable, script, folder / "smollm2.pte", folder / "model" / "tokenizer.json", *PROMPTS],
        capture_output=True, text=True, check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(tuple(PROMPTS))]
    with torch.no_grad():
        for prompt, line in zip(PROMPTS, lines, strict=True):
            said = tokenizer.decode(greedy(quantized, tokenizer.encode(prompt).ids, 16)).replace("\n", "\\n")
            assert line == prompt + said


def test_few_delegates(folder, document, tmp_path):
    built = document("build", folder / "smollm2.pt2", "-o", tmp_path / "x.pte", "--recipe", RECIPE, "--no-check")
    (method,) = built["methods"]
    assert len(method["delegates"]) == 31 and len(method["leftover_ops"]) < 100  # of 30 layers, whose caches are written outside
