"""Programs and samples on disk."""

from pathlib import Path

import numpy as np
import torch

from cases import Case, leaves


def to_numpy(value: torch.Tensor) -> np.ndarray:
    """As sample files hold it: bfloat16 travels as two bytes without a type."""
    value = value.detach()
    return value.view(torch.int16).numpy().view("V2") if value.dtype is torch.bfloat16 else value.numpy()


def save_samples(folder: Path, calls) -> Path:
    """One file a call: .npy of a single tensor, else .npz."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, call in enumerate(calls):
        arrays = [to_numpy(value) for value in leaves(call) if isinstance(value, torch.Tensor)]
        if len(arrays) == 1:
            np.save(folder / f"{index:03}.npy", arrays[0])
        else:
            np.savez(folder / f"{index:03}.npz", *arrays)
    return folder


def save(case: Case, path: Path, **samples) -> torch.export.ExportedProgram:
    """Writes NAME.pt2, and of each keyword's calls the files NAME/KEYWORD/*; returns the program."""
    for split, calls in samples.items():
        save_samples(path.with_suffix("") / split, calls)
    path.parent.mkdir(parents=True, exist_ok=True)
    program = case.export()
    torch.export.save(program, path)
    return program
