"""Programs lowered without a backend, on the stock runtime's portable kernels: every number as eager PyTorch's."""

import subprocess

import pytest
import torch
from torch.utils import _pytree as pytree

import emit_modules

STATIC = emit_modules.modules()
DYNAMIC = emit_modules.dynamic_modules()
# Kernels differ from PyTorch's in the order of sums only.
TOLERANCE = {torch.float16: 2e-2, torch.float32: 2e-5, torch.float64: 1e-6}
# Models whose plan is compared with ExecuTorch's own.
PLANNED = ["batch_norm", "attention_causal", "hardswish", "encoder_layer", "pad_reflect", "topk", "counter", "split", "group_norm"]


@pytest.fixture(scope="session")
def lowered(build, tmp_path_factory):
    """Everything exported and lowered once: name -> (.pte path, ExportedProgram)."""
    folder = tmp_path_factory.mktemp("emit")
    programs, arguments = {}, []
    for name, (module, args, *rest) in {**STATIC, **DYNAMIC}.items():
        program = torch.export.export(module.eval(), args, dynamic_shapes=rest[0] if rest else None)
        torch.export.save(program, folder / f"{name}.pt2")
        programs[name] = (folder / f"{name}.pte", program)
        arguments += [folder / f"{name}.pt2", folder / f"{name}.pte"]
    done = subprocess.run([build / "tests/probes/edge_lower", *arguments], capture_output=True, text=True, timeout=300)
    return programs, done.stderr


def method_of(lowered, name):
    from executorch.runtime import Runtime, Verification

    programs, errors = lowered
    path, _ = programs[name]
    assert path.exists(), [line for line in errors.splitlines() if f"/{name}.pt2" in line]
    return Runtime.get().load_program(path, verification=Verification.InternalConsistency).load_method("forward")


def check(method, module, args):
    copies = pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, args)
    outputs = method.execute(pytree.tree_leaves(copies))
    with torch.no_grad():
        expected = pytree.tree_leaves(module(*args))
    assert len(outputs) == len(expected)
    for ours, theirs in zip(outputs, expected):
        if not isinstance(theirs, torch.Tensor):
            assert ours == theirs
            continue
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        tolerance = TOLERANCE.get(ours.dtype, 0)
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, check_stride=False)


def fresh(args, seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(leaf):
        if not isinstance(leaf, torch.Tensor) or not leaf.is_floating_point():
            return leaf
        return torch.empty_like(leaf).copy_(torch.randn(leaf.shape, generator=generator))

    return pytree.tree_map(draw, args)


@pytest.mark.parametrize("name", STATIC)
def test_numbers_are_pytorchs(lowered, name):
    module, args = STATIC[name]
    method = method_of(lowered, name)
    # Three calls: state carries over, memory of one call does not reach into the next.
    for seed in range(3):
        check(method, module, fresh(args, seed))


@pytest.mark.parametrize("name", DYNAMIC)
def test_sizes_may_change(lowered, name):
    module, args, _, others = DYNAMIC[name]
    method = method_of(lowered, name)
    for sample in (args, others, args):
        check(method, module, sample)


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
