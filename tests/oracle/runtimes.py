"""Older ExecuTorch runtimes, each in a folder of its own that is thrown away with its parent.

A runtime's Python module reads tensors by PyTorch's memory layout, so each needs the PyTorch that it was built with. PyPI's
builds for Linux are linked against CUDA: gigabytes, of which nothing here calls anything. Libraries that have the names
and nothing behind them take its place.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from oracle.build import ROOT

# Runtime: the wheel, and the PyTorch it needs where that is not the oracles'.
WHEELS = {
    "1.0": ("1.0.1", "2.9.1"),
    "1.1": ("1.1.0", "2.10.0"),
    "1.2": ("1.2.0", "2.11.0"),
    "1.3": ("1.3.1", "2.12.0"),
    "1.4": ("1.4.1", None),
    "1.5": ("1.5.1", None),
}
FOLDER = Path(os.environ.get("INTAGLIO_RUNTIMES", ROOT / "nightly-results" / "runtimes"))
# What libraries of the system define; all else that torch leaves open is CUDA's.
SYSTEM = re.compile(r"@(GLIBC|GLIBCXX|GCC|GOMP|OMP|GOACC|CXXABI|GFORTRAN)")
CUDA = ("cu", "nccl", "nvshmem", "nvtx", "_ZN4c10d17nvshmem")


def install(*requirements: str, folder: Path) -> Path:
    if not (folder / ".complete").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([*command, "--upgrade", "--target", folder, *requirements], check=True)
        (folder / ".complete").touch()
    return folder


def lines_of(*command) -> list[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True).stdout.splitlines()


def library(path: Path, source: str = "") -> None:
    """A shared library of a C source."""
    command = ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", "-nostdlib", "-x", "c", "-", f"-Wl,-soname,{path.name}", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)


def stand_in_for_cuda(torch: Path, folder: Path) -> dict:
    """The environment in which a torch for CUDA is imported without it."""
    preloaded = folder / "libcuda_names.so"
    if not preloaded.exists():
        folder.mkdir(exist_ok=True)
        lib = torch / "torch" / "lib"
        nvshmem = lib / "libtorch_nvshmem.so"  # nothing but CUDA, and resolved eagerly
        if nvshmem.exists():
            nvshmem.unlink()
            library(nvshmem)
        libraries = sorted(lib.glob("lib*.so*"))
        needed = {line.split("[")[1].rstrip("]") for line in lines_of("readelf", "-d", *libraries) if "(NEEDED)" in line}
        present = {path.name for path in libraries} | {line.split()[0] for line in lines_of("ldconfig", "-p") if line.startswith("\t")}
        for name in needed - present:
            library(folder / name)
        open_symbols = {line.split()[-1] for line in lines_of("nm", "-D", "--undefined-only", *libraries) if line.strip()}
        names = {symbol.split("@")[0] for symbol in open_symbols
                 if ("@" in symbol and not SYSTEM.search(symbol)) or ("@" not in symbol and symbol.startswith(CUDA))}
        no_device = 100  # cudaErrorNoDevice
        library(preloaded, "".join(f"int {name}(void) {{ return {no_device}; }}\n" for name in sorted(names)))
    return {"LD_PRELOAD": str(preloaded), "LD_LIBRARY_PATH": str(folder)}


class Runtime:
    """`with Runtime("1.0") as runtime: runtime.run(path, sample)`: files run in a process of their own, which may die."""

    def __init__(self, version: str):
        self.version = version
        wheel, torch = WHEELS[version]
        self.wheel = install(f"executorch=={wheel}", folder=FOLDER / f"executorch-{wheel}")
        self.environment = dict(os.environ, OMP_NUM_THREADS="1")
        if torch:
            pytorch = install(f"torch=={torch}", folder=FOLDER / f"torch-{torch}")
            self.environment |= stand_in_for_cuda(pytorch, FOLDER / f"cuda-{torch}") | {"PYTHONPATH": str(pytorch)}
        self.worker = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.worker:
            self.worker.stdin.close()
            self.worker.wait()

    def ask(self, question: dict) -> dict:
        if self.worker is None or self.worker.poll() is not None:
            command = [sys.executable, Path(__file__).with_name("runtime_worker.py"), self.wheel]
            self.worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                           text=True, env=self.environment, cwd=FOLDER)
        self.worker.stdin.write(json.dumps(question) + "\n")
        self.worker.stdin.flush()
        for line in self.worker.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return {"error": f"the runtime died with status {self.worker.wait()}"}

    def kernels(self) -> list[str]:
        return self.ask({"kernels": True})["kernels"]

    def xnnpack_nodes(self) -> list[str]:
        """Kinds of the schema's union, as `inspect` names them."""
        schema = (self.wheel / "executorch/backends/xnnpack/serialization/runtime_schema.fbs").read_text()
        union = re.search(r"union XNodeUnion \{(.*?)\}", schema, re.DOTALL).group(1)
        return re.findall(r"^\s*XNN(\w+)", union, re.MULTILINE)

    def takes(self, inputs: Path) -> bool:
        """The Python modules of releases before 1.3, not their runtimes, abort on tensors without dimensions."""
        arrays = np.load(inputs)
        ranks = [arrays.ndim] if inputs.suffix == ".npy" else [arrays[name].ndim for name in arrays]
        return self.version >= "1.3" or min(ranks) > 0

    def run(self, program: Path, inputs: Path | None = None) -> list[np.ndarray]:
        """The outputs; without a sample file every input is ones. RuntimeError: what the runtime says, or how it died."""
        outputs = FOLDER / f"outputs-{os.getpid()}.npz"
        said = self.ask({"program": str(program), "inputs": inputs and str(inputs), "outputs": str(outputs)})
        if "error" in said:
            raise RuntimeError(said["error"])
        with np.load(outputs) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays))]
