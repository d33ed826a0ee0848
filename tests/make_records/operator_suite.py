"""Records what ExecuTorch's own flows make of the operator suite: tests/records/operator_suite.json.

    .venv/bin/python tests/make_records/operator_suite.py [FLOW ...] [--only TEXT]    about eleven CPU-minutes a flow

The suite's `run_test` runs unchanged on the cases of tests/oracle/operator_suite.py; only its random numbers are seeded by
the case's name. A row is the digest of the case's inputs, then for each flow: the suite's result, how many delegates
the lowered program calls, how many edge operators they took in, and the operators left outside. What was run is kept
in build/operator_suite/oracle, so an interrupted run goes on where it stopped; what the record has of a case's modules and inputs is
not run again, so a record made with other versions is deleted first.
"""

import argparse
import dataclasses
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import torch  # noqa: E402
from executorch.backends.test.harness.stages import StageType  # noqa: E402
from executorch.backends.test.suite.flows import xnnpack  # noqa: E402
from executorch.backends.test.suite.runner import run_test  # noqa: E402

from oracle import operator_suite  # noqa: E402
from oracle.build import BUILD, VERSIONS  # noqa: E402

RECORD = TESTS / "records" / "operator_suite.json"
KEPT = BUILD / "operator_suite" / "oracle"


class LoweredBefore(Exception):
    """Two flows quantize many cases to the same program: what became of it is known."""


def identity(program: torch.export.ExportedProgram) -> str:
    """Digest of a program's graph, literals, constants and ranges."""
    state = hashlib.sha256(f"{program.graph}{program.graph_signature}{program.range_constraints}".encode())
    for name, value in sorted((program.state_dict | program.constants).items()):
        state.update(f"{name} {value.dtype} {value.shape}".encode())
        state.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()[:16]


def watched_tester(case: operator_suite.SuiteCase, flow, model, inputs, known: dict[str, str]):
    """The flow's tester: with the case's random inputs, keeping the expected outputs, stopping at known programs."""
    tester = flow.tester_factory(model, inputs)
    tester.generate_random_inputs = lambda: iter([case.test_inputs()])
    export, expect = tester.export, tester._calculate_reference_output
    folder = case.folder(BUILD)

    def watched_export(stage):
        export(stage)
        tester.identity = identity(tester.get_artifact())
        if not flow.quantize and not (folder / "program.pt2").exists():
            operator_suite.keep_program(case, tester.get_artifact(), folder)
        if tester.identity in known:
            raise LoweredBefore

    def watched_expect(program, inputs):
        outputs, scale = expect(program, inputs)
        with operator_suite.whole(folder / f"{flow.name}.expected.pt") as path:
            torch.save(outputs, path)
        return outputs, scale

    tester.identity, tester.export, tester._calculate_reference_output = "", watched_export, watched_expect
    return tester


def run(case: operator_suite.SuiteCase, flow, known: dict[str, str]) -> tuple[str, str]:
    """The suite's own stages on one case: `result delegates delegated_ops leftover*count ...`, identity of the program."""
    testers = []

    def tester(model, inputs):
        testers.append(watched_tester(case, flow, model, inputs, known))
        return testers[-1]

    summary = run_test(
        case.model,
        case.inputs,
        dataclasses.replace(flow, tester_factory=tester),
        case.name,
        case.base_name,
        0,
        None,
        dynamic_shapes=case.dynamic_shapes,
        generate_random_test_inputs=case.random_inputs,
    )
    program = testers[0].identity if testers else ""
    if isinstance(summary.error, LoweredBefore):
        return known[program], program
    lowered = testers[0].stages.get(StageType.TO_EDGE_TRANSFORM_AND_LOWER) if testers else None
    delegates = 0
    if lowered is not None:
        call = torch.ops.higher_order.executorch_call_delegate
        delegates = sum(node.target is call for node in lowered.graph_module.graph.nodes)
    delegated = sum((summary.delegated_op_counts or Counter()).values())
    leftover = sorted((summary.undelegated_op_counts or Counter()).items())
    if summary.error is not None:
        print(f"{case.name} {flow.name}: {summary.result.name}: {str(summary.error)[:300]}", flush=True)
    words = [summary.result.name.lower(), str(delegates), str(delegated)]
    return " ".join(words + [f"{op}*{count}" for op, count in leftover]), program


def recorded_rows(name: str) -> dict[str, list[str]]:
    """The record's, in the form of those that are kept; of their programs nothing is known."""
    if not RECORD.exists():
        return {}
    record = json.loads(RECORD.read_text())
    flow = record["flows"].index(name)
    digests = {case: row[0][flow] if isinstance(row[0], list) else row[0] for case, row in record["cases"].items()}
    return {case: [digests[case], row[1 + flow], ""] for case, row in record["cases"].items() if row[1 + flow]}


def kept_rows(name: str) -> dict[str, list[str]]:
    path = KEPT / f"{name}.jsonl"
    return recorded_rows(name) | (dict(json.loads(line) for line in path.read_text().splitlines()) if path.exists() else {})


def record_flow(name: str, keep) -> None:
    """Appends [case, [digest of its inputs, outcome, identity of the program]] for every case not yet kept."""
    flow = next(flow for flow in vars(xnnpack).values() if getattr(flow, "name", None) == name)
    KEPT.mkdir(parents=True, exist_ok=True)
    rows = kept_rows(name)
    others = [kept_rows(other) for other in operator_suite.RECIPES if other != name]
    with (KEPT / f"{name}.jsonl").open("a") as lines:

        def handle(case: operator_suite.SuiteCase) -> None:
            digest = case.digest()
            if rows.get(case.name, [""])[0] == digest:
                return
            known = {rows[case.name][2]: rows[case.name][1] for rows in others if len(rows.get(case.name, [])) == 3}
            outcome, program = run(case, flow, {key: value for key, value in known.items() if key})
            lines.write(json.dumps([case.name, [digest, outcome, program]]) + "\n")
            lines.flush()

        operator_suite.each_case(handle, flow.quantize, keep)


def write_record(flows: list[str], only: str) -> None:
    """From what is kept; a flow that has not come to a case yet has an empty text there. The digest is one for each flow
    where they were given different modules. With `only`, what the record has of other cases stays."""
    recorded = [kept_rows(name) for name in flows]
    cases = {}
    if only:
        cases = {case: row for case, row in json.loads(RECORD.read_text())["cases"].items() if only not in case}
    for case in {case: None for rows in recorded for case in rows if only in case}:
        digests = [rows[case][0] if case in rows else "" for rows in recorded]
        known = {digest for digest in digests if digest}
        cases[case] = [*known] if len(known) == 1 else [digests]
        cases[case] += [rows[case][1] if case in rows else "" for rows in recorded]
    made = {"made_by": "tests/make_records/operator_suite.py", "versions": VERSIONS, "flows": flows}
    lines = ",\n".join(f" {json.dumps(case)}: {json.dumps(row)}" for case, row in sorted(cases.items()))
    RECORD.write_text(json.dumps(made, indent=1)[:-2] + ',\n "cases": {\n' + lines + "\n }\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flows", nargs="*", default=list(operator_suite.RECIPES))
    parser.add_argument("--only", default="", help="only the cases whose names contain this; the record keeps the others")
    arguments = parser.parse_args()
    for in_ci in (True, False):
        for name in arguments.flows:
            record_flow(name, lambda case: arguments.only in case and (operator_suite.fifth(case) == 0) == in_ci)
            write_record(list(operator_suite.RECIPES), arguments.only)


if __name__ == "__main__":
    main()
