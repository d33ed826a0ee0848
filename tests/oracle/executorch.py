"""The stock runtime and the stock lowering."""

from pathlib import Path

import numpy as np
import torch

from cases import copied, leaves


def method_of(path: Path, name: str = "forward"):
    """The method, verified as it is loaded. From a path: a program loaded from bytes does not keep them alive."""
    from executorch.kernels import quantized  # noqa: F401: registers the kernels of embeddings
    from executorch.runtime import Runtime, Verification

    return Runtime.get().load_program(path, verification=Verification.InternalConsistency).load_method(name)


def execute(method, call) -> list:
    """The leaves of one call's outputs; the runtime reuses their memory, so they are copies."""
    values = [value.contiguous() if isinstance(value, torch.Tensor) and not channels_last(value) else value for value in leaves(copied(call))]
    return copied(list(method.execute(values)))


def channels_last(value: torch.Tensor) -> bool:
    return value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)


def run(path: Path, calls) -> np.ndarray:
    """The first output of every call, one after the other."""
    method = method_of(path)
    return np.concatenate([execute(method, call)[0].numpy() for call in calls])


def lower(program: torch.export.ExportedProgram, path: Path) -> None:
    """ExecuTorch's own `.pte` with XNNPACK."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    path.write_bytes(to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)


def lower_quantized(program: torch.export.ExportedProgram, path: Path) -> None:
    """The same of what torchao's `quantize_` left."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower

    unchecked = EdgeCompileConfig(_check_ir_validity=False)  # the check knows no quantized embedding
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], compile_config=unchecked)
    path.write_bytes(edge.to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=True)).buffer)


def instructions(path: Path) -> tuple[int, list[str]]:
    """Delegate calls, and the kernels called beside them."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    plan = deserialize_pte_binary(path.read_bytes()).program.execution_plan[0]
    calls = [instruction.instr_args for instruction in plan.chains[0].instructions]
    kernels = [plan.operators[call.op_index] for call in calls if type(call).__name__ == "KernelCall"]
    delegates = sum(type(call).__name__ == "DelegateCall" for call in calls)
    return delegates, [f"{kernel.name}.{kernel.overload}" for kernel in kernels]
