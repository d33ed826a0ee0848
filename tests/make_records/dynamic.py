"""Records what ExecuTorch makes of dynamically quantized modules: tests/records/dynamic.json.

    .venv/bin/python tests/make_records/dynamic.py [--keep=FOLDER] [NAME ...]        about two minutes, and five for the real models

For each case of tests/dynamic_models.py the outputs of ExecuTorch's own `.pte` on the stock runtime (or the error with which the
runtime refuses it), delegates, and the kernels beside them; for models of tests/oracle_models.py noise instead of outputs. `--keep` leaves
ExecuTorch's programs in FOLDER, and takes those that are there.
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "bench"), str(HERE)]

import dynamic_models  # noqa: E402
import executorch.kernels.quantized  # noqa: E402, F401
import numpy as np  # noqa: E402
import oracle_models  # noqa: E402
import torch  # noqa: E402
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from models import digest, instructions, run_pte, sqnr  # noqa: E402

RECORD = HERE.parent / "records" / "dynamic.json"
REAL_MODELS = ["small_encoder", "mobilenet_v2", "resnet18"]
REAL_TEST = 16
WRITTEN = 3  # samples whose outputs are written


def encode(array: np.ndarray) -> dict:
    return {"sizes": list(array.shape), "float32": base64.b64encode(array.astype("<f4").tobytes()).decode()}


def decode(entry: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(entry["float32"]), dtype="<f4").reshape(entry["sizes"])


def lower(converted, sample, path: Path) -> None:
    edge = to_edge_transform_and_lower(torch.export.export(converted, sample), partitioner=[XnnpackPartitioner()])
    path.write_bytes(edge.to_executorch().buffer)


def record_case(name: str, folder: Path) -> dict:
    model, calibration, test = dynamic_models.build(name)
    reference = np.concatenate([model(*sample).numpy() for sample in test])
    assert np.ptp(reference) > 0.1
    result = {"sha256": dynamic_models.digest(model, calibration + test)}
    path = folder / f"{name}.pte"
    try:
        if not path.exists():
            lower(dynamic_models.quantize(dynamic_models.CASES[name], model, calibration), calibration[0], path)
        outputs = run_pte(path, test)
    except Exception as error:  # whatever stops ExecuTorch is the record
        return result | {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
    delegates, kernels = instructions(path)
    result |= {"delegates": delegates, "leftover_kernels": kernels, "pte_sqnr_db": sqnr(reference, outputs)}
    case = dynamic_models.CASES[name]
    if case.same and not case.configs:  # calibrated ranges differ in their last bits, so only dynamic outputs are comparable
        result["outputs"] = encode(run_pte(path, test[:WRITTEN]))
    return result


def record_model(name: str, folder: Path) -> dict:
    model, inputs = oracle_models.MODELS[name]()
    calibration, test = inputs(1, oracle_models.CALIBRATION_SEED), inputs(REAL_TEST, oracle_models.TEST_SEED)
    reference = np.concatenate([model(*sample).numpy() for sample in test])
    assert np.ptp(reference) > 0.1
    path = folder / f"{name}.pte"
    if not path.exists():
        lower(dynamic_models.quantize(dynamic_models.Case(None, None), model, calibration), calibration[0], path)
    delegates, kernels = instructions(path)
    return {
        "test_sha256": digest(test),
        "delegates": delegates,
        "leftover_kernels": kernels,
        "pte_bytes": path.stat().st_size,
        "pte_sqnr_db": sqnr(reference, run_pte(path, test)),
    }


def main() -> None:
    keep = next((Path(argument.removeprefix("--keep=")) for argument in sys.argv[1:] if argument.startswith("--keep=")), None)
    names = [argument for argument in sys.argv[1:] if not argument.startswith("--")] or [*dynamic_models.CASES, *REAL_MODELS]
    made = json.loads(RECORD.read_text()) if RECORD.exists() else {"cases": {}, "models": {}}
    versions = {"torch": "2.13.0", "torchao": "0.18.0", "executorch": "1.5.1"}
    head = {"made_by": "tests/make_records/dynamic.py", "versions": versions, "test": dynamic_models.TEST, "real_test": REAL_TEST}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        for name in names:
            real = name in REAL_MODELS
            entry = (record_model if real else record_case)(name, keep or Path(scratch))
            made["models" if real else "cases"][name] = entry
            print(name, {key: value for key, value in entry.items() if key != "outputs"}, flush=True)
            RECORD.write_text(json.dumps(head | {"cases": made["cases"], "models": made["models"]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
