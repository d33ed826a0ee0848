"""Transformers as users write them, seeded, with outputs that are neither zero nor constant.

`llama`: rotary embedding over pairs (strided slices and a stack), key and value heads repeated by `expand`, attention with
`is_causal`. `llama_halves`: rotary embedding over halves, `repeat_interleave`, attention written out with a mask.
`vit`: patch embedding, class token, `layer_norm`, attention, gelu.
"""

import torch
from torch import nn
from torch.nn import functional as F

from cases.networks import drawn, of_images

VOCABULARY, TOKENS, WIDTH, HEADS, KEY_HEADS, HIDDEN, LAYERS = 320, 48, 128, 8, 2, 344, 2
HEAD = WIDTH // HEADS


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width) + 0.2 * torch.randn(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class SwiGLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


def rotate_pairs(x, cos, sin):
    """x: [batch, tokens, heads, head]; neighbours are the pairs."""
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def rotate_halves(x, cos, sin):
    """x: [batch, heads, tokens, head]; an element's pair is half a head away."""
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def repeat_heads(x, times):
    batch, heads, tokens, head = x.shape
    return x[:, :, None].expand(batch, heads, times, tokens, head).reshape(batch, heads * times, tokens, head)


class Attention(nn.Module):
    def __init__(self, halves):
        super().__init__()
        self.halves = halves
        self.query, self.out = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.key, self.value = (nn.Linear(WIDTH, KEY_HEADS * HEAD, bias=False) for _ in range(2))

    def forward(self, x, cos, sin, mask):
        batch, tokens, _ = x.shape
        query = self.query(x).view(batch, tokens, HEADS, HEAD)
        key, value = (layer(x).view(batch, tokens, KEY_HEADS, HEAD) for layer in (self.key, self.value))
        if self.halves:
            query, key, value = (part.transpose(1, 2) for part in (query, key, value))
            query, key = rotate_halves(query, cos, sin), rotate_halves(key, cos, sin)
            key, value = (part.repeat_interleave(HEADS // KEY_HEADS, dim=1) for part in (key, value))
            scores = (query @ key.transpose(2, 3) / HEAD**0.5).masked_fill(mask[:, :, :tokens, :tokens], -torch.inf)
            mixed = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype) @ value
        else:
            query, key = rotate_pairs(query, cos, sin), rotate_pairs(key, cos, sin)
            query, key, value = (part.transpose(1, 2) for part in (query, key, value))
            key, value = (repeat_heads(part, HEADS // KEY_HEADS) for part in (key, value))
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, WIDTH))


class Block(nn.Module):
    def __init__(self, halves):
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(WIDTH), Attention(halves)
        self.mlp_norm, self.mlp = RMSNorm(WIDTH), SwiGLU()

    def forward(self, x, *tables):
        x = x + self.attention(self.attention_norm(x), *tables)
        return x + self.mlp(self.mlp_norm(x))


class Llama(nn.Module):
    def __init__(self, halves):
        super().__init__()
        self.halves = halves
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block(halves) for _ in range(LAYERS))
        self.norm, self.head = RMSNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)
        angles = torch.outer(torch.arange(TOKENS), 10000 ** (-torch.arange(0, HEAD, 2) / HEAD))
        angles = torch.cat((angles, angles), -1) if halves else angles[:, None]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        self.register_buffer("mask", torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool).triu(1))

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length], self.mask)
        return self.head(self.norm(x))


class EncoderBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Module):
    def __init__(self, size=96, patch=16, width=96, heads=3, layers=2):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 40)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


def lively(make):
    torch.manual_seed(0)
    model = make().eval()
    for parameter in model.parameters():  # the default initialisation keeps attention flat
        if parameter.dim() > 1:
            fan_in = parameter[0].numel()
            nn.init.normal_(parameter, std=1.2 / fan_in**0.5)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.weight.normal_()
    return model


def tokens(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randint(0, VOCABULARY, (1, TOKENS), generator=generator),) for _ in range(count)]


# name: function that makes the case
MODELS = {
    "llama": lambda: drawn(lively(lambda: Llama(halves=False)), tokens),
    "llama_halves": lambda: drawn(lively(lambda: Llama(halves=True)), tokens),
    "vit": lambda: of_images(lively(VisionTransformer), 96),
}
