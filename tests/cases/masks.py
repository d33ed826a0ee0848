"""Attention under every kind of mask: the numbers that say "not here" must leave the scores their precision."""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from cases import Case, seeded

LOWEST = torch.finfo(torch.float32).min


def causal(size: int, value: float) -> torch.Tensor:
    return torch.full((size, size), value).triu(1)


class Masked(nn.Module):
    """Self attention; `weigh(module, scores, keep)` masks the scores and gives the weights. `keep`: 1 where a token is, 0 where none is."""

    def __init__(self, weigh, width=32, heads=2, tokens=12):
        super().__init__()
        self.weigh, self.heads = weigh, heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        nn.init.normal_(self.qkv.weight, std=1.5 / width**0.5)
        self.sink = nn.Parameter(torch.randn(heads, 1, 1))
        self.bias = nn.Parameter(torch.randn(heads, tokens, tokens))
        columns = torch.zeros(tokens, tokens)
        columns[:, -2:] = -1e4
        for name, tensor in {"far": columns, "lowest": causal(tokens, LOWEST), "infinite": causal(tokens, -torch.inf)}.items():
            self.register_buffer(name, tensor)

    def split(self, x):
        batch, tokens, width = x.shape
        x = x.view(batch, tokens, self.heads, width // self.heads)
        return x.transpose(1, 2) if self.heads > 1 else x.squeeze(2)

    def scores(self, query, key):
        return query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5

    def forward(self, x, keep):
        query, key, value = (self.split(part) for part in self.qkv(x).chunk(3, -1))
        keep = keep[:, None, None] if self.heads > 1 else keep[:, None]
        mixed = self.weigh(self, self.scores(query, key), keep) @ value
        mixed = mixed.transpose(1, 2) if self.heads > 1 else mixed
        return x + self.out(mixed.reshape(x.shape))


class Attended(Masked):
    """The same with the runtime's attention: `weigh` gives the mask."""

    def forward(self, x, keep):
        query, key, value = (self.split(part) for part in self.qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, self.weigh(self, None, keep[:, None, None]))
        return x + self.out(mixed.transpose(1, 2).reshape(x.shape))


class Library(nn.Module):
    """nn.MultiheadAttention; `mask` is of floats or booleans."""

    def __init__(self, mask, weights, heads=2, width=32):
        super().__init__()
        self.inside, self.weights = nn.MultiheadAttention(width, heads, batch_first=True), weights
        self.register_buffer("mask", mask)

    def forward(self, x, keep):
        mixed, weights = self.inside(x, x, x, attn_mask=self.mask, need_weights=self.weights)
        return x + mixed if weights is None else x + mixed + weights.amax(-1, keepdim=True)


class Shared(nn.Module):
    """A position bias with the mask in it, made once for two layers, as T5 does; BERT's mask likewise."""

    def __init__(self, width=32):
        super().__init__()
        self.layers = nn.ModuleList([Masked(None, width), Masked(None, width)])
        self.positions = nn.Embedding(12 * 12, 2)
        self.register_buffer("places", torch.arange(12 * 12).view(12, 12))

    def forward(self, x, keep):
        shared = self.positions(self.places).permute(2, 0, 1)[None] + (1.0 - keep[:, None, None]) * -1e4
        for layer in self.layers:
            layer.weigh = lambda module, scores, _: F.softmax(scores + shared, -1)
            x = layer(x, keep)
        return x


class Smallest(nn.Module):
    def __init__(self):
        super().__init__()
        mask = torch.zeros(6, 6)
        mask[:, 4:] = -1e4
        self.register_buffer("mask", mask)

    def forward(self, x):
        return torch.softmax(x @ x.transpose(1, 2) + self.mask, -1) @ x


def exponential(scores):
    raised = torch.exp(scores - scores.max(-1, keepdim=True).values)
    return raised / raised.sum(-1, keepdim=True)


def filled_in_place(module, scores, keep):
    scores.masked_fill_(keep == 0, -torch.inf)
    return F.softmax(scores, -1)


def added_in_place(module, scores, keep):
    scores += module.far
    return F.softmax(scores, -1)


def with_a_sink(module, scores, keep):
    sink = module.sink.expand(scores.shape[0], -1, scores.shape[-2], -1)
    return F.softmax(torch.cat([scores + module.lowest, sink], -1), -1)[..., :-1]


def written_out(module, scores, keep):
    mask = torch.zeros_like(scores)
    mask[..., -2:] = -1e9
    return F.softmax(scores + mask, -1)


# name: how scores become weights
WEIGHED = {
    "buffer": lambda m, s, keep: F.softmax(s + m.far, -1),
    "mask_first": lambda m, s, keep: F.softmax(m.far + s, -1),
    "lowest_float": lambda m, s, keep: F.softmax(s + m.lowest, -1),
    "infinite": lambda m, s, keep: F.softmax(s + m.infinite, -1),
    "causal_computed": lambda m, s, keep: F.softmax(s + torch.full(s.shape[-2:], -1e4).triu(1), -1),
    "from_input": lambda m, s, keep: F.softmax(s + (1.0 - keep) * -1e4, -1),
    "from_input_lowest": lambda m, s, keep: F.softmax(s + (1.0 - keep) * LOWEST, -1),
    "two_masks": lambda m, s, keep: F.softmax(s + m.far + (1.0 - keep) * -1e9, -1),
    "masks_summed": lambda m, s, keep: F.softmax(s + torch.clamp(m.lowest + (1.0 - keep) * -1e9, min=LOWEST), -1),
    "bias_and_mask": lambda m, s, keep: F.softmax(s + (m.bias + m.far), -1),
    "scaled_after": lambda m, s, keep: F.softmax((s + m.far) * 0.7, -1),
    "viewed": lambda m, s, keep: F.softmax((s + m.far).view(-1, *s.shape[-2:]), -1).view(s.shape),
    "clamped": lambda m, s, keep: F.softmax(torch.clamp(s + m.infinite, min=-1e6), -1),
    "maximum": lambda m, s, keep: F.softmax(torch.max(s + m.far, torch.tensor(LOWEST)), -1),
    "soft_capped": lambda m, s, keep: F.softmax(torch.tanh(s / 20.0) * 20.0 + m.far, -1),
    "masked_fill": lambda m, s, keep: F.softmax(s.masked_fill(keep == 0, -1e4), -1),
    "masked_fill_infinite_scaled": lambda m, s, keep: F.softmax(s.masked_fill(keep == 0, -torch.inf) * 0.7, -1),
    "masked_fill_in_place": filled_in_place,
    "where": lambda m, s, keep: F.softmax(torch.where(keep > 0, s, LOWEST), -1),
    "where_and_bias": lambda m, s, keep: F.softmax(torch.where(keep > 0, s, -1e4) + m.bias, -1),
    "where_of_masks": lambda m, s, keep: F.softmax(s + torch.where(keep > 0, 0.0, -1e9), -1),
    "added_in_place": added_in_place,
    "written_out": written_out,
    "sink": with_a_sink,
    "safe": lambda m, s, keep: torch.ops.aten._safe_softmax(s + m.infinite, -1),
    "log_softmax": lambda m, s, keep: F.log_softmax(s + m.far, -1).exp(),
    "exponential": lambda m, s, keep: exponential(s + m.far),
    "returned_weights": lambda m, s, keep: F.dropout(F.softmax(s + m.far, -1), 0.1, m.training),
}
MASKS = {
    "runtime_attention": lambda m, _, keep: (1.0 - keep) * -1e4 + m.far,
    "runtime_attention_biased": lambda m, _, keep: m.bias + m.infinite,
}


def draw(shape, count, seed):
    """Tokens, and which of them are there: some of the last ones are not."""
    generator = torch.Generator().manual_seed(seed)
    batch, tokens, _ = shape
    calls = []
    for index in range(count):
        lengths = torch.randint(tokens // 2, tokens + 1, (batch, 1), generator=generator)
        calls.append((torch.randn(shape, generator=generator), (torch.arange(tokens) < lengths).float()))
    return calls


def masked(module, shape) -> Case:
    module.eval()
    return Case(module, draw(shape, 1, 1), draw=functools.partial(draw, shape))


def smallest() -> Case:
    module = Smallest().eval()
    of = lambda count, seed: [(torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(seed + i)),) for i in range(count)]
    return Case(module, of(1, 1), draw=of)


with seeded():
    SHAPES = {"flat": ((3, 12, 16), 1), "heads": ((1, 12, 32), 2), "more_heads": ((2, 20, 48), 4)}
    CASES = {"smallest": smallest()}
    for index, (name, weigh) in enumerate(WEIGHED.items()):  # each form in one shape, and the plain sum in all
        for shape_name in SHAPES if name == "buffer" else [list(SHAPES)[index % 3 if name != "sink" and "bias" not in name else 1]]:
            shape, heads = SHAPES[shape_name]
            CASES[f"{name}_{shape_name}"] = masked(Masked(weigh, shape[2], heads, shape[1]), shape)
    for name, mask in MASKS.items():
        CASES[name] = masked(Attended(mask), (1, 12, 32))
    CASES["shared"] = masked(Shared(), (1, 12, 32))
    for name, value, weights in [("library", -1e4, False), ("library_weights", LOWEST, True), ("library_infinite_weights", -torch.inf, True)]:
        CASES[name] = masked(Library(causal(12, value), weights), (2, 12, 32))
    CASES["library_boolean"] = masked(Library(torch.ones(12, 12, dtype=torch.bool).triu(1), True), (2, 12, 32))
