"""Small `.pte` programs made by ExecuTorch's own flow, for the tests of src/runtime.

    .venv/bin/python tests/make_records/pte_programs.py

The values that the programs must give follow from their formulas, so only the programs are recorded.
"""
import pathlib

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from executorch.exir.passes import MemoryPlanningPass

OUT = pathlib.Path(__file__).resolve().parents[1] / "records" / "pte"


class AddMul(torch.nn.Module):
    def forward(self, x):
        return (x + 2.5) * x


class Conv(torch.nn.Module):
    """weight[o, 0, i, j] = (o + 1) * (i - j) / 4, bias = (0.5, -0.5), then relu."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3, padding=1)
        i, j = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
        with torch.no_grad():
            self.conv.weight.copy_(torch.stack([(i - j) / 4, (i - j) / 2])[:, None])
            self.conv.bias.copy_(torch.tensor([0.5, -0.5]))

    def forward(self, x):
        return torch.relu(self.conv(x))


class Dynamic(torch.nn.Module):
    def forward(self, x):
        return x * x + 1.0


class MultiOutput(torch.nn.Module):
    def forward(self, x, index):
        values, positions = torch.max(x, 1)
        return values, positions, x > 0, torch.index_select(x, 1, index)


class ChannelsLast(torch.nn.Module):
    def forward(self, x):
        return x + x


def lower(name, module, inputs, partitioners=(), dynamic_shapes=None, config=None):
    program = torch.export.export(module.eval(), inputs, dynamic_shapes=dynamic_shapes, strict=False)
    edge = to_edge_transform_and_lower(program, partitioner=list(partitioners))
    executorch = edge.to_executorch(config or ExecutorchBackendConfig())
    (OUT / f"{name}.pte").write_bytes(executorch.buffer)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    lower("add_mul", AddMul(), (torch.zeros(2, 3),))
    lower("conv_delegated", Conv(), (torch.zeros(1, 1, 4, 5),), [XnnpackPartitioner()])
    batch = torch.export.Dim("batch", min=1, max=8)
    lower("dynamic", Dynamic(), (torch.zeros(3, 4),), dynamic_shapes=({0: batch},))
    lower("multi_output", MultiOutput(), (torch.zeros(2, 3), torch.tensor([2, 0])))
    unplanned = ExecutorchBackendConfig(
        memory_planning_pass=MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False))
    lower("unplanned", AddMul(), (torch.zeros(2, 3),), config=unplanned)
    lower("channels_last", ChannelsLast(), (torch.zeros(1, 2, 2, 3).to(memory_format=torch.channels_last),))


if __name__ == "__main__":
    main()
