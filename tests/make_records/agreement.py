"""Records which class the float model, and ExecuTorch's int8 `.pte`, put first: tests/records/agreement.json.

    .venv/bin/python tests/make_records/agreement.py [--pte FOLDER] [NAME ...]        about three CPU minutes a model

SQNR needs few inputs, top-1 agreement many: near a tie one quantization step decides. The classes of BLOCK inputs for each of
SEEDS are written, not only their share, so that a comparison can count the inputs on which just one side is right.
`--pte` keeps ExecuTorch's programs as FOLDER/NAME.RECIPE.pte, and takes those that are there.
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "bench")]

from cases import networks  # noqa: E402
from oracle.archives import save  # noqa: E402
from oracle.build import record, write_record  # noqa: E402
from oracle.compare import encoded  # noqa: E402

NAMES = ["mobilenet_v2", "resnet18", "efficientnet_lite0"]
RECIPES = {
    "xnnpack_pt2e_int8_static_per_channel": {},
    "xnnpack_pt2e_int8_static_per_tensor": {"per_tensor": True},
}
CALIBRATION, BLOCK, SEEDS = 4, 512, (200, 300, 400, 500)
CLASSES = "<u2"  # as records hold them


def blocks(draw):
    """The inputs, a block at a time: two thousand images of 224 x 224 need not be in memory at once."""
    for seed in SEEDS:
        yield draw(BLOCK, seed)


def measured(name: str, folder: Path) -> dict:
    from oracle_flow import flow

    from oracle.executorch import execute, method_of

    case = networks.SHARED[name]()
    calibration = case.draw(CALIBRATION, networks.CALIBRATION_SEED)
    program = folder / f"{name}.pt2"
    save(case, program)
    methods = {}
    for recipe, options in RECIPES.items():
        pte = folder / f"{name}.{recipe}.pte"
        if not pte.exists():
            flow(program, calibration, pte, **options)
        methods[recipe] = method_of(pte)
    state = hashlib.sha256()
    reference, classes = [], {recipe: [] for recipe in RECIPES}
    for block in blocks(case.draw):
        for sample in block:
            state.update(sample[0].numpy().tobytes())
            reference.append(int(case.module(*sample).argmax()))
            for recipe, method in methods.items():
                classes[recipe].append(int(execute(method, sample)[0].argmax()))
    assert len(set(reference)) > 5
    for recipe in RECIPES:
        print(name, recipe, np.mean(np.equal(reference, classes[recipe])), flush=True)
    return {
        "inputs_sha256": state.hexdigest(),
        "float": encoded(reference, CLASSES),
        "executorch": {recipe: encoded(values, CLASSES) for recipe, values in classes.items()},
    }


def write(models: dict) -> None:
    inputs = {"calibration": CALIBRATION, "inputs": BLOCK * len(SEEDS), "classes": "little-endian 16-bit integers, base64"}
    write_record("agreement", inputs | {"models": models})


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--pte", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = record("agreement").get("models", {})
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        for name in arguments.names or NAMES:
            models[name] = measured(name, arguments.pte or Path(scratch))
            write(models)


if __name__ == "__main__":
    main()
