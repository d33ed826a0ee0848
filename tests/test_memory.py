"""Memory does not grow with the model: its weights stay in their file, and integers are made while they are written."""

import zipfile

import numpy as np
import pytest
import torch

from large_programs import constant_chain, write
from oracle.memory import peak_megabytes

LAYERS, WIDTH = 8, 2048  # 134 MB of floats, 34 MB of integers, 4 MB of them in a layer
LAYER = 4.2  # MB of integers in a layer, of which each thread makes one
# 3 to 7 MB are the program itself, some 6 what the allocator keeps for a moment of what was freed; a machine that gives every
# allocation huge pages adds some 4.
SLACK = 18
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


@pytest.fixture(scope="module")
def unaligned(folder):
    """The same archive with its records at odd addresses, as a plain zip tool leaves them, and one weight in place of eight."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(WIDTH, LAYERS * WIDTH)).eval()
    sample = torch.randn(1, WIDTH)
    torch.export.save(torch.export.export(model, (sample,)), folder / "one.pt2")
    path = folder / "unaligned.pt2"
    with zipfile.ZipFile(folder / "one.pt2") as aligned, zipfile.ZipFile(path, "w") as archive:
        for info in aligned.infolist():
            entry = zipfile.ZipInfo(info.filename)
            start = archive.fp.tell() + 30 + len(info.filename)
            padding = 5 if start % 2 == 0 else 4  # of an extra field: its kind, its length, then what it holds
            entry.extra = b"FB" + (padding - 4).to_bytes(2, "little") + bytes(padding - 4)
            archive.writestr(entry, aligned.read(info))
    return path


@pytest.mark.parametrize(
    "command, copies",
    [
        (["inspect"], 0),
        (["build", "-o", "{}.pte", "--recipe", "xnnpack_fp32", "--no-check"], 0),
        (["quantize", "-o", "{}.pt2", "--recipe", DYNAMIC], 1),  # integers of the one layer, a quarter of its floats
        (["quantize", "-o", "{}.pt2", "--recipe", STATIC, "--plan", "plan"], 1),
        (["build", "-o", "{}.pte", "--recipe", STATIC, "--calibrate", "sample"], 1),
    ],
    ids=["inspect", "fp32", "dynamic", "planned", "static"],
)
def test_weights_at_odd_addresses_are_not_copied(build, intaglio, folder, unaligned, command, copies):
    out = folder / "unaligned_out"
    words = [word.format(out) for word in command]
    if "--calibrate" in words:
        words[-1] = folder / "sample.npy"
    if "--plan" in words:
        words[-1] = folder / "unaligned_plan.json"
        arguments = ["--recipe", STATIC, "--calibrate", folder / "sample.npy", "--save-plan", words[-1]]
        intaglio("quantize", unaligned, "-o", f"{out}.pt2", *arguments)
    peak = peak_megabytes([build / "intaglio", words[0], unaligned, *words[1:], "--threads", 1])
    assert 0 < peak < SLACK + copies * LAYERS * LAYER + (8.5 if copies else 0)  # 8: a part of the floats, where they are aligned


@pytest.mark.parametrize("threads", [1, 2])
def test_calibration_reads_large_weights_where_they_lie(build, folder, threads):
    out = folder / "calibrated.pte"
    arguments = ["--recipe", STATIC, "--calibrate", folder / "sample.npy", "--threads", threads]
    peak = peak_megabytes([build / "intaglio", "build", folder / "model.pt2", "-o", out, *arguments])
    assert 0 < peak < SLACK + LAYER * threads  # a packed copy of one layer alone is 16.8
    assert out.stat().st_size > LAYERS * WIDTH**2


def test_constants_that_lead_to_others_go_once_they_are_read(build, tmp_path):
    """A file of twenty kilobytes whose constants, all of them together, are 480 MB."""
    numbers, steps = 4_000_000, 30
    model = write(lambda w, count: constant_chain(w, count, numbers), steps, tmp_path / "model.pt2")
    arguments = ["build", model, "-o", tmp_path / "out.pte", "--recipe", "xnnpack_fp32", "--no-check"]
    one = 4 * numbers / 1e6
    assert 0 < peak_megabytes([build / "intaglio", *arguments]) < SLACK + 4 * one
