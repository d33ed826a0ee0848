"""Prepare and convert against torchao: annotations and sharing as recorded, parameters and weights from the same tensors.

Needs the tool `pt2e_annotate` of the build. Records: tests/records/pt2e, made by tests/make_records/pt2e.py.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pt2e_models

RECORDS = Path(__file__).resolve().parent / "records" / "pt2e"


@pytest.fixture(scope="module")
def annotate(build):
    def call(*arguments):
        done = subprocess.run([str(build / "tests/probes/pt2e_annotate"), *map(str, arguments)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """program(case name) -> (path, program, inputs, record); exported once."""
    made = {}

    def get(name):
        if name not in made:
            path = tmp_path_factory.mktemp(name) / "model.pt2"
            exported, inputs = pt2e_models.export(pt2e_models.CASES[name], path)
            record = json.loads((RECORDS / f"{name}.json").read_text())
            assert pt2e_models.digest(exported) == record["digest"], "another program than the record's"
            made[name] = path, exported, inputs, record
        return made[name]

    return get


@pytest.mark.parametrize("name", pt2e_models.CASES)
def test_annotations_and_sharing_equal_torchaos(name, program, annotate):
    path, _, _, record = program(name)
    ours = annotate(path, *pt2e_models.CASES[name].arguments())
    assert ours["annotations"] == record["annotations"]
    assert ours["observers"] == record["observers"]


def record_observed(prepared, samples, folder):
    """Runs the prepared model; one .npz a sample with every tensor that an observer saw, weights excepted."""
    import torch

    class Recorder(torch.fx.Interpreter):
        def run_node(self, node):
            source = pt2e_models.observed(node)
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


def calibration_samples(name, inputs):
    import torch

    if name in pt2e_models.REAL_MODELS:
        import oracle_models

        return oracle_models.MODELS[name]()[1](3, oracle_models.CALIBRATION_SEED)
    generator = torch.Generator().manual_seed(7)
    return [[torch.randn(x.shape, generator=generator) * (index + 1) for x in inputs] for index in range(4)]


@pytest.mark.parametrize("name", [*pt2e_models.MODELS, *pt2e_models.REAL_MODELS, "small_cnn_per_tensor"])
def test_same_tensors_give_the_same_bits(name, program, annotate, tmp_path):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    case = pt2e_models.CASES[name]
    path, exported, inputs, _ = program(name)
    prepared = prepare_pt2e(exported.module(), pt2e_models.make_quantizer(case))
    record_observed(prepared, calibration_samples(case.model, inputs), tmp_path / "tensors")
    ours = annotate(path, *case.arguments(), "--observe", tmp_path / "tensors", "--weights", tmp_path / "weights.npz")
    assert ours["observers"] == pt2e_models.observers(prepared, with_qparams=True)

    weights = np.load(tmp_path / "weights.npz")
    folded = {f"float:{name}": tensor.detach().numpy() for name, tensor in prepared.state_dict().items()}
    compared = [key for key in weights.files if key in folded]  # torch keeps tied weights under one of their names
    assert compared
    for key in compared:
        np.testing.assert_array_equal(weights[key].view(np.int32), folded[key].view(np.int32), err_msg=key)
    names = [pt2e_models.node_name(pt2e_models.observed(node)) for node in prepared.graph.nodes
             if pt2e_models.is_observer(node) and pt2e_models.observed(node).op == "get_attr"]
    converted = convert_pt2e(prepared)
    frozen = [tensor.numpy() for key, tensor in sorted(
        ((key, tensor) for key, tensor in converted.state_dict().items() if key.startswith("_frozen_param")),
        key=lambda item: int(item[0].removeprefix("_frozen_param")))]
    assert len(frozen) == len(names)
    for key, integers in zip(names, frozen):
        np.testing.assert_array_equal(weights[key], integers, err_msg=key)
