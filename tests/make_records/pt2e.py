"""torchao's annotations and observers of every case of tests/pt2e_models.py.

    .venv/bin/python tests/make_records/pt2e.py [CASE ...]     writes tests/records/pt2e/CASE.json

A record carries the digest of its program (operators, names, the weights' types); another program fails the comparison.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
OUT = ROOT / "tests" / "records" / "pt2e"


def record(case):
    import pt2e_models
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

    with tempfile.TemporaryDirectory() as folder:
        program, _ = pt2e_models.export(case, Path(folder) / "model.pt2")
    prepared = prepare_pt2e(program.module(), pt2e_models.make_quantizer(case))
    return {
        "digest": pt2e_models.digest(program),
        "annotations": pt2e_models.annotations(prepared),
        "observers": pt2e_models.observers(prepared),
    }


def dump(value) -> str:
    """One row a line: a change is readable in review."""
    rows = {key: "[\n" + ",\n".join(map(json.dumps, value[key])) + "\n]" for key in ("annotations", "observers")}
    return f'{{"digest": "{value["digest"]}",\n"annotations": {rows["annotations"]},\n"observers": {rows["observers"]}}}\n'


def main():
    import pt2e_models

    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or pt2e_models.CASES:
        (OUT / f"{name}.json").write_text(dump(record(pt2e_models.CASES[name])))
        print(name)


if __name__ == "__main__":
    main()
