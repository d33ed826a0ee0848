"""Writes the seeds of the fuzz targets that are made by hand: tests/corpus/TARGET/.

    .venv/bin/python tests/make_records/corpus.py

Small on purpose: a fuzzer changes bytes, and every byte that says nothing costs it runs.
"""

import io
import json
import struct
import zipfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
CORPUS = TESTS / "corpus"

DEVICE = {"type": "cpu", "index": None}


def meta(*sizes: int) -> dict:
    strides, step = [], 1
    for size in reversed(sizes):
        strides.insert(0, {"as_int": step})
        step *= size
    return {
        "dtype": 7,
        "sizes": [{"as_int": size} for size in sizes],
        "requires_grad": False,
        "device": DEVICE,
        "strides": strides,
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def tensor(name: str) -> dict:
    return {"as_tensor": {"name": name}}


def model() -> str:
    """y = linear(x, w), as torch.export writes it."""
    leaf = {"type": None, "context": None, "children_spec": []}

    def container(kind: str, context: str, children: list) -> dict:
        return {"type": f"builtins.{kind}", "context": context, "children_spec": children}

    in_spec = container("tuple", "null", [container("tuple", "null", [leaf]), container("dict", "[]", [])])
    linear = {
        "target": "torch.ops.aten.linear.default",
        "inputs": [
            {"name": "input", "arg": tensor("x"), "kind": 1},
            {"name": "weight", "arg": tensor("p_w"), "kind": 1},
        ],
        "outputs": [tensor("y")],
        "metadata": {"stack_trace": 'File "m.py", line 7'},
        "name": "y",
    }
    graph = {
        "inputs": [tensor("p_w"), tensor("x")],
        "outputs": [tensor("y")],
        "nodes": [linear],
        "tensor_values": {"p_w": meta(4, 2), "x": meta(3, 2), "y": meta(3, 4)},
        "sym_int_values": {},
        "sym_bool_values": {},
        "sym_float_values": {},
        "custom_obj_values": {},
        "is_single_tensor_return": False,
    }
    signature = {
        "input_specs": [
            {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}},
            {"user_input": {"arg": tensor("x")}},
        ],
        "output_specs": [{"user_output": {"arg": tensor("y")}}],
    }
    call = {
        "inputs": [],
        "outputs": [],
        "in_spec": json.dumps([1, in_spec]),
        "out_spec": json.dumps([1, leaf]),
        "forward_arg_names": ["x"],
    }
    module = {
        "graph": graph,
        "signature": signature,
        "module_call_graph": [{"fqn": "", "signature": call}],
        "metadata": {},
        "treespec_namedtuple_fields": {},
    }
    program = {
        "graph_module": module,
        "opset_version": {"aten": 10},
        "range_constraints": {},
        "schema_version": {"major": 8, "minor": 20},
        "verifiers": ["TRAINING"],
        "torch_version": "2.13.0",
        "guards_code": [],
    }
    return json.dumps(program, separators=(",", ":"))


def weights() -> str:
    entry = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta(4, 2)}
    return json.dumps({"config": {"fc.weight": entry}}, separators=(",", ":"))


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, content in (
            ("archive_format", "pt2"),
            ("archive_version", "0"),
            ("byteorder", "little"),
            ("data/weights/weight_0", struct.pack("<8f", *range(8))),
            ("data/weights/model_weights_config.json", weights()),
            ("data/constants/model_constants_config.json", '{"config":{}}'),
            ("models/model.json", model()),
            (".data/version", "6\n"),
        ):
            file.writestr(zipfile.ZipInfo("m/" + name), content)
    return out.getvalue()


def zip_file(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr(zipfile.ZipInfo("a/one"), b"one" * 9, method)
        file.writestr(zipfile.ZipInfo("two"), b"")
    return out.getvalue()


def xnnpack_payload(pte: bytes) -> bytes:
    """The delegate's payload of a `.pte`: header, graph, constants."""
    start = pte.index(b"XH00") - 4
    offset, size, constants, constant_size = struct.unpack_from("<IIIQ", pte, start + 10)
    return pte[start : start + max(offset + size, constants + constant_size)]


PLAN = {
    "schema": "intaglio.plan",
    "version": 1,
    "entries": [
        {
            "tensor": "p_w",
            "used_by": "",
            "layer": "fc",
            "observer": "per_channel_min_max",
            "rule": "xnnpack.linear",
            "group": 1,
            "qparams": {
                "dtype": "int8",
                "axis": 0,
                "quant_min": -127,
                "quant_max": 127,
                "scale": [0.5, 0.25],
                "zero_point": [0, 0],
            },
            "statistics": {"calls": 1, "min": [-1.5, -2], "max": [1, 3], "histogram": []},
        },
        {
            "tensor": "x",
            "used_by": "y",
            "layer": "",
            "observer": "histogram",
            "rule": "xnnpack.linear",
            "group": 2,
            "qparams": {
                "dtype": "int8",
                "axis": None,
                "quant_min": -128,
                "quant_max": 127,
                "scale": [0.1],
                "zero_point": [-3],
            },
            "statistics": {"calls": 2, "min": [0], "max": [1], "histogram": [1, 2, 0, 5]},
        },
    ],
}

RECIPE = {
    "schema": "intaglio-recipe/1",
    "name": "head in float",
    "backend": "xnnpack",
    "rules": [
        {"match": {"module_name": "classifier*"}, "config": None},
        {"match": {"module_type": "Conv2d"}, "config": {"is_per_channel": True}},
        {"match": {"op": "linear"}, "config": {"is_dynamic": True, "weight_qmin": -127}},
        {"config": {}},
    ],
}

SIZES = [
    "s77",
    "2*s0 + 1",
    "Mul(Integer(2), Symbol('s0', positive=True, integer=True))",
    "Max(1, s0//2)",
    "Mod(s0 + 3, 4)",
    "FloorDiv(s1 - 1, 2) + 1",
    "Eq(s0, s1)",
    "s0**2 + Min(s0, 9)",
]


def main() -> None:
    program = (TESTS / "records" / "pte" / "conv_delegated.pte").read_bytes()
    # The first byte of a seed of load_fuzz says what the rest is (src/pt2/load_fuzz.cpp).
    seeds = {
        "load_fuzz": {
            "archive": b"\0" + archive(),
            "weights": b"\1" + weights().encode(),
            "model": b"\2" + model().encode(),
            "saved": b"\3" + model().encode(),
        },
        "zip_reader_fuzz": {"stored.zip": zip_file(zipfile.ZIP_STORED), "deflated.zip": zip_file(zipfile.ZIP_DEFLATED)},
        "sym_fuzz": {f"size{index}": text.encode() for index, text in enumerate(SIZES)},
        "plan_fuzz": {"plan.json": json.dumps(PLAN, separators=(",", ":")).encode()},
        "recipe_file_fuzz": {"recipe.json": json.dumps(RECIPE, separators=(",", ":")).encode()},
        "payload_reader_fuzz": {"conv": xnnpack_payload(program)},
    }
    programs = {
        f"{name}.pte": (TESTS / "records" / "pte" / f"{name}.pte").read_bytes()
        for name in ("conv_delegated", "multi_output", "dynamic")
    }
    seeds |= {target: programs for target in ("pte_fuzz", "pte_explanation_fuzz")}
    for target, files in seeds.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
