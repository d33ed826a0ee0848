"""Shared by the tests: where the build is, how the command is called, the shared models on disk."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "bench")]

from oracle.build import BUILD, TESTS  # noqa: E402


@pytest.fixture(scope="session")
def build() -> Path:
    assert (BUILD / "intaglio").exists(), f"{BUILD} holds no build: run `make`"
    return BUILD


def find_no_range_outside(arguments) -> None:
    """No `.pte` of the default finds a range at run time for a layer that computes in float: torchao's does."""
    words = [str(argument) for argument in arguments]
    if "-o" not in words or any("torchao" in Path(word).read_text() for word in words if word.endswith(".json")):
        return
    pte = Path(words[words.index("-o") + 1])
    if pte.suffix == ".pte" and pte.exists() and "compat=torchao" not in words:
        assert b"quantized_decomposed::choose_qparams" not in pte.read_bytes(), f"{words}: a range is found outside a delegate"


@pytest.fixture(scope="session")
def intaglio(build):
    """Calls the command: intaglio("build", ...) -> CompletedProcess; check=False to look at failures."""

    def call(*arguments, check=True, ranges_outside=False, timeout=300, **options):
        command = [str(build / "intaglio"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
        if done.returncode == 0 and not ranges_outside:  # that the program itself finds
            find_no_range_outside(arguments)
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
        return done

    return call


@pytest.fixture(scope="session")
def document(intaglio):
    """Calls the command with --json and gives the document."""
    return lambda *arguments: json.loads(intaglio(*arguments, "--json").stdout)


@pytest.fixture(scope="session")
def shared_model(build):
    """shared_model(name) -> folder with NAME.pt2 and NAME/{calibration,test}/*.npy, exported once a build: of networks.SHARED or ZOO."""
    source = b"".join((TESTS / "cases" / f"{name}.py").read_bytes() for name in ("__init__", "networks"))
    folder = build / "models" / hashlib.sha256(source).hexdigest()[:12]

    def get(name: str) -> Path:
        if not (folder / f"{name}.pt2").exists():
            from cases import networks

            networks.write(folder, name, test=16)
        return folder

    return get
