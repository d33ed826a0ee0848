"""Prepare and convert against torchao: annotations and sharing as recorded, parameters and weights from the same tensors.

Records: tests/records/pt2e, made by tests/make_records/pt2e.py.
"""

import json

import numpy as np
import pytest
import torch

from cases import layers, networks
from oracle import torchao
from oracle.compare import digest_of_program
from oracle.archives import save
from oracle.build import probe, record


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """program(name) -> (path, case, program as PyTorch reads it back, record); exported once."""
    made = {}

    def get(name):
        if name not in made:
            path, case = tmp_path_factory.mktemp(name) / "model.pt2", layers.annotated(name)
            save(case, path)
            exported, recorded = torch.export.load(path), record(f"pt2e/{name}")
            assert digest_of_program(exported) == recorded["digest"], "another program than the record's"
            made[name] = path, case, exported, recorded
        return made[name]

    return get


def annotate(path, quantization, *options) -> dict:
    """What the tool pt2e_annotate says with the quantizer set in the same way: it knows one configuration for all choices."""
    configs = [config for *_, config in quantization.configs] + ([quantization.everything] if quantization.everything else [])
    assert all(config == configs[0] for config in configs)
    arguments = [] if configs[0]["is_per_channel"] else ["--per-tensor"]
    arguments += ["--dynamic"] if configs[0].get("is_dynamic") else []
    option = {"module_name": "--module-name", "module_type": "--module-type", "operator_type": "--operator"}
    for kind, name, _ in quantization.configs:
        arguments += [option[kind], name]
    arguments += ["--global"] if quantization.everything else []
    return json.loads(probe("pt2e_annotate", path, *arguments, *options).stdout)


@pytest.mark.parametrize("name", layers.ANNOTATED)
def test_annotations_and_sharing_equal_torchaos(name, program):
    path, case, _, recorded = program(name)
    ours = annotate(path, case.quantization)
    assert ours["annotations"] == recorded["annotations"]
    assert ours["observers"] == recorded["observers"]


def record_observed(prepared, samples, folder):
    """Runs the prepared model; one .npz a sample with every tensor that an observer saw, weights excepted."""

    class Recorder(torch.fx.Interpreter):
        def run_node(self, node):
            source = torchao.observed(node)
            if source is not node and source.op != "get_attr":
                self.seen[source.name] = self.env[node.args[0]].detach().clone().numpy()
            return super().run_node(node)

    folder.mkdir()
    with torch.no_grad():
        for index, sample in enumerate(samples):
            recorder = Recorder(prepared)
            recorder.seen = {}
            recorder.run(*sample)
            np.savez(folder / f"{index:03}.npz", **recorder.seen)


def calibration_samples(case):
    if case.draw:
        return case.draw(3, networks.CALIBRATION_SEED)
    generator = torch.Generator().manual_seed(7)
    return [[torch.randn(x.shape, generator=generator) * (index + 1) for x in case.calls[0]] for index in range(4)]


@pytest.mark.parametrize("name", [*layers.NETWORKS, *layers.REAL, "small_cnn_per_tensor"])
def test_same_tensors_give_the_same_bits(name, program, tmp_path):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    path, case, exported, _ = program(name)
    prepared = torchao.prepare(exported, case.quantization)
    record_observed(prepared, calibration_samples(case), tmp_path / "tensors")
    ours = annotate(path, case.quantization, "--observe", tmp_path / "tensors", "--weights", tmp_path / "weights.npz")
    assert ours["observers"] == torchao.observers(prepared, with_qparams=True)

    weights = np.load(tmp_path / "weights.npz")
    folded = {f"float:{name}": tensor.detach().numpy() for name, tensor in prepared.state_dict().items()}
    compared = [key for key in weights.files if key in folded]  # torch keeps tied weights under one of their names
    assert compared
    for key in compared:
        np.testing.assert_array_equal(weights[key].view(np.int32), folded[key].view(np.int32), err_msg=key)
    names = [torchao.node_name(torchao.observed(node)) for node in prepared.graph.nodes
             if torchao.is_observer(node) and torchao.observed(node).op == "get_attr"]
    converted = convert_pt2e(prepared)
    frozen = [tensor.numpy() for key, tensor in sorted(
        ((key, tensor) for key, tensor in converted.state_dict().items() if key.startswith("_frozen_param")),
        key=lambda item: int(item[0].removeprefix("_frozen_param")))]
    assert len(frozen) == len(names)
    for key, integers in zip(names, frozen):
        np.testing.assert_array_equal(weights[key], integers, err_msg=key)
