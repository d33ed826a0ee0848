"""Our Core ML programs, computed by the MIL interpreter of tests/coreml: as the program that was lowered, to the precision that was asked for;
and beside ExecuTorch's own of the same program."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cases import copied, leaves
from cases import coreml as cases
from coreml.interpreter import Model, program
from coreml.meaning import Meaning, differences
from make_records.coreml import payload
from oracle.compare import sqnr
from test_coreml_interpreter import FLOAT16, STATIC, made  # noqa: F401: a fixture
from vulkan.package import Package

# Programs whose operations are ExecuTorch's. In the others a norm, a mish or an attention is written in other, equal ones.
SAME = ["arithmetic", "moves", "pools", "int8", "int4", "int4_groups", "codebook", "codebook_columns", "codebook_whole"]
COMPUTED = [(name, target) for name, entry in cases.PROGRAMS.items() for target in entry.targets]


@pytest.fixture(scope="module")
def lowered(made, intaglio, tmp_path_factory):  # noqa: F811
    """lowered(name, target) -> the .pte of the program for that target, in the precision of ExecuTorch's record."""
    folder, known = tmp_path_factory.mktemp("coreml"), {}

    def lower(name: str, target: str) -> Path:
        if (name, target) not in known:
            source, result = folder / f"{name}.pt2", folder / f"{name}_{target}.pte"
            if not source.exists():
                torch.export.save(made(name).export(), source)
            precision = cases.PROGRAMS[name].targets[target].lower()
            settings = [f"minimum_deployment_target={target}", f"compute_precision={precision}"]
            options = [word for setting in settings for word in ("--set", setting)]
            intaglio("lower", source, "-o", result, "--backend", "coreml", "--no-check", *options)
            known[name, target] = result
        return known[name, target]

    return lower


@pytest.mark.parametrize("name, target", COMPUTED)
def test_ours_compute_what_was_lowered(made, lowered, name, target):  # noqa: F811
    case, whole = made(name), program(lowered(name, target))
    assert len(whole.delegates) >= 1 and all(isinstance(one, Model) for one in whole.delegates)
    for call, expected in zip(case.calls, case.expected, strict=True):
        output, wanted = whole(*leaves(copied(call)))[0].float().numpy(), expected[0].numpy()
        assert wanted.std() > 1e-3
        if cases.PROGRAMS[name].targets[target] == "FLOAT32":
            np.testing.assert_allclose(output, wanted, rtol=1e-3, atol=1e-4)
        else:
            assert sqnr(wanted, output) > (STATIC if name.startswith("static") else FLOAT16)


@pytest.mark.parametrize("name, target", [pair for pair in COMPUTED if pair[0] in SAME])
def test_ours_mean_what_executorchs_mean(lowered, name, target):
    (blob,) = Package(lowered(name, target)).payloads("CoreMLBackend")
    assert differences(Meaning(blob), Meaning(payload(name, target))) == []


def test_a_difference_is_seen():
    """Another weight, another parameter, another order of operands."""
    float16, groups = Meaning(payload("int4", "iOS18")), Meaning(payload("int8", "iOS18"))
    assert differences(float16, groups) == ["output 0"] and differences(float16, Meaning(payload("int4", "iOS18"))) == []
