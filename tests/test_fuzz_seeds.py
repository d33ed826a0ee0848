"""Every fuzz target has seeds: tests/nightly.sh refuses to run one that starts from nothing."""

import pytest

from oracle.build import ROOT

TARGETS = sorted(path.stem for path in (ROOT / "src").rglob("*_fuzz.cpp"))


@pytest.mark.parametrize("target", TARGETS)
def test_target_has_seeds(target):
    seeds = list((ROOT / "tests" / "corpus" / target).iterdir())
    assert seeds and all(seed.stat().st_size > 0 for seed in seeds)
