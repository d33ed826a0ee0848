"""Records what torchao and ExecuTorch reach on the shared models: tests/records/models.json.

    .venv/bin/python tests/make_records/models.py [NAME ...]        about two minutes a model

For each model and recipe: signal-to-quantization-noise ratio of the converted program and of the `.pte` against the
float model over the test inputs, how often the largest output is the same, the file's size, and what was delegated.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "bench")]

import numpy as np  # noqa: E402
import oracle_models  # noqa: E402
import torch  # noqa: E402
from executorch.exir._serialize._program import deserialize_pte_binary  # noqa: E402
from executorch.runtime import Runtime  # noqa: E402
from oracle_flow import flow  # noqa: E402

RECORD = HERE.parent / "records" / "models.json"
CALIBRATION, TEST = 4, 64


def sqnr(reference: np.ndarray, candidate: np.ndarray) -> float:
    noise = ((reference.astype(np.float64) - candidate) ** 2).sum()
    return float(10 * np.log10((reference.astype(np.float64) ** 2).sum() / noise))


def agreement(reference: np.ndarray, candidate: np.ndarray) -> float:
    return float((reference.argmax(-1) == candidate.argmax(-1)).mean())


def digest(samples) -> str:
    state = hashlib.sha256()
    for sample in samples:
        state.update(sample[0].numpy().tobytes())
    return state.hexdigest()


def instructions(path: Path):
    """Delegate calls and the kernels called beside them."""
    plan = deserialize_pte_binary(path.read_bytes()).program.execution_plan[0]
    delegates, kernels = 0, []
    for instruction in plan.chains[0].instructions:
        call = instruction.instr_args
        if type(call).__name__ == "DelegateCall":
            delegates += 1
        elif type(call).__name__ == "KernelCall":
            operator = plan.operators[call.op_index]
            kernels.append(f"{operator.name}.{operator.overload}")
    return delegates, kernels


def run_pte(path: Path, samples) -> np.ndarray:
    method = Runtime.get().load_program(path).load_method("forward")
    return np.concatenate([method.execute(list(sample))[0].numpy() for sample in samples])


def record(name: str, folder: Path) -> dict:
    model, inputs = oracle_models.MODELS[name]()
    calibration = inputs(CALIBRATION, oracle_models.CALIBRATION_SEED)
    test = inputs(TEST, oracle_models.TEST_SEED)
    program = folder / f"{name}.pt2"
    torch.export.save(torch.export.export(model, calibration[0]), program)
    reference = np.concatenate([model(*sample).numpy() for sample in test])
    assert np.ptp(reference) > 0.1
    result = {"calibration_sha256": digest(calibration), "test_sha256": digest(test), "recipes": {}}
    for recipe, options in (
        ("xnnpack_fp32", {"fp32": True}),
        ("xnnpack_pt2e_int8_static_per_channel", {}),
        ("xnnpack_pt2e_int8_static_per_tensor", {"per_tensor": True}),
    ):
        pte = folder / f"{name}.pte"
        _, converted = flow(program, calibration, pte, **options)
        outputs = run_pte(pte, test)
        delegates, kernels = instructions(pte)
        entry = {"pte_sqnr_db": sqnr(reference, outputs), "pte_top1_agreement": agreement(reference, outputs)}
        entry |= {"pte_bytes": pte.stat().st_size, "delegates": delegates, "leftover_kernels": kernels}
        if converted is not None:
            outputs = np.concatenate([converted(*sample).numpy() for sample in test])
            entry |= {"pt2_sqnr_db": sqnr(reference, outputs), "pt2_top1_agreement": agreement(reference, outputs)}
        result["recipes"][recipe] = entry
        print(name, recipe, entry, flush=True)
    return result


def main() -> None:
    existing = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    models = existing.get("models", {})
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name in sys.argv[1:] or oracle_models.MODELS:
            models[name] = record(name, Path(folder))
    versions = {"torch": "2.13.0", "torchao": "0.18.0", "executorch": "1.5.1"}
    made = {"made_by": "tests/make_records/models.py", "versions": versions, "calibration": CALIBRATION, "test": TEST}
    RECORD.write_text(json.dumps(made | {"models": models}, indent=1) + "\n")


if __name__ == "__main__":
    main()
