#!/usr/bin/env python3
"""Writes src/pte/kernel_table.inc: every kernel the ExecuTorch wheel registers, with its argument schema.

A row is KERNEL(group, first release that has it, "kernel name.overload", "functional op it serves or empty", "schema").
Releases come from tests/records/runtime_versions.json.
Run with the oracle venv's python from the root of the repository; the result is committed.
"""

import json
import pathlib
import re

import torch
import executorch.exir.passes.executorch_prim_ops_registry  # noqa: F401  (registers the runtime's primitive ops)
import executorch.exir.passes.dim_order_ops_registry  # noqa: F401
import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401
import executorch.kernels.quantized  # noqa: F401  (loads the out variants of quantized_decomposed)
from executorch.exir.operator.convert import to_out_variant
from executorch.extension.pybindings import portable_lib
from executorch.extension.pybindings.portable_lib import _get_operator_names

ROOT = pathlib.Path(__file__).resolve().parent.parent
WHEEL = pathlib.Path(portable_lib.__file__).resolve().parents[2]

# Ops the wheel's own conversion cannot be asked about.
EXTRA_FUNCTIONAL = {
    "aten::pow.Scalar_out": "aten.pow.Scalar",
    "aten::pow.Tensor_Scalar_out": "aten.pow.Tensor_Scalar",
    "aten::pow.Tensor_Tensor_out": "aten.pow.Tensor_Tensor",
}
# In-place ops are their own kernels; the runtime's primitives are called under their own names.
OWN_NAME = {"aten::copy_": "aten.copy_.default", "aten::index_put_": "aten.index_put_.default"}


def all_overloads():
    seen = set()
    for schema in torch._C._jit_get_all_schemas():
        name, overload = schema.name, schema.overload_name or "default"
        if (name, overload) in seen or "::" not in name:
            continue
        seen.add((name, overload))
        space, op = name.split("::")
        try:
            yield getattr(getattr(getattr(torch.ops, space), op), overload)
        except (AttributeError, RuntimeError):
            continue


def kernel_key(op):
    name, overload = op._schema.name, op._schema.overload_name
    return f"{name}.{overload}" if overload else name


def schema_text(key):
    name, _, overload = key.partition(".")
    space, op = name.split("::")
    try:
        return str(getattr(getattr(getattr(torch.ops, space), op), overload or "default")._schema)
    except AttributeError:
        return ""


def group_of(key, quantized_names):
    """The library of the wheel that registers the kernel."""
    if key in quantized_names:
        return "quantized"
    if key.startswith("executorch_prim::") or key in ("aten::_local_scalar_dense", "aten::sym_numel", "aten::sym_size.int"):
        return "primitive"
    return "optimized"


def main():
    kernels = sorted(set(_get_operator_names()))
    functional = {}
    for op in all_overloads():
        if op._schema.name.split("::")[0] not in ("aten", "quantized_decomposed", "dim_order_ops"):
            continue
        try:
            out, _ = to_out_variant(op)
        except Exception:  # no out variant
            continue
        if out is op or op._schema.is_mutable:
            continue
        space, rest = op._schema.name.split("::")
        functional.setdefault(kernel_key(out), []).append(f"{space}.{rest}.{op._schema.overload_name or 'default'}")

    quantized = (WHEEL / "kernels/quantized/quantized.yaml").read_text()
    quantized_names = set(re.findall(r"func: ([\w:.]+)\(", quantized))

    since = json.loads((ROOT / "tests/records/runtime_versions.json").read_text())["kernels"]
    rows = []
    for key in kernels:
        group = group_of(key, quantized_names)
        names = sorted(functional.get(key, []))
        if key in EXTRA_FUNCTIONAL:
            names = [EXTRA_FUNCTIONAL[key]]
        if key in OWN_NAME:
            names = [OWN_NAME[key]]
        if len(names) > 1:
            raise SystemExit(f"{key} serves several ops: {names}")
        schema = schema_text(key)
        name = names[0] if names else ""
        schema = schema.replace("\\", "\\\\").replace('"', '\\"')
        rows.append(f'KERNEL({group}, v{since.get(key, "1.0").replace(".", "_")}, "{key}", "{name}", "{schema}")')
    target = ROOT / "src/pte/kernel_table.inc"
    target.write_text(f"// Made by tools/make_kernel_table.py from the executorch wheel and torch {torch.__version__}. Do not edit.\n"
                      + "\n".join(rows) + "\n")
    print(len(rows), "kernels")


main()
