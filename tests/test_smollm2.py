"""SmolLM2-135M on ExecuTorch's text runner, exported by `make nightly STAGE=llm` (or `make demo MODEL=smollm2`) into $SMOLLM2."""

import functools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cases import smollm2
from cases.decoders import greedy
from oracle import executorch
from oracle.build import record
from oracle.compare import digest_of_program, sqnr

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
def made(folder, document, tmp_path_factory):
    """made(scale_dtype) -> the quantized program as PyTorch runs it, whose numbers are torchao's (tests/test_quantize_api.py), and the file."""
    import torchao  # noqa: F401

    @functools.cache
    def make(scale_dtype):
        program = tmp_path_factory.mktemp("smollm2") / "quantized.pt2"
        pte = program.with_name("smollm2.pte")
        recipe = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", f"scale_dtype={scale_dtype}"]
        document("quantize", folder / "smollm2.pt2", "-o", program, *recipe)
        document("build", folder / "smollm2.pt2", "-o", pte, *recipe, "--no-check")
        module, method = torch.export.load(program).module(), executorch.method_of(pte)
        return (
            program,
            lambda tokens, positions: module(input_ids=tokens, cache_position=positions),
            lambda tokens, positions: executorch.execute(method, (tokens, positions))[0],
        )

    return make


@pytest.fixture(scope="module")
def deployed(folder):
    method = executorch.method_of(folder / "smollm2.pte")
    return lambda tokens, positions: executorch.execute(method, (tokens, positions))[0]


def token_by_token(step, ids):
    return torch.cat([step(torch.tensor([[token]]), torch.tensor([at]))[0] for at, token in enumerate(ids)])


# XNNPACK rounds scales of groups to bfloat16: those that are in bfloat16 already are the program's, others are not.
@pytest.mark.parametrize(("scale_dtype", "nearest"), [("bfloat16", 1), ("weight", 3)])
def test_the_next_tokens_are_torchaos_but_for_near_ties(tokenizer, made, scale_dtype, nearest):
    """Of its continuation. How near a tie is, is measured by what PyTorch's own two ways, at once and token by token, differ by."""
    _, quantized, deployed = made(scale_dtype)
    turned = total = 0
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = tokenizer.encode(prompt).ids
            first = len(ids) - 1
            ids += greedy(deployed, ids, 24)
            tokens, positions = torch.tensor([ids[:-1]]), torch.arange(len(ids) - 1)
            theirs, ours = quantized(tokens, positions)[0], deployed(tokens, positions)[0]
            own = (token_by_token(quantized, ids[:-1]) - theirs).square().mean().sqrt().item()
            assert (ours - theirs).square().mean().sqrt() < 2 * own
            said = torch.tensor(ids[1:])
            margins = (theirs.max(-1).values - theirs.gather(-1, said[:, None])[:, 0])[first:]  # 0 where PyTorch says the same
            print(f"{prompt}: margins where tokens turn {[round(m, 2) for m in margins[margins > 0].tolist()]}, PyTorch's own difference {own:.2f}")
            assert margins.max() < nearest * own
            turned, total = turned + int((margins > 0).sum()), total + len(margins)
    assert turned <= 0.25 * total


def test_steps_are_the_prompt_at_once(tokenizer, deployed):
    ids = tokenizer.encode(PROMPTS[0]).ids
    whole = deployed(torch.tensor([ids]), torch.arange(len(ids)))[0]
    assert sqnr(whole.numpy(), token_by_token(deployed, ids).numpy()) > 60


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


WINDOW = 64


def losses(step, ids):
    """Of each token, in windows."""
    found = []
    with torch.no_grad():
        for start in range(0, len(ids), WINDOW):
            part = torch.tensor(ids[start : start + WINDOW])
            logits = step(part[None], torch.arange(len(part)))[0, :-1].double()
            found.append(torch.nn.functional.cross_entropy(logits, part[1:], reduction="none"))
    return torch.cat(found)


@pytest.fixture
def perplexities(document, tokenizer, tmp_path):
    """perplexities(reference, candidate) -> what `compare` says of the prose."""
    (tmp_path / "ids.txt").write_text(" ".join(map(str, tokenizer.encode(PROSE).ids)))
    return lambda *files: document("compare", *files, "--tokens", tmp_path / "ids.txt", "--window", WINDOW)


def test_perplexity_in_float_is_pytorchs(folder, tokenizer, perplexities):
    program = folder / "smollm2.pt2"
    module = torch.export.load(program).module()
    theirs = losses(lambda tokens, positions: module(input_ids=tokens, cache_position=positions), tokenizer.encode(PROSE).ids)
    assert perplexities(program, program)["reference"]["perplexity"] == pytest.approx(theirs.mean().exp().item(), rel=1e-5)


@pytest.mark.parametrize("scale_dtype", ["bfloat16", "weight"])
def test_perplexity_is_pytorchs(tokenizer, made, scale_dtype, perplexities):
    """Of the quantized program. Losses of any two ways to sum differ token by token (docs/language_models.md), PyTorch's own two as much as the file's,
    and on the whole not at all."""
    program, quantized, deployed = made(scale_dtype)
    ids = tokenizer.encode(PROSE).ids
    theirs, ours = losses(quantized, ids), losses(deployed, ids)
    with torch.no_grad():
        again = [token_by_token(quantized, ids[start : start + WINDOW])[:-1].double() for start in range(0, len(ids), WINDOW)]
    targets = [torch.tensor(ids[start + 1 : start + WINDOW]) for start in range(0, len(ids), WINDOW)]
    own = torch.cat([torch.nn.functional.cross_entropy(a, b, reduction="none") for a, b in zip(again, targets)]) - theirs
    apart = ours - theirs
    assert apart.std() < 2 * own.std()
    error = (apart.std() / len(apart) ** 0.5).item()  # of the mean of that many differences
    print(f"perplexity {theirs.mean().exp():.2f}, the file's {ours.mean().exp():.2f}: {apart.mean():+.3f} a token, {apart.std():.2f} of each")
    assert apart.mean().abs() < 3 * error
    compared = perplexities(program, program.with_name("smollm2.pte"))
    assert math.log(compared["reference"]["perplexity"]) == pytest.approx(theirs.mean().item(), abs=3 * error)
    assert compared["candidate"]["perplexity"] == pytest.approx(ours.mean().exp().item(), rel=1e-3)
    assert compared["top1_agreement"] > 0.8


def test_beside_executorchs_own_file(folder, document, tmp_path):
    """Of the first layers: its lowering takes minutes for each (tests/make_records/smollm2.py)."""
    for layers, theirs in record("smollm2")["layers"].items():
        program = smollm2.program(folder, smollm2.model(folder, int(layers)))
        assert digest_of_program(program) == theirs["program"]
        torch.export.save(program, tmp_path / "float.pt2")
        for compat in ("torchao", "intaglio"):
            pte = tmp_path / f"{compat}.pte"
            recipe = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", f"compat={compat}", "--no-check"]
            (method,) = document("build", tmp_path / "float.pt2", "-o", pte, *recipe)["methods"]
            assert pte.stat().st_size <= theirs["bytes"]
        assert 3 * len(method["delegates"]) <= theirs["delegates"] and 3 * len(method["leftover_ops"]) <= sum(theirs["kernels"].values())
        step = executorch.method_of(tmp_path / "torchao.pte")
        said = [greedy(lambda *call: executorch.execute(step, call)[0], prompt, 24) for prompt in smollm2.prompts(folder)]
        assert said == theirs["tokens"] and len({token for tokens in said for token in tokens}) > 3


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
    """All of it but the table of words in one delegate, as PyTorch computes the quantized program."""
    import torchao  # noqa: F401: its operators are in the program

    from vulkan.interpreter import Program

    recipe = ["--recipe", "vulkan_torchao_int8da_int4w_per_group"]
    document("quantize", folder / "smollm2.pt2", "-o", tmp_path / "quantized.pt2", *recipe)
    document("build", folder / "smollm2.pt2", "-o", tmp_path / "vulkan.pte", *recipe)
    deployed, module = Program(tmp_path / "vulkan.pte"), torch.export.load(tmp_path / "quantized.pt2").module()
    linears = sum(call.name == "et_vk.linear_dq8ca_q4gsw.default" for payload in deployed.payloads for call in payload.chain)
    assert linears >= 210 and len(deployed.payloads) == 1 and set(deployed.kernels()) == {"quantized_decomposed::embedding_byte.out", "aten::copy_"}
    call = torch.tensor([[1, 504, 3575, 282, 260]]), torch.arange(5)
    with torch.no_grad():
        assert sqnr(module(input_ids=call[0], cache_position=call[1]).numpy(), deployed(*call)[0].numpy()) > 30


def test_coreml_in_few_bits(folder, document, tmp_path):
    """int8 table, int4 linears in groups, caches as states: one delegate, which the tools open, as PyTorch computes the quantized program."""
    from coreml.interpreter import program
    from oracle.coreml import Package
    from vulkan.package import Package as ProgramFile

    recipe = ["--recipe", "coreml_torchao_int4_weight_only_per_group", "--set", "embedding=int8"]
    document("quantize", folder / "smollm2.pt2", "-o", tmp_path / "quantized.pt2", *recipe)
    (method,) = document("build", folder / "smollm2.pt2", "-o", tmp_path / "coreml.pte", *recipe)["methods"]
    assert len(method["delegates"]) == 1 and len(method["leftover_ops"]) <= 2
    deployed = program(tmp_path / "coreml.pte")
    (model,) = deployed.delegates
    assert len(model.states) == 60
    (payload,) = ProgramFile(tmp_path / "coreml.pte").payloads("CoreMLBackend")
    package = Package(payload, tmp_path / "unpacked")
    weights = [one for one in package.operations() if one.op_type == "constexpr_blockwise_shift_scale"]
    assert len(weights) == 212
    for one in weights[:: len(weights) // 8]:
        np.testing.assert_array_equal(one.materialized_val_inference(), model.constants[one.outputs[0].name].numpy())
    module = torch.export.load(tmp_path / "quantized.pt2").module()
    with torch.no_grad():
        for tokens, positions in (([1, 504, 3575, 282], [0, 1, 2, 3]), ([260], [4])):
            call = torch.tensor([tokens]), torch.tensor(positions)
            assert sqnr(module(input_ids=call[0], cache_position=call[1]).numpy(), deployed(*call)[0].float().numpy()) > 30
