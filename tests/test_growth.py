"""Work grows with the program, not with its square: steps at 1, 2, 4 and 8 times the size.

Steps are counted, not timed (src/testing/steps.cpp), by the command that `cmake --preset steps` builds; `make nightly STAGE=growth`
does both.
"""

import os
import subprocess

import pytest
from large_programs import SHAPES, commands, write
from oracle.build import ROOT

COUNTING = ROOT / "build-steps" / "intaglio"
SMALLEST = 1100  # more tensors than the memory planner compares each with each

pytestmark = pytest.mark.skipif(not COUNTING.exists(), reason="build-steps/intaglio is not built (cmake --preset steps)")


def steps(arguments, folder) -> int:
    counted = folder / "steps"
    done = subprocess.run(
        [COUNTING, *arguments, "--threads", "1"],
        env={**os.environ, "INTAGLIO_STEPS_FILE": str(counted)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(counted.read_text())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_work_grows_with_the_program(shape, tmp_path):
    models = [write(shape, SMALLEST * factor, tmp_path / f"{factor}.pt2") for factor in (1, 2, 4, 8)]
    each = [commands(model, tmp_path / "out") for model in models]
    for name in each[0]:
        counts = [steps(arguments[name], tmp_path) for arguments in each]
        # As the file where work is linear: eight times as much, and 64 times where it is quadratic. Between two sizes there are kinks: what is compared
        # each with each below a bound is done otherwise beyond it.
        assert counts == sorted(set(counts)), (name, counts)
        assert counts[-1] < 1.5 * counts[0] * models[-1].stat().st_size / models[0].stat().st_size, (name, counts)
