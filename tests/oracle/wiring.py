"""Converted programs side by side: what computes, in order, and how it is connected."""

import math

import torch

QUANTIZE, DEQUANTIZE = "quantized_decomposed.quantize_per_tensor.default", "quantized_decomposed.dequantize_per_tensor.default"


def wiring(program):
    """Every call that computes, in order, with its operands: constants by target, inputs by name, other calls by their place, and what
    is quantized on the way as nested calls: where such a call stands among others says nothing."""
    named = {spec.arg.name: spec.target or spec.arg.name for spec in program.graph_signature.input_specs}
    text, calls = {}, []

    def plain(argument):
        if isinstance(argument, torch.fx.Node):
            return named[argument.name] if argument.op == "placeholder" else text[argument]
        if isinstance(argument, (list, tuple)):
            return [plain(item) for item in argument]
        return argument if isinstance(argument, (int, float)) else str(argument)

    for node in program.graph.nodes:
        call = [str(node.target), plain(node.args), {key: plain(value) for key, value in node.kwargs.items()}]
        if node.op == "call_function" and "quantize_per" in str(node.target):
            text[node] = call
        elif node.op in ("call_function", "output"):
            text[node] = f"%{len(calls)}"
            calls.append(call)
    return calls


def count(program, op):
    """Those that something reads: the check of input sizes, which PyTorch takes out again, leaves them one that nothing does."""
    return sum(str(node.target) == op and len(node.users) > 0 for node in program.graph.nodes)


def alike(mine, oracle, tolerance):
    if isinstance(oracle, float):
        return isinstance(mine, float) and math.isclose(mine, oracle, rel_tol=tolerance)
    if isinstance(oracle, list):
        return isinstance(mine, list) and len(mine) == len(oracle) and all(alike(a, b, tolerance) for a, b in zip(mine, oracle))
    return mine == oracle


def same(mine, oracle, tolerance=2e-5):
    """Equal, but for the last bits of numbers that come from sums in another order; `tolerance` is relative."""
    left, right = wiring(mine), wiring(oracle)
    for index, (call, expected) in enumerate(zip(left, right)):
        assert alike(call, expected, tolerance), f"call {index}: {call} instead of {expected}"
    assert len(left) == len(right)
    assert [count(mine, op) for op in (QUANTIZE, DEQUANTIZE)] == [count(oracle, op) for op in (QUANTIZE, DEQUANTIZE)]
    for name, tensor in oracle.state_dict.items():
        if name in mine.state_dict:  # the unused bias of a batch norm is theirs alone
            assert torch.allclose(mine.state_dict[name], tensor, rtol=tolerance, atol=0), name
