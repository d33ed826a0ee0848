"""A Llama of a billion random weights to a `.pte` in 4 bits, beside reading its file and writing as many bytes with nothing else.

    .venv/bin/python bench/billion.py --build build [--folder WHERE_SIX_GIGABYTES_ARE_FREE]

Files are in the page cache, and what is written goes to the disk at the end, on both sides. bench/run.py puts the rows in its table.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
RECIPE = "xnnpack_torchao_int8da_int4w_per_group"
REPEAT = 5


def write_model(path: Path) -> None:
    """In a process of its own: its memory is given back."""
    script = f"""
import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
import torch
from cases import decoders
with decoders.sized(decoders.BILLION):
    torch.export.save(decoders.export(decoders.decoder()), {str(path)!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, stderr=subprocess.DEVNULL)


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_and_write(source: Path, target: Path, count: int) -> None:
    """Reads all of the source and writes `count` bytes."""
    buffer = bytearray(1 << 20)
    file = os.open(source, os.O_RDONLY)
    while os.readv(file, [buffer]):
        pass
    os.close(file)
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    while count > 0:
        count -= os.write(file, memoryview(buffer)[:count])
    os.fsync(file)
    os.close(file)


def billion_rows(build: Path, folder: Path):
    from oracle.memory import peak_megabytes

    model, made, copy = folder / "billion.pt2", folder / "billion.pte", folder / "copy"
    write_model(model)
    command = [build / "intaglio", "build", model, "-o", made, "--recipe", RECIPE, "--no-check", "--quiet"]
    peak = peak_megabytes(command)  # and the first look at both files
    ours, raw = [], []
    for _ in range(REPEAT):
        ours.append(seconds(lambda: subprocess.run(list(map(str, command)), check=True)))
        raw.append(seconds(lambda: read_and_write(model, copy, made.stat().st_size)))
    mine, alone = statistics.median(ours), statistics.median(raw)
    sizes = f"{model.stat().st_size / 1e9:.1f} GB to {made.stat().st_size / 1e9:.2f} GB"
    return [
        [f"1.1 billion weights in 4 bits, {sizes}: wall s, beside reading and writing as much", f"{mine:.2f}", f"{alone:.2f}", f"{alone / mine:.2f}"],
        ["the same: peak anonymous memory, MB", f"{peak:.0f}", "", ""],
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        for row in billion_rows(arguments.build, Path(scratch)):
            print(" | ".join(row))
