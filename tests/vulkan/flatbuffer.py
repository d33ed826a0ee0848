"""Reads flatbuffers by their schema text. Every offset is checked by Python's own bounds."""

import functools
import re
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np

SCALARS = {
    "bool": "?", "byte": "b", "int8": "b", "ubyte": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "float": "f", "long": "q", "int64": "q", "ulong": "Q", "uint64": "Q",
    "double": "d",
}  # fmt: skip


class Schema:
    """Tables, enums and unions of a `.fbs` file and of what it includes."""

    def __init__(self, path: Path):
        self.tables, self.enums, self.unions = {}, {}, {}
        self.root = None
        self.parse(path)

    def parse(self, path: Path) -> None:
        text = re.sub(r"//[^\n]*", "", path.read_text())
        for included in re.findall(r'include\s+"([^"]+)"', text):
            self.parse(path.with_name(included))
        for name, base, body in re.findall(r"enum\s+(\w+)\s*:\s*(\w+)[^{]*\{([^}]*)\}", text):
            self.enums[name] = (base, dict(numbered(body)))
        for name, body in re.findall(r"union\s+(\w+)\s*\{([^}]*)\}", text):
            self.unions[name] = [member.strip() for member in body.split(",") if member.strip()]
        for name, body in re.findall(r"table\s+(\w+)\s*\{([^}]*)\}", text):
            fields = re.findall(r"(\w+)\s*:\s*(\[?\w+\]?)\s*(?:=\s*([\w.+-]+))?\s*(?:\([^)]*\))?\s*;", body)
            self.tables[name] = self.with_slots(fields)
        self.root = (re.findall(r"root_type\s+(\w+)", text) or [self.root])[0]

    def with_slots(self, fields) -> list:
        slots, rows = 0, []
        for name, kind, default in fields:
            rows.append((name, kind, default, slots))
            slots += 2 if kind in self.unions else 1  # a union's type comes before it
        return rows

    def read(self, data: bytes, at: int = 0) -> SimpleNamespace:
        """The root table of the buffer that starts at `at`."""
        return Reader(self, data).table(at + unpack("I", data, at), self.root)


def numbered(body: str):
    value = -1
    for member in filter(None, map(str.strip, body.split(","))):
        name, _, given = member.partition("=")
        value = int(given) if given else value + 1
        yield name.strip(), value


def unpack(code: str, data: bytes, at: int):
    return struct.unpack_from("<" + code, data, at)[0]


class Reader:
    def __init__(self, schema: Schema, data: bytes):
        self.schema, self.data = schema, data

    def table(self, at: int, kind: str) -> SimpleNamespace:
        """Its fields by name, and `kind`, the table's name. Fields of tables and vectors that are absent are None."""
        vtable = at - unpack("i", self.data, at)
        size = unpack("H", self.data, vtable)
        made = SimpleNamespace(kind=kind)
        for name, of, default, slot in self.schema.tables[kind]:
            place = self.place(at, vtable, size, slot)
            if of in self.schema.unions:
                value = self.place(at, vtable, size, slot + 1)
                member = unpack("B", self.data, place) if place else 0
                tag = self.schema.unions[of][member - 1] if member else None
                setattr(made, name, self.table(value + unpack("I", self.data, value), tag) if tag else None)
            else:
                setattr(made, name, self.value(place, of) if place else self.default(of, default))
        return made

    def place(self, at: int, vtable: int, size: int, slot: int) -> int:
        entry = 4 + 2 * slot
        offset = unpack("H", self.data, vtable + entry) if entry < size else 0
        return at + offset if offset else 0

    def default(self, of: str, default: str):
        if of in self.schema.enums:
            return self.schema.enums[of][1][default] if default else 0
        if of == "bool":
            return default == "true"
        if of in ("float", "double"):
            return float(default or 0)
        return int(default or 0) if of in SCALARS else None

    def value(self, place: int, of: str):
        code = self.code(of)
        if code:
            return unpack(code, self.data, place)
        target = place + unpack("I", self.data, place)
        if of == "string":
            return self.bytes_at(target).decode()
        return self.vector(target, of[1:-1]) if of.startswith("[") else self.table(target, of)

    def code(self, of: str):
        return SCALARS.get(self.schema.enums[of][0] if of in self.schema.enums else of)

    def bytes_at(self, target: int) -> bytes:
        length = unpack("I", self.data, target)
        assert target + 4 + length <= len(self.data), "a vector ends outside the buffer"
        return self.data[target + 4 : target + 4 + length]

    def vector(self, target: int, of: str):
        if of == "ubyte":
            return self.bytes_at(target)
        count = unpack("I", self.data, target)
        code = self.code(of)
        if code:
            return np.frombuffer(self.data, "<" + code, count, target + 4).tolist()
        return [self.value(target + 4 + 4 * i, of) for i in range(count)]


@functools.cache
def shipped(path: str) -> Schema:
    """A schema of the `executorch` wheel, which is not imported for it."""
    import importlib.util

    (folder,) = importlib.util.find_spec("executorch").submodule_search_locations
    return Schema(Path(folder) / path)
