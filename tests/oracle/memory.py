"""How much memory a command takes."""

import re
import subprocess
from pathlib import Path


def peak_megabytes(command) -> float:
    """The most memory that is in no file, looked at again and again while the command runs."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(found[1]) if found else 0)
    assert process.returncode == 0
    return peak * 1024 / 1e6
