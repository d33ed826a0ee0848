"""Ours beside the oracle's, in one run: prints the tables and writes them into bench/README.md.

    .venv/bin/python bench/run.py --build build [--models mobilenet_v2 ...] [--transformers llama ...] [--repeat 5]

CPU seconds of whole processes (user and system), peak resident memory, milliseconds of one inference measured
interleaved on the stock runtime. Ratios are theirs divided by ours: above 1 is in our favour.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]
MARK = "<!-- figures: written by bench/run.py -->"
import large_programs  # noqa: E402

RECIPE = "xnnpack_pt2e_int8_static_per_channel"


def measured(command, **options):
    """Wall seconds, CPU seconds, peak megabytes and standard output of one process.

    Through /usr/bin/time: a child started from here would count this process's own memory as its peak.
    """
    with tempfile.NamedTemporaryFile("r") as usage:
        timed = ["/usr/bin/time", "-f", "%U %S %M", "-o", usage.name, *map(str, command)]
        start = time.perf_counter()
        output = subprocess.run(timed, stdout=subprocess.PIPE, text=True, check=True, **options).stdout
        wall = time.perf_counter() - start
        user, system, peak = map(float, usage.read().split()[-3:])
    return wall, user + system, peak / 1024, output


def median_of(repeat, command, **options):
    runs = [measured(command, **options) for _ in range(repeat)]
    return (*(statistics.median(run[i] for run in runs) for i in range(3)), [run[3] for run in runs])


def step_cpu(documents, *names):
    totals = []
    for text in documents:
        steps = {step["name"]: step["cpu_seconds"] for step in json.loads(text)["steps"]}
        totals.append(sum(steps[name] for name in names))
    return statistics.median(totals)


def two_samples(folder: Path, name: str) -> Path:
    target = folder / f"{name}_two"
    target.mkdir()
    for sample in sorted((folder / name / "calibration").iterdir())[:2]:
        (target / sample.name).write_bytes(sample.read_bytes())
    return target


def oracle(program, calibration, out, *extra):
    quiet = {"stderr": subprocess.DEVNULL}
    wall, cpu, peak, output = measured(
        [sys.executable, ROOT / "bench/oracle_flow.py", program, calibration, 2, out, *extra], **quiet
    )
    return json.loads(output.splitlines()[-1]), cpu, peak


LATENCY = """
import sys, time, numpy as np, torch
from executorch.runtime import Runtime
paths, sample, rounds = sys.argv[1:3], torch.from_numpy(np.load(sys.argv[3])), int(sys.argv[4])
programs = [Runtime.get().load_program(path) for path in paths]
methods = [program.load_method("forward") for program in programs]
times = [[], []]
for index in range(rounds + 3):
    for side, method in enumerate(methods if index % 2 else methods[::-1]):
        side = side if index % 2 else 1 - side
        start = time.perf_counter()
        method.execute([sample])
        times[side].append(time.perf_counter() - start)
print(*(float(np.median(side[3:])) * 1000 for side in times))
"""


def latency(ours, theirs, sample, threads):
    # The runtime takes as many threads as it sees processors.
    cores = sorted(os.sched_getaffinity(0))[:threads]
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-c", LATENCY]
    # Where a program's packed weights come to lie is worth a hundredth or two, so each is loaded first once.
    medians = []
    for first, second in ((ours, theirs), (theirs, ours)):
        arguments = [*map(str, (first, second, sample)), "60"]
        output = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout
        pair = list(map(float, output.split()[-2:]))
        medians.append(pair if first == ours else pair[::-1])
    mine, their = (statistics.mean(side) for side in zip(*medians))
    return mine, their


def flow_rows(intaglio, folder, name, repeat):
    program, calibration = folder / f"{name}.pt2", two_samples(folder, name)
    ours, theirs = folder / f"{name}_ours.pte", folder / f"{name}_theirs.pte"
    build = [intaglio, "build", program, "-o", ours, "--recipe", RECIPE, "--calibrate", calibration, "--json"]
    wall, cpu, peak, documents = median_of(repeat, build)
    reference, their_cpu, their_peak = oracle(program, calibration, theirs)
    steps = reference["cpu_seconds"]
    size = program.stat().st_size / 1e6
    lower = step_cpu(documents, "convert", "lower", "write")
    their_lower = steps["convert"] + steps["export"] + steps["lower"] + steps["to_executorch"]
    return [
        [f"{name}: `.pt2` to `.pte`, 2 samples, CPU s", f"{cpu:.3f}", f"{their_cpu:.1f}", f"{their_cpu / cpu:.0f}"],
        [f"{name}: convert and lower alone, CPU s", f"{lower:.3f}", f"{their_lower:.1f}", f"{their_lower / lower:.0f}"],
        [f"{name}: wall s", f"{wall:.2f}", "", ""],
        [
            f"{name}: peak memory, MB (`.pt2` is {size:.1f}; bound {2.5 * size + 30:.0f})",
            f"{peak:.0f}",
            f"{their_peak:.0f}",
            f"{their_peak / peak:.1f}",
        ],
        [f"{name}: `.pte`, MB", f"{ours.stat().st_size / 1e6:.2f}", f"{theirs.stat().st_size / 1e6:.2f}", ""],
    ]


def calibration_row(intaglio, folder, name):
    """CPU per image in the calibration step, one thread: many images against few, so that set-up drops out."""
    import shutil

    program = folder / f"{name}.pt2"
    samples = sorted((folder / name / "calibration").iterdir())
    figures = {}
    for count in (4, 44):
        data = folder / f"{name}_{count}"
        data.mkdir()
        for index in range(count):
            shutil.copy(samples[index % len(samples)], data / f"{index:03}.npy")
        out = folder / "calibrated.pt2"
        build = [intaglio, "quantize", program, "-o", out, "--recipe", RECIPE, "--calibrate", data, "--json", "--threads", 1]
        *_, documents = median_of(3, build)
        figures[count] = step_cpu(documents, "calibrate")
    mine = (figures[44] - figures[4]) / 40 * 1000
    reference, *_ = oracle(program, folder / name / "calibration", folder / "unused.pte", "--repeat-calibration", 12)
    theirs = reference["calibration_ms_per_image"]
    return [f"{name}: calibration, CPU ms per image, one thread", f"{mine:.1f}", f"{theirs:.1f}", f"{theirs / mine:.1f}"]


def latency_rows(folder, name):
    sample = sorted((folder / name / "test").iterdir())[0]
    rows = []
    for threads in (1, 2):
        if threads > len(os.sched_getaffinity(0)):
            continue
        mine, theirs = latency(folder / f"{name}_ours.pte", folder / f"{name}_theirs.pte", sample, threads)
        rows.append([f"{name}: int8 `.pte`, ms, {threads} thread(s)", f"{mine:.2f}", f"{theirs:.2f}", f"{theirs / mine:.2f}"])
    return rows


def transformer_rows(intaglio, folder, name):
    """Latency of the blocks that ExecuTorch cuts into many delegates (tests/cases/language.py)."""
    import torch
    from cases import language, networks
    from oracle.archives import save

    case, program = language.MODELS[name](), folder / f"{name}.pt2"
    with torch.no_grad():
        save(case, program, calibration=case.draw(2, networks.CALIBRATION_SEED))
    calibration = folder / name / "calibration"
    rows = []
    for label, recipe, calibrate, options in (
        ("fp32", "xnnpack_fp32", [], ["--fp32"]),
        ("int8", RECIPE, ["--calibrate", calibration], []),
    ):
        ours, theirs = folder / f"{name}_{label}_ours.pte", folder / f"{name}_{label}_theirs.pte"
        measured([intaglio, "build", program, "-o", ours, "--recipe", recipe, *calibrate, "--quiet"])
        oracle(program, calibration, theirs, *options)
        for threads in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
            mine, their = latency(ours, theirs, calibration / "000.npy", threads)
            rows.append([f"{name}: {label} `.pte`, ms, {threads} thread(s)", f"{mine:.2f}", f"{their:.2f}", f"{their / mine:.2f}"])
    return rows


# By backend: its name in texts, its options, programs as they come, float or quantized.
def lowered_programs():
    from cases import coreml, networks, vulkan

    ios18 = ["--set", "minimum_deployment_target=iOS18"]
    return {
        "vulkan": ("Vulkan", [], {"MobileNetV2 in float": vulkan.MODELS["mobilenet_v2"], "a Llama's block in 4 bits": vulkan.quantized_llama}),
        "coreml": ("Core ML", ios18, {"MobileNetV2 in float": networks.SHARED["mobilenet_v2"], "layers in tables of 3 bits": coreml.PROGRAMS["codebook"].make}),
    }


def lowered_rows(intaglio, folder, repeat, backend):
    import torch
    from oracle.archives import save

    rows = []
    title, options, programs = lowered_programs()[backend]
    for label, make in programs.items():
        program = folder / f"{backend}.pt2"
        with torch.no_grad():
            case = make()
            save(case, program, calibration=case.calls)
        lower = [intaglio, "lower", program, "-o", folder / f"{backend}.pte", "--backend", backend, *options, "--quiet"]
        _, cpu, peak, _ = median_of(repeat, lower)
        cpu = max(cpu, 0.01)  # the clock's step
        arguments = ["--fp32", "--backend", backend]
        _, their_cpu, their_peak = oracle(program, folder / backend / "calibration", folder / f"{backend}_theirs.pte", *arguments)
        rows += [
            [f"{label}, lowered to {title}: CPU s", f"{cpu:.3f}", f"{their_cpu:.1f}", f"{their_cpu / cpu:.0f}"],
            [f"{label}, lowered to {title}: peak memory, MB", f"{peak:.0f}", f"{their_peak:.0f}", f"{their_peak / peak:.1f}"],
        ]
    return rows


def start_row(intaglio):
    start = time.perf_counter()
    for _ in range(20):
        subprocess.run([str(intaglio), "--version"], stdout=subprocess.DEVNULL, check=True)
    return ["`intaglio --version`, ms", f"{(time.perf_counter() - start) / 20 * 1000:.1f}", "", ""]


# Programs of so many nodes (layers, operands) that what is done for each of them shows.
LARGE = {"chain": 100_000, "fan_out": 100_000, "residual": 3_000, "linears": 5_000, "delegates": 2_000, "long_cat": 100_000}


def large_rows(intaglio, folder):
    rows = []
    for shape, count in LARGE.items():
        model = large_programs.write(getattr(large_programs, shape), count, folder / f"{shape}.pt2")
        seconds = {
            name: measured([intaglio, *arguments], stderr=subprocess.DEVNULL)[1]
            for name, arguments in large_programs.commands(model, folder / "large").items()
        }
        rows.append([f"{shape} of {count:,}: {', '.join(seconds)}, CPU s", ", ".join(f"{s:.1f}" for s in seconds.values()), "", ""])
    return rows


def table(rows):
    head = ["| figure | Intaglio | Python flow | ratio |", "| --- | ---: | ---: | ---: |"]
    return "\n".join(head + ["| " + " | ".join(row) + " |" for row in rows])


def main():
    from cases import language, networks

    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--models", nargs="*", default=list(networks.SHARED))
    parser.add_argument("--transformers", nargs="*", default=list(language.MODELS))
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    intaglio = arguments.build / "intaglio"
    rows = [start_row(intaglio)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in arguments.models:
            networks.write(folder, name)
            rows += flow_rows(intaglio, folder, name, arguments.repeat)
            rows += latency_rows(folder, name)
            if name == "mobilenet_v2":
                rows.append(calibration_row(intaglio, folder, name))
            print(table(rows), flush=True)
        for backend in ("vulkan", "coreml"):
            rows += lowered_rows(intaglio, folder, arguments.repeat, backend)
        rows += large_rows(intaglio, folder)
        for name in arguments.transformers:
            rows += transformer_rows(intaglio, folder, name)
            print(table(rows), flush=True)
        # In a process of its own: the oracle's imports and threads stay out of the others' memory.
        for script in ("sensitivity.py", "weights.py", "billion.py"):
            lines = measured([sys.executable, ROOT / "bench" / script, "--build", arguments.build])[3].splitlines()
            rows += [line.split(" | ") for line in lines if line.count(" | ") == 3]
    readme = ROOT / "bench" / "README.md"
    head = readme.read_text().split(MARK)[0]
    readme.write_text(f"{head}{MARK}\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
