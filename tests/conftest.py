"""Shared by the oracle tests: where the build is, how the command is called, the shared models on disk."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]


@pytest.fixture(scope="session")
def build() -> Path:
    folder = Path(os.environ.get("INTAGLIO_BUILD", ROOT / "build"))
    assert (folder / "intaglio").exists(), f"{folder} holds no build: run `make`"
    return folder


@pytest.fixture(scope="session")
def intaglio(build):
    """Calls the command: intaglio("build", ...) -> CompletedProcess; check=False to look at failures."""

    def call(*arguments, check=True, **options):
        command = [str(build / "intaglio"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
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
    """shared_model(name) -> folder with NAME.pt2 and NAME/{calibration,test}/*.npy, exported once a build."""
    script = ROOT / "tests" / "oracle_models.py"
    folder = build / "models" / hashlib.sha256(script.read_bytes()).hexdigest()[:12]

    def get(name: str) -> Path:
        if not (folder / f"{name}.pt2").exists():
            import oracle_models

            oracle_models.write(folder, name, test=16)
        return folder

    return get
