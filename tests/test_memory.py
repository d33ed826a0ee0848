"""Memory does not grow with the model: its weights stay in their file, and integers are made while they are written."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

LAYERS, WIDTH = 8, 2048  # 134 MB of floats, 34 MB of integers, 4 MB of them in a layer
LAYER = 4.2  # MB of integers in a layer, of which each thread makes one
# 3 to 7 MB are the program itself; a machine that gives every allocation huge pages adds some 4.
SLACK = 12
DYNAMIC = "xnnpack_pt2e_int8_dynamic_per_channel"
STATIC = "xnnpack_pt2e_int8_static_per_channel"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    torch.manual_seed(0)
    model = torch.nn.Sequential(*[torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)]).eval()
    sample = torch.randn(1, WIDTH)
    torch.export.save(torch.export.export(model, (sample,)), folder / "model.pt2")
    np.save(folder / "sample.npy", sample.numpy())
    return folder


def peak_megabytes(command) -> float:
    """The most memory that is in no file, looked at again and again while the command runs."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(found[1]) if found else 0)
    assert process.returncode == 0
    return peak * 1024 / 1e6


@pytest.mark.parametrize("threads", [1, 2])
def test_quantized_weights_are_made_while_they_are_written(build, intaglio, folder, threads):
    plan = folder / "plan.json"
    if not plan.exists():
        arguments = ["--recipe", STATIC, "--calibrate", folder / "sample.npy", "--save-plan", plan]
        intaglio("quantize", folder / "model.pt2", "-o", folder / "calibrated.pt2", *arguments)
    for command, kind in (("build", "pte"), ("quantize", "pt2")):
        for recipe in (["--recipe", DYNAMIC], ["--recipe", STATIC, "--plan", plan]):
            arguments = [command, folder / "model.pt2", "-o", folder / f"out.{kind}", *recipe, "--threads", threads]
            peak = peak_megabytes([build / "intaglio", *arguments])
            assert 0 < peak < SLACK + LAYER * threads, (command, recipe)
            assert (folder / f"out.{kind}").stat().st_size > LAYERS * WIDTH**2


@pytest.mark.parametrize("threads", [1, 2])
def test_calibration_reads_large_weights_where_they_lie(build, folder, threads):
    out = folder / "calibrated.pte"
    arguments = ["--recipe", STATIC, "--calibrate", folder / "sample.npy", "--threads", threads]
    peak = peak_megabytes([build / "intaglio", "build", folder / "model.pt2", "-o", out, *arguments])
    assert 0 < peak < SLACK + LAYER * threads  # a packed copy of one layer alone is 16.8
    assert out.stat().st_size > LAYERS * WIDTH**2
