"""Runs a payload as the delegate would, and a whole `.pte`: its other kernels by torch, in the memory that the file plans."""

import math

import torch

from vulkan import checks, kernels
from vulkan.package import Package
from vulkan.payload import DTYPES, LIST_KINDS, SCALAR_KINDS, Payload, is_constant, is_tensor, require

PREPACK = "et_vk.prepack.default"


class Delegate:
    """A loaded payload. Constants are packed once; what is written into a packed cache stays for the next run.

    `checked`: as the runtime loads it. Without, also payloads are computed that it would not load, as far as torch knows their operators.
    """

    def __init__(self, blob: bytes, named: dict[str, bytes], checked: bool = True):
        self.payload = Payload(blob, named)
        found = checks.problems(self.payload) if checked else []
        require(not found, "; ".join(found))
        self.constants = {index: self.payload.constant(value) for index, value in enumerate(self.payload.values) if is_constant(value)}
        self.packed = {call.args[1]: self.constants[call.args[0]].clone() for call in self.payload.chain if call.name == PREPACK}

    @property
    def input_count(self) -> int:
        return len(self.payload.inputs)

    @property
    def output_count(self) -> int:
        return len(self.payload.outputs)

    def __call__(self, inputs: list) -> list:
        """Also fails where a memory object's bytes are read after another tensor has taken them."""
        payload = self.payload
        self.results, self.holders = dict(self.constants | self.packed), {}
        require(len(inputs) == len(payload.inputs), f"{len(inputs)} inputs for {len(payload.inputs)}")
        for index, value in zip(payload.inputs, inputs):
            if is_tensor(payload.values[index]):
                value = value.to(DTYPES[payload.values[index].staging_datatype])
                require(all(a <= b for a, b in zip(value.shape, payload.values[index].dims)), f"input {list(value.shape)}")
            self.keep(index, value)
        for call in payload.chain:
            if call.name != PREPACK:
                self.run(call)
        return [self.result(index) for index in payload.outputs]

    def run(self, call) -> None:
        targets = self.targets(call.args[-1])
        arguments = [self.argument(index) for index in call.args[:-1]]
        specs = [self.payload.values[index] for index in targets]
        results = kernels.compute(call.name, arguments, specs)
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        require(len(results) >= len(targets), f"{call.name}: {len(results)} results for {len(targets)} outputs")
        for index, result in zip(targets, results):
            self.keep(index, result)

    def targets(self, index: int) -> list[int]:
        value = self.payload.values[index]
        return [item for inner in value.items for item in self.targets(inner)] if value.kind == "ValueList" else [index]

    def keep(self, index: int, value) -> None:
        spec = self.payload.values[index]
        if not is_tensor(spec):
            self.results[index] = value
            return
        expected = list(spec.dims or [])
        fits = list(value.shape) == expected or (len(value.shape) == len(expected) and all(a <= b for a, b in zip(value.shape, expected)))
        require(fits, f"value {index}: {list(value.shape)} instead of {expected}")
        self.results[index] = value.to(DTYPES[spec.datatype])
        if spec.mem_obj_id >= 0:
            self.holders[spec.mem_obj_id] = index

    def result(self, index: int):
        spec = self.payload.values[index]
        if is_tensor(spec) and spec.mem_obj_id >= 0 and index not in self.packed:
            holder = self.holders.get(spec.mem_obj_id)
            require(holder == index, f"value {index} is read when value {holder} is in its memory")
        return self.results[index]

    def argument(self, index: int):
        value = self.payload.values[index]
        if value.kind in SCALAR_KINDS:
            return getattr(value, SCALAR_KINDS[value.kind])
        if value.kind in LIST_KINDS:
            return list(value.items or [])
        if value.kind == "ValueList":
            return [self.argument(item) for item in value.items or []]
        if value.kind == "Null":
            return None
        result = self.result(index)
        # Half precision is what tensors are stored in; what is computed of them is rounded once.
        return result.float() if is_tensor(value) and result.dtype == torch.float16 else result


# ---- whole programs

ELEMENTS = {0: torch.uint8, 1: torch.int8, 2: torch.int16, 3: torch.int32, 4: torch.int64, 5: torch.float16, 6: torch.float32,
            7: torch.float64, 9: torch.complex64, 11: torch.bool, 15: torch.bfloat16}  # fmt: skip
SAME = ("dim_order_ops::_to_dim_order_copy", "dim_order_ops::_clone_dim_order", "aten::clone", "aten::view_copy", "executorch_prim::et_view")


class Program:
    """`Program(path)(*inputs)` -> outputs of `forward`. Values of static sizes; delegates of Vulkan, and of `runtimes`: by their id what
    makes a delegate of a payload."""

    def __init__(self, source, checked: bool = True, runtimes: dict | None = None):
        runtimes = {"VulkanBackend": lambda blob: Delegate(blob, self.package.named, checked)} | (runtimes or {})
        self.package = Package(source)
        self.plan = self.package.plan()
        self.memory = [torch.zeros(size, dtype=torch.uint8) for size in self.plan.non_const_buffer_sizes]
        self.delegates = []
        for delegate in self.plan.delegates or []:
            require(delegate.id in runtimes, f"a delegate of {delegate.id}")
            self.delegates.append(runtimes[delegate.id](self.package.payload(delegate)))
        self.sizes, self.numbers = {}, {}
        for index, entry in enumerate(self.plan.values):
            if entry.val.kind == "Tensor" and entry.val.allocation_info and entry.val.data_buffer_idx:
                self.start(index, entry.val)

    def start(self, index: int, value) -> None:
        """Gives a buffer that the program changes what it has at first."""
        segment = self.package.program.mutable_data_segments[value.extra_tensor_info.mutable_data_segments_idx]
        stored = self.tensor(index, value)
        data = self.package.segment(segment.segment_index)[segment.offsets[value.data_buffer_idx] :][: stored.nbytes]
        self.write(index, torch.frombuffer(bytearray(data), dtype=stored.dtype).reshape(stored.shape))

    @property
    def payloads(self) -> list[Payload]:
        return [delegate.payload for delegate in self.delegates]

    def kernels(self) -> list[str]:
        calls = [instruction.instr_args for instruction in self.plan.chains[0].instructions]
        operators = [self.plan.operators[call.op_index] for call in calls if call.kind == "KernelCall"]
        return [f"{operator.name}.{operator.overload}".removesuffix(".") for operator in operators]

    def __call__(self, *inputs) -> list:
        for index, value in zip(self.plan.inputs, inputs, strict=True):
            self.write(index, value)
        instructions, at = self.plan.chains[0].instructions, 0
        while at < len(instructions):
            call = instructions[at].instr_args
            at += 1
            if call.kind == "DelegateCall":
                self.delegate(call)
            elif call.kind == "KernelCall":
                self.kernel(call)
            elif call.kind == "MoveCall":
                self.write(call.move_to, self.read(call.move_from))
            elif call.kind == "JumpFalseCall":
                at = at if bool(self.read(call.cond_value_index)) else call.destination_instruction
            else:
                raise NotImplementedError(call.kind)
        return [self.read(index).clone() if self.value(index).kind == "Tensor" else self.read(index) for index in self.plan.outputs]

    def value(self, index: int):
        return self.plan.values[index].val

    def read(self, index: int):
        value = self.value(index)
        if index in self.numbers:
            return self.numbers[index]
        if value.kind == "Tensor":
            return self.tensor(index, value)
        if value.kind == "Null":
            return None
        if value.kind in ("IntList", "TensorList", "OptionalTensorList"):
            return [None if item < 0 else self.read(item) for item in value.items]
        if value.kind in ("DoubleList", "BoolList"):
            return list(value.items)
        return getattr(value, {"Int": "int_val", "Double": "double_val", "Bool": "bool_val", "String": "string_val"}[value.kind])

    def tensor(self, index: int, value):
        dtype, sizes = ELEMENTS[value.scalar_type], self.sizes.get(index, value.sizes)
        count = math.prod(sizes)
        if value.allocation_info:
            start = value.allocation_info.memory_offset_low + (value.allocation_info.memory_offset_high << 32)
            data = self.memory[value.allocation_info.memory_id][start : start + count * dtype.itemsize]
        else:
            data = torch.frombuffer(bytearray(self.package.constant(value.data_buffer_idx, count * dtype.itemsize)), dtype=torch.uint8)
        order = list(value.dim_order)
        stored = data.view(dtype).reshape([sizes[dim] for dim in order])
        return stored.permute([order.index(dim) for dim in range(len(order))])

    def write(self, index: int, result) -> None:
        value = self.value(index)
        if value.kind != "Tensor":
            self.numbers[index] = result
            return
        result = result if value.sizes else result.reshape([])  # Core ML's numbers have a dimension
        require(all(a <= b for a, b in zip(result.shape, value.sizes)), f"value {index}: {list(result.shape)} into {value.sizes}")
        self.sizes[index] = list(result.shape)
        self.tensor(index, value).copy_(result)

    def delegate(self, call) -> None:
        delegate = self.delegates[call.delegate_index]
        count = delegate.input_count
        require(len(call.args) == count + delegate.output_count, f"a delegate call of {len(call.args)} arguments")
        results = delegate([self.read(index) for index in call.args[:count]])
        for index, result in zip(call.args[count:], results):
            self.write(index, result)

    def quantized(self, name: str, overload: str, call) -> None:
        """PyTorch computes those that give a result; the runtime's, which fill one, are in a library that not every wheel loads."""
        from executorch.exir.passes import _quant_patterns_and_replacements  # noqa: F401: declares them
        from torch.ao.quantization.fx import _decomposed  # noqa: F401

        overload = overload.removesuffix("out").removesuffix("_") or "default"
        function = getattr(getattr(torch.ops.quantized_decomposed, name), overload.lower() if overload == "Tensor" else overload)
        arguments = function._schema.arguments
        values = [self.read(index) for index in call.args[: len(arguments)]]
        if name.startswith("embedding_byte") and values[2] is not None:  # PyTorch's takes them in the type of scales
            values[2] = values[2].to(values[1].dtype)
        placed = [value for value, argument in zip(values, arguments) if not argument.kwarg_only]
        named = {argument.name: value for value, argument in zip(values, arguments) if argument.kwarg_only}
        results = function(*placed, **named)
        for index, result in zip(call.args[len(arguments) :], results if isinstance(results, tuple) else [results]):
            self.write(index, result)

    def kernel(self, call) -> None:
        operator = self.plan.operators[call.op_index]
        if operator.name in SAME:
            out = call.args[-1]
            source = self.read(call.args[0])
            sizes = self.read(call.args[1]) if "view" in operator.name else list(source.shape)
            self.write(out, source.reshape(sizes).to(ELEMENTS[self.value(out).scalar_type]))
            return
        namespace, name = operator.name.split("::")
        if namespace == "quantized_decomposed":
            return self.quantized(name, operator.overload, call)
        function = getattr(getattr(torch.ops, namespace), name)
        function = getattr(function, operator.overload or "default")
        arguments = function._schema.arguments
        placed, named, written = [], {}, []
        for index, argument in zip(call.args, arguments):
            value = self.read(index)
            if argument.is_out:
                many = isinstance(value, list)
                value = [torch.empty(one.shape, dtype=one.dtype) for one in (value if many else [value])]
                written += zip(self.value(index).items if many else [index], value)
                value = value if many else value[0]
            if argument.kwarg_only:
                named[argument.name] = value
            else:
                placed.append(value)
        result = function(*placed, **named)
        if not written and len(call.args) > len(arguments):
            written = [(call.args[len(arguments)], result)]
        for index, result in written:
            self.write(index, result)
