"""The operator suite of the `executorch` wheel with Intaglio in place of its quantize and lower stages.

    .venv/bin/python tests/run_operator_suite.py [--flow FLOW ...] [--only TEXT] [--brief]

Every case is the module that the suite gives to the flow (a quantizable LSTM where the flow quantizes), exported as the
suite exports it, built by `intaglio build` with the flow's recipe (static recipes calibrate
on the inputs the suite calibrates on), run on the stock runtime, and compared with the program that the suite compares
with (torch's outputs; for quantized flows those of torchao's converted program), by the suite's own comparison.
Prints ours beside ExecuTorch's, as recorded in tests/records/operator_suite.json, case by case where they differ. What
was exported stays in build/operator_suite: a second run takes a fifth of the time.
"""

import argparse
import copy
import json
import subprocess
import sys
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch  # noqa: E402
from executorch.backends.test.harness import Tester  # noqa: E402

from cases import DYNAMIC, STATIC, Quantization  # noqa: E402
from oracle import executorch, operator_suite  # noqa: E402
from oracle.build import BUILD, TESTS, record  # noqa: E402
from oracle.operator_suite import RECIPES, SuiteCase, quantizes  # noqa: E402
from oracle.torchao import quantize  # noqa: E402

RECORD = TESTS / "records" / "operator_suite.json"
RECORDED = record("operator_suite") if RECORD.exists() else {"cases": {}}
QUANTIZATIONS = {
    "xnnpack_static_int8_per_channel": Quantization(STATIC),
    "xnnpack_static_int8_per_tensor": Quantization({"is_per_channel": False}),
    "xnnpack_dynamic_int8_per_channel": Quantization(DYNAMIC),
}


@dataclass
class Outcome:
    """What became of one case in one flow; `result` in the suite's words, or `refused` for want of a kernel."""

    result: str
    delegates: int = 0
    delegated_ops: int = 0
    leftover: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)  # what Intaglio says of them
    error: str = ""

    @property
    def passed(self) -> bool:
        return self.result.startswith("success")

    @classmethod
    def from_record(cls, text: str) -> "Outcome":
        result, delegates, delegated, *leftover = text.split(" ")
        counts = (words.rsplit("*", 1) for words in leftover)
        return cls(result, int(delegates), int(delegated), {op: int(count) for op, count in counts})


def recorded_digest(case: str, flow: str) -> str:
    """Of what ExecuTorch's flow was given; "" where it was not recorded."""
    row = RECORDED["cases"].get(case)
    if row is None or not row[1 + RECORDED["flows"].index(flow)]:
        return ""
    return row[0] if isinstance(row[0], str) else row[0][RECORDED["flows"].index(flow)]


def export(case: SuiteCase) -> torch.export.ExportedProgram:
    case.model(*case.inputs)  # as the suite does: a case that torch cannot run is skipped
    return torch.export.export(case.model.eval(), case.inputs, dynamic_shapes=case.dynamic_shapes, strict=True)


def reference(program: torch.export.ExportedProgram, case: SuiteCase, flow: str):
    """What the suite expects of the flow on the test inputs."""
    quantized = flow in QUANTIZATIONS
    module = quantize(program, [case.inputs], QUANTIZATIONS[flow]) if quantized else program.module()
    return module(*copy.deepcopy(case.test_inputs()))


class Runner:
    """What it exports, computes and builds stays in the cases' folders."""

    def __init__(self, build: Path):
        self.build = build

    def run(self, case: SuiteCase, flows: list[str]) -> dict[str, Outcome]:
        for flow in flows:
            known = recorded_digest(case.name, flow)
            assert known in ("", case.digest()), f"{case.name} in {flow}: not the record's inputs"
        folder = case.folder(self.build)
        try:
            if not (folder / "program.pt2").exists():
                operator_suite.keep_program(case, export(case), folder)
        except Exception as error:
            return {flow: Outcome("skipped", error=str(error)) for flow in flows}
        return {flow: self.run_flow(case, flow, folder) for flow in flows}

    def run_flow(self, case: SuiteCase, flow: str, folder: Path) -> Outcome:
        pte = folder / f"{flow}.pte"
        command = [self.build / "intaglio", "build", folder / "program.pt2", "-o", pte, "--recipe", RECIPES[flow], "--json"]
        command += ["--threads", "1", "--calibrate", folder / "calibration.npz"]
        built = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if built.returncode != 0:
            # The suite skips what the portable kernels cannot run; here the command says so.
            result = "refused" if built.returncode == 1 and "no kernel" in built.stderr else "lower_fail"
            return Outcome(result, error=built.stderr.strip())
        method = json.loads(built.stdout)["methods"][0]
        leftover = Counter(op["op"] for op in method["leftover_ops"])
        if any("choose_qparams" in op for op in leftover):
            return Outcome("lower_fail", error="a range is found at run time outside a delegate")
        delegates = method["delegates"]
        outcome = Outcome("", len(delegates), sum(one["nodes"] for one in delegates), dict(sorted(leftover.items())))
        outcome.refusals = sorted({op["rule"] for op in method["leftover_ops"]})
        try:
            outputs = executorch.execute(executorch.method_of(pte), case.test_inputs())
        except Exception as error:
            outcome.result, outcome.error = "pte_run_fail", str(error)
            return outcome
        expected = kept_reference(folder, case, flow)
        try:
            Tester._compare_outputs(
                expected, outputs, atol=operator_suite.ABSOLUTE_TOLERANCE, rtol=operator_suite.RELATIVE_TOLERANCE
            )
            outcome.result = "success" if delegates else "success_undelegated"
        except AssertionError as error:
            outcome.result, outcome.error = "output_mismatch_fail", str(error) or traceback.format_exc()
        return outcome


def kept_reference(folder: Path, case: SuiteCase, flow: str):
    path = folder / f"{flow}.expected.pt"
    if not path.exists():
        expected = reference(torch.export.load(folder / "program.pt2"), case, flow)
        with operator_suite.whole(path) as unfinished:
            torch.save(expected, unfinished)
    return torch.load(path)


class Comparison:
    """One flow: our outcomes beside ExecuTorch's, for the cases of both."""

    def __init__(self, ours: dict[str, Outcome], theirs: dict[str, Outcome]):
        self.rows = [(case, ours[case], theirs[case]) for case in ours if case in theirs]
        self.unrecorded = {case: our for case, our in ours.items() if case not in theirs}

    def worse(self) -> list[str]:
        """Passes there and not here; of what is not recorded, what has other outputs than torch's or torchao's program."""
        failed = [case for case, our in self.unrecorded.items() if our.result.endswith("fail")]
        return [case for case, our, their in self.rows if their.passed and not our.passed] + failed

    def better(self) -> list[str]:
        return [case for case, our, their in self.rows if our.passed and not their.passed]

    def less_delegated(self) -> list[str]:
        return [case for case, our, their in self.rows if our.delegates == 0 < their.delegates]

    def count(self, side: int, predicate) -> int:
        return sum(predicate(row[1 + side]) for row in self.rows)

    def print(self, flow: str) -> None:
        print(f"\n{flow}: {len(self.rows)} cases" + (f", {len(self.unrecorded)} more without a record" if self.unrecorded else ""))
        print(f"  {'':34}{'Intaglio':>10}{'ExecuTorch':>12}")
        for title, predicate in (
            ("pass", lambda one: one.passed),
            ("fail", lambda one: one.result.endswith("fail")),
            ("skipped", lambda one: one.result == "skipped"),
            ("refused", lambda one: one.result == "refused"),
            ("cases delegated", lambda one: one.delegates > 0),
            ("delegates", lambda one: one.delegates),
            ("operators left to portable kernels", lambda one: sum(one.leftover.values())),
        ):
            print(f"  {title:34}{self.count(0, predicate):>10}{self.count(1, predicate):>12}")
        for case, our, their in self.rows:
            if our.result != their.result or our.delegates > their.delegates or our.delegates == 0 < their.delegates:
                print(f"  {case:44} ours {describe(our)}; theirs {describe(their)}")
        for case, our in self.unrecorded.items():
            print(f"  {case:44} ours {describe(our)}; theirs not recorded")


def describe(one: Outcome) -> str:
    left = ", ".join(op.removeprefix("aten.").removeprefix("aten::").removesuffix(".default") for op in one.leftover)
    return f"{one.result}, {one.delegates} delegates" + (f", left {left}" if left else "") + (f" ({one.error[:160]})" if one.error else "")


def run(build: Path, flows: list[str], only: str, brief: bool) -> dict[str, dict[str, Outcome]]:
    """{flow: {case: outcome}} of the cases whose names contain `only`. Brief: a fifth of them, of each its first program
    in one flow."""
    runner = Runner(build)
    outcomes: dict[str, dict[str, Outcome]] = {flow: {} for flow in flows}

    def wanted(case: str) -> list[str]:
        return [flow for flow in flows if not brief or flow == operator_suite.flow_of(case)]

    for quantize in {quantizes(flow): None for flow in flows}:
        alike = [flow for flow in flows if quantizes(flow) == quantize]

        def handle(case: SuiteCase) -> None:
            if brief and "#" in case.name:
                return
            for flow, outcome in runner.run(case, [flow for flow in wanted(case.name) if flow in alike]).items():
                outcomes[flow][case.name] = outcome

        def keep(name: str) -> bool:
            return only in name and (not brief or operator_suite.fifth(name) == 0) and any(flow in alike for flow in wanted(name))

        operator_suite.each_case(handle, quantize, keep)
    return outcomes


def recorded(flow: str) -> dict[str, Outcome]:
    column = 1 + RECORDED["flows"].index(flow)
    return {case: Outcome.from_record(row[column]) for case, row in RECORDED["cases"].items() if row[column]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flow", nargs="*", default=list(RECIPES))
    parser.add_argument("--only", default="", help="only the cases whose names contain this")
    parser.add_argument("--brief", action="store_true", help="what CI runs: a fifth, each case's first program in one flow")
    parser.add_argument("--build", type=Path, default=BUILD)
    parser.add_argument("--json", type=Path, help="write every outcome there, for tests")
    arguments = parser.parse_args()
    outcomes = run(arguments.build, arguments.flow, arguments.only, arguments.brief)
    if arguments.json:
        document = {flow: {case: asdict(one) for case, one in cases.items()} for flow, cases in outcomes.items()}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    failed = False
    for flow, cases in outcomes.items():
        comparison = Comparison(cases, recorded(flow))
        comparison.print(flow)
        failed = failed or bool(comparison.worse())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
