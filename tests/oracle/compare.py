"""Measures of closeness, and digests of what is measured."""

import base64
import hashlib
from pathlib import Path

import numpy as np
import torch

# The float engines differ in their last bits, so calibrated ranges do.
SQNR_MARGIN_DB = 0.5
# The strict bars are those of processors with dot products of bytes. On one without, the runtime was seen to round single values to the
# other side, in ExecuTorch's programs as in ours (test_agreement.py has both on one machine), and near ties follow.
IS_LIKE_THE_RECORDS = "vnni" in Path("/proc/cpuinfo").read_text()


def sqnr(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Signal-to-quantization-noise ratio in dB; infinite for equal arrays."""
    noise = ((reference.astype(np.float64) - candidate) ** 2).sum()
    return float("inf") if noise == 0 else float(10 * np.log10((reference.astype(np.float64) ** 2).sum() / noise))


def agreement(reference: np.ndarray, candidate: np.ndarray) -> float:
    """On which share of the rows the largest element is the same."""
    return float((reference.argmax(-1) == candidate.argmax(-1)).mean())


def outputs_of(module, calls) -> np.ndarray:
    """The first output of every call, one after the other."""
    with torch.no_grad():
        return np.concatenate([module(*call).numpy() for call in calls])


def digest(*tensors) -> str:
    """SHA-256 of the tensors' bytes."""
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(tensor.detach().numpy().tobytes())
    return state.hexdigest()


def digest_of_calls(calls) -> str:
    return digest(*(call[0] for call in calls))


def digest_of_program(program) -> str:
    """Of the graph's operators and names, and of every weight's name and type: values differ in their last bits between machines."""
    sha = hashlib.sha256()
    for node in program.graph.nodes:
        sha.update(f"{node.op} {node.name} {node.target} {node.args} {node.kwargs}\n".encode())
    for name, tensor in program.state_dict.items():
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    return sha.hexdigest()


def encoded(array: np.ndarray, kind: str) -> str:
    """For records: the array's elements as `kind` ("<f4"), base64."""
    return base64.b64encode(np.asarray(array).astype(kind).tobytes()).decode()


def decoded(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def assert_same(actual: list, expected: list, tolerance, *, types: bool = True) -> None:
    """Lists of leaves: tensors of the same type and sizes within a tolerance, which is a number or a function of the expected tensor."""
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected):
        if not isinstance(theirs, torch.Tensor):
            assert ours == theirs
            continue
        assert ours.shape == theirs.shape and (ours.dtype == theirs.dtype or not types), (ours.dtype, ours.shape, theirs.dtype, theirs.shape)
        allowed = tolerance(theirs) if callable(tolerance) else tolerance
        torch.testing.assert_close(ours, theirs.contiguous(), rtol=allowed, atol=allowed, equal_nan=True, check_stride=False)
