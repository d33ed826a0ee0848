"""Changed programs, and other files, through the whole command: what is bad, by kind.

    python -m mutants --seconds 600 [--seed N] [--out nightly-results/mutants.json]     (in tests/)
    python -m mutants [--seed N] --only delegated/layer_norm/17 --keep FOLDER      one mutant, left in FOLDER
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from mutants import files, seeds
from mutants.examine import Finding
from oracle.build import BUILD


def examined(seed, number: int, drawn_from: str, folder: Path) -> tuple[str, list[Finding]]:
    change = seed.mutant(random.Random(f"{drawn_from}/{seed.name}/{number}"), folder)
    findings = seed.examine(folder, number)
    if change.startswith("bounds:"):  # the sample has more than the file now says that there can be
        findings = [finding for finding in findings if "resize a bounded tensor" not in finding.message]
    return change, findings


def in_scratch(seed, number: int, drawn_from: str) -> tuple[str, list[Finding]]:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        return examined(seed, number, drawn_from, Path(folder))


def search(programs: list, drawn_from: str, seconds: float, most: int, workers: int) -> tuple[int, list[tuple[str, str, Finding]]]:
    """Mutants of each program in turn: how many there were, and what was bad as (mutant, change, finding)."""
    bad, tried, end = [], 0, time.monotonic() + seconds
    order = ((number, seed) for number in itertools.count() for seed in programs)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = {}
        while running or (tried < most and time.monotonic() < end):
            while len(running) < 2 * workers and tried < most and time.monotonic() < end:
                number, seed = next(order)
                running[pool.submit(in_scratch, seed, number, drawn_from)] = f"{seed.name}/{number}"
                tried += 1
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                change, findings = future.result()
                for finding in findings:
                    bad.append((name, change, finding))
                    print(f"{name}: {finding.kind}: {finding.command}: {finding.message.strip()[:400]}\n    {change[:200]}", flush=True)
    return tried, bad


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--most", type=int, default=sys.maxsize)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--programs", type=Path, default=BUILD / "mutants", help="where exported programs are kept")
    parser.add_argument("--family", action="append", help="of these families alone")
    parser.add_argument("--only", help="FAMILY/NAME/NUMBER")
    parser.add_argument("--keep", type=Path, help="a folder for the files of --only")
    parser.add_argument("--out", type=Path, help="a summary as JSON")
    options = parser.parse_args()

    if options.only:
        family, name, number = options.only.split("/")
        (seed,) = files.written(options.programs, [name]) if family == "files" else seeds.written(options.programs, {family: name})
        options.keep.mkdir(parents=True, exist_ok=True)
        change, findings = examined(seed, int(number), options.seed, options.keep)
        print(change, *findings, sep="\n")
        return bool(findings)

    chosen = {family: names for family, names in seeds.SEEDS.items() if not options.family or family in options.family}
    programs = seeds.written(options.programs, chosen)
    others = files.written(options.programs) if not options.family or "files" in options.family else []
    tried, bad = search([*programs, *others], options.seed, options.seconds, options.most, options.workers)
    kinds = collections.Counter(f"{finding.kind}: {finding.shape.strip()}" for _, _, finding in bad)
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    mutants = len({name for name, _, _ in bad})
    print(f"{tried} mutants of {len(programs)} programs and {len(others)} other files, seed {options.seed}, {mutants} bad")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        result = {
            "stage": "mutants",
            "what": f"changes of `models/model.json` in {len(programs)} programs, through inspect, build, lower, quantize, compare and run; "
            f"of {len(others)} recipes, plans, weights, tokenizers and settings beside one",
            "tried": tried,
            "bad": mutants,
            "kinds": dict(collections.Counter(finding.kind for _, _, finding in bad)),
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
