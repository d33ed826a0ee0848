#!/usr/bin/env python3
"""Lines of C++ by room, those of the product and those of its tests: lines_by_room.py"""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEST = re.compile(r"_(test|fuzz|bench)\.cpp$|_for_tests\.|/test_[^/]*$|^src/testing/|^tests/")


def room(path):
    """`src/edge/passes/fold_constants.cpp` belongs to `src/edge`, a backend's file to the backend."""
    parts = path.split("/")[:-1]
    return "/".join(parts[: 3 if parts[:2] == ["src", "backends"] else 2])


def main():
    files = subprocess.run(["git", "ls-files", "src", "include", "tests"], cwd=ROOT, check=True, capture_output=True, text=True)
    lines = {}
    for path in files.stdout.split():
        if path.endswith((".cpp", ".h")) and (ROOT / path).exists():
            counts = lines.setdefault(room(path), [0, 0])
            counts[bool(TEST.search(path))] += (ROOT / path).read_bytes().count(b"\n")
    lines["together"] = [sum(column) for column in zip(*lines.values())]
    print(f"{'room':24}{'product':>9}{'tests':>9}")
    for name, (product, tests) in lines.items():
        print(f"{name:24}{product:9,}{tests:9,}")


if __name__ == "__main__":
    main()
