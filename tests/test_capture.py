"""docs/capture.md does what it says: its Python runs in order, what it calls failing fails, its files lower."""

import os
import re
import sys
import types

import pytest

from oracle.build import ROOT

PAGE = ROOT / "docs" / "capture.md"
BLOCK = re.compile(r"^```python(?: fails=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What lowering refuses, and the words of the page that say so.
REFUSED = {"custom.pt2": "example.swish.default"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Runs the page's blocks; the folder with the archives they saved."""
    folder = tmp_path_factory.mktemp("capture")
    source = folder / "model.py"  # torch reads the source of what it traces
    module = types.ModuleType("capture_page")  # strict export looks classes up by their module
    sys.modules["capture_page"] = module
    names, before = vars(module), os.getcwd()
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 15 and sum(bool(expected) for expected, _ in blocks) >= 4
    os.chdir(folder)
    try:
        for expected, code in blocks:
            source.write_text(code)
            compiled = compile(code, str(source), "exec")
            if not expected:
                exec(compiled, names)
                continue
            with pytest.raises(Exception) as raised:
                exec(compiled, names)
            assert type(raised.value).__name__ == expected, raised.value
            page = PAGE.read_text()
            stated = re.search(r"^`([^`]*?)(?: \.\.\. [^`]*)?`", page[page.index(code) + len(code) + 4 :].lstrip("\n"))
            assert stated and stated.group(1) in str(raised.value), (stated, raised.value)
    finally:
        os.chdir(before)
        del sys.modules["capture_page"]
    return folder


def test_the_short_version_ends_in_a_file(archives, intaglio):
    """The page's commands, in its folder."""
    commands = re.findall(r"^intaglio (\w+ net\.pt2.*?)(?:  +#.*)?$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        intaglio(*command.split(), cwd=archives)
    assert (archives / "net.pte").stat().st_size > 1000


def test_archives_lower(archives, intaglio, tmp_path):
    files = sorted(archives.glob("*.pt2"))
    assert {"net.pt2", "dynamic.pt2", "positions.pt2", "head.pt2", "counter.pt2"} <= {file.name for file in files}
    for file in files:
        done = intaglio("lower", file, "-o", tmp_path / "out.pte", "--backend", "xnnpack", check=False)
        if file.name in REFUSED:
            assert done.returncode == 1 and REFUSED[file.name] in done.stderr
        else:
            assert done.returncode == 0, done.stderr


def test_decomposed_programs_are_worse_to_quantize(archives, document):
    recipe = ("--recipe", "xnnpack_pt2e_int8_static_per_channel")
    shares = {name: document("inspect", archives / f"{name}.pt2", *recipe)["quantization"]["quantized_share"] for name in ("net", "decomposed")}
    assert shares["net"] > 0.9 and shares["decomposed"] < 0.1


def test_what_intaglio_refuses_of_a_capture(archives, intaglio, tmp_path):
    """Training mode, and a size without a maximum: the words of the page's table."""
    import torch
    from torch import nn
    from torch.export import Dim

    training = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    torch.export.save(torch.export.export(training, (torch.randn(2, 3, 8, 8),)), tmp_path / "training.pt2")
    unbounded = torch.export.export(nn.ReLU(), (torch.randn(2, 3),), dynamic_shapes={"input": {0: Dim("batch")}})
    torch.export.save(unbounded, tmp_path / "unbounded.pt2")
    class Sum(nn.Module):
        def forward(self, x):
            return x + x

    for dtype in (torch.uint16, torch.int16):  # a type that no kernel of the runtime adds, and one that it does
        torch.export.save(torch.export.export(Sum(), (torch.ones(4, dtype=dtype),)), tmp_path / f"{dtype}.pt2")
    intaglio("lower", tmp_path / "torch.int16.pt2", "-o", tmp_path / "int16.pte", "--backend", "xnnpack")
    refused = (("training", "call eval() before the export"), ("unbounded", "Dim(..., max=N)"), ("torch.uint16", "of uint16 where its kernel takes"))
    for name, words in refused:
        done = intaglio("lower", tmp_path / f"{name}.pt2", "-o", tmp_path / "out.pte", "--backend", "xnnpack", check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert not (tmp_path / "out.pte").exists()
