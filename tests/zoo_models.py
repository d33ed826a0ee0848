"""The torchvision models (those of ExecuTorch's model suite) and fifteen of timm's families, seeded, smallest first.

    python tests/zoo_models.py FOLDER [NAME ...]     writes FOLDER/NAME.pt2, FOLDER/NAME/{calibration,test}/*.npy

Weights are random, so everything that an untrained model keeps near zero is given a size that a trained one would have:
matrices keep the variance of what goes through them, layer scales lie near one half, batch norms hold the statistics of
structured images.
"""

import sys
from pathlib import Path

import oracle_models
import torch
from torch import nn


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
ZOO = {
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


def settle(model: nn.Module, size: int) -> nn.Module:
    """Like oracle_models.settle_batch_norms, with everything but the batch norms as it is in use."""
    generator = torch.Generator().manual_seed(1)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = 0.5
        with torch.no_grad():
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.uniform_(-0.3, 0.3, generator=generator)
    with torch.no_grad():
        for step in range(4 if norms else 0):
            model(oracle_models.structured_images(8, size, 10 + step))
    return model.eval()


def make(name: str):
    """The model, and inputs(count, seed) -> list of argument tuples."""
    constructor, size = ZOO[name]
    torch.manual_seed(0)
    model = constructor().eval()
    enliven(model)
    settle(model, size)
    return model, lambda count, seed: [(image[None],) for image in oracle_models.structured_images(count, size, seed)]


if __name__ == "__main__":
    oracle_models.MODELS.update({name: (lambda name=name: make(name)) for name in ZOO})
    for chosen in sys.argv[2:] or ZOO:
        oracle_models.write(Path(sys.argv[1]), chosen)
