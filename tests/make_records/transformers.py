"""Records what torchao and ExecuTorch reach on the transformers: tests/records/transformers.json.

    .venv/bin/python tests/make_records/transformers.py [--keep FOLDER] [NAME ...]        about a minute a model

As tests/make_records/models.py, whose measures these are: noise of the `.pte` against the float model, delegates, and the
kernels called beside them. `--keep` leaves ExecuTorch's programs in FOLDER.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "bench")]

from cases import language, networks  # noqa: E402
from oracle import executorch  # noqa: E402
from oracle.build import record, write_record  # noqa: E402
from oracle.compare import sqnr  # noqa: E402
from oracle.subject import Subject  # noqa: E402
from oracle_flow import flow  # noqa: E402

CALIBRATION, TEST = 4, 8
RECIPES = {"xnnpack_fp32": {"fp32": True}, "xnnpack_pt2e_int8_static_per_channel": {}}


def measured(name: str, folder: Path, keep: Path | None) -> dict:
    case = language.MODELS[name]()
    calibration, test = case.draw(CALIBRATION, networks.CALIBRATION_SEED), case.draw(TEST, networks.TEST_SEED)
    subject = Subject(name, case, folder, calibration, test)
    recipes = {}
    for recipe, options in RECIPES.items():
        pte = (keep or folder) / f"{name}.{recipe}.pte"
        flow(subject.program, calibration, pte, **options)
        delegates, kernels = executorch.instructions(pte)
        figure = sqnr(subject.reference, executorch.run(pte, test))
        recipes[recipe] = {"pte_sqnr_db": figure, "delegates": delegates, "leftover_kernels": dict(sorted(Counter(kernels).items()))}
        print(name, recipe, recipes[recipe], flush=True)
    return subject.digests() | {"recipes": recipes}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    models = record("transformers").get("models", {})
    for name in arguments.names or language.MODELS:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            models[name] = measured(name, Path(folder), arguments.keep)
    write_record("transformers", {"calibration": CALIBRATION, "test": TEST, "models": models})


if __name__ == "__main__":
    main()
