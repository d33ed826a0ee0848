"""The build under test, its tools, and the records beside the tests."""

import json
import os
import subprocess
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
BUILD = Path(os.environ.get("INTAGLIO_BUILD", ROOT / "build"))
NIGHTLY = bool(os.environ.get("INTAGLIO_NIGHTLY"))
VERSIONS = {"torch": "2.13.0", "torchao": "0.18.0", "executorch": "1.5.1"}


def record(name: str) -> dict:
    """Empty where there is none yet."""
    path = TESTS / "records" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_record(name: str, content: dict, versions: dict = VERSIONS) -> None:
    made = {"made_by": f"tests/make_records/{name}.py", "versions": versions}
    (TESTS / "records" / f"{name}.json").write_text(json.dumps(made | content, indent=1) + "\n")


def probe(name: str, *arguments, check: bool = True) -> subprocess.CompletedProcess:
    """Runs a tool of tests/probes."""
    tool = BUILD / "tests" / "probes" / name
    assert tool.exists(), f"{tool} is not built"
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 or not check, done.stderr
    return done
