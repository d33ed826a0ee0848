"""What each layer's quantization costs, beside torchao in Python: layers times images a CPU second, one thread.

    .venv/bin/python bench/sensitivity.py --build build

On EfficientNet-Lite0. Ours is `compare --sensitivity` of all layers; theirs two programs for each of some layers, this one alone
quantized and all but this one, from `prepare_pt2e` to the images' outputs. bench/run.py puts the row in its table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]
from run import RECIPE, measured  # noqa: E402

IMAGES = 8
THEIR_LAYERS = ("conv2d_3", "conv2d_20", "linear")  # near the input, in the middle, the last


def ours(intaglio, folder, name):
    samples = folder / "images"
    program, quantized = folder / f"{name}.pt2", folder / "int8.pt2"
    subprocess.run([intaglio, "quantize", program, "-o", quantized, "--recipe", RECIPE, "--calibrate", samples, "--quiet"], check=True)
    compare = [intaglio, "compare", program, quantized, "--data", samples, "--sensitivity", "--json", "--threads", "1"]
    _, cpu, _, output = measured(compare)
    return len(json.loads(output)["layers"]) * IMAGES / cpu


def theirs(folder, name):
    import numpy as np
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.set_num_threads(1)
    program = torch.export.load(folder / f"{name}.pt2")
    samples = [torch.from_numpy(np.load(path)) for path in sorted((folder / "images").iterdir())]
    start = time.process_time()
    for layer in THEIR_LAYERS:
        for wanted in (lambda node: node == layer, lambda node: node != layer):
            quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
            quantizer.set_filter_function(lambda node: node.op != "call_function" or wanted(node.name))
            prepared = prepare_pt2e(program.module(), quantizer)
            prepared(samples[0])
            converted = convert_pt2e(prepared)
            outputs = [converted(sample) for sample in samples]
            assert all(torch.isfinite(output).all() for output in outputs)
    return len(THEIR_LAYERS) * IMAGES / (time.process_time() - start)


def main():
    import torch
    from cases import networks

    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    arguments = parser.parse_args()
    name = "efficientnet_lite0"
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        folder = Path(scratch)
        networks.write(folder, name)
        (folder / "images").mkdir()
        images = sorted((folder / name / "calibration").iterdir()) + sorted((folder / name / "test").iterdir())
        for index, path in enumerate(images[:IMAGES]):
            path.rename(folder / "images" / f"{index}.npy")
        assert len(images) >= IMAGES
        mine, their = ours(arguments.build / "intaglio", folder, name), theirs(folder, name)
    print(f"{name}: what each layer costs, layers x images a CPU s, {IMAGES} images | {mine:.1f} | {their:.2f} | {mine / their:.0f}")


if __name__ == "__main__":
    main()
