"""Archives of several PyTorch releases (tests/records/archives, made by tests/make_records/torch_archives.py): read, run,
lowered, quantized, and written so that today's PyTorch reads them."""

import numpy as np
import pytest
import torch

from cases import leaves
from oracle import executorch
from oracle.build import TESTS
from oracle.compare import sqnr

ARCHIVES = TESTS / "records" / "archives"
READ = sorted(ARCHIVES.glob("*/*.pt2"), key=str)
REFUSED = [path for path in READ if path.parent.name in ("2.6", "2.7", "2.8")]
READ = [path for path in READ if path not in REFUSED]
FLOAT = [path for path in READ if "int8" not in path.name]
STATIC = "xnnpack_pt2e_int8_static_per_channel"


def named(path):
    return f"{path.parent.name}-{path.stem}"


def arrays(path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[f"arr_{i}"] for i in range(len(file))]


def expected(path) -> list[np.ndarray]:
    outputs = arrays(path.with_suffix(".output.npz"))
    assert any(np.ptp(output) > 0.1 for output in outputs), "zero or constant"
    return outputs


def check(path, outputs, decibels) -> None:
    wanted = expected(path)
    assert len(wanted) == len(outputs)
    for ours, theirs in zip(outputs, wanted):
        assert ours.shape == theirs.shape and sqnr(theirs, ours) > decibels


def calls(path) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays(path.with_suffix(".input.npz"))]


def test_all_releases_are_here():
    assert {path.parent.name for path in READ} == {"2.9", "2.11", "2.15"} and len(READ) == 18 and len(REFUSED) == 3
    assert all(path.stat().st_size < 100_000 for path in READ + REFUSED)


@pytest.mark.parametrize("path", READ, ids=named)
def test_runs_as_there(path, intaglio, tmp_path):
    intaglio("inspect", path, "--verify")
    intaglio("run", path, "--input", path.with_suffix(".input.npz"), "-o", tmp_path / "out.npz")
    check(path, arrays(tmp_path / "out.npz"), 45 if "int8" in path.name else 100)


@pytest.mark.parametrize("path", READ, ids=named)
def test_lowers(path, intaglio, tmp_path):
    intaglio("lower", path, "-o", tmp_path / "out.pte", "--backend", "xnnpack")
    outputs = executorch.execute(executorch.method_of(tmp_path / "out.pte"), calls(path))
    # Dynamic quantization is per row in the delegate, over the tensor in the program.
    check(path, [output.numpy() for output in outputs], {"static_int8": 35, "dynamic_int8": 25}.get(path.stem, 100))


@pytest.mark.parametrize("path", FLOAT, ids=named)
def test_quantizes_for_today(path, intaglio, tmp_path):
    intaglio("quantize", path, "-o", tmp_path / "q.pt2", "--recipe", STATIC, "--calibrate", path.with_suffix(".input.npz"))
    program = torch.export.load(tmp_path / "q.pt2")
    assert any("quantize_per" in str(node.target) for node in program.graph.nodes)
    args = calls(path)
    kwargs = {"count": args.pop()} if path.stem == "sizes" else {}
    with torch.no_grad():
        outputs = [np.asarray(value) for value in leaves(program.module()(*args, **kwargs))]
    check(path, outputs, 15)


@pytest.mark.parametrize("path", REFUSED, ids=named)
def test_older_releases_are_refused(path, intaglio):
    done = intaglio("inspect", path, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and path.name in done.stderr
