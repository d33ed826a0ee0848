"""ExecuTorch's partitioner, passes and builders for Exynos, run without Samsung's SDK: stand-ins for the two extension modules that the
wheel lacks record every call of the hand-over."""

import importlib
import json
import struct
import sys
import types
import zipfile

import numpy as np
import torch


class Recorder:
    """The graphs that were handed over, in the order in which they were finished."""

    def __init__(self):
        self.graphs = []


recorder = Recorder()


class Wrapper:
    def Init(self, options):
        self.options = bytes(options)

    def IsNodeSupportedByBackend(self):
        return False

    def Compile(self, graph):
        return np.frombuffer(b"compiled " + bytes([len(recorder.graphs)]), np.uint8)

    def Destroy(self):
        pass


class TensorWrapper:
    def __init__(self, name, dims, data_type, layout):
        self.call = {"name": name, "dims": list(dims), "data_type": data_type, "layout": layout, "quantize": None, "data": None}

    def AddQuantizeParam(self, kind, scales, zero_points):
        self.call["quantize"] = {"type": kind, "scales": [float(np.float32(x)) for x in scales], "zero_points": [int(x) for x in zero_points]}

    def AddData(self, data):
        self.call["data"] = np.array(data)


def kind_of(values):
    """The SDK's element type, as the overloads of the binding choose it."""
    if isinstance(values, bool):
        return "BOOL"
    values = values if isinstance(values, (list, tuple)) else [values]
    if any(isinstance(x, float) for x in values):
        return "FLOAT64"
    wide = any(not -(2**31) <= x < 2**32 for x in values)
    return ("INT" if any(x < 0 for x in values) else "UINT") + ("64" if wide else "32")


class ParamWrapper:
    def __init__(self, key):
        self.call = {"name": key}

    def SetVectorValue(self, values):
        self.call.update(kind=kind_of(list(values)), vector=True, value=[float(x) if isinstance(x, float) else int(x) for x in values])

    def SetStringValue(self, text):
        self.call.update(kind="CHAR", vector=True, value=text)

    def SetScalarValue(self, value):
        self.call.update(kind=kind_of(value), vector=False, value=value)


class OpWrapper:
    def __init__(self, name, kind, inputs, outputs):
        self.call = {"name": name, "type": kind, "inputs": list(inputs), "outputs": list(outputs), "params": []}

    def AddOpParam(self, param):
        self.call["params"].append(param.call)


class GraphWrapper:
    def Init(self):
        self.call = {"tensors": [], "ops": [], "inputs": [], "outputs": []}

    def DefineTensor(self, tensor):
        self.call["tensors"].append(tensor.call)
        return len(self.call["tensors"]) - 1

    def DefineOpNode(self, op):
        self.call["ops"].append(op.call)

    def SetGraphInputTensors(self, ids):
        self.call["inputs"] = list(ids)

    def SetGraphOutputTensors(self, ids):
        self.call["outputs"] = list(ids)

    def FinishBuild(self):
        recorder.graphs.append(self.call)

    def Serialize(self):
        return b"serialized"


def install():
    """Puts the stand-ins in the places of the missing modules; once is enough."""
    package = "executorch.backends.samsung.python"
    if package in sys.modules:
        return
    modules = {
        "PyEnnWrapperAdaptor": {"EnnWrapper": Wrapper},
        "PyGraphWrapperAdaptor": {
            "PyEnnGraphWrapper": GraphWrapper,
            "PyEnnTensorWrapper": TensorWrapper,
            "PyEnnOpWrapper": OpWrapper,
            "OpParamWrapper": ParamWrapper,
        },
    }
    parent = sys.modules[package] = types.ModuleType(package)
    for name, contents in modules.items():
        module = sys.modules[f"{package}.{name}"] = types.ModuleType(name)
        vars(module).update(contents)
        setattr(parent, name, module)
    importlib.import_module("executorch.backends.samsung.builders")


def lower(program, chipset="E9955"):
    """(what was handed over, the lowered program) of a program under Samsung's own configuration."""
    install()
    from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
    from executorch.backends.samsung.serialization.compile_options import gen_samsung_backend_compile_spec
    from executorch.backends.samsung.utils.export_utils import get_edge_compile_config
    from executorch.exir import to_edge_transform_and_lower

    recorder.graphs.clear()
    partitioner = EnnPartitioner([gen_samsung_backend_compile_spec(chipset)])
    with torch.no_grad():
        edge = to_edge_transform_and_lower(program, partitioner=[partitioner], compile_config=get_edge_compile_config())
    return list(recorder.graphs), edge


NUMBERS = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "UINT16": np.uint16, "INT32": np.int32, "INT64": np.int64, "FLOAT16": np.float16, "FLOAT32": np.float32}


def graph_of(bytes_):
    """A graph of a hand-over in the form of the recorder's."""
    magic, version, size = struct.unpack_from("<4sIQ", bytes_)
    assert (magic, version) == (b"IEG1", 1)
    text = json.loads(bytes_[16 : 16 + size])
    start = (16 + size + 63) // 64 * 64
    for tensor in text["tensors"]:
        data = tensor.get("data")
        tensor.setdefault("quantize", None)
        kind = NUMBERS[tensor["data_type"]]
        tensor["data"] = data and np.frombuffer(bytes_, kind, data["bytes"] // np.dtype(kind).itemsize, start + data["offset"]).reshape(tensor["dims"])
    for op in text["ops"]:
        for param in op["params"]:
            param["kind"], param["vector"] = param.pop("element_type"), param.pop("is_vector")
    return text


def graphs_of(path):
    """Every graph of a hand-over, in the order of the manifest."""
    with zipfile.ZipFile(path) as archive:
        assert archive.read("hand_over/format") == b"intaglio-enn 1\n"
        manifest = json.loads(archive.read("hand_over/manifest.json"))
        return [graph_of(archive.read(name)) for method in manifest["methods"] for name in method["graphs"]]


def call_of(graph, op):
    """What is said of an operator, without ids and names."""

    def tensor(index):
        made = graph["tensors"][index]
        quantize = made["quantize"] and (made["quantize"]["type"], made["quantize"]["scales"], made["quantize"]["zero_points"])
        return made["data_type"], made["dims"], made["layout"], quantize, made["data"] is not None

    params = [(p["name"], p["kind"], p["vector"], p["value"]) for p in op["params"]]
    return op["type"], [tensor(i) for i in op["inputs"]], [tensor(i) for i in op["outputs"]], params


def assert_same_calls(ours, theirs):
    """Both were told the same, call by call; which id a tensor has is each side's own, and float weights may differ in their last bits."""
    assert [op["type"] for op in ours["ops"]] == [op["type"] for op in theirs["ops"]]
    place = {}
    for mine, other in zip(ours["ops"], theirs["ops"]):
        assert call_of(ours, mine) == call_of(theirs, other), mine["name"]
        for end in ("inputs", "outputs"):
            for a, b in zip(mine[end], other[end]):
                assert place.setdefault(a, b) == b, (mine["name"], end)
                left, right = ours["tensors"][a]["data"], theirs["tensors"][b]["data"]
                if left is not None:
                    assert np.allclose(left, right.reshape(left.shape), rtol=1e-5, atol=0 if left.dtype == np.int8 else 1e-7), mine["name"]
    assert [place[i] for i in ours["inputs"]] == theirs["inputs"]
    assert sorted(place[i] for i in ours["outputs"]) == sorted(theirs["outputs"])


def text_of(graph):
    """One line a call, for eyes and for diffs."""
    lines = []
    for index, tensor in enumerate(graph["tensors"]):
        quantize = tensor["quantize"]
        shown = quantize and (quantize["type"], quantize["scales"][:2], quantize["zero_points"][:2])
        data = "data" if tensor["data"] is not None else ""
        lines.append(f"%{index} {tensor['name']} {tensor['data_type']} {tensor['dims']} {tensor['layout']} {shown} {data}")
    for op in graph["ops"]:
        params = (f"{p['name']}={p['value']}:{p['kind']}{'[]' if p['vector'] else ''}" for p in op["params"])
        lines.append(f"{op['type']} {op['inputs']} -> {op['outputs']} " + " ".join(params))
    return "\n".join(lines + [f"in {graph['inputs']} out {graph['outputs']}"])
