"""torchao's numeric debugger and ExecuTorch's Inspector on the programs and files that are written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators of Q/DQ programs
from torch import nn

from oracle import torchao
from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
RECIPE = "xnnpack_pt2e_int8_static_per_channel"
HANDLE = "numeric_debug_handle"


@pytest.fixture(scope="module")
def digits(intaglio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("debug")
    calibrated = ["--recipe", RECIPE, "--calibrate", DIGITS / "calibration"]
    intaglio("quantize", DIGITS / "digits.pt2", "-o", folder / "int8.pt2", *calibrated)
    intaglio("lower", folder / "int8.pt2", "-o", folder / "int8.pte", "--backend", "xnnpack")
    return folder, torch.from_numpy(np.load(sorted((DIGITS / "test").glob("*.npy"))[0]))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second, self.last = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.last((self.second(x) + x[:, :, 1:-1, 1:-1]).mean((2, 3)))


def handles(program):
    found = {node.name: node.meta.get("custom", {}).get(HANDLE) for node in program.graph.nodes if node.op == "call_function"}
    return {name: handle for name, handle in found.items() if handle is not None}


def test_handles_stay_with_their_operators(intaglio, tmp_path):
    from torchao.quantization.pt2e import generate_numeric_debug_handle
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    torch.manual_seed(3)
    module, sample = Network().eval(), torch.randn(2, 3, 10, 10)
    program = torch.export.export(module, (sample,))
    generate_numeric_debug_handle(program)
    torch.export.save(program, tmp_path / "float.pt2")
    np.save(tmp_path / "sample.npy", sample.numpy())
    for representation in ("qdq", "reference"):
        quantize = ["quantize", tmp_path / "float.pt2", "--recipe", RECIPE, "--calibrate", tmp_path / "sample.npy"]
        intaglio(*quantize, "-o", tmp_path / f"{representation}.pt2", "--representation", representation)
    prepared = torchao.prepare(program, torchao.Quantization(everything={"is_per_channel": True}))
    prepared(sample)
    theirs = handles(torch.export.export(convert_pt2e(prepared), (sample,)))
    ours = handles(torch.export.load(tmp_path / "qdq.pt2"))
    assert len(set(ours.values())) >= 6 and set(theirs.values()) <= set(ours.values())
    assert {name: handle for name, handle in handles(program).items() if "batch_norm" not in name} == {
        name: ours.get(name) for name in handles(program) if "batch_norm" not in name
    }


def test_loggers_of_torchao_find_what_compare_finds(digits, document):
    """A graph's identity is a number of this process; names are what two loaded programs have in common."""
    from torchao.quantization.pt2e import compare_results, extract_results_from_loggers, prepare_for_propagation_comparison

    folder, sample = digits
    logged = []
    for path in (DIGITS / "digits.pt2", folder / "int8.pt2"):
        model = prepare_for_propagation_comparison(torch.export.load(path).module())
        model(sample)
        logged.append({replace(source, graph_id=0): seen for source, seen in extract_results_from_loggers(model).items()})
    found = {source.name: summary for source, summary in compare_results(*logged).items()}
    np.save(folder / "sample.npy", sample.numpy())
    rows = document("compare", DIGITS / "digits.pt2", folder / "int8.pt2", "--data", folder / "sample.npy", "--layers")["values"]
    ours = {row["value"]: row["sqnr_db"] for row in rows}
    compared = [name for name in found if name in ours and not name.startswith("conv2d")]  # batch norms are folded into those
    assert len(compared) >= 10 and {"relu", "add", "linear"} <= set(compared)
    for name in compared:
        assert abs(found[name].results[0].sqnr.item() - ours[name]) < 0.5, name


def events_of(inspector):
    return [(block.name, event.name) for block in inspector.event_blocks for event in block.events if event.name != "Load"]


def test_the_inspector_reads_a_run_of_the_file(digits, tmp_path):
    """With the record of ExecuTorch's own lowering of the converted program, whose instructions are the same."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools import Inspector
    from executorch.exir import to_edge_transform_and_lower
    from executorch.extension.pybindings import portable_lib

    folder, sample = digits
    lowered = to_edge_transform_and_lower(
        torch.export.load(folder / "int8.pt2"), partitioner=[XnnpackPartitioner()], generate_etrecord=True
    ).to_executorch()
    record = lowered.get_etrecord()
    record.update_representative_inputs([sample])
    record.save(tmp_path / "record.bin")
    (tmp_path / "theirs.pte").write_bytes(lowered.buffer)
    gaps, kernels = [], []
    for path in (folder / "int8.pte", tmp_path / "theirs.pte"):
        method = portable_lib._load_for_executorch(str(path), enable_etdump=True, debug_buffer_size=10_000_000)
        method.forward((sample,))
        method.write_etdump_result_to_file(str(tmp_path / "run.etdump"), str(tmp_path / "run.bin"))
        inspector = Inspector(str(tmp_path / "run.etdump"), etrecord=str(tmp_path / "record.bin"), debug_buffer_path=str(tmp_path / "run.bin"))
        events = [event for block in inspector.event_blocks for event in block.events]
        kernels.append({event.name for event in events if event.is_delegated_op})
        (call,) = [event for event in events if event.name == "DELEGATE_CALL"]
        assert len(call.debug_handles) > 40 and "aten.linear.default" in " ".join(call.op_types)
        table = inspector.calculate_numeric_gap("SNR")
        assert len(table) == 1
        gaps.append(np.ravel(table["gap"].iloc[0])[0])
    assert len(kernels[0]) >= 15 and any("Convolution" in name for name in kernels[0])
    assert abs(gaps[0] - gaps[1]) < 3 and gaps[0] > 20
