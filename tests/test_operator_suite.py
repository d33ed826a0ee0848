"""ExecuTorch's operator suite through Intaglio: what passes there passes here, and no less is delegated.

CI runs a fifth of the cases, chosen by the digest of their names, of each its first program in one of the four flows,
chosen likewise; INTAGLIO_NIGHTLY runs every program of every case in every flow. The ExecuTorch side is tests/records/operator_suite.json.
"""

import json
import os
import subprocess
import sys

import pytest

from oracle.build import ROOT

FLOWS = json.loads((ROOT / "tests" / "records" / "operator_suite.json").read_text())["flows"]

# Rules that may keep a case's only operators out of a delegate where ExecuTorch has one, and why.
RIGHTLY_OUTSIDE = {
    "alone it costs less outside a delegate": "a copy or a view; a delegate call costs more",
    "index_put.default: XNNPACK has no such op": "ExecuTorch delegates the copy made before it; here no copy is needed",
    ": a window above 1x1": "a pool over one pixel: a copy",
}


@pytest.fixture(scope="module")
def outcomes(build, tmp_path_factory):
    from run_operator_suite import Outcome

    out = tmp_path_factory.mktemp("suite") / "outcomes.json"
    command = [sys.executable, ROOT / "tests" / "run_operator_suite.py", "--build", build, "--json", out]
    if not os.environ.get("INTAGLIO_NIGHTLY"):
        command.append("--brief")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}  # it starts pytest itself
    done = subprocess.run(command, capture_output=True, text=True, timeout=7200, env=environment)
    assert out.exists(), done.stderr[-2000:]
    print(done.stdout)
    return {flow: {case: Outcome(**one) for case, one in cases.items()} for flow, cases in json.loads(out.read_text()).items()}


@pytest.mark.parametrize("flow", FLOWS)
def test_what_passes_there_passes_here(outcomes, flow):
    from run_operator_suite import Comparison, recorded

    comparison = Comparison(outcomes[flow], recorded(flow))
    assert len(comparison.rows) >= 10
    assert not comparison.worse(), [(case, outcomes[flow][case].error) for case in comparison.worse()]


@pytest.mark.parametrize("flow", FLOWS)
def test_no_less_is_delegated(outcomes, flow):
    from run_operator_suite import Comparison, recorded

    comparison = Comparison(outcomes[flow], recorded(flow))
    assert comparison.count(0, lambda one: one.delegates > 0) >= comparison.count(1, lambda one: one.delegates > 0)
    for case in comparison.less_delegated():
        refusals = outcomes[flow][case].refusals
        assert all(any(rule in refusal for rule in RIGHTLY_OUTSIDE) for refusal in refusals), (case, refusals)
