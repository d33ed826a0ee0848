"""Records what ExecuTorch makes of dynamically quantized modules: tests/records/dynamic.json.

    .venv/bin/python tests/make_records/dynamic.py [--keep FOLDER] [NAME ...]        about two minutes, and five for the real models

For each of layers.DYNAMICALLY the outputs of ExecuTorch's own `.pte` on the stock runtime (or the error with which the
runtime refuses it), delegates, and the kernels beside them; for models of networks.SHARED noise instead of outputs. `--keep` leaves
ExecuTorch's programs in FOLDER, and takes those that are there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import executorch.kernels.quantized  # noqa: F401
import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "bench")]

from cases import DYNAMIC, Case, Quantization, layers, networks  # noqa: E402
from oracle import executorch  # noqa: E402
from oracle.build import record, write_record  # noqa: E402
from oracle.compare import digest, digest_of_calls, encoded, outputs_of, sqnr  # noqa: E402
from oracle.torchao import quantize  # noqa: E402

REAL_MODELS = ["small_encoder", "mobilenet_v2", "resnet18"]
REAL_TEST = 16
WRITTEN = 3  # samples whose outputs are written


def lowered(case: Case, calibration: list, path: Path) -> Path:
    if not path.exists():
        converted = quantize(case.export(), calibration, case.quantization)
        executorch.lower(torch.export.export(converted, calibration[0]), path)
    return path


def measured(path: Path, case: Case, test: list) -> dict:
    delegates, kernels = executorch.instructions(path)
    figure = sqnr(outputs_of(case.module, test), executorch.run(path, test))
    return {"delegates": delegates, "leftover_kernels": kernels, "pte_sqnr_db": figure}


def record_case(name: str, folder: Path) -> dict:
    case = layers.dynamically(name)
    calibration, test = case.calls[: layers.CALIBRATION], case.calls[layers.CALIBRATION :]
    result = {"sha256": digest(*case.module.state_dict().values(), *(call[0] for call in case.calls))}
    try:
        path = lowered(case, calibration, folder / f"{name}.pte")
        result |= measured(path, case, test)
    except Exception as error:  # whatever stops ExecuTorch is the record
        return result | {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
    # Calibrated ranges differ in their last bits, so only dynamic outputs are comparable.
    if name not in layers.MORE_THAN_TORCHAO and not case.quantization.configs:
        outputs = executorch.run(path, test[:WRITTEN])
        result["outputs"] = {"sizes": list(outputs.shape), "float32": encoded(outputs, "<f4")}
    return result


def record_model(name: str, folder: Path) -> dict:
    case = networks.SHARED[name]()
    case.quantization = Quantization(DYNAMIC)
    test = case.draw(REAL_TEST, networks.TEST_SEED)
    path = lowered(case, case.draw(1, networks.CALIBRATION_SEED), folder / f"{name}.pte")
    return {"test_sha256": digest_of_calls(test), "pte_bytes": path.stat().st_size, **measured(path, case, test)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    known = record("dynamic")
    made = {key: known.get(key, {}) for key in ("cases", "models")}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        for name in arguments.names or [*layers.DYNAMICALLY, *REAL_MODELS]:
            real = name in REAL_MODELS
            entry = (record_model if real else record_case)(name, arguments.keep or Path(scratch))
            made["models" if real else "cases"][name] = entry
            print(name, {key: value for key, value in entry.items() if key != "outputs"}, flush=True)
            write_record("dynamic", {"test": layers.TEST, "real_test": REAL_TEST, **made})


if __name__ == "__main__":
    main()
