"""Real models from `.pt2` to `.pte`, beside what torchao and ExecuTorch reach (tests/records/models.json)."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORD = json.loads((ROOT / "tests" / "records" / "models.json").read_text())
STATIC = ["xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"]
# Half a decibel: the float engines differ in their last bits, so the calibrated ranges do.
SQNR_MARGIN_DB = 0.5


def sqnr(reference, candidate):
    noise = ((reference.astype(np.float64) - candidate) ** 2).sum()
    return np.inf if noise == 0 else 10 * np.log10((reference.astype(np.float64) ** 2).sum() / noise)


class Setup:
    """A model with the record's own inputs, run in float by PyTorch."""

    def __init__(self, name, folder):
        import oracle_models
        import torch
        from make_records.models import digest

        model, inputs = oracle_models.MODELS[name]()
        self.record = RECORD["models"][name]
        self.calibration = inputs(RECORD["calibration"], oracle_models.CALIBRATION_SEED)
        self.test = inputs(RECORD["test"], oracle_models.TEST_SEED)
        assert digest(self.calibration) == self.record["calibration_sha256"], "other inputs than the record's"
        assert digest(self.test) == self.record["test_sha256"], "other inputs than the record's"
        self.program = folder / f"{name}.pt2"
        torch.export.save(torch.export.export(model, self.calibration[0]), self.program)
        for split, samples in (("calibration", self.calibration), ("test", self.test)):
            (folder / split).mkdir()
            for index, (sample,) in enumerate(samples):
                np.save(folder / split / f"{index:03}.npy", sample.numpy())
        self.folder = folder
        with torch.no_grad():
            self.reference = np.concatenate([model(*sample).numpy() for sample in self.test])
        # Neither zero nor constant, and not the same for every input.
        assert self.reference.std(axis=0).mean() > 0.3 * self.reference.std() > 0.01


@pytest.fixture(scope="module", params=list(RECORD["models"]))
def setup(request, tmp_path_factory):
    return Setup(request.param, tmp_path_factory.mktemp(request.param))


def run_on_stock_runtime(path, samples):
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")
    return np.concatenate([method.execute(list(sample))[0].numpy() for sample in samples])


def agreement(reference, candidate):
    return (reference.argmax(-1) == candidate.argmax(-1)).mean()


def closeness(converted, setup, outputs, margin=2):
    """How near, in dB, another engine must come to PyTorch's `outputs` of a converted program.

    Where the last bits of a sum move a value over a rounding boundary the difference is a quantization step, and deep networks
    multiply such steps: PyTorch's own results without oneDNN are as far from those with it as ExecuTorch's `.pte`. Where that does
    not happen, two engines agree better than either does with the float model.
    """
    import torch

    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        again = np.concatenate([converted(*sample).numpy() for sample in setup.test[: len(outputs)]])
    return min(sqnr(outputs, again) - margin, sqnr(setup.reference[: len(outputs)], outputs) + 2.5)


def check_lowering(document, recorded):
    (method,) = document["methods"]
    assert len(method["delegates"]) <= recorded["delegates"]
    assert len(method["leftover_ops"]) <= len(recorded["leftover_kernels"]), method["leftover_ops"]
    assert document["bytes"] <= recorded["pte_bytes"]


@pytest.mark.parametrize("recipe", STATIC)
def test_static_int8_is_as_good_as_the_oracles(setup, recipe, document):
    recorded = setup.record["recipes"][recipe]
    pte = setup.folder / f"{recipe}.pte"
    built = document("build", setup.program, "-o", pte, "--recipe", recipe, "--calibrate", setup.folder / "calibration")
    assert built["calibration_samples"] == RECORD["calibration"]
    outputs = run_on_stock_runtime(pte, setup.test)
    assert len(np.unique(outputs)) > 50
    assert sqnr(setup.reference, outputs) >= recorded["pte_sqnr_db"] - SQNR_MARGIN_DB
    # One disagreement of the test inputs more is within what the last bits of a calibration move; test_agreement.py has
    # thousands of inputs.
    assert agreement(setup.reference, outputs) >= recorded["pte_top1_agreement"] - 1.5 / len(setup.test)
    check_lowering(built, recorded)


def test_converted_program_runs_in_pytorch(setup, intaglio):
    import torch
    import torchao.quantization.pt2e  # noqa: F401  registers the quantized operators

    recipe = STATIC[0]
    recorded = setup.record["recipes"][recipe]
    out = setup.folder / "converted.pt2"
    intaglio("quantize", setup.program, "-o", out, "--recipe", recipe, "--calibrate", setup.folder / "calibration")
    module = torch.export.load(out).module()
    with torch.no_grad():
        outputs = np.concatenate([module(*sample).numpy() for sample in setup.test])
    assert sqnr(setup.reference, outputs) >= recorded["pt2_sqnr_db"] - SQNR_MARGIN_DB

    own = setup.folder / "own.npz"
    intaglio("run", out, "--input", setup.folder / "test" / "000.npy", "-o", own)
    own_outputs = np.load(own)["arr_0"]
    assert sqnr(outputs[:1], own_outputs) >= closeness(module, setup, outputs[:1])


def test_a_program_that_torchao_quantized_lowers_to_the_same_numbers(setup, document):
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    with torch.no_grad():
        prepared = prepare_pt2e(torch.export.load(setup.program).module(), quantizer)
        for sample in setup.calibration:
            prepared(*sample)
        converted = convert_pt2e(prepared)
        archive = setup.folder / "torchao.pt2"
        torch.export.save(torch.export.export(converted, setup.calibration[0]), archive)
        expected = np.concatenate([converted(*sample).numpy() for sample in setup.test[:8]])
    pte = setup.folder / "torchao.pte"
    lowered = document("lower", archive, "-o", pte, "--backend", "xnnpack")
    assert len(lowered["methods"][0]["delegates"]) <= setup.record["recipes"][STATIC[0]]["delegates"]
    outputs = run_on_stock_runtime(pte, setup.test[:8])
    # XNNPACK rounds biases too, in ExecuTorch's program as in ours: the two are bit-equal (test_agreement.py).
    assert sqnr(expected, outputs) >= closeness(converted, setup, expected, margin=4)

    if setup.program.stem == "small_encoder":  # the one that ExecuTorch lowers in seconds
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        edge = to_edge_transform_and_lower(torch.export.load(archive), partitioner=[XnnpackPartitioner()])
        theirs = setup.folder / "theirs.pte"
        theirs.write_bytes(edge.to_executorch().buffer)
        np.testing.assert_array_equal(outputs, run_on_stock_runtime(theirs, setup.test[:8]))


def test_fp32_is_as_good_as_the_oracle(setup, document):
    recorded = setup.record["recipes"]["xnnpack_fp32"]
    pte = setup.folder / "fp32.pte"
    built = document("build", setup.program, "-o", pte, "--recipe", "xnnpack_fp32")
    outputs = run_on_stock_runtime(pte, setup.test[:8])
    np.testing.assert_allclose(outputs, setup.reference[:8], rtol=0, atol=2e-4 * np.abs(setup.reference).max())
    check_lowering(built, recorded)
