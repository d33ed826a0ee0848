"""Records what torchao and ExecuTorch reach on the shared models: tests/records/models.json.

    .venv/bin/python tests/make_records/models.py [NAME ...]        about two minutes a model

For each model and recipe: signal-to-quantization-noise ratio of the converted program and of the `.pte` against the
float model over the test inputs, how often the largest output is the same, the file's size, and what was delegated.
"""

import sys
import tempfile
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "bench")]

from cases import networks  # noqa: E402
from oracle import executorch  # noqa: E402
from oracle.build import record, write_record  # noqa: E402
from oracle.compare import agreement, outputs_of, sqnr  # noqa: E402
from oracle.subject import Subject  # noqa: E402
from oracle_flow import flow  # noqa: E402

CALIBRATION, TEST = 4, 64
RECIPES = {
    "xnnpack_fp32": {"fp32": True},
    "xnnpack_pt2e_int8_static_per_channel": {},
    "xnnpack_pt2e_int8_static_per_tensor": {"per_tensor": True},
}


def measured(name: str, folder: Path) -> dict:
    case = networks.SHARED[name]()
    calibration, test = case.draw(CALIBRATION, networks.CALIBRATION_SEED), case.draw(TEST, networks.TEST_SEED)
    subject = Subject(name, case, folder, calibration, test)
    recipes = {}
    for recipe, options in RECIPES.items():
        pte = folder / f"{recipe}.pte"
        _, converted = flow(subject.program, calibration, pte, **options)
        outputs = executorch.run(pte, test)
        delegates, kernels = executorch.instructions(pte)
        entry = {"pte_sqnr_db": sqnr(subject.reference, outputs), "pte_top1_agreement": agreement(subject.reference, outputs)}
        entry |= {"pte_bytes": pte.stat().st_size, "delegates": delegates, "leftover_kernels": kernels}
        if converted is not None:
            outputs = outputs_of(converted, test)
            entry |= {"pt2_sqnr_db": sqnr(subject.reference, outputs), "pt2_top1_agreement": agreement(subject.reference, outputs)}
        recipes[recipe] = entry
        print(name, recipe, entry, flush=True)
    return subject.digests() | {"recipes": recipes}


def main() -> None:
    models = record("models").get("models", {})
    for name in sys.argv[1:] or networks.SHARED:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            models[name] = measured(name, Path(folder))
    write_record("models", {"calibration": CALIBRATION, "test": TEST, "models": models})


if __name__ == "__main__":
    main()
