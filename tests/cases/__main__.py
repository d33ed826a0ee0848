"""Writes cases as archives with samples, the corpus of tools/same_bytes.py.

    python -m cases FOLDER [FAMILY[/NAME] ...]      (in tests/) FOLDER/FAMILY/NAME.pt2, FOLDER/FAMILY/NAME/calibration/*
"""

import sys
from pathlib import Path

import torch

from cases import archives, coverage, kernels, language, layers, networks, ops, programs, reach, seeded
from oracle.archives import save
from oracle.torchao import converted


def lazily(cases: dict) -> dict:
    return {name: lambda case=case: case for name, case in cases.items()}


FAMILIES = {
    "ops": lazily(ops.LOWERED | ops.DYNAMIC | ops.EMITTED),
    "reach": lazily(reach.NUMBERS | reach.SIZES),
    "kernels": lazily(kernels.COMPUTED),
    "delegated": lazily(layers.DELEGATED),
    "half": {name: lambda name=name: layers.in_half(layers.DELEGATED[name]) for name in layers.HALF},
    "int8": {name: lambda name=name: converted(layers.DELEGATED[name]) for name in layers.INT8},
    "annotated": {name: lambda name=name: layers.annotated(name) for name in layers.ANNOTATED if name not in layers.REAL},
    "dynamically": {name: lambda name=name: layers.dynamically(name) for name in layers.DYNAMICALLY},
    "programs": lazily(programs.PROGRAMS),
    "coverage": lazily(coverage.NETWORKS),
    "archives": archives.ARCHIVES | {name: lambda make=make: converted(make()) for name, make in archives.QUANTIZED.items()},
    "language": language.MODELS,
    "shared": networks.SHARED,
    "zoo": networks.ZOO,
}


def main() -> None:
    folder, *chosen = sys.argv[1:]
    for family, cases in FAMILIES.items():
        for name, make in cases.items():
            path = Path(folder) / family / f"{name}.pt2"
            if path.exists() or not (family in chosen or f"{family}/{name}" in chosen or not chosen):
                continue
            with seeded():
                case = make()
            calls = case.draw(2, networks.CALIBRATION_SEED) if case.draw else case.calls
            with torch.no_grad():
                save(case, path, calibration=[(call, case.kwargs) for call in calls])


if __name__ == "__main__":
    main()
