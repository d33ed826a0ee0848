"""What torchao's `quantize_` leaves, lowered: XNNPACK takes the linears, the runtime's kernels the embeddings."""

import json
import struct

import numpy as np
import pytest
import torch

from cases import decoders, leaves, noise, quantized, seeded
from cases.language import lively
from oracle import executorch
from oracle.archives import save
from oracle.build import NIGHTLY
from oracle.compare import outputs_of, sqnr
from oracle.memory import peak_megabytes

# A product of rows quantized at run time: XNNPACK rounds their ranges otherwise than torchao, here and there by one step. Scales of
# groups lose 16 bits besides.
STEP_DB = 36


# All of a table at night, these by day.
def some(table, *names):
    return list(table) if NIGHTLY else list(names)


def lowered(document, case, folder, *arguments):
    """What `lower` says, the file, and PyTorch's outputs."""
    program, pte = folder / "model.pt2", folder / "model.pte"
    save(case, program)
    said = document("lower", program, "--backend", "xnnpack", "-o", pte, *arguments)
    reference = outputs_of(case.module, case.calls).astype(np.float32)
    assert np.isfinite(reference).all() and np.ptp(reference) > 0.1
    return said, pte, reference


@pytest.mark.parametrize("name", some(quantized.LINEARS, "int4_group_32", "int4_per_row", "int6_per_row", "int4_odd_rows", "int4_half"))
def test_linears_are_one_delegate(name, document, tmp_path):
    make, weight_type = quantized.LINEARS[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    (method,) = said["methods"]
    assert len(method["delegates"]) == 1 and not method["leftover_ops"] and not said["warnings"]
    (delegate,) = document("inspect", pte)["methods"][0]["delegates"]
    linears = [node["text"] for node in delegate["nodes"] if node["kind"] == "FullyConnected"]
    assert len(linears) == 3 and all(f" {weight_type}[" in text for text in linears[:2])
    assert sqnr(reference, executorch.run(pte, case.calls).astype(np.float32)) > STEP_DB


@pytest.mark.parametrize("name", some(["int4_group_32", "int4_per_row", "int8_per_row", "int4_dynamic_length"]))
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


@pytest.mark.parametrize("name", some(quantized.OUTSIDE, "int4_group_16", "int4_zero_points"))
def test_weights_without_a_kernel_are_refused(name, document, tmp_path):
    make, why = quantized.OUTSIDE[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    assert {op["rule"] for op in said["methods"][0]["leftover_ops"] if why in op["rule"]}
    (warning,) = said["warnings"]
    assert why in warning and "'gate'" in warning and "2 more" in warning
    # Inputs of layers that compute in float are not quantized.
    assert sqnr(reference, executorch.run(pte, case.calls)) > STEP_DB


@pytest.mark.parametrize("name", some(quantized.WEIGHT_ONLY, "int4_group_32", "uint3_code_books"))
def test_weight_only_linears_are_expanded(name, document, tmp_path):
    make, words = quantized.WEIGHT_ONLY[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    (warning,) = said["warnings"]
    assert words in warning
    np.testing.assert_allclose(executorch.run(pte, case.calls), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", some(quantized.EMBEDDINGS, "int8_per_row", "int2_group_32", "int4_zero_points", "int8_half"))
def test_embeddings_have_kernels(name, document, tmp_path):
    make, kernel = quantized.EMBEDDINGS[name]
    case = make()
    said, pte, reference = lowered(document, case, tmp_path)
    delegates, kernels = executorch.instructions(pte)
    assert delegates == 1 and kernels == [f"quantized_decomposed::embedding_{kernel}.out"] and not said["warnings"]
    assert sqnr(reference, executorch.run(pte, case.calls).astype(np.float32)) > STEP_DB


# ---- programs with caches


@pytest.fixture(scope="module", params=some(["index_copy", "index_put"], "index_put"))
def decoder(request, tmp_path_factory):
    """The module, and its program on disk."""
    module = decoders.decoder(request.param)
    program = tmp_path_factory.mktemp(request.param) / "decoder.pt2"
    torch.export.save(decoders.export(module), program)
    return module, program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What Hugging Face keeps beside a checkpoint."""
    made = tmp_path_factory.mktemp("model")
    (made / "config.json").write_text(json.dumps({"vocab_size": decoders.VOCABULARY, "bos_token_id": 1, "eos_token_id": 2}))
    (made / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    return made


PROMPTS = [[5, 9, 77, 3], [100, 9, 7], [40]]


def greedy_of(module):
    """Of a loaded program, whose inputs are keywords."""
    return lambda prompt: decoders.greedy(lambda tokens, at: module(input_ids=tokens, cache_position=at), prompt, 12)


def stepper(pte):
    method = executorch.method_of(pte)
    return lambda tokens, positions: executorch.execute(method, (tokens, positions))[0]


def test_decoder_says_what_it_says_in_float(decoder, document, tmp_path):
    module, program = decoder
    pte = tmp_path / "decoder.pte"
    (method,) = document("lower", program, "--backend", "xnnpack", "-o", pte)["methods"]
    # One delegate before the caches are written, one behind: a third of ExecuTorch's.
    assert len(method["delegates"]) == decoders.LAYERS + 1
    _, kernels = executorch.instructions(pte)
    assert kernels.count("aten::index_put_.") == 2 * decoders.LAYERS and kernels.count("aten::copy_.") == decoders.LAYERS  # of counters
    step = stepper(pte)
    with torch.no_grad():
        for prompt in PROMPTS:
            assert decoders.greedy(step, prompt, 12) == decoders.greedy(module, prompt, 12)


def test_recipe_quantizes_a_decoder(decoder, document, tmp_path):
    """Each next token is the one that the program which `quantize` writes has in PyTorch, but for near ties."""
    _, program = decoder
    recipe = "xnnpack_torchao_int8da_int4w_per_group"
    pte, converted = tmp_path / "decoder.pte", tmp_path / "decoder.pt2"
    built = document("build", program, "-o", pte, "--recipe", recipe)
    document("quantize", program, "-o", converted, "--recipe", recipe)
    (method,) = built["methods"]
    assert len(method["delegates"]) == decoders.LAYERS + 1 and not built["warnings"]
    _, kernels = executorch.instructions(pte)
    assert "quantized_decomposed::embedding_byte.out" in kernels
    module, step = torch.export.load(converted).module(), stepper(pte)
    turned = []
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = prompt + decoders.greedy(step, prompt, 12)
            tokens, positions = torch.tensor([ids[:-1]]), torch.arange(len(ids) - 1)
            theirs, ours = module(input_ids=tokens, cache_position=positions)[0], step(tokens, positions)[0]
            assert sqnr(theirs.numpy(), ours.numpy()) > 25
            # By how much torchao's program prefers its own token to ours: 0 but for ties as near as the logits are.
            margins = (theirs.max(-1).values - theirs.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0])[len(prompt) - 1 :]
            assert margins.max() <= 4 * (theirs - ours).square().mean().sqrt()
            turned += (margins > 0).tolist()
    assert sum(turned) <= 0.1 * len(turned)


def test_rounded_scales_are_the_programs(decoder, document, tmp_path):
    """Integers chosen for scales in bfloat16: the file computes what the program does, in float32's last bits."""
    arguments = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", "scale_dtype=bfloat16"]
    pte, converted = tmp_path / "decoder.pte", tmp_path / "decoder.pt2"
    document("build", decoder[1], "-o", pte, *arguments)
    document("quantize", decoder[1], "-o", converted, *arguments)
    module, step = torch.export.load(converted).module(), stepper(pte)
    with torch.no_grad():
        for prompt in PROMPTS:
            theirs = greedy_of(module)(prompt)
            assert decoders.greedy(step, prompt, 12) == theirs


def test_bfloat16_is_quantized_as_float32(document, tmp_path):
    module = decoders.decoder(dtype=torch.bfloat16)
    program, pte = tmp_path / "decoder.pt2", tmp_path / "decoder.pte"
    torch.export.save(decoders.export(module), program)
    (method,) = document("build", program, "-o", pte, "--recipe", "xnnpack_torchao_int8da_int4w_per_group")["methods"]
    assert len(method["delegates"]) == decoders.LAYERS + 1
    tokens, positions = torch.tensor([PROMPTS[0]]), torch.arange(len(PROMPTS[0]))
    with torch.no_grad():
        reference = module(tokens, positions).float().numpy()
    assert sqnr(reference, executorch.execute(executorch.method_of(pte), (tokens, positions))[0].float().numpy()) > 12


def test_nested_caches_come_and_go(document, tmp_path):
    module = lively(lambda: decoders.Growing())
    past = torch.export.Dim("past", min=2, max=decoders.POSITIONS)
    cache = lambda length: {"layers": [tuple(noise(1, 2, length, 16, seed=i) for i in (2 * layer, 2 * layer + 1)) for layer in range(2)]}
    shapes = ({}, {"layers": [({2: past}, {2: past})] * 2})
    program, pte = tmp_path / "growing.pt2", tmp_path / "growing.pte"
    torch.export.save(torch.export.export(module, (torch.tensor([[5]]), cache(4)), dynamic_shapes=shapes), program)
    document("lower", program, "--backend", "xnnpack", "-o", pte)
    method = executorch.method_of(pte)
    for length in (2, 4, 9):
        with torch.no_grad():
            expected = leaves(module(torch.tensor([[7]]), cache(length)))
        for ours, theirs in zip(executorch.execute(method, (torch.tensor([[7]]), cache(length))), expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)


class Rolling(torch.nn.Module):
    """The state of a short convolution (LFM2): the last columns, as many as there were."""

    def forward(self, x, state):
        grown = torch.cat((state, x), -1)
        return grown.cumsum(-1), grown[..., -state.shape[-1] :]


def test_the_last_of_a_symbolic_size(document, tmp_path):
    past = torch.export.Dim("past", min=2, max=16)
    program = torch.export.export(Rolling(), (noise(1, 4, 1), noise(1, 4, 3)), dynamic_shapes=({}, {2: past}))
    torch.export.save(program, tmp_path / "rolling.pt2")
    document("lower", tmp_path / "rolling.pt2", "--backend", "xnnpack", "-o", tmp_path / "rolling.pte")
    method = executorch.method_of(tmp_path / "rolling.pte")
    for length in (2, 5):
        call = noise(1, 4, 1, seed=1), noise(1, 4, length, seed=2)
        for ours, theirs in zip(executorch.execute(method, call), Rolling()(*call), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


class Native(torch.nn.Module):
    """Attention as ExecuTorch's own models have it, over caches that its operators write."""

    def __init__(self, causal, masked):
        super().__init__()
        self.causal, self.masked = causal, masked
        for kind in ("keys", "values"):
            self.register_buffer(kind, torch.zeros(1, 8, 2, 16))

    def forward(self, query, key, value, at, mask):
        start = at[0].item()
        torch._check_is_size(start)
        torch._check(start + query.shape[1] <= 8)
        for new, cache in ((key, self.keys), (value, self.values)):
            torch.ops.llama.update_cache(new, cache, start)
        return torch.ops.llama.custom_sdpa(query, self.keys, self.values, start, mask if self.masked else None, 0.0, self.causal)


@pytest.mark.parametrize(("causal", "masked"), [(True, False), (False, True)])
def test_executorchs_attention_is_expanded(causal, masked, document, tmp_path):
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401

    module, mask = Native(causal, masked), noise(3, 8, seed=4)
    mask[noise(3, 8, seed=5) < 0] = -torch.inf
    mask[:, 0] = 0.5
    calls = [(noise(1, 3, 4, 16, seed=at), noise(1, 3, 2, 16, seed=at + 1), noise(1, 3, 2, 16, seed=at + 2), torch.tensor([at]), mask) for at in (0, 3)]
    torch.export.save(torch.export.export(module, calls[0]), tmp_path / "native.pt2")
    document("lower", tmp_path / "native.pt2", "--backend", "xnnpack", "-o", tmp_path / "native.pte")
    method = executorch.method_of(tmp_path / "native.pte")
    for call in calls:
        expected = module(*call)
        assert expected.isfinite().all() and expected.abs().max() > 0.1
        np.testing.assert_allclose(executorch.execute(method, call)[0].numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)


# ---- the text runner's contract


def test_runner_methods(decoder, folder, intaglio, tmp_path):
    from executorch.runtime import Runtime

    pte = tmp_path / "decoder.pte"
    arguments = ["--method-constant", "get_n_layers=2", "--method-constant", "get_max_context_len=30"]
    intaglio("lower", decoder[1], "--backend", "xnnpack", "-o", pte, "--llm", folder, "--no-check", *arguments)
    program = Runtime.get().load_program(pte)
    returned = {name: program.load_method(name).execute([]) for name in program.method_names if name != "forward"}
    assert returned == {
        "get_max_seq_len": [decoders.POSITIONS - 1],
        "get_max_context_len": [30],
        "use_kv_cache": [True],
        "enable_dynamic_shape": [True],
        "get_eos_ids": [2, 7],
        "get_bos_id": [1],
        "get_vocab_size": [decoders.VOCABULARY],
        "get_n_layers": [2],
    }


class Reversed(torch.nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, cache_position, input_ids):
        return self.decoder(input_ids, cache_position)


def test_runner_refusals(decoder, folder, intaglio, tmp_path):
    module, program = decoder

    def refusal(program, folder):
        done = intaglio("lower", program, "--backend", "xnnpack", "-o", tmp_path / "x.pte", "--llm", folder, check=False)
        assert done.returncode == 1 and not (tmp_path / "x.pte").exists()
        return done.stderr

    turned = tmp_path / "turned.pt2"
    torch.export.save(torch.export.export(Reversed(module), (torch.arange(3), torch.tensor([[1, 2, 3]]))), turned)
    assert "gives tokens int64[1, n] as the first input, not 'cache_position'" in refusal(turned, folder)

    other = tmp_path / "other"
    other.mkdir()
    assert "config.json" in refusal(program, other)
    (other / "config.json").write_text("{}")
    assert "no eos_token_id" in refusal(program, other)
    (other / "config.json").write_text(json.dumps({"eos_token_id": 500}))
    assert "config.json: eos_token_id 500 is outside the program's vocabulary of 160" in refusal(program, other)
    assert "generation_config.json" not in refusal(program, other)
    (other / "config.json").write_text(json.dumps({"eos_token_id": 5}))
    (other / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0, "b": 160}}}))
    assert "tokenizer.json: token 160 is outside" in refusal(program, other)
    (other / "tokenizer.json").write_text(json.dumps({"vocab": {"a": 0}}))
    assert "tokenizer.json: has no vocabulary" in refusal(program, other)
    (other / "tokenizer.json").unlink()
    for config in ({"vocab_size": 161}, {"text_config": {"vocab_size": 161}}):
        (other / "config.json").write_text(json.dumps({"eos_token_id": 5, **config}))
        assert "config.json: vocab_size is 161, and the program's logits have 160" in refusal(program, other)


@pytest.mark.parametrize(("given", "why"), [
    ("get_eos_ids=[2,160]", "token 160 is outside the program's vocabulary of 160"),
    ("get_bos_id=-1", "token -1 is outside"),
    ("get_max_seq_len=many", "the text runner reads one whole number here"),
    ("get_max_seq_len=0", "0 is not within 1 and 31"),
    ("get_max_context_len=33", "33 is not within 1 and 32"),
    ("get_max_context_len=[16,32]", "one whole number"),
    ("get_eos_ids=[2,0.5]", "whole numbers"),
    ("use_kv_cache=maybe", "true or false"),
    ("seed=18446744073709551616", "seed=18446744073709551616: a number of 64 bits is expected"),
    ("seed=9223372036854775808", "a number of 64 bits is expected"),
    ("seed=[1,-9223372036854775809]", "Problem while parsing a number"),
    ("scale=1e400", "scale=1e400: a number of 64 bits is expected"),
    ("get_eos_ids=[2,", "get_eos_ids=[2,: "),
])
def test_what_stands_in_for_the_runners_values_is_of_their_kind(given, why, decoder, folder, intaglio, tmp_path):
    lower = ["lower", decoder[1], "--backend", "xnnpack", "-o", tmp_path / "x.pte", "--llm", folder, "--method-constant"]
    done = intaglio(*lower, given, check=False)
    assert done.returncode == 2 and why in done.stderr and len(done.stderr.splitlines()) == 1 and not (tmp_path / "x.pte").exists()
    assert intaglio(*lower, "use_kv_cache=1").returncode == 0  # a flag may be a number


def test_the_runners_rules_come_before_the_work(decoder, folder, intaglio, tmp_path):
    recipe = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", "group_size=40"]  # which divides no row
    (tmp_path / "config.json").write_text("{}")
    for llm, why in ((tmp_path, "no eos_token_id"), (folder, "groups of 40 do not divide")):
        done = intaglio("build", decoder[1], "-o", tmp_path / "x.pte", *recipe, "--llm", llm, check=False)
        assert done.returncode == 1 and why in done.stderr


def test_methods_are_built_together(decoder, document, intaglio, tmp_path):
    """A prompt at once and token by token, quantized: weights stand once, also those of delegates."""
    module, program = decoder
    recipe = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group"]
    torch.export.save(decoders.export(module, dynamic=False), tmp_path / "decode.pt2")
    both, one = tmp_path / "both.pte", tmp_path / "one.pte"
    built = document("build", f"prefill={program}", f"decode={tmp_path / 'decode.pt2'}", "-o", both, *recipe)
    document("build", program, "-o", one, *recipe)
    assert [method["name"] for method in built["methods"]] == ["prefill", "decode"]
    assert [note.split(":")[0] for note in built["notes"]] == ["prefill", "decode"]
    (warning,) = built["warnings"]
    assert "'decode' each keep a copy of the buffer 'keys_0' and of 5 more" in warning
    bytes_of = lambda pte: (document("inspect", pte)["named_data"]["bytes"], document("inspect", pte)["constant_bytes"])
    assert bytes_of(both)[0] == bytes_of(one)[0] > 10000 and bytes_of(both)[1] < 1.1 * bytes_of(one)[1]
    tokens, positions = torch.tensor([PROMPTS[0]]), torch.arange(len(PROMPTS[0]))
    expected = stepper(one)(tokens, positions)[0]
    prefill, decode = (executorch.method_of(both, name) for name in ("prefill", "decode"))
    assert sqnr(expected.numpy(), executorch.execute(prefill, (tokens, positions))[0][0].numpy()) > 60
    steps = [executorch.execute(decode, (tokens[:, i : i + 1], positions[i : i + 1]))[0][0] for i in range(len(positions))]
    assert sqnr(expected.numpy(), torch.cat(steps).numpy()) > 60
    done = intaglio("build", f"a={program}", f"b={program}", "-o", both, *recipe, "--calibrate", tmp_path, check=False)
    assert done.returncode == 2 and "`lower` them together" in done.stderr


# ---- weights of another file


def safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        piece = tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_weights_of_a_fine_tune(dtype, decoder, document, tmp_path):
    _, program = decoder
    with seeded(7):
        tuned = decoders.decoder()
        with torch.no_grad():
            for parameter in tuned.parameters():
                parameter.copy_((parameter + 0.05 * torch.randn_like(parameter)).to(dtype))
    named = {name: parameter.to(dtype) for name, parameter in tuned.named_parameters()}
    safetensors(tmp_path / "one.safetensors", {name: named[name] for name in list(named)[::2]})
    safetensors(tmp_path / "two.safetensors", {name: named[name] for name in list(named)[1::2]})
    shards = {name: ("one", "two")[i % 2] + ".safetensors" for i, name in enumerate(named)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    pte = tmp_path / "tuned.pte"
    document("lower", program, "--backend", "xnnpack", "-o", pte, "--weights", tmp_path)
    tokens, positions = torch.tensor([PROMPTS[0]]), torch.arange(len(PROMPTS[0]))
    with torch.no_grad():
        expected = tuned(tokens, positions).numpy()
    np.testing.assert_allclose(stepper(pte)(tokens, positions).numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("content", "why"), [
    (b"", "no header"),
    (b"OK\3\4" + bytes(20) + b"x" * 40, "its header would take 67324751 of its 64 bytes"),
    (b"PK\3\4" + bytes(20) + b"x" * 40, "torch.save writes it: save the weights with safetensors.torch.save_file"),
])
def test_what_is_no_safetensors_file(content, why, decoder, intaglio, tmp_path):
    (tmp_path / "weights").write_bytes(content)
    done = intaglio("lower", decoder[1], "--backend", "xnnpack", "-o", tmp_path / "x.pte", "--weights", tmp_path / "weights", check=False)
    assert done.returncode == 1 and "weights: it is no safetensors file" in done.stderr and why in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("recipe", ["xnnpack_torchao_int8da_int4w_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"])
def test_what_is_wrong_with_weights_names_their_file(recipe, decoder, intaglio, tmp_path):
    with seeded(7):
        tensors = dict(decoders.decoder().named_parameters())
    layer = next(name for name in tensors if name.endswith("gate.weight"))
    tensors[layer] = torch.full_like(tensors[layer], float("nan"))
    safetensors(tmp_path / "w.safetensors", tensors)
    done = intaglio("build", decoder[1], "-o", tmp_path / "x.pte", "--recipe", recipe, "--weights", tmp_path / "w.safetensors", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and f"with the weights of {tmp_path / 'w.safetensors'}: " in done.stderr
    assert layer.removesuffix(".weight") in done.stderr and "NaN" in done.stderr and "repair the checkpoint" in done.stderr


# ---- memory


@pytest.mark.skipif(not NIGHTLY, reason="writes four gigabytes")
def test_memory_is_not_the_models(build, tmp_path):
    """A Llama of a billion weights in float32, quantized and lowered: bounded by the largest tensors."""
    with decoders.sized(decoders.BILLION):
        module = decoders.decoder()
        assert sum(parameter.numel() for parameter in module.parameters()) > 1e9
        torch.export.save(decoders.export(module), tmp_path / "large.pt2")
    for recipe, most in (("xnnpack_torchao_int8da_int4w_per_group", 160), ("coreml_torchao_int4_weight_only_per_group", 269)):
        command = [build / "intaglio", "build", tmp_path / "large.pt2", "-o", tmp_path / "large.pte", "--recipe", recipe, "--no-check"]
        assert 0 < peak_megabytes(command) < most, recipe
