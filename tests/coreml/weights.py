"""Values: of the program itself and of `weight.bin`, and the tensors that compressed ones stand for."""

import struct

import numpy as np
import torch

from coreml import require

BOOL, STRING, FLOAT16, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, INT4 = 1, 2, 10, 11, 12, 21, 22, 23, 24, 25
UINT8, UINT16, UINT32, UINT4, UINT2, UINT1, UINT6, UINT3 = 31, 32, 33, 35, 36, 37, 38, 39
# What values are computed as; narrow integers as the next wider type.
TORCH = {BOOL: torch.bool, FLOAT16: torch.float16, FLOAT32: torch.float32, FLOAT64: torch.float64, INT8: torch.int8, INT16: torch.int16,
         INT32: torch.int32, INT64: torch.int64, INT4: torch.int8, UINT8: torch.uint8, UINT16: torch.int32, UINT32: torch.int64,
         UINT4: torch.uint8, UINT2: torch.uint8, UINT1: torch.uint8, UINT6: torch.uint8, UINT3: torch.uint8}  # fmt: skip
BITS = {INT4: 4, UINT4: 4, UINT2: 2, UINT1: 1, UINT6: 6, UINT3: 3}
NUMPY = {FLOAT16: np.float16, FLOAT32: np.float32, INT8: np.int8, UINT8: np.uint8, INT16: np.int16, UINT16: np.uint16, INT32: np.int32,
         UINT32: np.uint32}  # fmt: skip
# The file's own codes of types.
CODES = {1: FLOAT16, 2: FLOAT32, 3: UINT8, 4: INT8, 6: INT16, 7: UINT16, 8: INT4, 9: UINT1, 10: UINT2, 11: UINT4, 12: UINT3, 13: UINT6,
         14: INT32, 15: UINT32}  # fmt: skip
ALIGNMENT, SENTINEL, VERSION = 64, 0xDEADBEEF, 2


def unpacked(data: bytes, code: int, count: int) -> np.ndarray:
    """One stream of bits, the first element in the lowest; signed ones are two's complements."""
    if code not in BITS:
        require(len(data) == count * np.dtype(NUMPY[code]).itemsize, f"{len(data)} bytes for {count} elements")
        return np.frombuffer(data, NUMPY[code])
    width = BITS[code]
    require(len(data) == (count * width + 7) // 8, f"{len(data)} bytes for {count} elements of {width} bits")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * width].reshape(count, width)
    values = (bits * (1 << np.arange(width))).sum(1)
    if code == INT4:
        values = np.where(values > 7, values - 16, values)
    return values.astype(np.int8 if code == INT4 else np.uint8)


def stored(file: bytes, offset: int, code: int, count: int) -> np.ndarray:
    """The record whose description is at the offset."""
    _, version = struct.unpack_from("<II", file, 0)
    sentinel, kind, size, start, unused = struct.unpack_from("<IIQQQ", file, offset)
    require(version == VERSION and sentinel == SENTINEL and offset % ALIGNMENT == 0, f"no record at {offset}")
    require(start == offset + ALIGNMENT and start + size <= len(file), f"data of record {offset} at {start}, {size} bytes")
    require(CODES[kind] == code, f"record {offset} is of type {CODES[kind]}, {code} is expected")
    require(unused == (8 * size - count * BITS[code] if code in BITS else 0), f"record {offset}: {unused} unused bits")
    return unpacked(file[start : start + size], code, count)


def sizes_of(tensor) -> list[int]:
    """-1 for what is known at run time alone."""
    return [dimension.constant.size if dimension.WhichOneof("dimension") == "constant" else -1 for dimension in tensor.dimensions]


def decoded(value, file: bytes):
    """A protobuf value: a tensor, a number, a text, or a list of those."""
    if value.type.WhichOneof("type") == "listType":
        return [decoded(item, file) for item in value.immediateValue.list.values]
    kind = value.type.tensorType
    sizes, code = sizes_of(kind), kind.dataType
    count = int(np.prod(sizes, dtype=np.int64))
    if value.WhichOneof("value") == "blobFileValue":
        require(value.blobFileValue.fileName == "@model_path/weights/weight.bin", f"weights in {value.blobFileValue.fileName}")
        array = stored(file, value.blobFileValue.offset, code, count)
    else:
        tensor = value.immediateValue.tensor
        content = getattr(tensor, tensor.WhichOneof("value")).values
        if code == STRING:
            return content[0] if not sizes else list(content)
        array = unpacked(content, code, count) if isinstance(content, bytes) else np.array(content)
    require(array.size == count, f"{array.size} values for {sizes}")
    return torch.from_numpy(np.array(array).reshape(sizes)).to(TORCH[code])


def spread(parameters: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """One for each element, of one for each block."""
    for axis, size in enumerate(sizes):
        require(size % parameters.shape[axis] == 0, f"{parameters.shape[axis]} blocks of {size}")
        parameters = parameters.repeat_interleave(size // parameters.shape[axis], axis)
    return parameters


def affine_dequantize(quantized_data, zero_point, scale, axis):
    column = lambda values: values.float().reshape([-1 if i == int(axis) else 1 for i in range(quantized_data.dim())] if values.dim() else [])
    return ((quantized_data.float() - column(zero_point)) * column(scale)).to(scale.dtype)


def blockwise_shift_scale(data, scale, offset=None):
    sizes = list(data.shape)
    shifted = data.float() - (spread(offset, sizes).float() if offset is not None else 0.0)
    return (shifted * spread(scale, sizes).float()).to(scale.dtype)


def lut_to_dense(indices, lut, shape=None):
    """From iOS 18 on a table for each block; before, one for all, and indices as a stream of bits."""
    if shape is not None:
        sizes = shape.long().tolist()
        width, count = int(lut.numel()).bit_length() - 1, int(np.prod(sizes))
        bits = np.unpackbits(indices.numpy(), bitorder="little")[: count * width].reshape(count, width)
        return lut[torch.from_numpy((bits.astype(np.int64) * (1 << np.arange(width))).sum(1))].reshape(sizes)
    rank = indices.dim()
    require(lut.shape[-1] == 1 and int(indices.max()) < lut.shape[rank], f"index {int(indices.max())} into tables {list(lut.shape)}")
    blocks = (torch.arange(size) * lut.shape[axis] // size for axis, size in enumerate(indices.shape))
    return lut[(*torch.meshgrid(*blocks, indexing="ij"), indices.long(), torch.zeros_like(indices, dtype=torch.long))]
