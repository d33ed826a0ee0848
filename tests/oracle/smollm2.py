"""ExecuTorch's own 8da4w file of SmolLM2, whole or of its first layers: torchao's `quantize_`, then its lowering for XNNPACK."""

from pathlib import Path

import torch

from cases import smollm2
from cases.quantized import dynamic, is_embedding, weight_only


def quantized(module: torch.nn.Module) -> torch.nn.Module:
    """In place: linears in groups of 32, embeddings to int8."""
    from torchao.quantization import quantize_
    from torchao.utils import unwrap_tensor_subclass

    quantize_(module, weight_only(8), is_embedding)
    quantize_(module, dynamic(4, 32))
    return unwrap_tensor_subclass(module)


def lower(program: torch.export.ExportedProgram, path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower

    unchecked = EdgeCompileConfig(_check_ir_validity=False)  # the check knows no quantized embedding
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], compile_config=unchecked)
    path.write_bytes(edge.to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=True)).buffer)


def write(folder: Path, layers: int, path: Path) -> None:
    """Takes half a minute, and ten seconds more for each layer."""
    lower(smollm2.program(folder, quantized(smollm2.model(folder, layers))), path)
