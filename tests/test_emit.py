"""Programs lowered without a backend, on the stock runtime's portable kernels: every number as eager PyTorch's."""

import dataclasses

import pytest
import torch
from torch.utils import _pytree as pytree

from cases import ops
from oracle.compare import assert_same
from oracle.executorch import execute, method_of
from oracle.build import probe

# Kernels differ from PyTorch's in the order of sums only.
TOLERANCE = {torch.float16: 2e-2, torch.float32: 2e-5, torch.float64: 1e-6}
# Models whose plan is compared with ExecuTorch's own.
PLANNED = ["conv_batch_norm", "sdpa_causal", "hardswish", "encoder_layer", "pad_reflect", "topk", "counter", "split", "group_norm"]


@pytest.fixture(scope="session")
def lowered(tmp_path_factory):
    """Everything exported and lowered once: name -> (.pte path, ExportedProgram)."""
    folder = tmp_path_factory.mktemp("emit")
    programs, arguments = {}, []
    for name, case in (ops.EMITTED | ops.DYNAMIC).items():
        program = case.export()
        torch.export.save(program, folder / f"{name}.pt2")
        programs[name] = (folder / f"{name}.pte", program)
        arguments += [folder / f"{name}.pt2", folder / f"{name}.pte"]
    return programs, probe("edge_lower", *arguments, check=False).stderr


def check(lowered, name, case):
    """The calls follow each other in one loaded program: state carries over, memory of one does not reach into the next."""
    programs, errors = lowered
    path, _ = programs[name]
    assert path.exists(), [line for line in errors.splitlines() if f"/{name}.pt2" in line]
    method = method_of(path)
    for call, expected in zip(case.calls, case.expected, strict=True):
        assert_same(execute(method, call), expected, lambda wanted: TOLERANCE.get(wanted.dtype, 0))


def fresh(call, seed):
    """Other values of the same sizes and types."""
    generator = torch.Generator().manual_seed(seed)

    def draw(leaf):
        if not isinstance(leaf, torch.Tensor) or not leaf.is_floating_point():
            return leaf
        return torch.empty_like(leaf).copy_(torch.randn(leaf.shape, generator=generator))

    return pytree.tree_map(draw, call)


@pytest.mark.parametrize("name", ops.EMITTED)
def test_numbers_are_pytorchs(lowered, name):
    case = ops.EMITTED[name]
    check(lowered, name, dataclasses.replace(case, calls=[fresh(case.calls[0], seed) for seed in range(3)]))


@pytest.mark.parametrize("name", ops.DYNAMIC)
def test_sizes_may_change(lowered, name):
    case = ops.DYNAMIC[name]
    check(lowered, name, dataclasses.replace(case, calls=[*case.calls, case.calls[0]]))


@pytest.mark.parametrize("name", PLANNED)
def test_memory_plans_are_no_larger_than_executorchs(lowered, name):
    from executorch.exir import to_edge
    from executorch.exir._serialize._program import deserialize_pte_binary

    path, program = lowered[0][name]
    stock = to_edge(program).to_executorch().executorch_program
    ours = deserialize_pte_binary(path.read_bytes()).program
    assert sum(ours.execution_plan[0].non_const_buffer_sizes) <= sum(stock.execution_plan[0].non_const_buffer_sizes)


def test_stock_tools_read_and_rewrite_what_is_written(lowered):
    from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary

    for name, (path, _) in lowered[0].items():
        if not path.exists():
            continue
        file = deserialize_pte_binary(path.read_bytes())
        plan = file.program.execution_plan[0]
        assert plan.name == "forward"
        pytree.treespec_loads(plan.container_meta_type.encoded_inp_str)
        pytree.treespec_loads(plan.container_meta_type.encoded_out_str)
        assert bytes(serialize_pte_binary(file)), name
