"""Makes every call to the system fail once, one run of the command each, and looks at how the command ends.

    python -m failures [--step 7] [--json FILE]

A run is bad when a signal ends it, when its status is neither 0 nor 1, when a failure is not told in one line, when the target is neither
what it was nor (with status 0) what it becomes without a failure, or when temporary files stay behind.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oracle.build import BUILD

PRELOAD = BUILD / "tests" / "probes" / "libfailing_calls.so"
STATIC = ["--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", "sample.npy"]
COMMANDS = {
    "build": ["build", "model.pt2", "-o", "out.pte", *STATIC],
    "quantize": ["quantize", "model.pt2", "-o", "out.pt2", *STATIC],
    "inspect": ["inspect", "model.pt2"],
    "inspect .pte": ["inspect", "model.pte", "--json"],
    "run": ["run", "model.pt2", "--input", "sample.npy", "-o", "out.npz"],
    "run integer": ["run", "model.pt2", "--input", "sample.npy", "-o", "out.npz", "--numerics", "integer"],
    "run .pte": ["run", "model.pte", "--input", "sample.npy", "-o", "out.npz"],
    "compare": ["compare", "model.pt2", "model.pte", "--data", "sample.npy"],
    "build of other weights": ["build", "model.pt2", "-o", "out.pte", "--recipe", "xnnpack_fp32", "--weights", "weights.safetensors", "--no-check"],
    "quantize_": ["quantize", "model.pt2", "-o", "out.pt2", "--recipe", "xnnpack_torchao_int8da_int4w_per_channel"],
    "lower for a runner": ["lower", "language.pt2", "-o", "out.pte", "--backend", "xnnpack", "--llm", ".", "--no-check"],
    "generate": ["generate", "language.pte", "--prompt", "abc", "--max-new-tokens", "2"],
    "compare of texts": ["compare", "language.pt2", "language.pte", "--tokens", "tokens.txt"],
}


@dataclass(frozen=True)
class Failure:
    command: str
    call: str
    number: int
    on: bool = False  # and all calls after it

    def environment(self):
        return {"FAILING_CALL": self.call, "FAILING_AT": str(self.number), **({"FAILING_ON": "1"} if self.on else {})}


def write_language_model(folder: Path) -> None:
    import torch

    letters = {chr(ord("a") + i): i for i in range(24)}
    model = torch.nn.Sequential(torch.nn.Embedding(len(letters), 8), torch.nn.Linear(8, len(letters))).eval()
    tokens = torch.arange(5)[None]
    length = torch.export.Dim("length", min=1, max=15)
    torch.export.save(torch.export.export(model, (tokens,), dynamic_shapes=({1: length},)), folder / "language.pt2")
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": letters, "merges": []}}))
    (folder / "tokens.txt").write_text("1 2 3 4 5 6 7 8")
    config = {"vocab_size": len(letters), "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 23}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([BUILD / "intaglio", "lower", "language.pt2", "-o", "language.pte", "--backend", "xnnpack", "--quiet"], cwd=folder, check=True)


def write_inputs(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    write_language_model(folder)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)).eval()
    sample = torch.randn(1, 3, 8, 8)
    torch.export.save(torch.export.export(model, (sample,)), folder / "model.pt2")
    np.save(folder / "sample.npy", sample.numpy())
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "weights.safetensors")
    subprocess.run([BUILD / "intaglio", "build", "model.pt2", "-o", "model.pte", *STATIC, "--quiet"], cwd=folder, check=True)


class Sweep:
    """Runs in copies of one folder of inputs, so that several go side by side."""

    def __init__(self, inputs: Path, work: Path, commands=COMMANDS):
        self.inputs, self.work = inputs, work
        self.whole = {}  # what each command writes without a failure
        self.counts = {}
        for command in commands:
            folder = self.folder()
            done = self.run(command, folder, {"FAILING_COUNTS": str(folder / "counts")})
            assert done.returncode == 0, done.stderr
            self.counts[command] = {name: int(count) for name, count in map(str.split, (folder / "counts").read_text().splitlines())}
            self.whole[command] = self.output(command, folder)
            shutil.rmtree(folder)

    def folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self.work))
        (folder / "scratch").mkdir()
        for path in self.inputs.iterdir():
            os.link(path, folder / path.name)
        return folder

    def run(self, command, folder, environment):
        return subprocess.run(
            [BUILD / "intaglio", *COMMANDS[command], "--threads", "2"],
            cwd=folder, capture_output=True, text=True, errors="replace", timeout=120,
            env={**os.environ, "LD_PRELOAD": str(PRELOAD), "FAILING_IN": "intaglio", "TMPDIR": str(folder / "scratch"), **environment},
        )  # fmt: skip

    def output(self, command, folder):
        out = next((folder / word for word in COMMANDS[command] if word.startswith("out.")), None)
        return None if out is None or not out.exists() else out.read_bytes()

    def failures(self, step: int, calls=None):
        for command, counts in self.counts.items():
            for call, count in counts.items():
                if calls is not None and call not in calls:
                    continue
                for index, number in enumerate(range(1, count + 1, step)):
                    yield Failure(command, call, number)
                    if call == "malloc" and index % 2 == 1:
                        yield Failure(command, call, number, on=True)

    def fault(self, failure: Failure) -> str:
        """What is wrong with how the command ends; "" if nothing is."""
        folder = self.folder()
        try:
            before = b"old" if failure.number % 3 else None
            out = next((folder / word for word in COMMANDS[failure.command] if word.startswith("out.")), None)
            if out is not None and before is not None:
                out.write_bytes(before)
            done = self.run(failure.command, folder, failure.environment())
            after = self.output(failure.command, folder)
            expected = (self.whole[failure.command] if done.returncode == 0 else before) if out is not None else None
            known = {path.name for path in self.inputs.iterdir()} | {"scratch", out.name if out else ""}
            left = [path.name for path in folder.iterdir() if path.name not in known] + [path.name for path in (folder / "scratch").iterdir()]
            if done.returncode not in (0, 1):
                return f"status {done.returncode}: {done.stderr.strip()}"
            if done.returncode == 1 and done.stderr.count("\n") != 1:
                return f"not one line: {done.stderr!r}"
            if after != expected:
                return f"status {done.returncode}, and the target is {'gone' if after is None else 'another'}: {done.stderr.strip()}"
            return f"left behind: {left}" if left else ""
        finally:
            shutil.rmtree(folder)

    def faults(self, failures, workers=2):
        """Pairs of a failure and what is wrong, of those where something is; and how many were tried."""
        failures = list(failures)
        with ThreadPoolExecutor(workers) as pool:
            found = [(failure, fault) for failure, fault in zip(failures, pool.map(self.fault, failures)) if fault]
        return found, len(failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="every how many-th call of each kind fails")
    parser.add_argument("--calls", nargs="*", help="these alone")
    parser.add_argument("--commands", nargs="*", choices=COMMANDS, default=list(COMMANDS), help="these alone")
    parser.add_argument("--json", type=Path, help="where to write how many were tried and how many were bad")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs, work = Path(folder) / "inputs", Path(folder) / "work"
        inputs.mkdir(), work.mkdir()
        write_inputs(inputs)
        sweep = Sweep(inputs, work, arguments.commands)
        found, tried = sweep.faults(sweep.failures(arguments.step, arguments.calls))
    for failure, fault in found:
        print(failure, fault)
    print(f"{tried} failures tried, {len(found)} bad")
    if arguments.json:
        what = f"one failing call of the system in a run of {', '.join(arguments.commands)}"
        arguments.json.write_text(json.dumps({"stage": "failures", "what": what, "tried": tried, "bad": len(found)}) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
