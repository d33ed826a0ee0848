"""Weights made by `quantize_`, beside torchao's and coremltools': gigabytes of float32 a CPU second of one thread.

    .venv/bin/python bench/weights.py --build build

Both sides quantize weights in memory (tests/probes/weight_rates.cpp; `quantize_`). bench/run.py puts the rows in its table.
"""

import argparse
import resource
import subprocess
import time
from pathlib import Path

LAYERS, ROWS, COLUMNS = 8, 2048, 2048


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def spent(work):
    start = cpu_seconds()
    work()
    return cpu_seconds() - start


def model():
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(COLUMNS, ROWS, bias=False) for _ in range(LAYERS)))


def configs():
    """In the order of weight_rates: label, torchao's configuration, layers that theirs is given."""
    import torch
    from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, PerAxis, PerGroup

    hqq = IntxWeightOnlyConfig(torch.int4, PerGroup(32), intx_choose_qparams_algorithm="hqq_scale_only")
    return [
        ("int8 activations, int4 weights in groups of 32", Int8DynamicActivationIntxWeightConfig(torch.int4, PerGroup(32)), LAYERS),
        ("int8 weights per channel", IntxWeightOnlyConfig(torch.int8, PerAxis(0)), LAYERS),
        ("int4 weights in groups of 32, HQQ", hqq, LAYERS),
        ("code books of 3 bits, blocks of 16 rows", CodebookWeightOnlyConfig(torch.uint3, [16, -1]), 1),  # seconds a layer
    ]


def weight_rows(build: Path):
    import torch
    from torchao.quantization import quantize_

    torch.set_num_threads(1)
    rates = [build / "tests" / "probes" / "weight_rates", ROWS * LAYERS, COLUMNS]
    seconds = list(map(float, subprocess.run(list(map(str, rates)), capture_output=True, text=True, check=True).stdout.split()))
    size = ROWS * COLUMNS * 4 / 1e9
    rows = []
    for mine, (label, config, layers) in zip(seconds, configs(), strict=True):
        theirs = []
        for _ in range(3 if layers > 1 else 1):
            module = model()[:layers]
            theirs.append(spent(lambda: quantize_(module, config)))
        ours_rate, their_rate = size * LAYERS / mine, size * layers / min(theirs)
        rows.append([f"{label}: GB/s, one thread", f"{ours_rate:.2f}", f"{their_rate:.3f}", f"{ours_rate / their_rate:.1f}"])
    tensor = torch.randn(LAYERS * ROWS, COLUMNS)
    scan = min(spent(lambda: torch.aminmax(tensor)) for _ in range(3))
    rows.append(["largest and smallest value of such weights: GB/s, one thread", "", f"{size * LAYERS / scan:.2f}", ""])
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parent.parent / "build")
    for row in weight_rows(parser.parse_args().build):
        print(" | ".join(row))
