"""CoreMLQuantizer of ExecuTorch. It exports some four hundred patterns anew for every configuration, which takes minutes; here the same
graphs are written down at once (`test_patterns_are_what_the_exporter_makes` holds them to the exporter's)."""

import contextlib
import inspect
import operator
import warnings
from unittest import mock

import torch
from torch import fx
from torch.nn import functional as F
from torch.utils import _pytree as pytree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from coremltools.optimize.torch.quantization import LinearQuantizerConfig
    from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer, _coreml_quantizer_utils as utils
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

aten = torch.ops.aten
OPERATORS = {F.conv1d: aten.conv1d, F.conv2d: aten.conv2d, F.conv3d: aten.conv3d, F.linear: aten.linear, torch.matmul: aten.matmul}
OPERATORS |= {F.logsigmoid: aten.log_sigmoid, F.gelu: aten.gelu, "sigmoid": aten.sigmoid, "tanh": aten.tanh}
BINARY = {operator.add: aten.add, torch.add: aten.add, operator.iadd: aten.add_}
BINARY |= {operator.mul: aten.mul, torch.mul: aten.mul, operator.imul: aten.mul_}


def aten_form(node: fx.Node, binary_op):
    function, inplace = node.target, node.kwargs.get("inplace", False)
    if function in BINARY:
        function = binary_op  # tracing takes `+=` for `+`
        return BINARY[function].Tensor, node.args
    if function is F.batch_norm:
        x, mean, variance = node.args
        return aten.batch_norm.default, (x, node.kwargs["weight"], node.kwargs["bias"], mean, variance, True, 0.1, 1e-5, True)
    packet = OPERATORS.get(function) or getattr(aten, function.__name__ + "_" * inplace)
    return packet.default, node.args


def pattern_graph(pattern: torch.nn.Module, example_inputs=None, is_cuda: bool = False) -> fx.GraphModule:
    traced = fx.symbolic_trace(pattern)
    binary_op = inspect.getclosurevars(pattern.forward).nonlocals.get("binary_op")
    written = {}
    for node in list(traced.graph.nodes):
        if node.op not in ("call_function", "call_method"):
            continue
        target, args = aten_form(node, binary_op)
        with traced.graph.inserting_before(node):
            replacement = traced.graph.call_function(target, args)
        node.replace_all_uses_with(replacement)
        if node.kwargs.get("inplace"):
            written[args[0]] = replacement
        traced.graph.erase_node(node)
    (output,) = [node for node in traced.graph.nodes if node.op == "output"]
    leaves, spec = pytree.tree_flatten(output.args[0])
    output.args = ([written.get(leaf, leaf) for leaf in leaves],)  # what was written to goes by its last name
    names = [node.name for node in traced.graph.nodes if node.op == "placeholder"]
    in_spec = pytree.tree_structure((tuple(names), {}))
    traced.graph.set_codegen(fx.graph._PyTreeCodeGen(fx.graph._PyTreeInfo(names, in_spec, spec)))
    traced.recompile()
    return traced


@contextlib.contextmanager
def quick_patterns():
    with mock.patch.object(utils, "_get_aten_graph_module", pattern_graph):
        yield


def quantized(program: torch.export.ExportedProgram, samples: list[tuple], config: dict) -> torch.export.ExportedProgram:
    """The program as `prepare_pt2e`, calibration with the samples and `convert_pt2e` leave it."""
    quantizer = CoreMLQuantizer(LinearQuantizerConfig.from_dict(config))
    with quick_patterns(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_pt2e(program.module(), quantizer)
        for sample in samples:
            prepared(*sample)
        return torch.export.export(convert_pt2e(prepared), samples[0])
