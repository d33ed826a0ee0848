"""Small archives as each PyTorch release writes them, with one call and what the program gave there, for
tests/test_torch_versions.py.

    python -m venv /tmp/torch-2.9
    /tmp/torch-2.9/bin/pip install torch==2.9.1 torchao==0.14.1 executorch==1.0.1
    /tmp/torch-2.9/bin/python tests/make_records/torch_archives.py      (writes tests/records/archives/2.9/)

2.11.0 and 2.15.0 were given torchao 0.18.0 and executorch 1.5.1. Only PT2E needs them, the latter for its quantizer; releases
before 2.9, which are refused, need neither.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.export import Dim

RELEASE = ".".join(torch.__version__.split(".")[:2])
OUT = Path(__file__).resolve().parents[1] / "records" / "archives" / RELEASE
READ = (2, 9)  # the first release whose archives are read


class Network(nn.Module):
    """Folded batch norms, shared sub-modules, views, an in-place operator."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6, padding=1)
        self.classify = nn.Linear(6, 5)
        self.norm.running_mean.uniform_(-0.5, 0.5)
        self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, image):
        x = nn.functional.relu_(self.norm(self.conv(image)))
        x = nn.functional.hardswish(self.depthwise(x)) + x
        return self.classify(x.mean((2, 3)))


class Branches(nn.Module):
    """A condition with weights, results of several values and an operand that one side does not read."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 6), nn.Linear(4, 6)

    def forward(self, x, y):
        def true(x, y):
            first, second = torch.split(self.left(x), 3, dim=1)
            return first * y, second.sum()

        def false(x, y):
            return torch.relu(self.right(x))[:, :3] + y, x.amax()

        product, total = torch.cond(x.sum() > 0, true, false, (x, y))
        return product + 1, total * 2


class Sizes(nn.Module):
    """Sizes that follow from others, one that data decides, a buffer that is written to."""

    def __init__(self):
        super().__init__()
        self.attend = nn.Linear(8, 8)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, y, *, count):
        self.calls.add_(1)
        n = count.item()
        torch._check(n >= 1)
        torch._check(n <= 4)
        rows = torch.cat([self.attend(x), y])
        scores = torch.softmax(rows @ rows.transpose(0, 1), -1)
        return {"rows": scores @ rows, "head": rows[:n] * self.calls}


def export(module, *args, **options):
    return torch.export.export(module.eval(), args, **options)


def quantized(is_dynamic: bool):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    image = torch.randn(2, 3, 8, 8)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=is_dynamic))
    prepared = prepare_pt2e(export(Network(), image).module(), quantizer)
    for _ in range(4):
        prepared(torch.randn(2, 3, 8, 8))
    prepared(image)
    return torch.export.export(convert_pt2e(prepared), (image,))


def sizes():
    rows = Dim("rows", min=3, max=16)
    return export(Sizes(), torch.randn(6, 8), torch.randn(2, 8), kwargs={"count": torch.tensor(3)},
                  dynamic_shapes={"x": {0: rows}, "y": None, "count": None})


PROGRAMS = {
    "network": lambda: export(Network(), torch.randn(2, 3, 8, 8)),
    "strict": lambda: export(Network(), torch.randn(2, 3, 8, 8), strict=True),
    "cond": lambda: export(Branches(), torch.randn(5, 4), torch.randn(5, 3)),
    "sizes": sizes,
    "static_int8": lambda: quantized(is_dynamic=False),
    "dynamic_int8": lambda: quantized(is_dynamic=True),
}


def write(name: str, program: torch.export.ExportedProgram) -> None:
    args, kwargs = program.example_inputs
    torch.export.save(program, OUT / f"{name}.pt2")  # first: the call writes to buffers
    with torch.no_grad():
        outputs = program.module()(*args, **kwargs)
    for kind, values in ("input", (args, kwargs)), ("output", outputs):
        np.savez(OUT / f"{name}.{kind}.npz", *(value.detach().numpy() for value in torch.utils._pytree.tree_leaves(values)))


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    read = tuple(map(int, RELEASE.split("."))) >= READ
    for name in PROGRAMS if read else ["network"]:
        torch.manual_seed(1)
        write(name, PROGRAMS[name]())
        print(RELEASE, name, (OUT / f"{name}.pt2").stat().st_size)


if __name__ == "__main__":
    main()
