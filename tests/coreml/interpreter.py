"""Runs a Core ML program on tensors as the delegate would, and a whole `.pte` with such delegates."""

import torch

from coreml import require
from coreml.kernels import COMPRESSED, KERNELS
from coreml.package import Package
from coreml.weights import TORCH, decoded, sizes_of
from vulkan.interpreter import Program

ARRAY_TYPES = {65552: torch.float16, 65568: torch.float32, 65600: torch.float64, 131104: torch.int32, 131080: torch.int8}


def tensor_type(value_type):
    return value_type.tensorType if value_type.WhichOneof("type") == "tensorType" else None


class Model:
    """`Model(source)(inputs)` -> outputs. States keep what the last call wrote."""

    def __init__(self, source, function: str = "main"):
        self.package = source if isinstance(source, Package) else Package(source)
        self.name = function
        program = self.package.model.mlProgram
        self.function = program.functions[function]
        (self.block,) = [self.function.block_specializations[self.function.opset]]
        self.description = self.package.model.description
        if self.description.functions:
            (self.description,) = [one for one in self.description.functions if one.name == function]
        self.states = {}
        for feature in self.description.state:
            array = feature.type.stateType.arrayType
            self.states[feature.name] = torch.zeros(list(array.shape), dtype=ARRAY_TYPES[array.dataType])
        self.constants = {}
        for operation in self.block.operations:
            if operation.type == "const" or operation.type in COMPRESSED:
                (output,) = operation.outputs
                self.constants[output.name] = self.constant(operation)
                self.check(output, self.constants[output.name])

    def constant(self, operation):
        if operation.type == "const":
            return decoded(operation.attributes["val"], self.package.weights)
        given = {key: decoded(value, self.package.weights) for key, value in operation.attributes.items() if key != "name"}
        for key, argument in operation.inputs.items():
            (binding,) = argument.arguments
            given[key] = decoded(binding.value, self.package.weights) if binding.WhichOneof("binding") == "value" else self.constants[binding.name]
        return KERNELS[operation.type](**given)

    def names(self, kind: str) -> list[str]:
        """In the order of the delegate's arguments."""
        metadata = (self.package.metadata or {}).get("methods", {}).get(self.name, self.package.metadata)
        return metadata[f"{kind}Names"] if metadata else [feature.name for feature in getattr(self.description, kind)]

    @property
    def input_count(self) -> int:
        return len(self.names("input"))

    @property
    def output_count(self) -> int:
        return len(self.names("output"))

    def __call__(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        self.values = dict(self.constants)
        names = self.names("input")
        declared = {one.name: one for one in self.function.inputs}
        require(set(declared) == set(names) | set(self.states), f"inputs {sorted(declared)} instead of {names}")
        for name, value in zip(names, inputs, strict=True):
            value = value.reshape(1) if value.dim() == 0 else value
            self.keep(declared[name], value.to(TORCH[declared[name].type.tensorType.dataType]))
        for operation in self.block.operations:
            if operation.outputs and all(output.name in self.constants for output in operation.outputs):
                continue
            self.run(operation)
        outputs = self.names("output")
        require(set(self.block.outputs) == set(outputs), f"outputs {list(self.block.outputs)} instead of {outputs}")
        return [self.values[name] for name in outputs]

    def run(self, operation) -> None:
        if operation.type in ("write_state", "read_state", "coreml_update_state"):
            return self.run_state(operation)
        require(operation.type in KERNELS, f"no kernel for {operation.type}")
        given = {key: self.argument(argument, key) for key, argument in operation.inputs.items()}
        results = KERNELS[operation.type](**given)
        results = results if isinstance(results, list) else [results]
        for output, result in zip(operation.outputs, results, strict=True):
            self.keep(output, result.to(TORCH[output.type.tensorType.dataType]))

    def run_state(self, operation) -> None:
        place = {key: argument.arguments[0].name for key, argument in operation.inputs.items()}
        name = place.get("input") or place["state"]
        require(name in self.states, f"{operation.type} of {name}, which is no state")
        if operation.type != "read_state":
            value = self.values[place.get("data") or place["value"]]
            require(value.dtype == self.states[name].dtype and value.shape == self.states[name].shape, f"another state than {name}")
            self.states[name] = value.clone()
        for output in operation.outputs:
            self.keep(output, self.states[name].clone())

    def argument(self, argument, key: str):
        items = [
            decoded(binding.value, self.package.weights) if binding.WhichOneof("binding") == "value" else self.values[binding.name]
            for binding in argument.arguments
        ]
        # Half precision is what tensors are stored in; what is computed of them is rounded once.
        items = [item.float() if isinstance(item, torch.Tensor) and item.dtype == torch.float16 else item for item in items]
        if key == "values":
            return items
        (item,) = items
        return item

    def check(self, declared, value) -> None:
        kind = tensor_type(declared.type)
        if kind is None or not isinstance(value, torch.Tensor):
            return
        sizes = sizes_of(kind)
        fits = len(sizes) == value.dim() and all(size in (-1, given) for size, given in zip(sizes, value.shape))
        require(fits and value.dtype == TORCH[kind.dataType], f"{declared.name}: {value.dtype} {list(value.shape)} instead of {sizes}")

    def keep(self, declared, value: torch.Tensor) -> None:
        self.check(declared, value)
        self.values[declared.name] = value

    @property
    def kinds(self) -> list[str]:
        return [operation.type for operation in self.block.operations if operation.type != "const"]


def program(source) -> Program:
    return Program(source, runtimes={"CoreMLBackend": Model})
