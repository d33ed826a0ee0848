"""Weights made by `quantize_`, beside torchao's and coremltools': gigabytes of float32 a second on one thread.

    .venv/bin/python bench/weights.py --build build

Intaglio's figure is CPU time of the step that quantizes, reads the weights' file and writes the new one; theirs is CPU time of
`quantize_` alone, on weights in memory. bench/run.py puts the rows in its table.
"""

import argparse
import json
import resource
import subprocess
import tempfile
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
    import torch
    from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, PerAxis, PerGroup

    dynamic, weight_only, codebook = "Int8DynamicActivationIntxWeightConfig", "IntxWeightOnlyConfig", "CodebookWeightOnlyConfig"
    hqq = "hqq_scale_only"
    return {
        "int8 activations, int4 weights in groups of 32": (
            {"quantize_": dynamic, "weight_dtype": "int4", "group_size": 32},
            Int8DynamicActivationIntxWeightConfig(torch.int4, PerGroup(32)), LAYERS),
        "int8 weights per channel": ({"quantize_": weight_only}, IntxWeightOnlyConfig(torch.int8, PerAxis(0)), LAYERS),
        "int4 weights in groups of 32, HQQ": (
            {"quantize_": weight_only, "weight_dtype": "int4", "group_size": 32, "intx_choose_qparams_algorithm": hqq},
            IntxWeightOnlyConfig(torch.int4, PerGroup(32), intx_choose_qparams_algorithm=hqq), LAYERS),
        "code books of 3 bits, blocks of 16 rows": (
            {"quantize_": codebook, "dtype": "uint3", "block_size": [16, -1]},
            CodebookWeightOnlyConfig(torch.uint3, [16, -1]), 1),  # theirs takes seconds a layer
    }


def weight_rows(intaglio: Path, folder: Path):
    import torch
    from torchao.quantization import quantize_

    torch.set_num_threads(1)
    program = folder / "weights.pt2"
    torch.export.save(torch.export.export(model(), (torch.ones(1, COLUMNS),)), program)
    size = ROWS * COLUMNS * 4 / 1e9
    rows = []
    for label, (fields, theirs, layers) in configs().items():
        recipe = folder / "recipe.json"
        recipe.write_text(json.dumps({"schema": "intaglio-recipe/1", "backend": "xnnpack", "rules": [{"config": fields}]}))
        command = [intaglio, "quantize", program, "-o", folder / "out.pt2", "--recipe", recipe, "--threads", 1, "--json"]
        documents = [json.loads(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout) for _ in range(3)]
        mine = min(sum(step["cpu_seconds"] for step in document["steps"] if step["name"] in ("quantize_", "write")) for document in documents)
        module = model()[:layers]
        their = spent(lambda: quantize_(module, theirs))
        ours_rate, their_rate = size * LAYERS / mine, size * layers / their
        rows.append([f"{label}: GB/s, one thread", f"{ours_rate:.2f}", f"{their_rate:.3f}", f"{ours_rate / their_rate:.1f}"])
    tensor = torch.randn(LAYERS * ROWS, COLUMNS)
    tensor.abs().max()
    start = time.perf_counter()
    torch.aminmax(tensor)
    rows.append(["largest and smallest value of the same weights: GB/s, one thread", "", f"{size * LAYERS / (time.perf_counter() - start):.2f}", ""])
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parent.parent / "build")
    with tempfile.TemporaryDirectory() as scratch:
        for row in weight_rows(parser.parse_args().build / "intaglio", Path(scratch)):
            print(" | ".join(row))
