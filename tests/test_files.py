"""Files as users have them: pipes, links, devices, files that change; nothing foreign runs, nothing is lost."""

import io
import os
import pickle
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401: registers the operators

DYNAMIC = ["--recipe", "xnnpack_pt2e_int8_dynamic_per_channel"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).eval()
    sample = torch.randn(2, 8)
    torch.export.save(torch.export.export(model, (sample,)), folder / "model.pt2")
    np.save(folder / "sample.npy", sample.numpy())
    return folder


@pytest.fixture
def model(folder, tmp_path):
    return Path(shutil.copy(folder / "model.pt2", tmp_path / "model.pt2"))


def refused(done, status, *words):
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def commands_reading(path, folder):
    model, sample = folder / "model.pt2", folder / "sample.npy"
    static = ["--recipe", "xnnpack_pt2e_int8_static_per_channel"]
    out = folder / "never.pte"
    yield ["build", path, "-o", out, *DYNAMIC]
    yield ["lower", path, "-o", out, "--backend", "xnnpack"]
    yield ["inspect", path]
    yield ["run", path, "--input", sample]
    yield ["compare", path, model, "--data", sample]
    yield ["run", model, "--input", path]
    yield ["compare", model, model, "--data", path]
    yield ["compare", model, model, "--data", sample, "--labels", path]
    yield ["build", model, "-o", out, *static, "--calibrate", path]
    yield ["build", model, "-o", out, *static, "--plan", path]


def test_a_pipe_is_never_waited_for(intaglio, folder, tmp_path):
    for suffix in (".pt2", ".npy", ".json", ".pte"):
        pipe = tmp_path / f"pipe{suffix}"
        os.mkfifo(pipe)
        for command in commands_reading(pipe, folder):
            done = intaglio(*command, check=False)
            assert done.returncode in (1, 2) and done.stderr.count("\n") == 1, (command, done.stderr)
        recipe = intaglio("build", folder / "model.pt2", "-o", tmp_path / "x.pte", "--recipe", pipe, check=False)
        assert recipe.returncode in (1, 2), recipe.stderr


@pytest.mark.parametrize("command", ["build", "quantize", "lower"])
def test_outputs_go_onto_regular_files_alone(intaglio, model, tmp_path, command):
    kind = ".pt2" if command == "quantize" else ".pte"
    extra = ["--backend", "xnnpack"] if command == "lower" else DYNAMIC
    pipe, device, circle = tmp_path / f"pipe{kind}", tmp_path / f"null{kind}", tmp_path / f"circle{kind}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    circle.symlink_to(circle)
    for target, word in ((pipe, "pipe"), (device, "device"), (circle, "circle")):
        refused(intaglio(command, model, "-o", target, *extra, check=False), 1, word)
    assert pipe.is_fifo() and Path("/dev/null").is_char_device() and circle.is_symlink()


def test_a_link_stays_and_what_it_names_is_made(intaglio, model, tmp_path):
    (tmp_path / "real").mkdir()
    dangling, second = tmp_path / "out.pte", tmp_path / "first.pte"
    dangling.symlink_to("first.pte")
    second.symlink_to("real/out.pte")
    intaglio("build", model, "-o", dangling, *DYNAMIC)
    assert dangling.is_symlink() and second.is_symlink() and (tmp_path / "real" / "out.pte").is_file()


def test_an_output_is_no_input_of_the_same_run(intaglio, folder, model, tmp_path):
    before = model.read_bytes()
    link = tmp_path / "link.pt2"
    link.symlink_to(model)
    hard = tmp_path / "hard.pt2"
    os.link(model, hard)
    sample = Path(shutil.copy(folder / "sample.npy", tmp_path / "sample.npz"))
    for arguments in (
        ["quantize", model, "-o", model, *DYNAMIC],
        ["quantize", model, "-o", link, *DYNAMIC],
        ["quantize", hard, "-o", model, *DYNAMIC],
        ["build", model, "-o", tmp_path / "a.pte", *DYNAMIC, "--save-plan", model],
        ["build", model, "-o", tmp_path / "a.pte", *DYNAMIC, "--save-plan", tmp_path / "a.pte"],
        ["run", model, "--input", sample, "-o", sample],
    ):
        refused(intaglio(*arguments, check=False), 2, "of this command")
    assert model.read_bytes() == before and not (tmp_path / "a.pte").exists()


@pytest.mark.parametrize("command", ["build", "quantize"])
def test_an_output_is_no_file_of_an_input_folder(intaglio, folder, model, tmp_path, command):
    calib, outside = tmp_path / "calib", tmp_path / "outside.npy"
    calib.mkdir()
    for path in (outside, calib / "000.npy", calib / "plan.json"):
        shutil.copy(folder / "sample.npy", path)
    (calib / "001.npy").symlink_to(outside)
    before = outside.read_bytes()
    out = tmp_path / ("out.pt2" if command == "quantize" else "out.pte")
    static = [command, model, "-o", out, "--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", calib, "--save-plan"]
    for target in (calib / "000.npy", calib / "001.npy", outside):
        refused(intaglio(*static, target, check=False), 2, "of this command")
    assert outside.read_bytes() == before and (calib / "000.npy").read_bytes() == before and not out.exists()
    intaglio(*static, calib / "plan.json")  # which nothing reads


def test_an_output_is_no_file_of_a_language_models_folder(intaglio, model, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for command in (
        ["build", model, "-o", tmp_path / "out.pte", *DYNAMIC, "--save-plan", tmp_path / "config.json"],
        ["lower", model, "-o", tmp_path / "config.json.pte", "--backend", "xnnpack"],
    ):
        (tmp_path / "config.json.pte").unlink(missing_ok=True)
        (tmp_path / "config.json.pte").symlink_to("config.json")
        refused(intaglio(*command, "--llm", tmp_path, check=False), 2, "of this command")
    assert (tmp_path / "config.json").read_text() == "{}"


def test_dumps_go_onto_regular_files_alone(intaglio, model, tmp_path):
    dump, lower = tmp_path / "dump", ["lower", model, "-o", tmp_path / "out.pte", "--backend", "xnnpack", "--dump", tmp_path / "dump"]
    intaglio(*lower)
    first, second = sorted(dump.iterdir())[:2]
    for path in (first, second):
        path.unlink()
    os.mkfifo(first)
    refused(intaglio(*lower, check=False), 1, first.name, "pipe")
    first.unlink()
    second.symlink_to("/dev/null")
    refused(intaglio(*lower, check=False), 1, "device")
    assert first.read_text().startswith("# ")


def test_a_mode_is_kept_without_its_privileges(intaglio, model, tmp_path):
    target = tmp_path / "out.pte"
    target.write_bytes(b"")
    target.chmod(0o6750)
    intaglio("build", model, "-o", target, *DYNAMIC)
    assert target.stat().st_mode & 0o7777 == 0o750


def test_what_killed_runs_left_is_removed_and_what_others_hold_is_not(intaglio, model, tmp_path):
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    abandoned = tmp_path / f".out.pte.{ended}.0.tmp"
    held = tmp_path / f".out.pte.{os.getpid()}.0.tmp"
    other = tmp_path / ".out.pte.notes.tmp"
    for path in (abandoned, held, other):
        path.write_bytes(b"half")
    intaglio("build", model, "-o", tmp_path / "out.pte", *DYNAMIC)
    assert not abandoned.exists() and held.exists() and other.exists()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    torch.manual_seed(1)
    model = torch.nn.Sequential(*[torch.nn.Linear(2048, 2048) for _ in range(12)]).eval()
    torch.export.save(torch.export.export(model, (torch.randn(1, 2048),)), folder / "model.pt2")
    return folder / "model.pt2"


@pytest.mark.parametrize("change", ["cut", "overwrite"])
def test_an_input_that_changes_is_found(build, large, tmp_path, change):
    seen = 0
    for delay in (0.01, 0.03, 0.06, 0.1):
        model, out = tmp_path / "model.pt2", tmp_path / "out.pte"
        shutil.copy(large, model)
        size = model.stat().st_size
        process = subprocess.Popen([build / "intaglio", "build", model, "-o", out, *DYNAMIC], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        time.sleep(delay)
        if process.poll() is None:
            with open(model, "r+b") as file:
                if change == "cut":
                    file.truncate(size // 3)
                else:
                    file.seek(size // 2)
                    file.write(os.urandom(1 << 16))
        error = process.communicate()[1]
        assert process.returncode in (0, 1), (process.returncode, error)
        if process.returncode == 1:
            seen += 1
            assert error.count("\n") == 1 and str(model) in error, error
            assert not out.exists()
        out.unlink(missing_ok=True)
    assert seen >= 1


ENDING = "INT TERM QUIT ALRM USR1 XCPU ABRT SEGV BUS"


@pytest.mark.parametrize("number", [signal.Signals[f"SIG{name}"] for name in ENDING.split()])
def test_a_run_that_is_told_to_end_leaves_nothing(build, large, tmp_path, number):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    np.save(tmp_path / "x.npy", np.zeros((1, 2048), np.float32))
    command = [build / "intaglio", "run", large, "--input", tmp_path / "x.npy", "--numerics", "integer", "--repeat", "1000000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a shell's background job ignores SIGINT, and hands that on
    )
    deadline = time.time() + 20
    while not list(scratch.iterdir()) and time.time() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == -number and error.count("\n") == 1 and number.name in error, error
    assert not list(scratch.iterdir())


class Planted:
    def __reduce__(self):
        return os.system, ("touch planted",)


def test_pickles_do_not_travel(intaglio, model, tmp_path):
    source, out = tmp_path / "carrier.pt2", tmp_path / "out.pt2"
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(source, "w") as new:
        root = old.namelist()[0].split("/")[0]
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, pickle.dumps(Planted()) if name.endswith("sample_inputs/model.pt") else content)
        new.writestr(f"{root}/data/aotinductor/model/code.so", b"\x7fELF")
        new.writestr(f"{root}/data/more.pkl", pickle.dumps(Planted()))
        new.writestr(f"{root}/extra/note.txt", "kept")
        for protocol in (0, 4):
            new.writestr(f"{root}/extra/more{protocol}", pickle.dumps(Planted(), protocol))
        torch.save(Planted(), saved := io.BytesIO())
        new.writestr(f"{root}/extra/saved.pt", saved.getvalue())
    done = intaglio("quantize", source, "-o", out, *DYNAMIC)
    assert "left out" in done.stdout and "more.pkl" in done.stdout
    with zipfile.ZipFile(out) as archive:
        names = [name.split("/", 1)[1] for name in archive.namelist()]
        assert [name for name in names if name.startswith("extra/")] == ["extra/note.txt"]
        assert "data/more.pkl" not in names and not any("aotinductor" in name for name in names)
        assert not any(b"touch planted" in archive.read(name) for name in archive.namelist())
    torch.export.load(out)
    assert not Path("planted").exists()


def test_a_copied_binary_runs_no_foreign_runner(build, folder, tmp_path):
    planted = tmp_path / "a" / "lib" / "intaglio"
    planted.mkdir(parents=True)
    (tmp_path / "a" / "CMakeCache.txt").write_text("")
    runner = planted / "intaglio-runner"
    runner.write_text("#!/bin/sh\ntouch \"$(dirname $0)/ran\"\n")
    runner.chmod(0o755)
    home = tmp_path / "a" / "b" / "c"
    home.mkdir(parents=True)
    copy = Path(shutil.copy(build / "intaglio", home / "intaglio"))
    shutil.copy(runner, home / "intaglio-runner")
    pte = tmp_path / "m.pte"
    subprocess.run([build / "intaglio", "build", folder / "model.pt2", "-o", pte, *DYNAMIC], check=True, capture_output=True)
    done = subprocess.run([copy, "run", pte, "--input", folder / "sample.npy"], capture_output=True, text=True)
    assert done.returncode == 1 and "intaglio-runner" in done.stderr
    assert not (planted / "ran").exists() and not (home / "ran").exists()


def test_terminals_get_no_control_bytes(intaglio, model, tmp_path):
    bad = "x\x1b]0;t\x07\x7f\u0085"
    out = tmp_path / f"{bad}.pte"
    for done in (
        intaglio("build", model, "-o", out, *DYNAMIC),
        intaglio("build", model, "-o", out, *DYNAMIC, "--json"),
        intaglio("build", model, "-o", out, "--recipe", bad, check=False),
        intaglio("inspect", out),
        intaglio("lower", model, "-o", out, "--backend", "xnnpack"),
        intaglio("quantize", model, "-o", tmp_path / f"{bad}.pt2", *DYNAMIC),
    ):
        text = done.stdout + done.stderr
        assert text and not any(ord(c) < 0x20 and c != "\n" or 0x7F <= ord(c) < 0xA0 for c in text), repr(text)


@pytest.mark.parametrize("operator", ["copy.Dict_int", "dict.default", "get_gradients.default", "keys.str", "_set_item.int", "__getitem__.t"])
def test_an_operator_of_torchscript_is_a_fault_of_the_file(intaglio, model, tmp_path, operator):
    damaged = tmp_path / "damaged.pt2"
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(damaged, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith("models/model.json"):
                assert b"torch.ops.aten.relu.default" in data
                data = data.replace(b"torch.ops.aten.relu.default", f"torch.ops.aten.{operator}".encode())
            new.writestr(item, data)
    for command in (["build", damaged, "-o", tmp_path / "out.pte", *DYNAMIC], ["lower", damaged, "-o", tmp_path / "out.pte", "--backend", "xnnpack"]):
        done = intaglio(*command, check=False)
        refused(done, 1)
        assert "damaged.pt2" in done.stderr or f"aten.{operator} 'relu'" in done.stderr
    assert intaglio("inspect", damaged, check=False).returncode in (0, 1)
