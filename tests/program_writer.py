"""Exported programs written as archives by hand, a node for a call: the exporter itself would take minutes for large ones."""

import json
import zipfile
from pathlib import Path

import numpy as np

WIDTH = 4
INT64, BOOL = 5, 12  # as archives number the types; 7 is float32
EXAMPLE = 2  # what a symbolic size is in the sample
LEAF = {"type": None, "context": None, "children_spec": []}


def size(number) -> dict:
    """An integer, or the name of a symbol."""
    if isinstance(number, int):
        return {"as_int": number}
    return {"as_expr": {"expr_str": f"Symbol('{number}', positive=True, integer=True)", "hint": {"as_int": EXAMPLE}}}


def meta(sizes, dtype=7) -> dict:
    """Only the first size may be a symbol."""
    strides = [int(np.prod(sizes[i + 1 :], dtype=np.int64)) for i in range(len(sizes))]
    as_ints = lambda numbers: [size(number) for number in numbers]
    return {
        "dtype": dtype,
        "sizes": as_ints(sizes),
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "strides": as_ints(strides),
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def tree(kind: str, leaves: int, context: str = "null") -> dict:
    return {"type": kind, "context": context, "children_spec": [LEAF] * leaves}


class Writer:
    """A graph as the archive's JSON has it; tensors are named by strings."""

    def __init__(self):
        self.inputs, self.nodes, self.sizes, self.specs = [], [], {}, []
        self.weights, self.samples, self.modules, self.dtypes = {}, [], [], {}
        self.symbols, self.buffers, self.mutated = [], set(), {}  # the new value of each buffer that is written
        self.random = np.random.default_rng(0)

    def parameter(self, target: str, *sizes: int) -> str:
        name = "p_" + target.replace(".", "_")
        self.weights[target] = self.random.standard_normal(sizes, dtype=np.float32) / 8
        self.sizes[name] = sizes
        self.inputs.append(name)
        self.specs.append({"parameter": {"arg": {"name": name}, "parameter_name": target}})
        return name

    def buffer(self, target: str, *sizes: int) -> str:
        name = self.parameter(target, *sizes)
        self.buffers.add(target)
        self.specs[-1] = {"buffer": {"arg": {"name": name}, "buffer_name": target, "persistent": True}}
        return name

    def input(self, *sizes) -> str:
        name = f"x{len(self.samples)}"
        self.symbols += [number for number in sizes if isinstance(number, str)]
        shape = [EXAMPLE if isinstance(number, str) else number for number in sizes]
        self.samples.append(self.random.standard_normal(shape, dtype=np.float32))
        self.sizes[name] = sizes
        self.inputs.append(name)
        self.specs.append({"user_input": {"arg": {"as_tensor": {"name": name}}}})
        return name

    def node(self, target: str, arguments: dict, *outputs: tuple, layer: str = "", kinds=()) -> str:
        """Returns the (first) result; outputs are sizes, all of one node's are one list when there are several."""
        number = len(self.nodes)
        stem = target.split(".")[0]
        names = [f"{stem}_{number}" if len(outputs) == 1 else f"{stem}_{number}_{i}" for i in range(len(outputs))]
        for name, sizes in zip(names, outputs):
            self.sizes[name] = sizes
        tensors = [{"name": name} for name in names]
        listed = len(outputs) > 1 or target.startswith("higher_order")
        stack = [f"L__self___{'_'.join(layer.split('.')[:i])},{'.'.join(layer.split('.')[:i])},M" for i in range(1, layer.count(".") + 2)]
        self.nodes.append(
            {
                "target": f"torch.ops.{target}" if target.startswith("higher_order") else f"torch.ops.aten.{target}",
                "inputs": [{"name": "" if key.isdigit() else key, "arg": value, "kind": 1} for key, value in arguments.items()],
                "outputs": [{"as_tensors": tensors}] if listed else [{"as_tensor": tensors[0]}],
                "metadata": {"nn_module_stack": ";".join(["L__self__,,M", *(stack if layer else [])])},
                "is_hop_single_tensor_return": False if target.startswith("higher_order") else None,
                "name": f"{stem}_{number}",
            }
        )
        return names[0]

    def call(self, target: str, *tensors: str, sizes=(1, WIDTH), **rest) -> str:
        names = {"linear.default": ("input", "weight", "bias")}.get(target, ("self", "other"))
        return self.node(target, {name: {"as_tensor": {"name": t}} for name, t in zip(names, tensors)}, sizes, **rest)

    def graph(self, outputs, nodes, inputs) -> dict:
        return {
            "inputs": [{"as_tensor": {"name": name}} for name in inputs],
            "outputs": [{"as_tensor": {"name": name}} for name in outputs],
            "nodes": nodes,
            "tensor_values": {name: meta(sizes, self.dtypes.get(name, 7)) for name, sizes in self.sizes.items()},
            "sym_int_values": {},
            "sym_bool_values": {},
            "sym_float_values": {},
            "custom_obj_values": {},
            "is_single_tensor_return": False,
        }

    def save(self, path: Path, outputs: list[str]):
        order = sorted(range(len(self.specs)), key=lambda i: ["parameter", "buffer", "user_input"].index(*self.specs[i]))
        inputs, specs = [self.inputs[i] for i in order], [self.specs[i] for i in order]
        in_spec = {"type": "builtins.tuple", "context": "null", "children_spec": [tree("builtins.tuple", len(self.samples)), tree("builtins.dict", 0, "[]")]}
        signature = {
            "inputs": [],
            "outputs": [],
            "in_spec": json.dumps([1, in_spec]),
            "out_spec": json.dumps([1, tree("builtins.tuple", len(outputs))]),
            "forward_arg_names": [f"x{i}" for i in range(len(self.samples))],
        }
        model = {
            "graph_module": {
                "graph": self.graph([*self.mutated.values(), *outputs], self.nodes, inputs),
                "signature": {
                    "input_specs": specs,
                    "output_specs": [
                        *({"buffer_mutation": {"arg": {"name": name}, "buffer_name": target}} for target, name in self.mutated.items()),
                        *({"user_output": {"arg": {"as_tensor": {"name": name}}}} for name in outputs),
                    ],
                },
                "module_call_graph": [{"fqn": "", "signature": signature}, *({"fqn": fqn, "signature": None} for fqn in self.modules)],
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": {"aten": 10},
            "range_constraints": {symbol: {"min_val": 1, "max_val": 8} for symbol in self.symbols},
            "schema_version": {"major": 8, "minor": 20},
            "verifiers": ["TRAINING"],
            "torch_version": "2.13.0",
            "guards_code": [],
        }
        config = {
            target: {"path_name": f"weight_{i}", "is_param": target not in self.buffers, "use_pickle": False, "tensor_meta": meta(array.shape)}
            for i, (target, array) in enumerate(self.weights.items())
        }
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {
                "archive_format": "pt2",
                "archive_version": "0",
                "byteorder": "little",
                ".data/version": "6\n",
                "models/model.json": json.dumps(model),
                "data/weights/model_weights_config.json": json.dumps({"config": config}),
                "data/constants/model_constants_config.json": json.dumps({"config": {}}),
            }.items():
                archive.writestr(f"large/{name}", content)
            for i, array in enumerate(self.weights.values()):
                archive.writestr(f"large/data/weights/weight_{i}", array.tobytes())
        if len(self.samples) == 1:
            np.save(path.with_suffix(".npy"), self.samples[0])
        else:
            np.savez(path.with_suffix(".npz"), *self.samples)
