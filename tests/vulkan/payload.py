"""A VkGraph blob: header, values, chain, and constants that are verified by their keys.

    0  4  zero                      18 u32 offset of the raw constants
    4  4  "VH00"                    22 u64 bytes of raw constants
    8  u16 size of this header      30 padding to 32
    10 u32 offset of the flatbuffer
    14 u32 bytes of the flatbuffer
"""

import hashlib
import math
import struct
from dataclasses import dataclass

import torch

from vulkan.flatbuffer import shipped

DTYPES = {
    0: torch.bool, 1: torch.uint8, 2: torch.int8, 3: torch.int32, 4: torch.float16, 5: torch.float32, 6: torch.float64, 7: torch.int64,
}  # fmt: skip
NAMED = 2**64 - 1  # the offset of a constant that is named data
BUFFER, TEXTURE = 0, 1
WIDTH, HEIGHT, CHANNELS = 0, 1, 2
SCALAR_KINDS = {"Int": "int_val", "Double": "double_val", "Bool": "bool_val", "String": "string_val"}
LIST_KINDS = ("IntList", "DoubleList", "BoolList")


class Invalid(Exception):
    """What the runtime would refuse or abort on."""


def require(condition, message: str) -> None:
    if not condition:
        raise Invalid(message)


@dataclass
class Header:
    size: int
    graph_offset: int
    graph_size: int
    bytes_offset: int
    bytes_size: int


def read_header(blob: bytes) -> Header:
    require(len(blob) >= 32 and blob[4:8] == b"VH00", "no VkGraph header")
    header = Header(*struct.unpack_from("<HIIIQ", blob, 8))
    require(30 <= header.size <= header.graph_offset and header.graph_size > 0, f"{header}")
    require(header.graph_offset + header.graph_size <= header.bytes_offset, f"constants begin inside the graph: {header}")
    require(header.bytes_offset + header.bytes_size <= len(blob), f"constants end outside the blob: {header}")
    return header


class Payload:
    """`values`, `chain`, `inputs`, `outputs` as the schema has them; constants as tensors."""

    def __init__(self, blob: bytes, named: dict[str, bytes]):
        self.blob, self.header = blob, read_header(blob)
        start = self.header.graph_offset
        require(blob[start + 4 : start + 8] == b"VK00", "no VkGraph flatbuffer")
        graph = shipped("backends/vulkan/serialization/schema.fbs").read(blob[start : start + self.header.graph_size])
        self.version, self.chain = graph.version, graph.chain or []
        self.values = [value.value for value in graph.values or []]
        self.inputs, self.outputs, self.constants = graph.input_ids or [], graph.output_ids or [], graph.constants or []
        self.overrides = (graph.storage_type_override, graph.memory_layout_override)
        self.named = named

    def bytes_of(self, index: int, size: int) -> bytes:
        """Of a constant. The key of named data is the digest of its bytes."""
        entry = self.constants[index]
        if entry.offset == NAMED:
            require(entry.named_key in self.named, f"constant {index}: no named data {entry.named_key}")
            data = self.named[entry.named_key]
            require(hashlib.sha256(data).hexdigest() == entry.named_key, f"constant {index}: its key is not its digest")
        else:
            start = self.header.bytes_offset + entry.offset
            require(entry.offset + entry.length <= self.header.bytes_size, f"constant {index} ends outside the blob")
            data = self.blob[start : start + entry.length]
        require(entry.length == size == len(data), f"constant {index}: {entry.length} bytes said, {len(data)} there, {size} read")
        return data

    def constant(self, value) -> torch.Tensor:
        """The tensor of a VkTensor that is one."""
        dtype = DTYPES[value.datatype]
        count = math.prod(value.dims or [])
        data = self.bytes_of(value.constant_id, count * dtype.itemsize)
        return torch.frombuffer(bytearray(data), dtype=dtype).reshape(value.dims or []) if count else torch.empty(value.dims, dtype=dtype)


def is_tensor(value) -> bool:
    return value.kind == "VkTensor"


def is_constant(value) -> bool:
    return is_tensor(value) and value.constant_id >= 0


def tensor_ids(payload: Payload, index: int) -> list[int]:
    """The tensors that an argument names: itself, or those of a list."""
    value = payload.values[index]
    if value.kind == "ValueList":
        return [tensor for item in value.items or [] for tensor in tensor_ids(payload, item)]
    return [index] if is_tensor(value) else []
