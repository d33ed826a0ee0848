"""Records which class the float model, and ExecuTorch's int8 `.pte`, put first: tests/records/agreement.json.

    .venv/bin/python tests/make_records/agreement.py [--pte FOLDER] [NAME ...]        about three CPU minutes a model

SQNR needs few inputs, top-1 agreement many: near a tie one quantization step decides. The classes of BLOCK inputs for each of
SEEDS are written, not only their share, so that a comparison can count the inputs on which just one side is right.
`--pte` keeps ExecuTorch's programs as FOLDER/NAME.RECIPE.pte, and takes those that are there.
"""

import argparse
import base64
import hashlib
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "bench")]

import numpy as np  # noqa: E402
import oracle_models  # noqa: E402

RECORD = HERE.parent / "records" / "agreement.json"
NAMES = ["mobilenet_v2", "resnet18", "efficientnet_lite0"]
RECIPES = {
    "xnnpack_pt2e_int8_static_per_channel": {},
    "xnnpack_pt2e_int8_static_per_tensor": {"per_tensor": True},
}
CALIBRATION, BLOCK, SEEDS = 4, 512, (200, 300, 400, 500)


def blocks(inputs):
    """The inputs, a block at a time: two thousand images of 224 x 224 need not be in memory at once."""
    for seed in SEEDS:
        yield inputs(BLOCK, seed)


def encode(classes) -> str:
    return base64.b64encode(np.asarray(classes, dtype="<u2").tobytes()).decode()


def decode(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<u2")


def record(name: str, folder: Path) -> dict:
    import torch
    from executorch.runtime import Runtime
    from oracle_flow import flow

    model, inputs = oracle_models.MODELS[name]()
    calibration = inputs(CALIBRATION, oracle_models.CALIBRATION_SEED)
    program = folder / f"{name}.pt2"
    torch.export.save(torch.export.export(model, calibration[0]), program)
    methods = {}
    for recipe, options in RECIPES.items():
        pte = folder / f"{name}.{recipe}.pte"
        if not pte.exists():
            flow(program, calibration, pte, **options)
        methods[recipe] = Runtime.get().load_program(pte).load_method("forward")
    state = hashlib.sha256()
    reference, classes = [], {recipe: [] for recipe in RECIPES}
    for block in blocks(inputs):
        for sample in block:
            state.update(sample[0].numpy().tobytes())
            reference.append(int(model(*sample).argmax()))
            for recipe, method in methods.items():
                classes[recipe].append(int(method.execute(list(sample))[0].argmax()))
    assert len(set(reference)) > 5
    for recipe in RECIPES:
        print(name, recipe, np.mean(np.equal(reference, classes[recipe])), flush=True)
    return {
        "inputs_sha256": state.hexdigest(),
        "float": encode(reference),
        "executorch": {recipe: encode(values) for recipe, values in classes.items()},
    }


def write(models: dict) -> None:
    made = {
        "made_by": "tests/make_records/agreement.py",
        "versions": {"torch": "2.13.0", "torchao": "0.18.0", "executorch": "1.5.1"},
        "calibration": CALIBRATION,
        "inputs": BLOCK * len(SEEDS),
        "classes": "little-endian 16-bit integers, base64",
    }
    RECORD.write_text(json.dumps(made | {"models": models}, indent=1) + "\n")


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--pte", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    existing = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    models = existing.get("models", {})
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        for name in arguments.names or NAMES:
            models[name] = record(name, arguments.pte or Path(scratch))
            write(models)


if __name__ == "__main__":
    main()
