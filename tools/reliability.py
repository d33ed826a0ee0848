#!/usr/bin/env python3
"""Puts what the nights tried into docs/reliability.md.

    tools/reliability.py [RESULT.json ...]      by default nightly-results/*.json

A result is one JSON object a stage: {"stage": "mutants", "what": "what was tried, in words", "tried": 5000, "bad": 0}; other keys are the
stage's own. Stages without a result of this run keep their row.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
HEAD = "| stage | what | tried | bad |\n| --- | --- | ---: | ---: |\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\|\n)*")


def rows_of(table: str) -> dict[str, str]:
    return {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}


def main() -> None:
    paths = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "nightly-results").glob("*.json"))
    page = PAGE.read_text()
    (table,) = TABLE.findall(page)
    rows = rows_of(table)
    for path in paths:
        result = json.loads(path.read_text())
        if isinstance(result, dict) and {"stage", "what", "tried", "bad"} <= result.keys():
            rows[result["stage"]] = f"| {result['stage']} | {result['what']} | {result['tried']:,} | {result['bad']:,} |"
    PAGE.write_text(TABLE.sub(lambda _: HEAD + "".join(rows[stage] + "\n" for stage in sorted(rows)), page))


if __name__ == "__main__":
    main()
