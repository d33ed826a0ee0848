"""Records which ops ExecuTorch's to_edge leaves of each small module: python tests/make_records/edge_ops.py

Writes tests/records/edge_ops.json.
"""

import json
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
warnings.filterwarnings("ignore")

import edge_cases  # noqa: E402
import torch  # noqa: E402
from executorch.exir import to_edge  # noqa: E402


def edge_ops(module, inputs) -> list:
    with torch.no_grad():
        program = torch.export.export(module.eval(), tuple(t.clone() for t in inputs))
    graph = to_edge(program).exported_program().graph
    names = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    return [name.replace("executorch_exir_dialects_edge__ops_", "") for name in names if "getitem" not in name]


def main() -> None:
    record = {}
    for name, (module, inputs) in edge_cases.cases().items():
        try:
            record[name] = [str(op).split("EdgeOpOverload: ")[-1].split(">")[0] for op in edge_ops(module, inputs)]
        except Exception as error:
            record[name] = {"error": str(error).splitlines()[0][:200]}
    target = ROOT / "tests" / "records" / "edge_ops.json"
    target.parent.mkdir(exist_ok=True)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(ops)}" for name, ops in record.items())
    target.write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
