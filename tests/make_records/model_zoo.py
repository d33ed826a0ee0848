"""Records what torchao and ExecuTorch reach on the models of tests/zoo_models.py: tests/records/model_zoo.json.

    .venv/bin/python tests/make_records/model_zoo.py [--keep FOLDER] [NAME ...]      half a minute to minutes a model

Written after every model and recipe, and continued where it stopped. What is recorded is that of models.py; `error` stands
where the Python flow fails. --keep leaves NAME.pt2 and NAME/{calibration,test}/*.npy in the folder.
"""

import json
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "bench"), str(HERE)]

import numpy as np  # noqa: E402
import oracle_models  # noqa: E402
import torch  # noqa: E402
import zoo_models  # noqa: E402
from models import digest, instructions, run_pte, sqnr  # noqa: E402
from oracle_flow import flow  # noqa: E402

RECORD = HERE.parent / "records" / "model_zoo.json"
CALIBRATION, TEST = 4, 8
RECIPES = {"xnnpack_fp32": {"fp32": True}, "xnnpack_pt2e_int8_static_per_channel": {}}
VERSIONS = {"torch": "2.13.0", "torchao": "0.18.0", "executorch": "1.5.1", "torchvision": "0.28.0", "timm": "1.0.29"}


def save(models) -> None:
    made = {"made_by": "tests/make_records/model_zoo.py", "versions": VERSIONS, "calibration": CALIBRATION, "test": TEST}
    RECORD.write_text(json.dumps(made | {"models": models}, indent=1) + "\n")


def counted(kernels) -> dict:
    return {kernel: kernels.count(kernel) for kernel in sorted(set(kernels))}


def record_recipe(program, samples, test, reference, options, folder) -> dict:
    pte = folder / "oracle.pte"
    _, converted = flow(program, samples, pte, **options)
    delegates, kernels = instructions(pte)
    entry = {"pte_sqnr_db": sqnr(reference, run_pte(pte, test)), "pte_bytes": pte.stat().st_size}
    entry |= {"delegates": delegates, "leftover_count": len(kernels), "leftover_kernels": counted(kernels)}
    if converted is not None:
        entry["pt2_sqnr_db"] = sqnr(reference, np.concatenate([converted(*sample).numpy() for sample in test]))
    return entry


def record(name: str, models: dict, folder: Path) -> None:
    known = models.setdefault(name, {"recipes": {}})
    if all(recipe in known["recipes"] for recipe in RECIPES) and (folder / f"{name}.pt2").exists():
        return
    model, inputs = zoo_models.make(name)
    calibration = inputs(CALIBRATION, oracle_models.CALIBRATION_SEED)
    test = inputs(TEST, oracle_models.TEST_SEED)
    reference = np.concatenate([model(*sample).numpy() for sample in test])
    assert np.isfinite(reference).all() and np.ptp(reference) > 0.1, (name, np.ptp(reference))
    known |= {"calibration_sha256": digest(calibration), "test_sha256": digest(test)}
    known["reference_rms"] = float(np.sqrt((reference.astype(np.float64) ** 2).mean()))
    program = folder / f"{name}.pt2"
    torch.export.save(torch.export.export(model, calibration[0]), program)
    for split, samples in (("calibration", calibration), ("test", test)):
        (folder / name / split).mkdir(parents=True, exist_ok=True)
        for index, (sample,) in enumerate(samples):
            np.save(folder / name / split / f"{index:03}.npy", sample.numpy())
    np.save(folder / name / "reference.npy", reference)
    for recipe, options in RECIPES.items():
        if recipe in known["recipes"]:
            continue
        try:
            known["recipes"][recipe] = record_recipe(program, calibration, test, reference, options, folder)
        except Exception as error:  # noqa: BLE001  what the Python flow cannot do is a figure too
            traceback.print_exc()
            known["recipes"][recipe] = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(name, recipe, {k: v for k, v in known["recipes"][recipe].items() if k != "leftover_kernels"}, flush=True)
        save(models)


def main() -> None:
    arguments = sys.argv[1:]
    keep = None
    if arguments[:1] == ["--keep"]:
        keep, arguments = Path(arguments[1]), arguments[2:]
    models = json.loads(RECORD.read_text())["models"] if RECORD.exists() else {}
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments or zoo_models.ZOO:
            record(name, models, folder)


if __name__ == "__main__":
    main()
