"""Records which ops ExecuTorch's to_edge leaves of each of ops.LOWERED: python tests/make_records/edge_ops.py

Writes tests/records/edge_ops.json.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from executorch.exir import to_edge

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
warnings.filterwarnings("ignore")

from cases import ops  # noqa: E402


def edge_ops(case) -> list:
    with torch.no_grad():
        graph = to_edge(case.export()).exported_program().graph
    names = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    return [name.replace("executorch_exir_dialects_edge__ops_", "") for name in names if "getitem" not in name]


def main() -> None:
    record = {}
    for name, case in ops.LOWERED.items():
        try:
            record[name] = [str(op).split("EdgeOpOverload: ")[-1].split(">")[0] for op in edge_ops(case)]
        except Exception as error:
            record[name] = {"error": str(error).splitlines()[0][:200]}
    target = TESTS / "records" / "edge_ops.json"
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(ops)}" for name, ops in record.items())
    target.write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
