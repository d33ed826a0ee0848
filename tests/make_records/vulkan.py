"""ExecuTorch's Vulkan payloads: tests/records/vulkan.json, and small files under tests/records/vulkan/.

    .venv/bin/python tests/make_records/vulkan.py [--keep FOLDER] [NAME ...]

SEEDS, SMALL and FAILING are kept as the files that ExecuTorch writes. MODELS are kept by their delegates, the kernels beside them and the
operators of their payloads; MobileNetV2 and EfficientNet-Lite0 call by call. With names, only those are made anew. Each is computed, too: a
record says how near that comes to PyTorch, and what the runtime does not load of it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cases import leaves, vulkan as cases  # noqa: E402
from oracle import vulkan as oracle  # noqa: E402
from oracle.build import TESTS, record, write_record  # noqa: E402
from vulkan.checks import problems  # noqa: E402
from vulkan.interpreter import Program  # noqa: E402
from vulkan.meaning import record_of, short_record  # noqa: E402
from vulkan.package import Package  # noqa: E402
from vulkan.payload import Payload  # noqa: E402

FOLDER = TESTS / "records" / "vulkan"


def files() -> dict:
    seeds = {f"seed_{name}": make for name, make in cases.SEEDS.items()}
    return seeds | {f"seed_{name}_bias": (lambda make=make: make(True)) for name, make in cases.SEEDS.items() if name in ("4w", "8da4w")} | (
        cases.SMALL | {f"failing_{name}": make for name, (make, _) in cases.FAILING.items() if name != "int8_dynamic"}
    )


def closeness(path: Path, case) -> float:
    """The largest difference, of the largest output."""
    outputs = Program(path, checked=False)(*leaves(case.calls[0]))
    expected = [leaf for leaf in case.expected[0] if isinstance(leaf, torch.Tensor)]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(outputs, expected, strict=True))


def measured(name: str, path: Path, case) -> dict:
    package = Package(path)
    payloads = [Payload(blob, package.named) for blob in package.payloads(oracle.DELEGATE)]
    found = sorted({problem for payload in payloads for problem in problems(payload)})
    whole = record_of if name in cases.CALL_BY_CALL else short_record
    calls = [instruction.instr_args for instruction in package.plan().chains[0].instructions]
    kernels = [package.plan().operators[call.op_index] for call in calls if call.kind == "KernelCall"]
    entry = {"delegates": len(payloads), "kernels": [f"{kernel.name}.{kernel.overload}" for kernel in kernels], "payloads": [whole(p) for p in payloads]}
    return entry | {"problems": found[:3], "largest_difference": closeness(path, case)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path, help="where the programs of MODELS and their files stay")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    kept = record("vulkan").get("models", {})
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        for name, make in files().items():
            if (name in arguments.names) if arguments.names else not (FOLDER / f"{name}.pte").exists():
                oracle.lower(make().export(), FOLDER / f"{name}.pte")
                print(name, (FOLDER / f"{name}.pte").stat().st_size, flush=True)
        for name, make in cases.MODELS.items():
            if (name in arguments.names) if arguments.names else name not in kept:
                path = (arguments.keep or Path(scratch)) / f"{name}.pte"
                case = make()
                program = case.export()
                if arguments.keep:
                    torch.export.save(program, path.with_suffix(".pt2"))
                oracle.lower(program, path)
                kept[name] = measured(name, path, case)
                write_record("vulkan", {"models": kept})
                print(name, kept[name]["delegates"], kept[name]["kernels"], kept[name]["problems"], kept[name]["largest_difference"], flush=True)


if __name__ == "__main__":
    main()
