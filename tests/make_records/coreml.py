"""ExecuTorch's Core ML payloads: small files under tests/records/coreml/.

    .venv/bin/python tests/make_records/coreml.py [NAME ...]

With names, only those are made anew. The index, tests/records/coreml.json, has the digest of each program that was lowered.
"""

import gzip
import hashlib
import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cases import coreml as cases  # noqa: E402
from oracle.build import TESTS, record, write_record  # noqa: E402
from oracle.coreml import payload_of  # noqa: E402

FOLDER = TESTS / "records" / "coreml"


def path(name: str, target: str) -> Path:
    return FOLDER / f"{name}_{target}.gz"


def payload(name: str, target: str) -> bytes:
    return gzip.decompress(path(name, target).read_bytes())


def digest(program: torch.export.ExportedProgram) -> str:
    """Of weights and of what is computed with them."""
    sha = hashlib.sha256()
    for name, tensor in sorted((program.state_dict | program.constants).items()):
        sha.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    sha.update(repr([str(node.target) for node in program.graph.nodes if node.op == "call_function"]).encode())
    return sha.hexdigest()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    content = record("coreml").get("programs", {})
    for name in sys.argv[1:] or cases.PROGRAMS:
        entry = cases.PROGRAMS[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = entry.make().export()
            for target, precision in entry.targets.items():
                path(name, target).write_bytes(gzip.compress(payload_of(program, None, target, precision), mtime=0))
        content[name] = digest(program)
        print(name, flush=True)
        write_record("coreml", {"programs": dict(sorted(content.items()))})


if __name__ == "__main__":
    main()
