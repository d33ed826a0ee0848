"""What a program means, whatever its values are called and in whatever order and words it is written.

Every value is a term: an operation and its operands, which are terms, numbers and weights as they are after decoding. Two programs are equal
in meaning when their outputs, and what they write to states, are the same terms. One meaning of several words is chosen: parameters that say
what holds without them are left out; squeezing and expanding are reshaping, a split is slices, a stack joins, a square is a product; flags of a
product are transpositions; integers have no width, and an index that is made positive is that index.
"""

import hashlib

import torch

from coreml.interpreter import Model
from coreml.kernels import COMPRESSED
from coreml.weights import decoded, sizes_of

# Per operation: parameters with the value that they have when they are not given.
DEFAULTS = {
    "conv": {"groups": 1, "strides": 1, "dilations": 1, "bias": 0},
    "conv_transpose": {"groups": 1, "strides": 1, "dilations": 1, "bias": 0},
    "linear": {"bias": 0},
    "gather": {"batch_dims": 0, "validate_indices": False},
    "concat": {"interleave": False},
    "gelu": {"mode": "EXACT"},
    "max_pool": {"ceil_mode": False},
    "avg_pool": {"ceil_mode": False, "exclude_padding_from_average": False},
    "quantize": {"zero_point": 0},
    "dequantize": {"zero_point": 0},
}
WINDOWS = {"conv", "conv_transpose", "max_pool", "avg_pool"}
COMMUTATIVE = {"add", "mul", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"}
INTEGERS = {"int32", "int16", "uint16"}


def plain(value):
    """A constant as it can be compared: small ones by value, others by digest."""
    if not isinstance(value, torch.Tensor):
        return ("constant", value)
    numbers = value.double().contiguous()
    content = tuple(numbers.flatten().tolist()) if value.numel() <= 16 else hashlib.sha256(numbers.numpy().tobytes()).hexdigest()[:16]
    return ("constant", tuple(value.shape), content)


def is_default(value, default) -> bool:
    return bool((value == default).all()) if isinstance(value, torch.Tensor) else value == default


def lifted(values) -> list:
    return [int(value) for value in values]


class Meaning:
    def __init__(self, source):
        self.model = source if isinstance(source, Model) else Model(source)
        self.said, self.sizes, self.terms = {}, {}, {}
        for name, state in self.model.states.items():  # by what they are, for names are anybody's
            self.terms[name] = self.make("state", (self.state_place(name),), list(state.shape))
        declared = {one.name: sizes_of(one.type.tensorType) for one in self.model.function.inputs if one.name not in self.model.states}
        for index, name in enumerate(self.model.names("input")):
            self.terms[name] = self.make("input", (index,), declared[name])
        self.writes, self.kinds = {}, []
        for operation in self.model.block.operations:
            if operation.type != "const" and operation.type not in COMPRESSED:
                self.kinds.append(operation.type)
                self.add(operation)
        self.outputs = [self.term(name) for name in self.model.names("output")]

    def state_place(self, name: str) -> str:
        return name.removeprefix("b_")

    # ---- terms

    def make(self, kind: str, operands: tuple, sizes: list) -> str:
        text = f"{kind}{operands!r}"
        term = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.said[term], self.sizes[term] = (kind, operands), list(sizes)
        return term

    def reshaped(self, term: str, sizes: list) -> str:
        kind, operands = self.said[term]
        if kind == "reshape":
            return self.reshaped(operands[0], sizes)
        return term if self.sizes[term] == list(sizes) else self.make("reshape", (term, tuple(sizes)), sizes)

    def transposed(self, term: str, order: list) -> str:
        kind, operands = self.said[term]
        if kind == "transpose":
            return self.transposed(operands[0], [operands[1][axis] for axis in order])
        sizes = self.sizes[term]
        long = [axis for axis in order if sizes[axis] != 1]
        if long == sorted(long):  # nothing moves
            return self.reshaped(term, [sizes[axis] for axis in order])
        return self.make("transpose", (term, tuple(order)), [sizes[axis] for axis in order])

    def sliced(self, term: str, places: list) -> str:
        """`places`: a range for each dimension."""
        sizes = [len(range(*place)) for place in places]
        if sizes == self.sizes[term] and all(step > 0 for _, _, step in places):
            return term
        return self.make("slice", (term, tuple(map(tuple, places))), sizes)

    def constant_term(self, value) -> str:
        return self.make("constant", plain(value), list(value.shape) if isinstance(value, torch.Tensor) else [])

    def term(self, name: str) -> str:
        return self.constant_term(self.model.constants[name]) if name in self.model.constants else self.terms[name]

    # ---- operations

    def constant(self, argument):
        if len(argument.arguments) != 1:
            return None
        (binding,) = argument.arguments
        is_value = binding.WhichOneof("binding") == "value"
        return decoded(binding.value, self.model.package.weights) if is_value else self.model.constants.get(binding.name)

    def operand(self, argument):
        terms = [
            self.constant_term(decoded(one.value, self.model.package.weights)) if one.WhichOneof("binding") == "value" else self.term(one.name)
            for one in argument.arguments
        ]
        return terms[0] if len(terms) == 1 else tuple(terms)

    def add(self, operation) -> None:
        constants = {key: self.constant(argument) for key, argument in operation.inputs.items()}
        if operation.type in ("write_state", "coreml_update_state"):
            name = (operation.inputs.get("input") or operation.inputs["state"]).arguments[0].name
            self.terms[name] = self.operand(operation.inputs.get("data") or operation.inputs["value"])
            self.writes[self.state_place(name)] = self.terms[name]
            results = [self.terms[name]] * len(operation.outputs)
        elif operation.type == "read_state":
            results = [self.terms[operation.inputs["input"].arguments[0].name]]
        else:
            given = {key: self.operand(argument) for key, argument in operation.inputs.items()}
            sizes = [sizes_of(output.type.tensorType) for output in operation.outputs]
            results = self.meant(operation.type, given, constants, sizes)
        for output, result in zip(operation.outputs, results, strict=True):
            self.terms[output.name] = result

    def meant(self, kind: str, given: dict, constants: dict, sizes: list) -> list[str]:
        (size, *_) = sizes
        if kind == "identity":
            return [given["x"]]
        if kind in ("reshape", "squeeze", "expand_dims"):
            return [self.reshaped(given["x"], size)]
        if kind == "transpose":
            return [self.transposed(given["x"], lifted(constants["perm"]))]
        if kind == "split":
            return self.parts(given["x"], int(constants["axis"]), sizes)
        if kind == "slice_by_index":
            return [self.reshaped(self.sliced(given["x"], self.places(given["x"], constants)), size)]
        if kind == "stack":
            return [self.stacked(given["values"], int(constants["axis"]), size)]
        if kind == "square" or (kind == "pow" and constants.get("y") is not None and is_default(constants["y"], 2)):
            return [self.make("mul", (("x", given["x"]), ("y", given["x"])), size)]
        if kind == "cast" and constants["dtype"] in INTEGERS and self.is_integer(given["x"]):
            return [given["x"]]
        if kind == "select" and self.is_made_positive(given):
            return [given["a"]]
        if kind == "matmul":
            given = {key: self.flipped(given[key]) if constants.get(f"transpose_{key}") else given[key] for key in ("x", "y")}
        return self.called(kind, given, constants, sizes)

    def called(self, kind: str, given: dict, constants: dict, sizes: list) -> list[str]:
        for key, default in DEFAULTS.get(kind, {}).items():
            if constants.get(key) is not None and is_default(constants[key], default):
                del given[key]
        # The same when nothing is added.
        if kind in WINDOWS and (constants.get("pad_type") == "valid" or is_default(constants.get("pad"), 0)):
            given = {key: value for key, value in given.items() if key not in ("pad", "pad_type")}
        if kind in COMMUTATIVE:
            given = dict(zip("xy", sorted(given.values())))
        return [self.make(kind, (*sorted(given.items()), *([index] if index else [])), size) for index, size in enumerate(sizes)]

    def flipped(self, term: str) -> str:
        rank = len(self.sizes[term])
        return self.transposed(term, [*range(rank - 2), rank - 1, rank - 2])

    def parts(self, term: str, axis: int, sizes: list) -> list[str]:
        axis, start, found = axis % len(sizes[0]), 0, []
        for size in sizes:
            whole = [(0, length, 1) for length in self.sizes[term]]
            whole[axis] = (start, start + size[axis], 1)
            found.append(self.sliced(term, whole))
            start += size[axis]
        return found

    def places(self, term: str, constants: dict) -> list:
        sizes = self.sizes[term]
        get = lambda key, default: lifted(constants[key]) if constants.get(key) is not None else [default] * len(sizes)
        begins, ends, steps = get("begin", 0), get("end", 0), get("stride", 1)
        places = []
        for axis, size in enumerate(sizes):
            if get("squeeze_mask", 0)[axis]:
                places.append((begins[axis] % size, begins[axis] % size + 1, 1))
                continue
            begin = None if get("begin_mask", 0)[axis] else begins[axis]
            places.append(slice(begin, None if get("end_mask", 0)[axis] else ends[axis], steps[axis]).indices(size))
        return places

    def stacked(self, terms: tuple, axis: int, size: list) -> str:
        """What a concatenation holds, in another shape."""
        axis %= len(size)
        parts = [self.reshaped(term, [*size[:axis], 1]) for term in terms] if axis == len(size) - 1 else list(terms)
        joined_size = list(self.sizes[parts[0]])
        joined_size[axis] *= len(parts)
        (joined,) = self.called("concat", {"values": tuple(parts), "axis": self.constant_term(torch.tensor(axis))}, {}, [joined_size])
        return self.reshaped(joined, size)

    def is_integer(self, term: str) -> bool:
        kind, operands = self.said[term]
        return kind == "input" or (kind == "cast" and ("dtype", self.make("constant", plain("int32"), [])) in operands)

    def is_made_positive(self, given: dict) -> bool:
        sign, moved = self.said[given["cond"]], self.said[given["b"]]
        return sign[0] == "greater_equal" and moved[0] == "add" and dict(sign[1])["x"] == given["a"] in dict(moved[1]).values()


def differences(one: Meaning, other: Meaning) -> list[str]:
    """Empty for programs that mean the same."""
    found = [f"output {index}" for index, (a, b) in enumerate(zip(one.outputs, other.outputs, strict=True)) if a != b]
    return found + [f"state {name}" for name in sorted(one.writes.keys() | other.writes.keys()) if one.writes.get(name) != other.writes.get(name)]


def unmatched(one: Meaning, other: Meaning) -> list[str]:
    """Operations of `one` that `other` has none of: where a difference begins."""
    return [f"{kind}{operands}" for term, (kind, operands) in one.said.items() if term not in other.said and kind != "constant"]
