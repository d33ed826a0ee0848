"""torchao's annotations and observers of layers.ANNOTATED.

    .venv/bin/python tests/make_records/pt2e.py [CASE ...]     writes tests/records/pt2e/CASE.json

A record carries the digest of its program (operators, names, the weights' types); another program fails the comparison.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from cases import layers  # noqa: E402
from oracle import torchao  # noqa: E402
from oracle.archives import save  # noqa: E402
from oracle.compare import digest_of_program  # noqa: E402

OUT = TESTS / "records" / "pt2e"


def measured(case) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        save(case, Path(folder) / "model.pt2")
        program = torch.export.load(Path(folder) / "model.pt2")
    prepared = torchao.prepare(program, case.quantization)
    return {
        "digest": digest_of_program(program),
        "annotations": torchao.annotations(prepared),
        "observers": torchao.observers(prepared),
    }


def dump(value) -> str:
    """One row a line: a change is readable in review."""
    rows = {key: "[\n" + ",\n".join(map(json.dumps, value[key])) + "\n]" for key in ("annotations", "observers")}
    return f'{{"digest": "{value["digest"]}",\n"annotations": {rows["annotations"]},\n"observers": {rows["observers"]}}}\n'


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or layers.ANNOTATED:
        (OUT / f"{name}.json").write_text(dump(measured(layers.annotated(name))))
        print(name)


if __name__ == "__main__":
    main()
