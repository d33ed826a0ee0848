"""Language models on Vulkan: caches and attention over them are the delegate's own, whether the program names its operators or not."""

import pytest
import torch
from torch.nn import functional as F

from cases import decoders, noise, seeded
from vulkan.interpreter import Program
from vulkan.package import Package

PROMPTS = [[5, 9, 31], [7]]


def operators(program) -> list[str]:
    return [call.name for payload in program.payloads for call in payload.chain]


def lowered(program, document, folder, name="model"):
    torch.export.save(program, folder / f"{name}.pt2")
    said = document("lower", folder / f"{name}.pt2", "-o", folder / f"{name}.pte", "--backend", "vulkan")
    return said, folder / f"{name}.pte"


@pytest.mark.parametrize("dynamic", [True, False], ids=["any length", "one token"])
@pytest.mark.parametrize("way", ["index_copy", "index_put"])
def test_plain_operators_are_the_delegates_own(way, dynamic, document, tmp_path):
    """Of a decoder with two layers: all of it is one delegate, and says what PyTorch says, prompt after prompt."""
    with torch.no_grad():
        program = decoders.export(decoders.decoder(way), dynamic)
        said, path = lowered(program, document, tmp_path)
        deployed, module = Program(path), program.module()
        calls = operators(deployed)
        assert calls.count("llama.custom_sdpa.default") == 2 and calls.count("update_cache.default") == 4
        assert len(said["methods"][0]["delegates"]) == 1 and set(deployed.kernels()) <= {"aten::copy_"}  # counters

        def ours(tokens, positions):
            return deployed(tokens, positions)[0]

        def theirs(tokens, positions):
            return module(input_ids=tokens, cache_position=positions)

        def one_by_one(step):
            return lambda tokens, positions: [step(tokens[:, i : i + 1], positions[i : i + 1]) for i in range(len(positions))][-1]

        for prompt in PROMPTS:
            tokens = [decoders.greedy(step if dynamic else one_by_one(step), prompt, 12) for step in (ours, theirs)]
            assert tokens[0] == tokens[1] and len(set(tokens[0])) > 3
        logits = [step(torch.tensor([[11]]), torch.tensor([3])) for step in (ours, theirs)]
        assert (logits[0] - logits[1]).abs().max() < 1e-4 * logits[1].abs().max()


class Written(torch.nn.Module):
    """One layer's attention over its caches, with heads of `size`, a mask of its own and rows that are put somewhere."""

    def __init__(self, way, size=16):
        super().__init__()
        self.way = way
        for kind in ("keys", "values"):
            self.register_buffer(kind, noise(1, 2, 8, size, seed=len(kind)))
        self.register_buffer("triangle", torch.ones(8, 8).tril().bool(), persistent=False)

    def forward(self, query, key, value, at):
        rows = query.shape[2]
        positions = at[0] + torch.arange(rows)
        columns = torch.arange(8)
        mask = {
            "triangle": lambda: self.triangle[positions],
            "floats": lambda: torch.where(columns <= positions[:, None], 0.0, torch.finfo(torch.float32).min),
            "both": lambda: (columns <= positions[:, None]) & torch.ones(1, 1, rows, 8, dtype=torch.bool),
            # what is not causal, or not consecutive
            "window": lambda: (columns <= positions[:, None]) & (columns > positions[:, None] - 2),
            "strict": lambda: (columns < positions[:, None]) | (columns == 0),
            "all": lambda: columns <= positions[-1] + 0 * positions[:, None],
            "anywhere": lambda: columns <= at[:, None],
        }[self.way]()
        written = at if self.way == "anywhere" else positions
        for cache, new in ((self.keys, key), (self.values, value)):
            cache.index_copy_(2, written, new)
        mixed = F.scaled_dot_product_attention(query, self.keys, self.values, attn_mask=mask, enable_gqa=True, scale=query.shape[3] ** -0.5)
        return mixed.transpose(1, 2).flatten(2)


RECOGNIZED = ["triangle", "floats", "both"]


@pytest.mark.parametrize(("way", "size"), [(way, 16) for way in (*RECOGNIZED, "window", "strict", "all", "anywhere")] + [("both", 6)])
def test_masks_that_are_causal(way, size, document, tmp_path):
    """Others, and heads that fill no texels, stay what they are."""
    calls = [tuple(noise(1, heads, 3, size, seed=at + heads) for heads in (4, 2, 2)) + (torch.arange(at, at + 3),) for at in (0, 4)]
    if way == "anywhere":
        calls[1] = (*calls[1][:3], torch.tensor([1, 6, 3]))
    with torch.no_grad():
        program = torch.export.export(Written(way, size), calls[0])
        _, path = lowered(program, document, tmp_path)
        deployed, module = Program(path), program.module()
        assert operators(deployed).count("llama.custom_sdpa.default") == (way in RECOGNIZED and size == 16)
        for call in calls:
            expected = module(*call)
            assert expected.std() > 0.05
            assert (deployed(*call)[0] - expected).abs().max() < 1e-5 * expected.abs().max()


class Native(torch.nn.Module):
    """Attention as ExecuTorch's own models have it, over caches that its operators write."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        for kind in ("keys", "values"):
            self.register_buffer(kind, torch.zeros(1, 8, 2, 16))

    def forward(self, query, key, value, at):
        start = self.read(at).item()
        torch._check_is_size(start)
        torch._check(start + query.shape[1] <= 8)
        for new, cache in ((key, self.keys), (value, self.values)):
            torch.ops.llama.update_cache(new, cache, start)
        return torch.ops.llama.custom_sdpa(query, self.keys, self.values, start, None, 0.0, True)


READS = {"element": (lambda at: at[0], True), "only element": (lambda at: at, True), "computed": (lambda at: at.sum(), False)}


@pytest.mark.parametrize("name", READS)
def test_named_operators_stay(name, document, tmp_path):
    """Where the position is an element of what the delegate is given: the runtime reads no number that it computes."""
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401

    read, stays = READS[name]
    calls = [(noise(1, 3, 4, 16, seed=at), noise(1, 3, 2, 16, seed=at + 1), noise(1, 3, 2, 16, seed=at + 2), torch.tensor([at])) for at in (0, 3)]
    with torch.no_grad():
        program = torch.export.export(Native(read), calls[0])
        _, path = lowered(program, document, tmp_path)
        if not stays:
            assert "custom_sdpa" not in " ".join(operators(Program(path)))
            return
        deployed, module = Program(path), program.module()
        assert operators(deployed).count("update_cache.default") == 2 and not deployed.kernels()
        for call in calls:
            expected = module(*call)
            assert (deployed(*call)[0] - expected).abs().max() < 1e-5 * expected.abs().max()


class Turned(torch.nn.Module):
    """Queries and keys as ExecuTorch's own Llama turns them, by rows of a table."""

    def __init__(self, heads, key_heads, size):
        super().__init__()
        self.query, self.key, self.size = torch.nn.Linear(32, heads * size), torch.nn.Linear(32, key_heads * size), size
        angles = torch.outer(torch.arange(8), 100 ** (-torch.arange(0, size, 2) / size)) + 0.3
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x, at):
        from executorch.examples.models.llama.rope import apply_rotary_emb

        query, key = (layer(x).unflatten(-1, (-1, self.size)) for layer in (self.query, self.key))
        return [part.transpose(1, 2) for part in apply_rotary_emb(query, key, self.cos[at], self.sin[at])]


@pytest.mark.parametrize("dynamic", [False, True], ids=["three tokens", "any length"])
@pytest.mark.parametrize(
    ("heads", "key_heads", "size", "batch"), [(4, 2, 16, 1), (2, 2, 8, 1), (1, 3, 24, 1), (4, 2, 12, 1), (4, 2, 16, 2)]
)
def test_neighbours_that_turn(heads, key_heads, size, batch, dynamic, document, tmp_path):
    """The shader turns one batch, of heads that fill pairs of texels; any others stay plain operators of the delegate."""
    with seeded(), torch.no_grad():
        module = Turned(heads, key_heads, size)
        length = torch.export.Dim("length", min=1, max=8)
        shapes = ({1: length}, {0: length}) if dynamic else None
        program = torch.export.export(module, (noise(batch, 3, 32), torch.arange(2, 5)), dynamic_shapes=shapes)
        said, path = lowered(program, document, tmp_path)
        deployed = Program(path)
        turns = size % 8 == 0 and batch == 1
        assert operators(deployed).count("et_vk.apply_rotary_emb.default") == turns
        assert turns == ("aten.cat.default" not in operators(deployed))
        assert len(said["methods"][0]["delegates"]) == 1 and not deployed.kernels()
        for at in ([2, 3, 4], [7, 0, 5, 1, 6] if dynamic else [7, 0, 5]):
            call = noise(batch, len(at), 32, seed=at[0]), torch.tensor(at)
            for ours, expected in zip(deployed(*call), module(*call), strict=True):
                assert expected.std() > 0.1 and ours.shape == expected.shape
                assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


def test_prefill_and_decode_share_weights(document, tmp_path):
    with seeded(), torch.no_grad():
        module = decoders.decoder()
        for name, dynamic in (("prefill", True), ("decode", False)):
            torch.export.save(decoders.export(module, dynamic), tmp_path / f"{name}.pt2")
    both = tmp_path / "both.pte"
    document("lower", f"prefill={tmp_path / 'prefill.pt2'}", f"decode={tmp_path / 'decode.pt2'}", "-o", both, "--backend", "vulkan")
    document("lower", tmp_path / "prefill.pt2", "-o", tmp_path / "one.pte", "--backend", "vulkan")
    package, one = Package(both), Package(tmp_path / "one.pte")
    assert {plan.name for plan in package.program.execution_plan} == {"prefill", "decode"}
    sizes = [sum(map(len, held.named.values())) for held in (package, one)]
    assert sizes[0] < 1.01 * sizes[1] and len(package.payloads(name="prefill")) == len(package.payloads(name="decode")) == 1
