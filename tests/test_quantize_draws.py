"""`quantize_` beside torchao's on drawn layers: the same integers, scales, zero points, graph and outputs; a line where torchao has none.

A failure names its seed; `drawn(seed)` of tests/quantize_draws.py makes that program again.
"""

import warnings

import pytest
import torch

from cases import leaves
from oracle.build import NIGHTLY
from quantize_draws import CODEBOOK, drawn, is_refused, quantized_by_torchao
from test_quantize_api import graph_of, recipe

SEEDS = range(400) if NIGHTLY else range(4)


def bits(tensor):
    """Equal also where two are NaN, unequal where the sign of a zero differs."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def squared_error(weight, state, name, config):
    codes, book = (state[f"{name}.parametrizations.weight.original{i}"] for i in (0, 1))
    made = torch.ops.quant.dequantize_codebook(codes.int(), book, int(config["dtype"][4:]), config["block_size"])
    return ((made.double() - weight.double()) ** 2).sum()


def same_parameters(ours, oracle, draw):
    """Of each layer; those of tied weights may stand under the other's name."""
    for name, config in draw.configs.items():
        prefix = f"{name}.parametrizations.weight.original"
        weight = draw.model.get_submodule(name).weight
        if prefix + "0" not in ours:
            twin = name[: -len("second")] + "first"
            assert name.endswith("second") and config == draw.configs[twin], name
            continue
        for index in range(2 if config["quantize_"] == CODEBOOK else 3):
            mine, other = ours[f"{prefix}{index}"], oracle[f"{prefix}{index}"]
            assert mine.dtype == other.dtype and mine.shape == other.shape, (name, index, mine.shape, other.shape)
            if config["quantize_"] != CODEBOOK:
                differing = (bits(mine) != bits(other)).sum().item()
                assert differing == 0, f"{draw.texts[name]}: part {index}: {differing} bytes of {mine.numel()} elements differ"
        if config["quantize_"] == CODEBOOK:
            mine, other = (squared_error(weight, state, name, config) for state in (ours, oracle))
            assert mine <= other * (1 + 1e-9) + 1e-12, f"{draw.texts[name]}: {mine} > {other}"


def same_outputs(ours, oracle, draw):
    """But where a code book decides. PyTorch's sums go by where a weight lies in memory, in the last bits."""
    with_book = {name.split(".")[1] for name, config in draw.configs.items() if config["quantize_"] == CODEBOOK}
    for number, (mine, other) in enumerate(zip(ours, oracle, strict=True)):
        if str(number) not in with_book:
            for a, b in zip(leaves(mine), leaves(other), strict=True):
                a, b = a.nan_to_num(7, 7, 7), b.nan_to_num(7, 7, 7)
                assert a.dtype == b.dtype
                off = (a.double() - b.double()).abs().max() if a.numel() else 0
                assert off <= 8 * torch.finfo(a.dtype).eps * b.double().abs().max(), f"layer {number}"


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_layers_are_torchaos(intaglio, tmp_path, seed):
    draw = drawn(seed)
    source, target = tmp_path / "float.pt2", tmp_path / "quantized.pt2"
    torch.export.save(torch.export.export(draw.model, draw.inputs), source)
    command = ("quantize", source, "-o", target, "--recipe", tmp_path / "recipe.json")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        refused = [name for name, config in draw.configs.items() if is_refused(draw.model, name, config)]
        for name in refused:
            recipe(tmp_path / "recipe.json", *draw.rules(only=name))
            done = intaglio(*command, check=False)
            assert done.returncode == 1 and done.stderr.count("\n") == 1 and f"layer '{name}'" in done.stderr, f"{draw.texts[name]}: {done.stderr}"
            del draw.configs[name]
        if not draw.configs:
            return
        recipe(tmp_path / "recipe.json", *draw.rules())
        intaglio(*command)
        ours = torch.export.load(target)
        oracle = torch.export.export(quantized_by_torchao(draw.model, draw.configs), draw.inputs)
        same_parameters(ours.state_dict, oracle.state_dict, draw)
        assert graph_of(ours) == graph_of(oracle)
        same_outputs(ours.module()(*draw.inputs), oracle.module()(*draw.inputs), draw)
