"""What is exported, lowered, run and compared: modules and their calls, in tables by kind.

    ops        one operator or idiom each: what lowering takes
    reach      kernels and names of operators that `ops` leaves
    layers     a few operators each, where the rules of quantization and delegation meet
    coverage   networks that one engine alone once knew: state, batch statistics, computed weights, regions
    kernels    the same for what the interpreter computes
    programs   every form of program that torch.export has
    archives   everything that an archive can hold
    networks   whole models of vision, and the inputs that they are measured on
    language   transformers

Everything is seeded. Records (tests/records) carry digests of weights and inputs: a change of what is drawn needs new records.
"""

import contextlib
import copy
import functools
from dataclasses import dataclass, field
from typing import Any, Callable

import torch
from torch import nn

leaves = torch.utils._pytree.tree_leaves


def copied(arguments):
    """The arguments with tensors of their own: programs may write into what they are given."""
    return torch.utils._pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, arguments)


STATIC, DYNAMIC = {"is_per_channel": True}, {"is_per_channel": True, "is_dynamic": True}


@dataclass
class Quantization:
    """How XNNPACK's quantizer is set, the same for torchao and for Intaglio.

    `configs`: what is set for a choice of layers, [("module_name", "head", DYNAMIC), ...], before `everything` takes the rest; kinds are
    those of torchao's `set_module_name`, `set_module_type` and `set_operator_type`.
    """

    everything: dict | None = field(default_factory=lambda: STATIC)
    configs: list = field(default_factory=list)

    def recipe(self, compat: str = "intaglio") -> dict:
        """As a recipe file."""
        key = {"module_name": "module_name", "module_type": "module_type", "operator_type": "op"}
        rules = [{"match": {key[kind]: name}, "config": config} for kind, name, config in self.configs]
        rules += [{"config": self.everything}] if self.everything else []
        return {"schema": "intaglio-recipe/1", "backend": "xnnpack", "settings": {"compat": compat}, "rules": rules}


def in_form(program: torch.export.ExportedProgram, form: str) -> torch.export.ExportedProgram:
    """A training IR program as it is, in inference IR or in core ATen."""
    return {"training": lambda: program, "inference": lambda: program.run_decompositions({}), "core": program.run_decompositions}[form]()


@dataclass
class Case:
    """A module in the mode that it is exported in, and its calls in their order: the first is the one that is exported."""

    module: nn.Module
    calls: list
    shapes: Any = None  # dynamic ones, as torch.export takes them
    kwargs: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)  # more that torch.export.export takes
    tolerance: float = 1e-4  # relative and absolute, of outputs
    draw: Callable | None = None  # calls of (count, seed), for what is measured on many
    form: str = "training"
    quantization: Quantization = field(default_factory=Quantization)

    def export(self) -> torch.export.ExportedProgram:
        call, kwargs = copied((self.calls[0], self.kwargs))
        program = torch.export.export(self.module, tuple(call), kwargs, dynamic_shapes=self.shapes, **self.options)
        return in_form(program, self.form)

    @functools.cached_property
    def expected(self) -> list[list]:
        """The leaves that eager PyTorch gives in each call. Copied at once: a module may give its own state away."""
        module = copy.deepcopy(self.module)
        outputs = []
        with torch.no_grad():
            for call in self.calls:
                torch._dynamo.reset()  # torch.cond is compiled even here, and takes sizes that change for dynamic ones
                result = module(*copied(call), **copied(self.kwargs))
                outputs.append(copied(leaves(result)))
        return outputs


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


@contextlib.contextmanager
def seeded(seed: int = 0):
    """What is drawn inside depends on the seed alone, and nothing outside on what is drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def noise(*sizes, seed=0, scale=1.0):
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed)) * scale


def batch_norms(module: nn.Module) -> list:
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def draw_statistics(module: nn.Module) -> nn.Module:
    """Gives batch norms statistics and weights as training would leave them."""
    for norm in batch_norms(module):
        for tensor, low in ((norm.running_mean, -0.5), (norm.running_var, 0.5), (norm.weight.data, 0.5), (norm.bias.data, -0.3)):
            tensor.copy_(torch.rand(tensor.shape) + low)
    return module.eval()
