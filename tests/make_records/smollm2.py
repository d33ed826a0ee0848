"""Records ExecuTorch's own file of SmolLM2's first layers: tests/records/smollm2.json.

    .venv/bin/python tests/make_records/smollm2.py FOLDER LAYERS ...

FOLDER is what `examples/smollm2/demo.sh` fills. For each number of layers: torchao's 8da4w in groups of 32 with int8 embeddings, lowered by
ExecuTorch for XNNPACK; processor seconds and memory of lowering, the file's size, what was delegated, and the tokens that it says. Lowering
takes a minute and more for each layer.
"""

import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[0] = str(TESTS)  # in place of this folder, which has another `transformers`

from cases import smollm2  # noqa: E402
from cases.decoders import greedy  # noqa: E402
from oracle import executorch  # noqa: E402
from oracle.build import record, write_record  # noqa: E402
from oracle.compare import digest_of_program  # noqa: E402
from oracle.smollm2 import quantized  # noqa: E402


def measured(folder: Path, layers: int, path: Path) -> dict:
    module = smollm2.model(folder, layers)
    entry = {"program": digest_of_program(smollm2.program(folder, module))}
    program, start = smollm2.program(folder, quantized(module)), time.process_time()
    executorch.lower_quantized(program, path)
    entry["processor_seconds"] = round(time.process_time() - start, 1)
    entry["peak_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    delegates, kernels = executorch.instructions(path)
    method = executorch.method_of(path)
    said = [greedy(lambda *call: executorch.execute(method, call)[0], prompt, 24) for prompt in smollm2.prompts(folder)]
    return entry | {"bytes": path.stat().st_size, "delegates": delegates, "kernels": dict(sorted(Counter(kernels).items())), "tokens": said}


def main() -> None:
    layers = record("smollm2").get("layers", {})
    for count in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as made:
            layers[count] = measured(Path(sys.argv[1]), int(count), Path(made) / "theirs.pte")
        print(count, layers[count], flush=True)
        write_record("smollm2", {"layers": layers})


if __name__ == "__main__":
    main()
