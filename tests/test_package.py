"""The installed tree: a program built against its CMake package, and the command without the SDK's wheel."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"
CMAKE = ROOT / ".venv" / "bin" / "cmake"


def call(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    call(CMAKE, "--install", build, "--prefix", folder)
    return folder


def test_the_documented_flow_builds_out_of_tree(prefix, build, intaglio, tmp_path):
    call(CMAKE, "-S", ROOT / "examples", "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    call(CMAKE, "--build", tmp_path / "build")
    quantized, pte = tmp_path / "digits_int8.pt2", tmp_path / "digits_int8.pte"
    call(tmp_path / "build" / "xnnpack_static", DIGITS / "digits.pt2", DIGITS / "calibration", quantized, pte)

    # The same as the command makes.
    recipe = ("--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", DIGITS / "calibration")
    intaglio("build", DIGITS / "digits.pt2", "-o", tmp_path / "command.pte", *recipe)
    assert pte.read_bytes() == (tmp_path / "command.pte").read_bytes()

    import torch
    import torchao.quantization.pt2e  # noqa: F401  registers the quantized operators

    sample = np.load(DIGITS / "test" / "00.npy")
    outputs = torch.export.load(quantized).module()(torch.from_numpy(sample)).detach().numpy()
    labels = np.load(DIGITS / "test_labels.npy")[: len(sample)]
    assert (outputs.argmax(1) == labels).mean() >= 0.9


def test_only_the_public_names_are_exported(prefix):
    library = next(prefix.glob("lib*/**/libintaglio.so"))
    names = call("nm", "-D", "--defined-only", "-C", library).splitlines()
    assert any("intaglio::convert_pt2e" in name for name in names)
    # The runtime brings another layout of these; only functions of ours may mention them.
    assert not [name for name in names if "flatbuffer" in name and "intaglio::" not in name]


def test_the_installed_command_needs_no_python(prefix, tmp_path):
    """Runs where the virtual environment cannot be seen: another mount namespace has an empty folder in its place."""
    out = tmp_path / "digits.pte"
    command = prefix / "bin" / "intaglio"
    script = f"""
        mount -t tmpfs none '{ROOT}/.venv' && [ -z "$(ls -A '{ROOT}/.venv')" ] &&
        '{command}' build '{DIGITS}/digits.pt2' -o '{out}' --recipe xnnpack_fp32 --quiet &&
        '{command}' compare '{DIGITS}/digits.pt2' '{out}' --data '{DIGITS}/test' --json
    """
    hidden = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    if hidden.returncode == 0:
        environment = {"PATH": os.environ["PATH"]}
        assert '"sqnr_db": 1' in call("unshare", "-rm", "sh", "-c", script, env=environment)
    # What the loader would look for says the same, with or without the right to mount.
    for path in [command, *prefix.glob("lib*/intaglio/*")]:
        dynamic = call("readelf", "-d", path)
        paths = [line for line in dynamic.splitlines() if "RUNPATH" in line or "RPATH" in line]
        assert not any(".venv" in line or "site-packages" in line for line in paths), (path, paths)
