"""Our Core ML payloads as ExecuTorch and coremltools open them, and ExecuTorch's own as we do."""

import json

import numpy as np
import pytest
import torch

from oracle.build import probe
from oracle.coreml import Package, payload_of

ROWS, COLUMNS = 32, 64
TARGETS = ["iOS15", "iOS16", "iOS17", "iOS18", "iOS26"]


def random(seed=0):
    return np.random.default_rng(seed)


def write(arrays, target, folder, bits=8) -> Package:
    np.savez(folder / "weight.npz", **arrays)
    probe("coreml_payload", "write", folder / "weight.npz", folder / "payload", target, bits)
    return Package((folder / "payload").read_bytes(), folder / "unpacked")


def check(arrays, expected, target, folder, kind, bits=8):
    package = write(arrays, target, folder, bits)
    is_half = expected.dtype == np.float16
    assert package.kinds() == ([] if kind is None else [kind]) + ["cast"] * is_half + ["linear", "relu"]
    weight = package.weight("weight")
    assert weight.dtype == expected.dtype and weight.std() > 0
    np.testing.assert_array_equal(weight, expected)
    assert json.loads(package.metadata)["inputNames"] == ["x"] and json.loads(package.metadata)["outputNames"] == ["z"]
    assert package.spec.specificationVersion == 6 + TARGETS.index(target)
    return package


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (1, 3)])  # in weight.bin; in the program
def test_dense_weights(target, dtype, shape, tmp_path):
    if (dtype, target) == (np.float16, "iOS15"):
        pytest.skip("outputs are of float16 from iOS 16 on")
    weight = random().standard_normal(shape).astype(dtype)
    check({"weight": weight}, weight, target, tmp_path, None)


@pytest.mark.parametrize("target", ["iOS16", "iOS17"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_affine_dequantize(target, dtype, per_channel, tmp_path):
    sizes = (ROWS,) if per_channel else ()
    limits = np.iinfo(dtype)
    data = random().integers(limits.min, limits.max + 1, (ROWS, COLUMNS)).astype(dtype)
    zero_point = np.asarray(random(1).integers(limits.min, limits.max + 1, sizes)).astype(dtype)
    scale = np.asarray(2.0 ** random(2).integers(-6, 0, sizes)).astype(np.float16)  # products are exact
    column = lambda values: values.astype(np.float32).reshape(-1, 1)
    expected = ((data.astype(np.float32) - column(zero_point)) * column(scale)).astype(np.float16)
    check({"data": data, "scale": scale, "zero_point": zero_point}, expected, target, tmp_path, "constexpr_affine_dequantize")


@pytest.mark.parametrize("target", ["iOS18", "iOS26"])
@pytest.mark.parametrize("bits,dtype", [(4, np.int8), (4, np.uint8), (8, np.int8), (8, np.uint8)])
@pytest.mark.parametrize("block", [(1, COLUMNS), (1, 32), (8, 16), (ROWS, COLUMNS)])
@pytest.mark.parametrize("has_offset", [False, True])
def test_blockwise_shift_scale(target, bits, dtype, block, has_offset, tmp_path):
    low = -(2 ** (bits - 1)) if dtype == np.int8 else 0
    blocks = (ROWS // block[0], COLUMNS // block[1])
    data = random().integers(low, low + 2**bits, (ROWS, COLUMNS)).astype(dtype)
    scale = (2.0 ** random(1).integers(-6, 0, blocks)).astype(np.float16)  # products are exact
    arrays = {"data": data, "scale": scale}
    offset = np.zeros(blocks, dtype)
    if has_offset:
        arrays["offset"] = offset = random(2).integers(low, low + 2**bits, blocks).astype(dtype)
    spread = lambda values: values.astype(np.float32).repeat(block[0], 0).repeat(block[1], 1)
    expected = ((data.astype(np.float32) - spread(offset)) * spread(scale)).astype(np.float16)
    check(arrays, expected, target, tmp_path, "constexpr_blockwise_shift_scale", bits)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("target,block", [("iOS16", (ROWS, COLUMNS)), ("iOS18", (ROWS, COLUMNS)), ("iOS18", (16, COLUMNS)), ("iOS26", (ROWS, 16))])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_lut_to_dense(bits, target, block, dtype, tmp_path):
    """Bits that Core ML has no type for too: every weight is the entry that it was given."""
    indices = random().integers(0, 2**bits, (ROWS, COLUMNS)).astype(np.uint8)
    lut = random(1).standard_normal((ROWS // block[0], COLUMNS // block[1], 2**bits, 1)).astype(dtype)
    row, column = np.indices(indices.shape)
    expected = lut[row // block[0], column // block[1], indices, 0]
    check({"indices": indices, "lut": lut}, expected, target, tmp_path, "constexpr_lut_to_dense", bits)


def test_same_bytes_again(tmp_path):
    weight = {"weight": random().standard_normal((ROWS, COLUMNS)).astype(np.float32)}
    for name in "ab":
        (tmp_path / name).mkdir()
        write(weight, "iOS17", tmp_path / name)
    assert (tmp_path / "a" / "payload").read_bytes() == (tmp_path / "b" / "payload").read_bytes()


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.linear = torch.nn.Linear(8, 5)

    def forward(self, x):
        return torch.softmax(self.linear(torch.nn.functional.hardswish(self.convolution(x)).mean([2, 3])), -1)


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(1, 4))

    def forward(self, x):
        self.total.add_(x)
        return self.total * 2


@pytest.mark.parametrize("target", ["iOS15", "iOS17", "iOS18"])
@pytest.mark.parametrize("name", ["network", "dynamic", "state"])
def test_reads_what_executorch_writes(name, target, tmp_path):
    """The text of its payload has its operations in their order, its weights found and whole."""
    if name == "state" and target != "iOS18":
        pytest.skip("states come with iOS 18")
    torch.manual_seed(0)
    batch = torch.export.Dim("batch", min=2, max=16)
    module, inputs, shapes = {
        "network": (Network(), (torch.randn(1, 3, 16, 16),), None),
        "dynamic": (torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU()), (torch.randn(4, 6),), ({0: batch},)),
        "state": (Counter(), (torch.randn(1, 4),), None),
    }[name]
    payload = payload_of(module, inputs, target, dynamic_shapes=shapes)
    (tmp_path / "payload").write_bytes(payload)
    package = Package(payload, tmp_path / "unpacked")
    text = probe("coreml_payload", "read", tmp_path / "payload").stdout
    lines = [line.strip() for line in text.splitlines()[2:-1]]
    ours = [line.split("(")[0].split(" ")[-1] for line in lines]
    theirs = " ".join(package.kinds()).replace("coreml_update_state", "write_state read_state").split()
    assert [kind for kind in ours if kind != "const"] == theirs
    assert ours.count("const") > 1 and text.startswith(f"CoreML{5 + TARGETS.index(target)}\nmain(")
    assert ("[?,6]" in text) == (name == "dynamic") and ("state<" in text) == (name == "state")
