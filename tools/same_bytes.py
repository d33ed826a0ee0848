#!/usr/bin/env python3
"""Whether a changed binary still writes the same bytes and says the same: for work that must change nothing.

    tools/same_bytes.py record --binary build/intaglio --models CORPUS --out RECORD.json
    tools/same_bytes.py check --binary build/intaglio --models CORPUS --record RECORD.json [--threads 1 2 7] [--quick] [--only TEXT]

CORPUS holds FAMILY/NAME.pt2, and samples in FAMILY/NAME/calibration/. On each model run all of ROWS below, each in a folder of its
own; of every file they leave the record holds the SHA-256, of a `--json` document too (without its times), and of a failure the
exit status and the message. A check takes the cells of its list by turns with each of the thread counts; `--quick` draws cells
that took QUICK_SECONDS together when they were recorded, as many of each family as of the others.

`--keep FOLDER` leaves what a differing cell wrote. Status 1: something differs, 2: the corpus is not the recorded one.
"""

import argparse
import concurrent.futures
import hashlib
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUICK_SECONDS, QUICK_CELL_SECONDS = 60, 1.5

RECIPE_FILE = {
    "schema": "intaglio-recipe/1",
    "backend": "xnnpack",
    "rules": [
        {"match": {"module_name": "*.0"}, "config": None},
        {"match": {"op": "linear"}, "config": {"is_per_channel": True, "is_dynamic": True}},
        {"config": {"is_per_channel": True}},
    ],
}


def pt2e(recipe: str, *settings: str, calibrated: bool = False) -> list[str]:
    """Both ends of a recipe; the quantized program is made from the plan that the first command leaves."""
    chosen = " ".join([f"--recipe {recipe}", *(f"--set {setting}" for setting in settings)])
    samples = " --calibrate model/calibration" if calibrated else ""
    return [
        f"build model.pt2 -o out.pte {chosen}{samples} --save-plan plan.json",
        f"quantize model.pt2 -o out.pt2 {chosen} --plan plan.json",
    ]


STATIC, DYNAMIC = "xnnpack_pt2e_int8_static_per", "xnnpack_pt2e_int8_dynamic_per"
ROWS = {
    "fp32": ["build model.pt2 -o out.pte --recipe xnnpack_fp32", "inspect out.pte"],
    "portable": ["lower model.pt2 -o out.pte --backend portable", "inspect out.pte"],
    "lowered": ["lower model.pt2 -o out.pte --backend xnnpack --compat torchao"],
    "methods": ["lower first=model.pt2 second=model.pt2 -o out.pte --backend xnnpack"],
    "static_per_channel": [*pt2e(f"{STATIC}_channel", calibrated=True), "inspect out.pte"],
    "static_per_tensor": pt2e(f"{STATIC}_tensor", calibrated=True),
    "static_torchao": pt2e(f"{STATIC}_channel", "compat=torchao", calibrated=True),
    "dynamic_per_channel": [*pt2e(f"{DYNAMIC}_channel"), "inspect out.pt2"],
    "dynamic_per_tensor": pt2e(f"{DYNAMIC}_tensor"),
    "dynamic_torchao": pt2e(f"{DYNAMIC}_channel", "compat=torchao"),
    "recipe_file": pt2e("recipe.json", calibrated=True),
    "inspect": ["inspect model.pt2 --backend xnnpack"],
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(entry) for key, entry in value.items() if key != "steps" and "seconds" not in key}
    return [without_times(entry) for entry in value] if isinstance(value, list) else value


def run_cell(binary: Path, model: Path, row: str, threads: int, folder: Path) -> dict[str, str]:
    """What the row's commands leave: {file or command: digest or message}."""
    (folder / "model.pt2").symlink_to(model)
    (folder / "model").symlink_to(model.with_suffix(""))
    (folder / "recipe.json").write_text(json.dumps(RECIPE_FILE))
    found = {}
    for command in ROWS[row]:
        name, *arguments = command.split()
        done = subprocess.run(
            [binary, name, *arguments, "--json", "--threads", str(threads)], cwd=folder, capture_output=True, text=True, timeout=600
        )
        if done.stderr:
            found[f"{name} says"] = done.stderr.strip()
        if done.returncode != 0:
            found[f"{name} ends"] = f"status {done.returncode}"
            break
        found[f"{name} {arguments[0]} --json"] = sha256(json.dumps(without_times(json.loads(done.stdout))).encode())
    for file in ("out.pte", "out.pt2", "plan.json"):
        if (folder / file).exists():
            found[file] = sha256((folder / file).read_bytes())
    return found


def timed_cell(binary: Path, model: Path, row: str, threads: int, keep: Path | None = None) -> tuple[dict[str, str], float]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        found = run_cell(binary, model, row, threads, folder)
        return found, time.perf_counter() - started


def in_parallel(function, cells, jobs: int):
    """(cell, function(*cell)) in order."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from zip(cells, pool.map(lambda cell: function(*cell), cells))


def models_of(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder).with_suffix("")): path.resolve() for path in sorted(folder.glob("*/*.pt2"))}


def record(arguments) -> int:
    models = models_of(arguments.models)
    made = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"models": {}}
    known = {(name, row) for name, entry in made["models"].items() for row in entry["rows"]}
    cells = [cell for cell in itertools.product(models, ROWS) if cell not in known and arguments.only in "/".join(cell)]
    run = lambda name, row: timed_cell(arguments.binary, models[name], row, 2)  # noqa: E731
    for (name, row), (found, seconds) in in_parallel(run, cells, arguments.jobs):
        entry = made["models"].setdefault(name, {"sha256": sha256(models[name].read_bytes()), "rows": {}})
        entry["rows"][row] = {"seconds": round(seconds, 2), "found": found}
    arguments.out.write_text(json.dumps(made, indent=1) + "\n")
    print(f"{len(cells)} cells recorded, {len(known) + len(cells)} in all")
    return 0


def quick(cells: list, seconds: dict) -> list:
    """Families by turns, each in the order of its cells' digests: the same cells in every run."""
    families = {}
    for cell in sorted(cells, key=lambda cell: sha256("/".join(cell).encode())):
        if seconds[cell] <= QUICK_CELL_SECONDS:
            families.setdefault(cell[0].split("/")[0], []).append(cell)
    chosen, total = [], 0.0
    for cell in filter(None, itertools.chain(*itertools.zip_longest(*families.values()))):
        if total + seconds[cell] > QUICK_SECONDS:
            break
        chosen.append(cell)
        total += seconds[cell]
    return chosen


def differences(recorded: dict, found: dict) -> list[str]:
    shown = lambda text: "nothing" if text is None else repr(text)  # noqa: E731
    return [
        f"  {key}\n    was {shown(recorded.get(key))}\n    is  {shown(found.get(key))}"
        for key in sorted(recorded.keys() | found.keys())
        if recorded.get(key) != found.get(key)
    ]


def check(arguments) -> int:
    models = models_of(arguments.models)
    entries = json.loads(arguments.record.read_text())["models"]
    rows = {(name, row): cell for name, entry in entries.items() for row, cell in entry["rows"].items()}
    cells = [cell for cell in rows if arguments.only in "/".join(cell)]
    if arguments.quick:
        cells = quick(cells, {cell: rows[cell]["seconds"] for cell in cells})
    for name in dict.fromkeys(name for name, _ in cells):
        if name not in models or sha256(models[name].read_bytes()) != entries[name]["sha256"]:
            print(f"{name}: not the recorded model")
            return 2
    if not arguments.quick:
        turns = [(*cell, threads) for threads in arguments.threads for cell in cells]
    else:
        turns = [(*cell, threads) for cell, threads in zip(cells, itertools.cycle(arguments.threads))]

    def run(name, row, threads):
        return timed_cell(arguments.binary, models[name], row, threads)

    differing = 0
    for (name, row, threads), (found, _) in in_parallel(run, turns, arguments.jobs):
        lines = differences(rows[name, row]["found"], found)
        if not lines:
            continue
        differing += 1
        print(f"{name} {row}, {threads} threads", *lines, sep="\n", flush=True)
        if arguments.keep:
            timed_cell(arguments.binary, models[name], row, threads, arguments.keep.resolve() / name.replace("/", ".") / f"{row}.{threads}")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(turns)} cells, {differing} differ; {usage.ru_utime + usage.ru_stime:.0f} CPU seconds")
    return 1 if differing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for action in (record, check):
        command = commands.add_parser(action.__name__)
        command.set_defaults(action=action)
        command.add_argument("--binary", type=lambda text: Path(text).resolve(), required=True)
        command.add_argument("--models", type=Path, required=True)
        command.add_argument("--jobs", type=int, default=2, help="cells at a time")
        command.add_argument("--only", default="", help="only cells whose FAMILY/NAME/ROW contains this")
        if action is record:
            command.add_argument("--out", type=Path, required=True, help="cells that it holds are not run again")
            continue
        command.add_argument("--record", type=Path, required=True)
        command.add_argument("--threads", type=int, nargs="+", default=[1, 2, 7])
        command.add_argument("--quick", action="store_true")
        command.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    return arguments.action(arguments)


if __name__ == "__main__":
    sys.exit(main())
