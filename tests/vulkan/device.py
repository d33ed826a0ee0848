"""Programs for a machine that has the delegate, and what they must give: see run_on_device.md.

    python -m vulkan.device write FOLDER      NAME.pte, its inputs and PyTorch's outputs
    python -m vulkan.device compare FOLDER    the outputs that came back
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
import torch

from cases import leaves, vulkan as cases
from oracle.build import BUILD
from oracle.compare import sqnr

CASES = {f"seed_{name}": cases.SEEDS[name] for name in cases.RUNNING_SEEDS} | cases.SMALL | {"mobilenet_v2": cases.MODELS["mobilenet_v2"]}
# What shaders approximate (gelu, exponentials) or, of one row, do not quantize costs more than the order of sums.
LEAST_DB = 45


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in CASES.items():
        case = make()
        torch.export.save(case.export(), folder / f"{name}.pt2")
        subprocess.run([BUILD / "intaglio", "lower", folder / f"{name}.pt2", "-o", folder / f"{name}.pte", "--backend", "vulkan", "--quiet"], check=True)
        for kind, values in (("in", leaves(case.calls[0])), ("expected", case.expected[0])):
            for number, value in enumerate(values):
                (folder / f"{name}.{kind}{number}.bin").write_bytes(value.contiguous().numpy().tobytes())
        count = len(leaves(case.calls[0]))
        inputs = ",".join(f"{name}.in{number}.bin" for number in range(count))
        print(f"./executor_runner --model_path {name}.pte --inputs {inputs} --output_file {name}.out --print_output none")


def compare(folder: Path) -> int:
    wrong = 0
    for name, make in CASES.items():
        for number, expected in enumerate(make().expected[0]):
            path = folder / f"{name}.out-{number}.bin"
            if not path.exists():
                print(f"{name}: no {path.name}")
                wrong += 1
                continue
            got = np.frombuffer(path.read_bytes(), expected.numpy().dtype).reshape(expected.shape)
            figure = sqnr(expected.numpy(), got)
            wrong += figure < LEAST_DB
            print(f"{name}: output {number} {figure:.0f} dB{'' if figure >= LEAST_DB else ', WRONG'}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["write", "compare"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with torch.no_grad():
        raise SystemExit(bool({"write": write, "compare": compare}[arguments.what](arguments.folder)))


if __name__ == "__main__":
    main()
