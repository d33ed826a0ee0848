"""SmolLM2-135M on ExecuTorch's text runner, exported by `make nightly STAGE=llm` (or `make demo MODEL=smollm2`) into $SMOLLM2."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cases.decoders import greedy
from oracle import executorch
from oracle.compare import sqnr

pytestmark = pytest.mark.skipif("SMOLLM2" not in os.environ, reason="the model is exported by the nightly stage")

PROMPTS = ["The capital of France is", "Once upon a time"]
PROSE = """
The harbour was quiet when the first boats came in. Two women were mending nets on the wall, and a boy carried baskets of ice from the shed to
the scales. Nobody spoke much in the morning. The fish were weighed, the weights were written into a book, and the book went back into its box.
At nine o'clock the lorry from the city stopped in front of the office, and the driver asked, as he did every day, how the night had been. It had
been cold, he was told, and the wind had turned to the north before sunrise, so that the smaller boats stayed near the coast. He nodded, drank his
coffee and loaded the boxes. In the afternoon the children came from school and looked for crabs between the stones. They knew which stones could
be moved and which could not, and they put every crab back into the water before they went home. When the sun was low, an old man sat down on the
bench beside the lighthouse. He had been a captain for forty years, and he still counted the boats as they left. That evening he counted eleven.
""".replace("\n", " ").strip()
RECIPE = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", "scale_dtype=bfloat16"]


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(os.environ["SMOLLM2"])


@pytest.fixture(scope="module")
def tokenizer(folder):
    sys.path.append(str(folder / "packages"))
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))


@pytest.fixture(scope="module")
def converted(folder, document, tmp_path_factory):
    path = tmp_path_factory.mktemp("smollm2") / "quantized.pt2"
    document("quantize", folder / "smollm2.pt2", "-o", path, *RECIPE)
    return path


@pytest.fixture(scope="module")
def quantized(converted):
    """What PyTorch makes of the quantized program, whose numbers are torchao's (tests/test_quantize_api.py)."""
    import torchao  # noqa: F401

    module = torch.export.load(converted).module()
    return lambda tokens, positions: module(input_ids=tokens, cache_position=positions)


@pytest.fixture(scope="module")
def deployed(folder):
    method = executorch.method_of(folder / "smollm2.pte")
    return lambda tokens, positions: executorch.execute(method, (tokens, positions))[0]


def test_the_next_tokens_are_torchaos(tokenizer, quantized, deployed):
    """Of its continuation, token by token. XNNPACK rounds rows' ranges otherwise, so that a near tie may turn."""
    same = total = 0
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = tokenizer.encode(prompt).ids
            ids += greedy(quantized, ids, 24)
            tokens, positions = torch.tensor([ids]), torch.arange(len(ids))
            theirs, ours = quantized(tokens, positions), deployed(tokens, positions)
            assert sqnr(theirs.numpy(), ours.numpy()) > 15
            same, total = same + int((theirs.argmax(-1) == ours.argmax(-1)).sum()), total + len(ids)
    assert same >= 0.8 * total


def test_steps_are_the_prompt_at_once(tokenizer, deployed):
    ids = tokenizer.encode(PROMPTS[0]).ids
    whole = deployed(torch.tensor([ids]), torch.arange(len(ids)))[0]
    steps = torch.cat([deployed(torch.tensor([[token]]), torch.tensor([at]))[0] for at, token in enumerate(ids)])
    assert sqnr(whole.numpy(), steps.numpy()) > 60


def texts_of(pte, folder, *prompts):
    """What the text runner says, one prompt after the other in one process."""
    script = Path(__file__).parent.parent / "examples" / "smollm2" / "generate.py"
    command = [sys.executable, script, pte, folder / "model" / "tokenizer.json", *prompts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(tuple(prompts))]
    return [line.removeprefix(prompt) for prompt, line in zip(prompts, lines, strict=True)]


def said(tokenizer, step, prompt, count=16):
    text = tokenizer.decode(greedy(step, tokenizer.encode(prompt).ids, count), skip_special_tokens=False)
    return text.split("<|im_end|>")[0].replace("\n", "\\n")


def test_the_text_runner_says_what_the_method_says(folder, tokenizer, deployed):
    long = PROSE[:900].rsplit(" ", 1)[0]
    assert 100 < len(tokenizer.encode(long).ids) < 230  # one call
    prompts = [*PROMPTS, long]
    assert texts_of(folder / "smollm2.pte", folder, *prompts) == [said(tokenizer, deployed, prompt) for prompt in prompts]


def test_every_stop_token_stops_the_text_runner(folder, tokenizer, deployed, document, tmp_path):
    ids = greedy(deployed, tokenizer.encode(PROMPTS[0]).ids, 16)
    last = next(i for i in range(4, 16) if ids[i] not in ids[:i])
    stops = ["--method-constant", f"get_eos_ids=[2,{ids[last]}]"]
    document("build", folder / "smollm2.pt2", "-o", tmp_path / "x.pte", *RECIPE, "--llm", folder / "model", *stops, "--no-check")
    (text,) = texts_of(tmp_path / "x.pte", folder, PROMPTS[0])
    assert text == tokenizer.decode(ids[: last + 1]).replace("\n", "\\n")  # the runner shows what it stops at


def test_perplexity_is_pytorchs(folder, tokenizer, converted, quantized, document, tmp_path):
    """Of the quantized program, in windows of 64 tokens."""
    ids, loss = tokenizer.encode(PROSE).ids, 0.0
    starts = range(0, len(ids), 64)
    with torch.no_grad():
        for start in starts:
            part = torch.tensor(ids[start : start + 64])
            logits = quantized(part[None], torch.arange(len(part)))[0, :-1].double()
            loss += torch.nn.functional.cross_entropy(logits, part[1:], reduction="sum").item()
    expected = math.exp(loss / (len(ids) - len(starts)))
    (tmp_path / "ids.txt").write_text(" ".join(map(str, ids)))
    compared = document("compare", converted, folder / "smollm2.pte", "--tokens", tmp_path / "ids.txt", "--window", 64)
    assert compared["reference"]["perplexity"] == pytest.approx(expected, rel=1e-3)
    assert compared["candidate"]["perplexity"] == pytest.approx(expected, rel=0.02) and compared["top1_agreement"] > 0.8


def test_few_delegates(folder, document, tmp_path):
    built = document("build", folder / "smollm2.pt2", "-o", tmp_path / "x.pte", *RECIPE, "--no-check")
    (method,) = built["methods"]
    assert len(method["delegates"]) == 31 and len(method["leftover_ops"]) < 110  # 60 of them write caches


def test_vulkan_gives_the_float_models_logits(folder, document, tmp_path):
    """Prefill and a step, interpreted: what the checks of the runtime pass, with caches that stay from call to call."""
    from vulkan.interpreter import Program

    document("lower", folder / "smollm2.pt2", "-o", tmp_path / "vulkan.pte", "--backend", "vulkan")
    deployed, module = Program(tmp_path / "vulkan.pte"), torch.export.load(folder / "smollm2.pt2").module()
    with torch.no_grad():
        for tokens, positions in (([1, 504, 3575], [0, 1, 2]), ([282], [3])):
            call = torch.tensor([tokens]), torch.tensor(positions)
            expected = module(input_ids=call[0], cache_position=call[1])
            (logits,) = deployed(*call)
            assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_vulkan_in_four_bits(folder, document, tmp_path):
    """Linears of 8da4w in the delegates, as PyTorch computes the quantized program."""
    from vulkan.interpreter import Program

    recipe = ["--recipe", "vulkan_torchao_int8da_int4w_per_group"]
    document("quantize", folder / "smollm2.pt2", "-o", tmp_path / "quantized.pt2", *recipe)
    document("build", folder / "smollm2.pt2", "-o", tmp_path / "vulkan.pte", *recipe)
    deployed, module = Program(tmp_path / "vulkan.pte"), torch.export.load(tmp_path / "quantized.pt2").module()
    linears = sum(call.name == "et_vk.linear_dq8ca_q4gsw.default" for payload in deployed.payloads for call in payload.chain)
    assert linears >= 210
    call = torch.tensor([[1, 504, 3575, 282, 260]]), torch.arange(5)
    with torch.no_grad():
        assert sqnr(module(input_ids=call[0], cache_position=call[1]).numpy(), deployed(*call)[0].numpy()) > 30
