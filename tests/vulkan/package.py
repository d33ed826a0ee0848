"""A `.pte`: plans, constants, named data and delegates, by the schema that ships in the wheel."""

import struct
from pathlib import Path

from vulkan.flatbuffer import shipped


class Package:
    def __init__(self, data: bytes | Path):
        self.data = data.read_bytes() if isinstance(data, Path) else bytes(data)
        assert self.data[4:8] == b"ET12", "no ExecuTorch program"
        self.program = shipped("exir/_serialize/program.fbs").read(self.data)
        self.base = struct.unpack_from("<Q", self.data, 24)[0] if self.data[8:12] == b"eh00" else 0
        self.named = {entry.key: self.segment(entry.segment_index) for entry in self.program.named_data or []}

    def plan(self, name: str = "forward"):
        (plan,) = [plan for plan in self.program.execution_plan if plan.name == name]
        return plan

    def segment(self, index: int) -> bytes:
        entry = self.program.segments[index]
        start = self.base + entry.offset
        assert start + entry.size <= len(self.data), f"segment {index} ends outside the file"
        return self.data[start : start + entry.size]

    def constant(self, index: int, size: int) -> bytes:
        constants = self.program.constant_segment
        data = self.segment(constants.segment_index)
        start = constants.offsets[index]
        assert start + size <= len(data), f"constant {index} ends outside its segment"
        return data[start : start + size]

    def payload(self, delegate) -> bytes:
        """The bytes that a delegate of a plan was compiled to."""
        reference = delegate.processed
        return self.segment(reference.index) if reference.location == 1 else self.program.backend_delegate_data[reference.index].data

    def payloads(self, backend: str = "VulkanBackend", name: str = "forward") -> list[bytes]:
        return [self.payload(delegate) for delegate in self.plan(name).delegates or [] if delegate.id == backend]
