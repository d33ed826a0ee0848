"""Runs programs on the runtime of one wheel: a JSON question a line, a JSON answer a line.

    python runtime_worker.py FOLDER_OF_THE_WHEEL

Only the wheel's extension module is loaded, by its path: the package around it asks for much more.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch

DTYPES = {0: torch.uint8, 1: torch.int8, 2: torch.int16, 3: torch.int32, 4: torch.int64, 5: torch.float16, 6: torch.float32,
          7: torch.float64, 9: torch.complex64, 11: torch.bool, 15: torch.bfloat16, 27: torch.uint16, 28: torch.uint32,
          29: torch.uint64}


def load(wheel: Path):
    bindings = wheel / "executorch" / "extension" / "pybindings"
    library = next(iter([*bindings.glob("_portable_lib*.so"), *bindings.glob("_C*.so")]))
    spec = importlib.util.spec_from_file_location(library.name.split(".")[0], library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.ops.load_library(wheel / "executorch/kernels/quantized/libquantized_ops_aot_lib.so")
    return module


def from_numpy(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16) if array.dtype == "V2" else torch.from_numpy(array.copy())


def inputs_of(meta, sample: str | None) -> list[torch.Tensor]:
    if sample and sample.endswith(".npy"):
        return [from_numpy(np.load(sample))]
    if sample:
        with np.load(sample) as arrays:
            return [from_numpy(arrays[name]) for name in arrays]
    tensors = [meta.input_tensor_meta(i) for i in range(meta.num_inputs())]
    return [torch.ones(tuple(tensor.sizes()), dtype=torch.int8).to(DTYPES[tensor.dtype()]) for tensor in tensors]


def run(runtime, program: str, inputs: str | None, outputs: str) -> dict:
    module = runtime._load_for_executorch(program)
    arrays = []
    for value in module.run_method("forward", tuple(inputs_of(module.method_meta("forward"), inputs))):
        if isinstance(value, torch.Tensor) and value.is_complex():
            value = torch.view_as_real(value)
        if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
            value = value.float()
        arrays.append(np.asarray(value.numpy() if isinstance(value, torch.Tensor) else 0 if value is None else value))
    np.savez(outputs, *arrays)
    return {"outputs": len(arrays)}


def main() -> None:
    sys.path[0] = sys.argv[1]  # some releases import a module of their own package
    runtime = load(Path(sys.argv[1]))
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"kernels": runtime._get_operator_names()} if "kernels" in question else run(runtime, **question)
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
