"""Records what torchao and ExecuTorch reach on networks.ZOO: tests/records/model_zoo.json.

    .venv/bin/python tests/make_records/model_zoo.py [--keep FOLDER] [NAME ...]      half a minute to minutes a model

Written after every model and recipe, and continued where it stopped. What is recorded is that of models.py; `error` stands
where the Python flow fails. --keep leaves NAME/model.pt2 and NAME/model/{calibration,test}/*.npy in the folder.
"""

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "bench")]

from cases import networks  # noqa: E402
from oracle import executorch  # noqa: E402
from oracle.build import VERSIONS, record, write_record  # noqa: E402
from oracle.compare import outputs_of, sqnr  # noqa: E402
from oracle.subject import Subject  # noqa: E402
from oracle_flow import flow  # noqa: E402

CALIBRATION, TEST = 4, 8
RECIPES = {"xnnpack_fp32": {"fp32": True}, "xnnpack_pt2e_int8_static_per_channel": {}}


def write(models) -> None:
    versions = VERSIONS | {"torchvision": "0.28.0", "timm": "1.0.29"}
    write_record("model_zoo", {"calibration": CALIBRATION, "test": TEST, "models": models}, versions)


def measured(subject: Subject, options: dict) -> dict:
    pte = subject.folder / "oracle.pte"
    _, converted = flow(subject.program, subject.calibration, pte, **options)
    delegates, kernels = executorch.instructions(pte)
    entry = {"pte_sqnr_db": sqnr(subject.reference, executorch.run(pte, subject.test)), "pte_bytes": pte.stat().st_size}
    entry |= {"delegates": delegates, "leftover_count": len(kernels), "leftover_kernels": dict(sorted(Counter(kernels).items()))}
    if converted is not None:
        entry["pt2_sqnr_db"] = sqnr(subject.reference, outputs_of(converted, subject.test))
    return entry


def record_model(name: str, models: dict, folder: Path) -> None:
    known = models.setdefault(name, {"recipes": {}})
    if all(recipe in known["recipes"] for recipe in RECIPES) and (folder / "model.pt2").exists():
        return
    case = networks.ZOO[name]()
    calibration, test = case.draw(CALIBRATION, networks.CALIBRATION_SEED), case.draw(TEST, networks.TEST_SEED)
    subject = Subject(name, case, folder, calibration, test)
    known |= subject.digests()
    known["reference_rms"] = float(np.sqrt((subject.reference.astype(np.float64) ** 2).mean()))
    for recipe, options in RECIPES.items():
        if recipe in known["recipes"]:
            continue
        try:
            known["recipes"][recipe] = measured(subject, options)
        except Exception as error:  # noqa: BLE001  what the Python flow cannot do is a figure too
            traceback.print_exc()
            known["recipes"][recipe] = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(name, recipe, {k: v for k, v in known["recipes"][recipe].items() if k != "leftover_kernels"}, flush=True)
        write(models)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    models = record("model_zoo").get("models", {})
    for name in arguments.names or networks.ZOO:
        with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
            record_model(name, models, (arguments.keep or Path(scratch)) / name)


if __name__ == "__main__":
    main()
