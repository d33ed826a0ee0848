"""torchao's flow with ExecuTorch's XNNPACK quantizer, and its view of a prepared program."""

import copy
import dataclasses
import functools

import torch

from cases import Case, Quantization


@functools.cache
def quicken_quantizer() -> None:
    """XNNPACKQuantizer exports the same six patterns, convolutions with batch norms, for each program: two seconds."""
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer_utils as quantizer

    export, known = quantizer._get_aten_graph_module_for_pattern, {}

    def export_once(pattern, inputs, is_cuda):
        key = (pattern.fn.__code__, *(cell.cell_contents for cell in pattern.fn.__closure__))
        if key not in known:
            known[key] = export(pattern, inputs, is_cuda)
        return copy.deepcopy(known[key])  # the matcher changes it

    quantizer._get_aten_graph_module_for_pattern = export_once


def make_quantizer(quantization: Quantization):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

    def resolve(kind, name):
        """"torch.nn.modules.linear.Linear" and "aten.linear.default" as the objects; names of modules stay."""
        if kind == "module_name":
            return name
        value = torch if kind == "module_type" else torch.ops
        for part in name.split(".")[kind == "module_type" :]:
            value = getattr(value, part)
        return value

    quicken_quantizer()
    quantizer = XNNPACKQuantizer()
    for kind, name, config in quantization.configs:
        getattr(quantizer, f"set_{kind}")(resolve(kind, name), get_symmetric_quantization_config(**config))
    if quantization.everything:
        quantizer.set_global(get_symmetric_quantization_config(**quantization.everything))
    return quantizer


def prepare(program: torch.export.ExportedProgram, quantization: Quantization):
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

    return prepare_pt2e(program.module(), make_quantizer(quantization))


def quantize(program: torch.export.ExportedProgram, calls, quantization: Quantization = Quantization()):
    """The converted module. Dynamic weights are observed by running, too."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    prepared = prepare(program, quantization)
    for call in calls:
        prepared(*call)
    return convert_pt2e(prepared)


def converted(case: Case) -> Case:
    """The case with the module that its quantization makes of it, calibrated on its calls."""
    return dataclasses.replace(case, module=quantize(case.export(), case.calls, case.quantization))


def ops_of(program: torch.export.ExportedProgram) -> list:
    """Operators in graph order, the parameters of quantization with them."""
    return [
        f"{node.target}{node.args[1:] if 'quantize' in str(node.target) and '.tensor' not in str(node.target) else ''}"
        for node in program.graph.nodes
        if node.op == "call_function"
    ]


# ---- decisions, as text


OBSERVER_NAMES = {
    "HistogramObserver": "histogram",
    "MinMaxObserver": "min_max",
    "PerChannelMinMaxObserver": "per_channel_min_max",
    "PlaceholderObserver": "placeholder",
}


def node_name(node):
    return node.target if node.op == "get_attr" else node.name


def key_text(key):
    return node_name(key) if isinstance(key, torch.fx.Node) else f"{node_name(key[0])} -> {key[1].name}"


def spec_text(spec):
    if spec is None:
        return "float"
    if hasattr(spec, "edge_or_node"):
        return f"shared with ({key_text(spec.edge_or_node)})"
    observer = OBSERVER_NAMES[spec.observer_or_fake_quant_ctr.p.func.__name__]
    axis = f" axis {spec.ch_axis}" if spec.ch_axis is not None else ""
    scheme = str(spec.qscheme).removeprefix("torch.")
    dtype = str(spec.dtype).removeprefix("torch.")
    return f"{dtype} {scheme} [{spec.quant_min}, {spec.quant_max}]{axis} {observer}{' dynamic' if spec.is_dynamic else ''}"


def annotations(prepared):
    rows = []
    for node in prepared.graph.nodes:
        annotation = node.meta.get("quantization_annotation")
        if annotation is None or not (annotation.input_qspec_map or annotation.output_qspec is not None):
            continue
        inputs = [[node_name(key), spec_text(spec)] for key, spec in annotation.input_qspec_map.items()]
        rows.append([node.name, inputs, None if annotation.output_qspec is None else spec_text(annotation.output_qspec)])
    return rows


def is_observer(node):
    return node.op == "call_module" and node.target.startswith("activation_post_process")


def observed(node):
    while is_observer(node):
        node = node.args[0]
    return node


def observers(prepared, with_qparams=False):
    """[tensor, sorted users, group(, scales, zero points)], sorted; groups numbered as they appear."""
    rows = []
    for node in prepared.graph.nodes:
        if is_observer(node):
            users = sorted(user.name for user in node.users if not is_observer(user))
            rows.append((node_name(observed(node)), users, getattr(prepared, node.target)))
    rows.sort(key=lambda row: row[:2])
    numbers, result = {}, []
    for value, users, module in rows:
        row = [value, users, numbers.setdefault(id(module), len(numbers))]
        if with_qparams:
            scale, zero_point = module.calculate_qparams()
            row += [scale.double().flatten().tolist(), zero_point.flatten().tolist()]
        result.append(row)
    return result
