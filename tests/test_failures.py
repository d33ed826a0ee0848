"""What the machine refuses is status 1 and one line: memory, threads, files, places to print to, time."""

import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from failures import COMMANDS, STATIC, Failure, Sweep, Walk, write_inputs

DYNAMIC = ["--recipe", "xnnpack_pt2e_int8_dynamic_per_channel"]


@pytest.fixture(scope="module")
def inputs(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def sweep(inputs, tmp_path_factory):
    return Sweep(inputs, tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_call_that_fails(sweep, command):
    walk = Walk(sweep, command, 7 if command == "build" else 199).go()
    assert not walk.found, "\n".join(map(str, walk.found))
    counts = sweep.counts[command]
    assert counts["malloc"] > 1000 and walk.passed_over == 0 and walk.ended[1] > walk.tried / 2
    assert walk.tried > sum(counts[call] for call in counts if call not in ("malloc", "thread"))


def test_a_thread_that_is_refused(sweep):
    found, tried = sweep.faults(sweep.failures(1, ["thread"]))
    assert not found and tried > 2, "\n".join(map(str, found))


def test_the_calls_do_fail(sweep):
    counts = sweep.counts["build"]
    assert min(counts[call] for call in ("mmap", "thread", "open", "write", "fsync", "rename", "spawn")) > 0
    for threads in (1, 2):
        refused = sweep.run("build", sweep.folder(), Failure("build", "rename", 1).environment(), threads)
        assert refused.returncode == 1 and "cannot be replaced" in refused.stderr


def test_what_is_to_be_raised_is_named(sweep):
    """And nobody is told to install anew what lacks a process or a file to be opened."""
    for command, call, limit in (("run .pte", "spawn", "ulimit -u"), ("run .pte", "socket", "ulimit -n")):
        done = sweep.run(command, sweep.folder(), Failure(command, call, 1).environment(), 1)
        assert done.returncode == 1 and limit in done.stderr and "reinstall" not in done.stderr, (command, call, done.stderr)


def limited(command, folder, limits, **options):
    def limit():
        for which, value in limits.items():
            resource.setrlimit(which, (value, value))

    return subprocess.run(command, cwd=folder, capture_output=True, text=True, preexec_fn=limit, timeout=120, **options)


@pytest.mark.parametrize("megabytes", [70, 90, 110, 140, 180, 400])
def test_little_memory(build, inputs, tmp_path, megabytes):
    for command in COMMANDS.values():
        arguments = [str(tmp_path / word) if word.startswith("out.") else word for word in command]
        done = limited([build / "intaglio", *arguments], inputs, {resource.RLIMIT_AS: megabytes << 20})
        allowed = (0, 1) if megabytes >= 180 else (0, 1, 127)  # 127: the loader got no memory for libraries
        assert done.returncode in allowed, (command, done.returncode, done.stderr)
        assert done.returncode != 1 or done.stderr.count("\n") == 1, (command, done.stderr)


@pytest.mark.parametrize("kilobytes", [24, 64])
def test_a_small_stack(build, inputs, tmp_path, kilobytes):
    """`ulimit -s`; what the loader itself needs apart."""
    for command in COMMANDS.values():
        arguments = [str(tmp_path / word) if word.startswith("out.") else word for word in command]
        done = limited([build / "intaglio", *arguments], inputs, {resource.RLIMIT_STACK: kilobytes << 10})
        assert done.returncode == 0, (command, done.returncode, done.stderr)
    assert (tmp_path / "out.pte").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_a_small_stack_and_no_thread(build, inputs):
    shutil.copy(build / "intaglio", inputs / "copy")

    def limit():
        for which, value in {resource.RLIMIT_STACK: 64 << 10, resource.RLIMIT_NPROC: 0}.items():
            resource.setrlimit(which, (value, value))
        os.setgid(65534)
        os.setuid(65534)

    with open(inputs / "copy", "rb") as copy:  # no folder on the way is another user's to enter
        done = subprocess.run([f"/proc/self/fd/{copy.fileno()}", "recipes"], cwd="/", capture_output=True, text=True, preexec_fn=limit, pass_fds=[copy.fileno()])
    assert done.returncode == 1 and "ulimit -s" in done.stderr and done.stderr.count("\n") == 1, (done.returncode, done.stderr)


def test_no_thread_to_be_had(build, inputs, tmp_path):
    environment = {**os.environ, "LD_PRELOAD": str(build / "tests" / "probes" / "libfailing_calls.so"), "FAILING_IN": "intaglio"}
    command = [build / "intaglio", "build", "model.pt2", "-o", tmp_path / "out.pte", *STATIC, "--threads", "8"]
    subprocess.run(command, cwd=inputs, check=True, capture_output=True, env={**environment, "FAILING_CALL": "thread", "FAILING_AT": "1", "FAILING_ON": "1"})
    assert (tmp_path / "out.pte").read_bytes() == (inputs / "model.pte").read_bytes()


def to(redirection, command, folder):
    return subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *map(str, command)], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_what_cannot_be_printed(build, inputs, tmp_path, redirection, extra):
    for command in [*COMMANDS.values(), ["recipes"], ["--help"], ["build", "--help"], ["--version"]]:
        arguments = [str(tmp_path / word) if word.startswith("out.") else word for word in command]
        more = [] if "--help" in command or "--version" in command else [word for word in extra if word not in command]
        done = to(redirection, [build / "intaglio", *arguments, *more], inputs)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "standard output" in done.stderr, (command, done.returncode, done.stderr)


@pytest.mark.parametrize("redirection", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full", "<&- >/dev/null 2>&-"])
def test_closed_descriptors(build, inputs, tmp_path, redirection):
    for command in COMMANDS.values():
        out = [tmp_path / word if word.startswith("out.") else word for word in command]
        assert to(redirection, [build / "intaglio", *out], inputs).returncode == 0, command
    assert to(redirection, [build / "intaglio", "inspect", "missing.pt2"], inputs).returncode == 1
    assert to(redirection, [build / "intaglio", "inspect", "--no-such-option"], inputs).returncode == 2
    assert to(redirection + " >&-", [build / "intaglio", "inspect", "model.pt2", "--quiet"], inputs).returncode == 0
    assert to(redirection + " >&-", [build / "intaglio", "inspect", "model.pt2"], inputs).returncode == 1


def test_warnings_that_say_the_same_are_one_line(build, intaglio, document, tmp_path):
    torch.manual_seed(3)
    layers = [torch.nn.Linear(4, 4) for _ in range(40)]
    for layer in layers:
        torch.nn.init.zeros_(layer.bias)
    model = torch.nn.Sequential(*[module for layer in layers for module in (layer, torch.nn.ReLU())]).eval()
    torch.export.save(torch.export.export(model, (torch.randn(1, 4),)), tmp_path / "model.pt2")
    np.save(tmp_path / "zeros.npy", np.zeros((1, 4), np.float32))
    arguments = ["quantize", tmp_path / "model.pt2", "-o", tmp_path / "out.pt2", "--recipe", STATIC[1], "--calibrate", tmp_path / "zeros.npy"]
    lines = [line for line in intaglio(*arguments).stderr.splitlines() if "in every sample" in line]
    told = [text for text in document(*arguments)["warnings"] if "in every sample" in text]
    assert len(told) >= 40 and len(lines) == 1, (len(told), lines)
    assert "likewise" in lines[0] and f"and {len(told) - 3} more" in lines[0]


def test_a_run_of_limited_time(intaglio, tmp_path):
    torch.manual_seed(4)
    model = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(4)]).eval()
    torch.export.save(torch.export.export(model, (torch.randn(64, 512),)), tmp_path / "model.pt2")
    np.save(tmp_path / "x.npy", torch.randn(64, 512).numpy())
    intaglio("lower", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", "--backend", "portable")
    run = ["run", tmp_path / "model.pte", "--input", tmp_path / "x.npy", "--repeat", 1000000, "--timeout"]
    done = intaglio(*run, 0.5, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "within 0.5 s" in done.stderr and "--timeout" in done.stderr
    assert intaglio(*run, 0, check=False).returncode == 2
    assert intaglio(*run[:4], "--timeout", 60).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None or sys.platform != "linux", reason="mounts need root")
@pytest.mark.parametrize("change", ["umount -l /proc", "mount -t tmpfs none /proc"])
def test_without_proc(build, inputs, tmp_path, change):
    script = f'{change} 2>/dev/null || exit 77; cd "$1"; shift; exec "$@"'
    for name, command in COMMANDS.items():
        arguments = [str(tmp_path / word) if word.startswith("out.") else word for word in command]
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", inputs, build / "intaglio", *arguments], capture_output=True, text=True)
        if done.returncode == 77 or "unshare failed" in done.stderr:
            pytest.skip("no mounts here")
        on_the_runtime = command[0] in ("run", "compare", "generate") and ("integer" in command or any(word.endswith(".pte") for word in command))
        if on_the_runtime:  # XNNPACK itself reads it
            assert done.returncode == 1 and done.stderr.count("\n") == 1 and "mount /proc" in done.stderr, (command, done.stderr)
        else:
            assert done.returncode == 0, (command, done.stderr)
        if name == "build":
            assert (tmp_path / "out.pte").read_bytes() == (inputs / "model.pte").read_bytes()
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
