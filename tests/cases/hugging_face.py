"""Causal language models of Hugging Face with random weights, small: their attention, norms, positions and caches as transformers writes
them. `transformers` has to be importable (cases.smollm2.exporter)."""

import torch
from torch import nn

from cases import noise, seeded

LENGTH = 32
SIZES = dict(hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=128)
SIZES |= dict(max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GPT2 = dict(n_embd=64, n_layer=2, n_head=4, vocab_size=128, n_positions=64, bos_token_id=1, eos_token_id=2)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)

# name: (class of its configuration, settings besides the sizes)
MODELS = {
    "llama_yarn": ("LlamaConfig", dict(rope_parameters=YARN, tie_word_embeddings=True)),
    "mistral_sliding": ("MistralConfig", dict(sliding_window=8)),
    "qwen3": ("Qwen3Config", dict(head_dim=32, tie_word_embeddings=True)),
    "gemma3": ("Gemma3TextConfig", dict(num_hidden_layers=6, head_dim=32, sliding_window=8, query_pre_attn_scalar=32)),
    "phi": ("PhiConfig", dict(partial_rotary_factor=0.5)),
    "phi3": ("Phi3Config", {}),
    "gpt2": ("GPT2Config", GPT2),
    "cohere": ("CohereConfig", {}),
    "glm4": ("Glm4Config", dict(head_dim=16)),
    "olmo2": ("Olmo2Config", {}),
    "cohere2": ("Cohere2Config", dict(sliding_window=8)),
    "nemotron": ("NemotronConfig", {}),
    "smollm3": ("SmolLM3Config", dict(num_hidden_layers=4)),
}
# More delegates than layers: what chooses experts, and positions of several texts, is not the delegates'.
EXPERTS = {
    "mixtral": ("MixtralConfig", dict(num_local_experts=4)),
    "qwen3_moe": ("Qwen3MoeConfig", dict(head_dim=32, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64)),
}
PLAIN = {"falcon": ("FalconConfig", dict(num_kv_heads=2))}


def lively(make) -> nn.Module:
    """Weights of spread 1 / sqrt(columns), so that no logit is near all others."""
    with seeded():
        module = make().eval()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(std=1.2 / parameter.shape[-1] ** 0.5)
    return module


def causal(name: str) -> nn.Module:
    import transformers

    config, settings = (MODELS | EXPERTS | PLAIN)[name]
    sizes = {} if config == "GPT2Config" else SIZES
    made = getattr(transformers, config)(**{**sizes, **settings}, attn_implementation="sdpa")
    return lively(lambda: transformers.AutoModelForCausalLM.from_config(made))


class Plain(nn.Module):
    """Texts of any length and number, without a cache."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, use_cache=False).logits


def plain(name: str) -> torch.export.ExportedProgram:
    shapes = {0: torch.export.Dim("texts", min=1, max=4), 1: torch.export.Dim("tokens", min=2, max=LENGTH)}
    return torch.export.export(Plain(causal(name)), (torch.arange(14).reshape(2, 7) + 3,), dynamic_shapes=(shapes,))


class WhisperDecoder(nn.Module):
    """The decoder with a cache of what was said, and attention to an encoder's states."""

    def __init__(self):
        super().__init__()
        from transformers import StaticCache, WhisperConfig, WhisperForConditionalGeneration

        sizes = dict(d_model=64, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4)
        sizes |= dict(encoder_ffn_dim=96, decoder_ffn_dim=96, vocab_size=160, max_source_positions=24, max_target_positions=LENGTH)
        sizes |= dict(num_mel_bins=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
        config = WhisperConfig(**sizes, attn_implementation="sdpa")
        self.model = WhisperForConditionalGeneration(config)
        self.cache = StaticCache(config=config, max_cache_len=LENGTH)
        self.cache.early_initialization(1, 4, 16, torch.float32, torch.device("cpu"))
        for i, layer in enumerate(self.cache.layers):
            for kind in ("keys", "values", "cumulative_length"):
                self.register_buffer(f"{kind}_{i}", getattr(layer, kind), persistent=False)

    def forward(self, input_ids, states, cache_position):
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache

        for layer in self.cache.layers:
            layer.cumulative_length.copy_(cache_position[0])
        caches = EncoderDecoderCache(self.cache, DynamicCache(config=self.model.config))
        told = dict(input_ids=input_ids, encoder_hidden_states=states, position_ids=cache_position[None])
        return self.model.proj_out(self.model.get_decoder()(**told, past_key_values=caches, use_cache=True)[0])


def whisper() -> torch.export.ExportedProgram:
    tokens = torch.export.Dim("tokens", min=1, max=LENGTH - 1)
    shapes = {"input_ids": {1: tokens}, "states": None, "cache_position": {0: tokens}}
    call = (torch.tensor([[3, 4, 5]]), states(), torch.arange(3))
    return torch.export.export(lively(WhisperDecoder), call, dynamic_shapes=shapes, strict=True)


def states() -> torch.Tensor:
    return noise(1, 24, 64, seed=3)
