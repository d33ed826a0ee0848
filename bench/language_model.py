"""SmolLM2-135M in 4 bits on the stock runtime, a prompt at once and token by token, beside ExecuTorch's own file.

    .venv/bin/python bench/language_model.py FOLDER [--build build] [--layers 30] [--theirs FILE.pte]

FOLDER is what `examples/smollm2/demo.sh` fills. ExecuTorch's own file of all layers takes minutes to make: `--theirs` keeps it, and takes it where
it stands already.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
RECIPE = "xnnpack_torchao_int8da_int4w_per_group"
PROMPT, STEPS, ROUNDS = 128, 16, 12
LAYERS = 30

# Both in one process and in turn; a round is the prompt and the steps after it.
LATENCY = """
import sys, time, statistics, torch
from executorch.kernels import quantized
from executorch.runtime import Runtime
prompt, steps, rounds = map(int, sys.argv[3:6])
programs = [Runtime.get().load_program(path) for path in sys.argv[1:3]]
methods = [program.load_method("forward") for program in programs]
tokens = torch.randint(3, 40000, (1, prompt + steps), generator=torch.Generator().manual_seed(0))
def call(method, first, count):
    start = time.perf_counter()
    method.execute([tokens[:, first : first + count].contiguous(), torch.arange(first, first + count)])
    return 1000 * (time.perf_counter() - start)
whole, single = [[], []], [[], []]
for index in range(rounds + 1):
    for side in (0, 1) if index % 2 else (1, 0):
        whole[side].append(call(methods[side], 0, prompt))
        single[side].append(statistics.median(call(methods[side], prompt + step, 1) for step in range(steps)))
print(*(statistics.median(side[1:]) for side in whole + single))
"""


def latency(ours: Path, theirs: Path, threads: int) -> tuple[list[float], list[float]]:
    """Ours and theirs: milliseconds of the prompt, and of a token behind it. Each file is loaded first once."""
    cores = sorted(os.sched_getaffinity(0))[:threads]  # the runtime takes as many threads as it sees processors
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-c", LATENCY]
    found = []
    for pair in ((ours, theirs), (theirs, ours)):
        numbers = list(map(str, (PROMPT, STEPS, ROUNDS)))
        output = subprocess.run([*command, *map(str, pair), *numbers], capture_output=True, text=True, check=True).stdout
        first_whole, second_whole, first_single, second_single = map(float, output.split()[-4:])
        sides = [first_whole, first_single], [second_whole, second_single]
        found.append(sides if pair[0] == ours else sides[::-1])
    return tuple([statistics.mean(run[side][kind] for run in found) for kind in (0, 1)] for side in (0, 1))


def rows(build: Path, folder: Path, layers: int, theirs: Path, scratch: Path):
    import torch
    from cases import smollm2
    from oracle import executorch
    from oracle import smollm2 as oracle

    if not theirs.exists():
        oracle.write(folder, layers, theirs)
    torch.export.save(smollm2.program(folder, smollm2.model(folder, layers)), scratch / "float.pt2")
    ours = scratch / "ours.pte"
    subprocess.run([build / "intaglio", "build", scratch / "float.pt2", "-o", ours, "--recipe", RECIPE, "--no-check", "--quiet"], check=True)
    name = "SmolLM2-135M in 4 bits" if layers == LAYERS else f"SmolLM2-135M's first {layers} layers in 4 bits"
    mine, their = (executorch.instructions(path) for path in (ours, theirs))
    for what, a, b in (("delegates", mine[0], their[0]), ("kernels beside them", len(mine[1]), len(their[1]))):
        yield [f"{name}: {what}", str(a), str(b), f"{b / a:.2f}"]
    for threads in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        for kind, a, b in zip((f"a prompt of {PROMPT} tokens", "a token behind it"), *latency(ours, theirs, threads)):
            yield [f"{name}: {kind}, ms, {threads} thread(s)", f"{a:.2f}", f"{b:.2f}", f"{b / a:.2f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--theirs", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        theirs = arguments.theirs or Path(scratch) / "theirs.pte"
        for row in rows(arguments.build, arguments.folder, arguments.layers, theirs, Path(scratch)):
            print(" | ".join(row), flush=True)
