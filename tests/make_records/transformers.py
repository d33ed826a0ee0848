"""Records what torchao and ExecuTorch reach on the transformers: tests/records/transformers.json.

    .venv/bin/python tests/make_records/transformers.py [NAME ...]        about a minute a model

As tests/make_records/models.py, whose measures these are: noise of the `.pte` against the float model, delegates, and the
kernels called beside them.
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "bench"), str(HERE)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from models import digest, instructions, run_pte, sqnr  # noqa: E402
from oracle_flow import flow  # noqa: E402
from transformer_models import MODELS  # noqa: E402

RECORD = HERE.parent / "records" / "transformers.json"
CALIBRATION, TEST = 4, 8
CALIBRATION_SEED, TEST_SEED = 100, 200
RECIPES = {"xnnpack_fp32": {"fp32": True}, "xnnpack_pt2e_int8_static_per_channel": {}}


def record(name: str, folder: Path, keep: Path | None) -> dict:
    model, inputs = MODELS[name]()
    calibration, test = inputs(CALIBRATION, CALIBRATION_SEED), inputs(TEST, TEST_SEED)
    program = folder / f"{name}.pt2"
    torch.export.save(torch.export.export(model, calibration[0]), program)
    reference = np.concatenate([model(*sample).numpy() for sample in test])
    assert np.ptp(reference) > 0.1
    result = {"calibration_sha256": digest(calibration), "test_sha256": digest(test), "recipes": {}}
    for recipe, options in RECIPES.items():
        pte = (keep or folder) / f"{name}.{recipe}.pte"
        flow(program, calibration, pte, **options)
        delegates, kernels = instructions(pte)
        counts = {kernel: kernels.count(kernel) for kernel in sorted(set(kernels))}
        result["recipes"][recipe] = {
            "pte_sqnr_db": sqnr(reference, run_pte(pte, test)),
            "delegates": delegates,
            "leftover_kernels": counts,
        }
        print(name, recipe, result["recipes"][recipe], flush=True)
    return result


def main() -> None:
    names = [argument for argument in sys.argv[1:] if argument in MODELS]
    keep = next((Path(argument.removeprefix("--keep=")) for argument in sys.argv[1:] if argument.startswith("--keep=")), None)
    existing = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    models = existing.get("models", {})
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name in names or MODELS:
            models[name] = record(name, Path(folder), keep)
    versions = {"torch": "2.13.0", "torchao": "0.18.0", "executorch": "1.5.1"}
    made = {"made_by": "tests/make_records/transformers.py", "versions": versions, "calibration": CALIBRATION, "test": TEST}
    RECORD.write_text(json.dumps(made | {"models": models}, indent=1) + "\n")


if __name__ == "__main__":
    main()
