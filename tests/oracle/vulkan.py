"""ExecuTorch's Vulkan quantizer and lowering."""

import logging
import warnings
from pathlib import Path

import torch

from cases import Case

DELEGATE = "VulkanBackend"


def quantize(case: Case, **config) -> torch.nn.Module:
    """The converted module of PT2E with Vulkan's quantizer."""
    from executorch.backends.vulkan.quantizer.vulkan_quantizer import VulkanQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(case.export().module(), VulkanQuantizer().set_global(get_symmetric_quantization_config(**config)))
    for call in case.calls:
        prepared(*call)
    return convert_pt2e(prepared)


def lower(program: torch.export.ExportedProgram, path: Path, **options) -> None:
    """ExecuTorch's own `.pte` with its partitioner's options."""
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.kernels import quantized  # noqa: F401: what is left of quantization needs its out variants

    before = logging.root.level, logging.root.manager.disable
    logging.disable(logging.INFO)  # every operator of every partition
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path.write_bytes(to_edge_transform_and_lower(program, partitioner=[VulkanPartitioner(options)]).to_executorch().buffer)
    finally:
        logging.root.setLevel(before[0])
        logging.disable(before[1])


def without_rounded_inputs(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Reads what was quantized at run time as it was before."""
    for node in program.graph.nodes:
        source = node.args[0] if node.op == "call_function" and node.args else None
        if "dequantize" in str(node.target) and isinstance(source, torch.fx.Node) and ".quantize" in str(source.target):
            node.replace_all_uses_with(source.args[0])
    program.graph_module.recompile()
    return program
