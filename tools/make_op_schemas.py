"""Writes src/ir/op_schemas.inc: one schema text per operator, sorted by name.

Run with the oracle environment: python tools/make_op_schemas.py > src/ir/op_schemas.inc
The namespaces are those that a captured program, a quantized program or the edge dialect can hold.
"""

import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  registers quantized_decomposed
import torchao  # noqa: F401  registers torchao
import torchao.quantization.pt2e  # noqa: F401
import torchao.prototype.quantization.codebook_coreml  # noqa: F401  registers quant
import executorch.backends.vulkan.custom_ops_lib  # noqa: F401  registers et_vk
import executorch.exir  # noqa: F401  registers dim_order_ops
from executorch.exir.passes import dim_order_ops_registry  # noqa: F401

NAMESPACES = ("aten", "quantized_decomposed", "torchao", "dim_order_ops", "et_vk", "prims", "export", "quant")
# Backward, foreach, optimizer, distribution and backend-specific kernels never appear in an inference program.
SKIP = ("_backward", "_foreach_", "_fused_", "cudnn", "miopen", "mkldnn", "cufft", "_cuda", "_sparse", "_nested", "_test",
        "adamw_step", "fused_ce", "linear_dW", "requant", "grid_priors", "q8ta_add", "q8ta_relu", "q8ta_conv2d", "q8ta_pixel_shuffle")


def wanted(name: str, schema) -> bool:
    if schema.is_mutable and any(argument.is_out for argument in schema.arguments):
        return False
    base = name.split("::")[1]
    return not any(word in base for word in SKIP)


rows = {}
for schema in torch._C._jit_get_all_schemas():
    if schema.name.split("::")[0] not in NAMESPACES or not wanted(schema.name, schema):
        continue
    overload = schema.overload_name or "default"
    key = schema.name.replace("::", ".") + "." + overload
    rows[key] = str(schema)

print("// Written by tools/make_op_schemas.py from torch", torch.__version__.split("+")[0] + "; sorted by name, do not edit.")
for key in sorted(rows):
    print("{" + '"' + key + '", R"(' + rows[key] + ')"},')
