"""ExecuTorch's own 8da4w file of SmolLM2, whole or of its first layers: torchao's `quantize_`, then its lowering for XNNPACK."""

from pathlib import Path

import torch

from cases import smollm2
from cases.quantized import dynamic, is_embedding, weight_only
from oracle import executorch


def quantized(module: torch.nn.Module) -> torch.nn.Module:
    """In place: linears in groups of 32, embeddings to int8."""
    from torchao.quantization import quantize_
    from torchao.utils import unwrap_tensor_subclass

    quantize_(module, weight_only(8), is_embedding)
    quantize_(module, dynamic(4, 32))
    return unwrap_tensor_subclass(module)


def write(folder: Path, layers: int, path: Path) -> None:
    """Takes half a minute, and ten seconds more for each layer."""
    executorch.lower_quantized(smollm2.program(folder, quantized(smollm2.model(folder, layers))), path)
