"""Payloads as text that says what they mean, and the differences of two.

Value ids, the numbers of memory objects and the order of what is independent mean nothing. A line is a call: operator, arguments,
results with type, sizes, storage and layout; tensors are named by the line that makes them, constants by the digest of their bytes.
"""

import difflib
import hashlib
from collections import Counter

import torch

from vulkan.payload import DTYPES, LIST_KINDS, SCALAR_KINDS, Payload, is_constant, is_tensor

STORAGES = {0: "buffer", 1: "texture", 2: "texture2d", 255: "any"}
LAYOUTS = {0: "W", 1: "H", 2: "C", 255: ""}
SHORT = {torch.float32: "f32", torch.float16: "f16", torch.int32: "i32", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool",
         torch.int64: "i64", torch.float64: "f64"}  # fmt: skip
KEY_DIGITS = 16


def type_of(value) -> str:
    return f"{SHORT[DTYPES[value.datatype]]}[{','.join(map(str, value.dims or []))}]"


def stored(value) -> str:
    staged = "" if value.staging_datatype in (value.datatype, 127) else f" staged {SHORT[DTYPES[value.staging_datatype]]}"
    return f"{type_of(value)} {STORAGES[value.storage_type]}/{LAYOUTS.get(value.memory_layout, value.memory_layout)}{staged}"


def number_text(value) -> str:
    """1 and 1.0 are one value: the first in a graph that either is needed for decides which is written."""
    return repr(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)


class Text:
    def __init__(self, payload: Payload):
        self.payload = payload
        self.names = {index: f"in{position}" for position, index in enumerate(payload.inputs)}
        self.digests = dict(self.names)
        self.lines, self.kinds, self.marks = [], [], []
        for call in payload.chain:
            self.add(call)
        self.outputs = [self.names[index] for index in payload.outputs]
        self.inputs = [f"in{position} {stored(payload.values[index])}" for position, index in enumerate(payload.inputs)]

    def key(self, value) -> str:
        entry = self.payload.constants[value.constant_id]
        named = entry.named_key or hashlib.sha256(self.payload.constant(value).numpy().tobytes()).hexdigest()
        return f"{type_of(value)} {named[:KEY_DIGITS]}"

    def argument(self, index: int, names: dict) -> str:
        value = self.payload.values[index]
        if value.kind in SCALAR_KINDS:
            return number_text(getattr(value, SCALAR_KINDS[value.kind]))
        if value.kind in LIST_KINDS:
            return f"[{', '.join(map(number_text, value.items or []))}]"
        if value.kind == "ValueList":
            return f"[{', '.join(self.argument(item, names) for item in value.items or [])}]"
        if value.kind == "Null":
            return "None"
        return f"const {self.key(value)}" if is_constant(value) else names[index]

    def add(self, call) -> None:
        payload, position = self.payload, len(self.lines)
        target = payload.values[call.args[-1]]
        results = list(target.items) if target.kind == "ValueList" else [call.args[-1]]
        shown = ", ".join(stored(payload.values[index]) if is_tensor(payload.values[index]) else payload.values[index].kind for index in results)
        arguments = ", ".join(self.argument(index, self.names) for index in call.args[:-1])
        identities = ", ".join(self.argument(index, self.digests) for index in call.args[:-1])
        types = {index: stored(value) if is_tensor(value) else value.kind for index, value in enumerate(payload.values)}
        self.kinds.append(f"{call.name}({', '.join(self.argument(index, types) for index in call.args[:-1])}) -> {shown}")
        mark = hashlib.sha256(f"{call.name}({identities}) -> {shown}".encode()).hexdigest()[:KEY_DIGITS]
        self.marks.append(mark)
        for number, index in enumerate(results):
            suffix = f".{number}" if len(results) > 1 else ""
            self.names[index], self.digests[index] = f"%{position}{suffix}", mark + suffix
        self.lines.append(f"%{position} = {call.name}({arguments}) -> {shown}")


def record_of(payload: Payload) -> dict:
    text = Text(payload)
    return {"inputs": text.inputs, "chain": text.lines, "outputs": text.outputs, "marks": text.marks, "kinds": text.kinds}


def short_record(payload: Payload) -> dict:
    """Of a payload whose lines nobody would read."""
    return {"operators": dict(sorted(Counter(call.name for call in payload.chain).items()))}


def differences(ours: dict, theirs: dict) -> list[str]:
    """Empty where the two mean the same: inputs, every call up to order, outputs. Else lines as a diff has them: `- ` theirs, `+ ` ours."""
    if ours["inputs"] == theirs["inputs"] and sorted(ours["marks"]) == sorted(theirs["marks"]) and outputs_of(ours) == outputs_of(theirs):
        return []
    lines = difflib.ndiff(theirs["inputs"] + theirs["kinds"], ours["inputs"] + ours["kinds"])
    return [line for line in lines if line[0] in "+-"] or ["the same calls on other tensors"]


def outputs_of(record: dict) -> list[str]:
    """Which calls make the outputs."""
    named = []
    for name in record["outputs"]:
        call, _, item = name.removeprefix("%").partition(".")
        named.append(name if name.startswith("in") else record["marks"][int(call)] + item)
    return named


