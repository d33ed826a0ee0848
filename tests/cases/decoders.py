"""Causal language models as their exporters leave them: seeded, small, with caches that hold what was said.

`Decoder` keeps its caches in buffers that it writes into: `index_copy` and a counter, as Hugging Face's static cache has them, or
`index_put`, as ExecuTorch's own models do. `Growing` gets its caches as nested inputs and returns them longer.
"""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F

from cases.language import RMSNorm, lively, rotate_halves

VOCABULARY, WIDTH, HEADS, KEY_HEADS, HIDDEN, LAYERS, POSITIONS = 160, 64, 4, 2, 96, 2, 32
HEAD = WIDTH // HEADS
# Llama-shaped: 1.1 billion weights.
BILLION = dict(VOCABULARY=32000, WIDTH=2048, HEADS=32, KEY_HEADS=4, HIDDEN=5632, LAYERS=22, POSITIONS=256, HEAD=64)


@contextlib.contextmanager
def sized(sizes):
    """What is made and exported inside has these sizes."""
    before = {name: globals()[name] for name in sizes}
    globals().update(sizes)
    try:
        yield
    finally:
        globals().update(before)


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, KEY_HEADS * HEAD, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(width, HIDDEN, bias=False) for _ in range(2))
        self.down = nn.Linear(HIDDEN, width, bias=False)
        self.attention_norm, self.mlp_norm = norm(width), norm(width)

    def forward(self, x, cos, sin, mask, remember):
        batch, tokens, width = x.shape
        h = self.attention_norm(x)
        query, key, value = (
            part.view(batch, tokens, -1, HEAD).transpose(1, 2) for part in (self.query(h), self.key(h), self.value(h))
        )
        query, key = rotate_halves(query, cos, sin).to(x.dtype), rotate_halves(key, cos, sin).to(x.dtype)
        key, value = remember(key, value)
        if mask is None:
            mixed = F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        else:
            key, value = (
                part[:, :, None].expand(-1, -1, HEADS // KEY_HEADS, -1, -1).reshape(batch, HEADS, -1, HEAD) for part in (key, value)
            )
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        h = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def norm(width):
    made = RMSNorm.__new__(RMSNorm)
    nn.Module.__init__(made)
    made.weight = nn.Parameter(torch.ones(width) + 0.2 * torch.randn(width))
    return made


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head, self.norm = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False), norm(WIDTH)
        self.layers = nn.ModuleList(Layer(WIDTH) for _ in range(LAYERS))
        self.register_buffer("frequencies", 10000 ** (-torch.arange(0, HEAD, 2) / HEAD), persistent=False)

    def tables(self, positions, dtype):
        angles = positions[None, :, None].float() * self.frequencies[None, None].to(positions.device, torch.float32)
        angles = torch.cat((angles, angles), -1)[:, None]
        return angles.cos().to(dtype), angles.sin().to(dtype)


class Decoder(Base):
    def __init__(self, way="index_copy"):
        super().__init__()
        self.way = way
        for i in range(LAYERS):
            for kind in ("keys", "values"):
                self.register_buffer(f"{kind}_{i}", torch.zeros(1, KEY_HEADS, POSITIONS, HEAD), persistent=False)
            self.register_buffer(f"length_{i}", torch.zeros((), dtype=torch.int64), persistent=False)

    def remember(self, i, positions):
        def write(key, value):
            caches = getattr(self, f"keys_{i}"), getattr(self, f"values_{i}")
            for cache, new in zip(caches, (key, value)):
                if self.way == "index_copy":
                    cache.index_copy_(2, positions, new)
                else:
                    cache[:, :, positions] = new
            return caches

        return write

    def forward(self, input_ids, cache_position):
        x = self.words(input_ids)
        for i in range(LAYERS):
            getattr(self, f"length_{i}").copy_(cache_position[0])
        positions = torch.arange(input_ids.shape[1]) + self.length_0
        mask = (torch.arange(POSITIONS)[None, None, None] <= positions[None, None, :, None]).expand(1, 1, input_ids.shape[1], POSITIONS)
        cos, sin = self.tables(positions, x.dtype)
        for i, layer in enumerate(self.layers):
            length = getattr(self, f"length_{i}")
            written = torch.arange(input_ids.shape[1]) + length
            length.add_(input_ids.shape[1])
            x = layer(x, cos, sin, mask, self.remember(i, written))
        return self.head(self.norm(x))


class Growing(Base):
    """Caches {"layers": [(keys, values), ...]} come in and go out, one token longer."""

    def forward(self, input_ids, cache):
        x = self.words(input_ids)
        past = cache["layers"][0][0].shape[2]
        cos, sin = self.tables(torch.arange(input_ids.shape[1]) + past, x.dtype)
        grown = []
        for layer, (keys, values) in zip(self.layers, cache["layers"]):

            def remember(key, value, keys=keys, values=values):
                grown.append((torch.cat((keys, key), 2), torch.cat((values, value), 2)))
                return grown[-1]

            x = layer(x, cos, sin, None, remember)
        return self.head(self.norm(x)), {"layers": grown}


def decoder(way="index_copy", dtype=torch.float32):
    module = lively(lambda: Decoder(way)).to(dtype)
    for name, buffer in module.named_buffers():
        if name == "frequencies":
            module.frequencies = buffer.float()
    return module


def shapes():
    length = torch.export.Dim("length", min=1, max=POSITIONS - 1)
    return {"input_ids": {1: length}, "cache_position": {0: length}}


def export(module, dynamic=True):
    """Keywords, as Hugging Face's exportable modules take them."""
    count = 3 if dynamic else 1
    inputs = {"input_ids": torch.arange(count)[None] + 5, "cache_position": torch.arange(count)}
    return torch.export.export(module, (), inputs, dynamic_shapes=shapes() if dynamic else None)


def greedy(step, prompt, count):
    """Tokens by largest logit; `step(tokens, positions)` gives the logits."""
    said, at = list(prompt), 0
    for _ in range(count):
        new = said[at:]
        logits = step(torch.tensor([new]), torch.arange(at, len(said)))
        at = len(said)
        said.append(int(logits.reshape(-1, logits.shape[-1])[-1].argmax()))
    return said[len(prompt) :]
