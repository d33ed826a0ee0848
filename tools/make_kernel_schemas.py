#!/usr/bin/env python3
"""Writes src/runtime/kernel_schemas.inc: the argument schema of every kernel with out arguments.

    .venv/bin/python tools/make_kernel_schemas.py [src/pte/kernel_table.inc]

Rows come from the edge room's table of kernels; here each schema becomes one letter and a name per argument:
T tensor, i integer, f float, b bool, s scalar, c text; `?` may be None, `[]` a list, `[n]` a list of n that a single
number stands for. What follows `>` is written.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LETTERS = {"Tensor": "T", "int": "i", "SymInt": "i", "float": "f", "bool": "b", "Scalar": "s", "str": "c",
           "ScalarType": "i", "MemoryFormat": "i"}
ROW = re.compile(r'KERNEL\((\w+), "([^"]*)", "([^"]*)", "((?:[^"\\]|\\.)*)"\)')
TYPE = re.compile(r"([A-Za-z]+)(\([a-z]!\))?(\?)?(\[\d*\])?(\?)? (\w+)")


def split_arguments(text):
    depth, start = 0, 0
    for at, char in enumerate(text + ","):
        depth += char in "([" and 1 or (char in ")]" and -1 or 0)
        if char == "," and depth == 0:
            if text[start:at].strip():
                yield text[start:at].strip()
            start = at + 1


def compact(schema):
    arguments, outs, keyword = [], [], False
    body = schema[schema.index("(") + 1 : schema.rindex(") ->")]
    for text in split_arguments(body):
        if text == "*":
            keyword = True
            continue
        kind, written, item_optional, items, optional, name = TYPE.match(text.split("=")[0]).groups()
        entry = LETTERS[kind] + (item_optional or "") + (items or "") + (optional or "") + " " + name
        (outs if written and keyword else arguments).append(entry)
    return arguments, outs


def main():
    source = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "src/pte/kernel_table.inc"
    rows = []
    for _, key, functional, schema in ROW.findall(source.read_text()):
        if ") ->" not in schema:
            continue
        arguments, outs = compact(schema)
        if outs:
            rows.append(f'KERNEL("{key}", "{functional}", "{", ".join(arguments)} > {", ".join(outs)}")')
    (ROOT / "src/runtime/kernel_schemas.inc").write_text(
        "// Made by tools/make_kernel_schemas.py. Do not edit.\n" + "\n".join(rows) + "\n")
    print(len(rows), "kernels with out arguments")


main()
