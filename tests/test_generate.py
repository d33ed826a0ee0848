"""`generate`, and `compare` on language models: beside PyTorch's own loop and ExecuTorch's text runner, on a small random decoder."""

import json
import math

import numpy as np
import pytest
import torch

CONTEXT, WIDTH, HEADS, VOCABULARY = 48, 32, 2, 320
PROSE = "the cat sat on the mat; a dog and the cat ran off. Grüße aus Köln, ça va? 1234 "


class Decoder(torch.nn.Module):
    """Two layers of attention, with a cache in buffers where `cached`."""

    def __init__(self, cached, vocabulary=VOCABULARY, noise=0.0):
        super().__init__()
        torch.manual_seed(7)
        self.tokens = torch.nn.Embedding(vocabulary, WIDTH)
        self.positions = torch.nn.Embedding(CONTEXT, WIDTH)
        self.projections = torch.nn.ModuleList(torch.nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
        self.outs = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.head = torch.nn.Linear(WIDTH, vocabulary)
        self.cached = cached
        for layer in range(2 * cached):
            for kind in "kv":
                self.register_buffer(f"{kind}_cache_{layer}", torch.zeros(1, HEADS, CONTEXT, WIDTH // HEADS))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(3).add_(noise * torch.randn_like(parameter))

    def forward(self, tokens, position=None):
        length = tokens.shape[1]
        places = torch.arange(length) if position is None else position
        x = self.tokens(tokens) + self.positions(places)
        for layer in range(2):
            q, k, v = (
                part.view(1, length, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.projections[layer](x).split(WIDTH, dim=-1)
            )
            columns = places
            if self.cached:
                k = getattr(self, f"k_cache_{layer}").index_copy_(2, places, k)
                v = getattr(self, f"v_cache_{layer}").index_copy_(2, places, v)
                columns = torch.arange(CONTEXT)
            scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
            scores = torch.where(columns[None, :] <= places[:, None], scores, -1e9)
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(1, length, WIDTH)
            x = torch.tanh(x + self.outs[layer](mixed))
        return self.head(x)


def exported(cached, dynamic=True, **options):
    model = Decoder(cached, **options).eval()
    length = 5 if dynamic else 1
    call = (torch.zeros(1, length, dtype=torch.long), *([torch.arange(length)] if cached else []))
    size = torch.export.Dim("s", min=1, max=CONTEXT - 1)
    shapes = ({1: size}, *([{0: size}] if cached else [])) if dynamic else None
    with torch.no_grad():
        return torch.export.export(model, call, dynamic_shapes=shapes, strict=False)


def write_pte(program, path, **constants):
    """ExecuTorch's own file, with the facts that its text runner asks for."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], constant_methods=constants)
    path.write_bytes(lowered.to_executorch().buffer)


FACTS = {"get_max_seq_len": CONTEXT - 1, "get_max_context_len": CONTEXT, "enable_dynamic_shape": True, "get_vocab_size": VOCABULARY}
FLOWS = {
    "parallel": (dict(cached=True), dict(FACTS, use_kv_cache=True)),
    "token_by_token": (dict(cached=True, dynamic=False), dict(FACTS, use_kv_cache=True, enable_dynamic_shape=False)),
    "no_cache": (dict(cached=False), dict(FACTS, use_kv_cache=False)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Each flow's .pt2 and .pte, and tokenizers of their vocabulary."""
    folder = tmp_path_factory.mktemp("language")
    for name, (options, constants) in FLOWS.items():
        program = exported(**options)
        torch.export.save(program, folder / f"{name}.pt2")
        write_pte(program, folder / f"{name}.pte", **constants)
    write_tokenizer(folder / "tokenizer.json", VOCABULARY)
    return folder


def write_tokenizer(path, size):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([PROSE * (1 + i) for i in range(3)], trainer)
    tokenizer.save(str(path))
    return tokenizer


def greedy(prompt, count):
    model, ids = Decoder(cached=False).eval(), list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


PROMPT = [5, 99, 300, 17, 42, 250]


@pytest.mark.parametrize("suffix", ["pte", "pt2"])
@pytest.mark.parametrize("flow", FLOWS)
def test_tokens_are_those_of_a_plain_loop(flow, suffix, folder, document):
    answer = document("generate", folder / f"{flow}.{suffix}", "--tokens", ",".join(map(str, PROMPT)), "--max-new-tokens", 20)
    assert answer["tokens"] == greedy(PROMPT, 20) and len(set(answer["tokens"])) > 8
    assert answer["prompt_tokens"] == PROMPT and answer["stopped_by"] is None and answer["tokens_per_second"] > 0


def test_our_own_file_generates_the_same(folder, intaglio, document, tmp_path):
    intaglio("lower", folder / "parallel.pt2", "-o", tmp_path / "ours.pte", "--backend", "xnnpack")
    answer = document("generate", tmp_path / "ours.pte", "--tokens", ",".join(map(str, PROMPT)), "--max-new-tokens", 20)
    assert answer["tokens"] == greedy(PROMPT, 20)


def write_printable_tokenizer(path):
    """The runner's Python binding fails on a piece that is part of a character: here every token is ASCII."""
    tokens = [chr(code) for code in range(33, 127)] + ["Ġ", "th", "the", "Ġc", "<|end|>"]
    tokens += [f"z{i}y" for i in range(VOCABULARY - len(tokens))]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": {token: id for id, token in enumerate(tokens)}, "merges": ["t h", "th e", "Ġ c"]}
    content = {"version": "1.0", "added_tokens": [], "pre_tokenizer": level, "decoder": level, "model": model}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("flow", FLOWS)
def test_text_is_that_of_executorchs_runner(flow, folder, intaglio, document, tmp_path):
    from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner

    write_printable_tokenizer(tmp_path / "tokenizer.json")
    pieces = []
    runner = TextLLMRunner(str(folder / f"{flow}.pte"), str(tmp_path / "tokenizer.json"))
    runner.generate("the cat", GenerationConfig(temperature=0.0, max_new_tokens=20, echo=False), pieces.append, None)
    arguments = ("--prompt", "the cat", "--max-new-tokens", 20, "--tokenizer", tmp_path / "tokenizer.json")
    answer = document("generate", folder / f"{flow}.pte", *arguments)
    assert len(answer["prompt_tokens"]) == 4 and len(set(answer["tokens"])) > 8
    assert answer["text"] == "".join(pieces)

    done = intaglio("generate", folder / f"{flow}.pte", *arguments)
    assert done.stdout == answer["text"] + "\n"
    assert "first token after" in done.stderr and "tokens/s" in done.stderr


@pytest.mark.parametrize("name", ["get_eos_ids", "get_eos_id"])
def test_every_stop_token_stops(name, folder, document, tmp_path):
    continuation = greedy(PROMPT, 20)
    stop = continuation[6]
    values = [VOCABULARY - 1, stop] if name == "get_eos_ids" else stop
    write_pte(exported(cached=True), tmp_path / "stops.pte", **FACTS, **{name: values})
    answer = document("generate", tmp_path / "stops.pte", "--tokens", " ".join(map(str, PROMPT)), "--max-new-tokens", 20)
    assert answer["tokens"] == continuation[: continuation.index(stop) + 1] and answer["stopped_by"] == stop


def test_the_tokenizers_end_stops_where_the_file_says_nothing(folder, document, tmp_path):
    continuation = greedy(PROMPT, 20)
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json", VOCABULARY)
    stop = next(id for id in continuation[3:] if id < tokenizer.get_vocab_size())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": tokenizer.id_to_token(stop)}}))
    arguments = ("--tokenizer", tmp_path / "tokenizer.json", "--max-new-tokens", 20)
    answer = document("generate", folder / "parallel.pte", "--tokens", ",".join(map(str, PROMPT)), *arguments)
    assert answer["tokens"] == continuation[: continuation.index(stop) + 1]


def test_a_temperature_draws_and_a_seed_repeats(folder, document):
    def tokens(seed):
        arguments = ("--tokens", ",".join(map(str, PROMPT)), "--max-new-tokens", 30, "--temperature", 1.5, "--seed", seed)
        return document("generate", folder / "parallel.pte", *arguments)["tokens"]

    assert tokens(1) == tokens(1) != tokens(2)


def test_the_context_bounds_a_text(folder, document):
    answer = document("generate", folder / "token_by_token.pte", "--tokens", ",".join(map(str, PROMPT)), "--max-new-tokens", 500)
    assert len(answer["tokens"]) == CONTEXT - len(PROMPT)


def test_a_sentencepiece_model(folder, document, tmp_path):
    import sentencepiece

    (tmp_path / "prose.txt").write_text("\n".join([PROSE] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "prose.txt"), model_prefix=str(tmp_path / "tokenizer"), vocab_size=VOCABULARY, model_type="bpe",
        byte_fallback=True, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    arguments = ("--tokenizer", tmp_path / "tokenizer.model", "--max-new-tokens", 12)
    for prompt in ("the cat", "Grüße 漢字 12"):
        answer = document("generate", folder / "parallel.pte", "--prompt", prompt, *arguments)
        assert answer["prompt_tokens"] == [oracle.bos_id(), *oracle.encode(prompt)]
        assert answer["text"] == oracle.decode([id for id in answer["tokens"] if id < oracle.get_piece_size()])


def perplexity(model, ids, window):
    losses, rows = [], []
    for start in range(0, len(ids), window):
        part = torch.tensor([ids[start : start + window]])
        if part.shape[1] < 2:
            continue
        with torch.no_grad():
            log_p = model(part)[0, :-1].double().log_softmax(-1)
        rows.append(log_p)
        losses.append(-log_p.gather(1, part[0, 1:, None])[:, 0])
    return torch.cat(losses).mean().exp().item(), torch.cat(rows)


@pytest.mark.parametrize("candidate", ["parallel.pte", "token_by_token.pte", "no_cache.pt2"])
def test_perplexity_is_pytorchs(candidate, folder, document, tmp_path):
    ids = np.random.default_rng(3).integers(0, VOCABULARY, 100)
    np.save(tmp_path / "ids.npy", ids)
    torch.export.save(exported(cached=True, noise=0.05), tmp_path / "noisy.pt2")
    answer = document("compare", tmp_path / "noisy.pt2", folder / candidate, "--tokens", tmp_path / "ids.npy", "--window", 30)
    reference, log_p = perplexity(Decoder(cached=False, noise=0.05).eval(), ids.tolist(), 30)
    expected, log_q = perplexity(Decoder(cached=False).eval(), ids.tolist(), 30)
    assert answer["tokens"] == 96 and answer["window"] == 30
    assert answer["reference"]["perplexity"] == pytest.approx(reference, rel=1e-4)
    assert answer["candidate"]["perplexity"] == pytest.approx(expected, rel=1e-4)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean().item()
    assert answer["mean_kl"] == pytest.approx(kl, rel=1e-3) and kl > 1e-3
    agreement = (log_p.argmax(-1) == log_q.argmax(-1)).double().mean().item()
    assert answer["top1_agreement"] == pytest.approx(agreement, abs=0.011) and 0 < agreement < 1


def test_a_text_file_compares(folder, document, tmp_path):
    (tmp_path / "text.txt").write_text(PROSE * 3)
    answer = document("compare", folder / "parallel.pt2", folder / "parallel.pte", "--text", tmp_path / "text.txt")
    assert answer["window"] == CONTEXT - 1 and answer["tokens"] > 60
    assert answer["top1_agreement"] == 1 and answer["mean_kl"] < 1e-6
    assert answer["reference"]["perplexity"] == pytest.approx(answer["candidate"]["perplexity"], rel=1e-5)


def refused(done, status, *words):
    assert done.returncode == status, (done.returncode, done.stderr)
    (line,) = done.stderr.strip().splitlines()
    for word in words:
        assert word in line, line


def test_what_does_not_fit_is_one_line(folder, intaglio, tmp_path):
    fail = lambda *arguments: intaglio(*arguments, check=False)
    model = folder / "parallel.pte"
    refused(fail("generate", model), 2, "--prompt")
    refused(fail("generate", model, "--tokens", "1", "--temperature", "nan"), 2, "nan is no number")
    refused(fail("generate", model, "--tokens", "1,999"), 1, "token 999", str(VOCABULARY))
    refused(fail("generate", model, "--tokens", ",".join(["1"] * 60)), 1, "60 tokens", str(CONTEXT))
    refused(fail("generate", model, "--tokens", tmp_path / "none.npy"), 1, "none.npy")
    for ids in ("1,-5", "1.5", "one"):
        refused(fail("generate", model, "--tokens", ids), 1, f"--tokens {ids}: neither token ids")
    (tmp_path / "words.txt").write_text("1 2 three")
    refused(fail("generate", model, "--tokens", tmp_path / "words.txt"), 1, "'three'", "words.txt")
    (tmp_path / "model.pte").write_bytes(model.read_bytes())
    refused(fail("generate", tmp_path / "model.pte", "--prompt", "x"), 2, "--tokenizer")
    refused(fail("generate", model, "--prompt", ""), 2, "no tokens")
    larger = write_tokenizer(tmp_path / "larger.json", VOCABULARY)
    larger.add_tokens([f"more{i}" for i in range(VOCABULARY)])
    larger.save(str(tmp_path / "larger.json"))
    refused(fail("generate", model, "--prompt", "x", "--tokenizer", tmp_path / "larger.json"), 1, "larger.json", "another model's")
    (tmp_path / "one.json").write_text('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}')
    refused(fail("generate", model, "--prompt", "xyz", "--tokenizer", tmp_path / "one.json"), 1, "one.json", "no token for any")
    (tmp_path / "bad.json").write_text('{"model": {}}')
    refused(fail("generate", model, "--prompt", "x", "--tokenizer", tmp_path / "bad.json"), 1, "bad.json")
    for name, content in (("empty.model", b""), ("noise.model", bytes(range(256)) * 40)):
        (tmp_path / name).write_bytes(content)
        refused(fail("generate", model, "--prompt", "x", "--tokenizer", tmp_path / name), 1, name)
    refused(fail("compare", model, model), 2, "--tokens")
    (tmp_path / "one.txt").write_text("7")
    refused(fail("compare", model, model, "--tokens", tmp_path / "one.txt"), 1, "1 tokens")


class Paired(Decoder):
    """The same model with its cache among inputs and outputs: longer by what was said, or of fixed size and written into."""

    def __init__(self, grows):
        super().__init__(cached=False)
        self.grows = grows

    def step(self, tokens, positions, cache, seen):
        x, kept = self.tokens(tokens) + self.positions(positions[0]), []
        for layer, past in enumerate(cache):
            q, k, v = (
                part.view(1, -1, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.projections[layer](x).split(WIDTH, dim=-1)
            )
            join = (lambda old, new: torch.cat((old, new), 2)) if self.grows else (lambda old, new: old.index_copy_(2, positions[0], new))
            kept.append(tuple(join(old, new) for old, new in zip(past, (k, v))))
            k, v = kept[-1]
            visible = torch.arange(k.shape[2]) <= positions[0][:, None] if seen is None else seen
            scores = torch.where(visible, q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS), -1e9)
            x = torch.tanh(x + self.outs[layer]((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, -1, WIDTH)))
        return self.head(x), kept


class Prefill(Paired):
    def forward(self, tokens, positions):
        length = 0 if self.grows else CONTEXT
        return self.step(tokens, positions, [tuple(torch.zeros(1, HEADS, length, WIDTH // HEADS) for _ in "kv") for _ in range(2)], None)


class Decode(Paired):
    def forward(self, tokens, mask, positions, cache):
        return self.step(tokens, positions, cache, mask)


def write_pair(grows, folder):
    """As `transformers.exporters` writes them: cache sizes dynamic, or a prompt of fixed length and a mask."""
    count, length = (5, 4) if grows else (3, CONTEXT)
    size, past = torch.export.Dim("s", min=2, max=CONTEXT - 1), torch.export.Dim("past", min=2, max=CONTEXT - 1)
    tokens, positions = torch.zeros(1, count, dtype=torch.long), torch.arange(count)[None]
    prefill = torch.export.export(Prefill(grows).eval(), (tokens, positions), dynamic_shapes=({1: size}, {1: size}) if grows else None)
    torch.export.save(prefill, folder / "prefill.pt2")
    cache = [tuple(torch.zeros(1, HEADS, length, WIDTH // HEADS) for _ in "kv") for _ in range(2)]
    call = (tokens[:, :1], None if grows else torch.ones(1, 1, 1, length, dtype=torch.bool), positions[:, -1:], cache)
    shapes = ({}, None, {}, [({2: past}, {2: past})] * 2) if grows else None
    torch.export.save(torch.export.export(Decode(grows).eval(), call, dynamic_shapes=shapes), folder / "decode.pt2")
    return [f"{name}={folder / name}.pt2" for name in ("prefill", "decode")]


@pytest.mark.parametrize("grows", [True, False], ids=["growing", "written"])
def test_two_methods_are_one_model(grows, folder, intaglio, document, tmp_path):
    pte = tmp_path / "pair.pte"
    intaglio("lower", *write_pair(grows, tmp_path), "--backend", "xnnpack", "-o", pte)
    for prompt in (PROMPT, PROMPT[:2]):  # a written cache: three tokens at once, then one by one
        answer = document("generate", pte, "--tokens", ",".join(map(str, prompt)), "--max-new-tokens", 20)
        assert answer["tokens"] == greedy(prompt, 20) and len(set(answer["tokens"])) > 8
    (tmp_path / "text.txt").write_text(" ".join(map(str, PROMPT * 5)))
    compared = document("compare", folder / "no_cache.pt2", pte, "--tokens", tmp_path / "text.txt", "--window", 12)
    assert compared["top1_agreement"] == 1 and compared["mean_kl"] < 1e-6
    # Weights stand once.
    intaglio("lower", tmp_path / "prefill.pt2", "--backend", "xnnpack", "-o", tmp_path / "one.pte")
    assert pte.stat().st_size < 1.5 * (tmp_path / "one.pte").stat().st_size


class CacheAmongInputs(torch.nn.Module):
    def forward(self, tokens, position, cache):
        return cache[:, position] + tokens.unsqueeze(-1), cache + 1


def test_other_inputs_are_refused_by_name(intaglio, tmp_path):
    calls = {
        "nested": (CacheAmongInputs(), (torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long), torch.zeros(1, 8, 4))),
        "vision": (torch.nn.Linear(4, 2), (torch.zeros(1, 4),)),
    }
    for name, (model, call) in calls.items():
        torch.export.save(torch.export.export(model, call), tmp_path / f"{name}.pt2")
    refused(intaglio("generate", tmp_path / "nested.pt2", "--tokens", "1", check=False), 1, "'cache'", "in buffers")
    refused(intaglio("generate", tmp_path / "vision.pt2", "--tokens", "1", check=False), 1, "'input'", "tokens [1, s]")
