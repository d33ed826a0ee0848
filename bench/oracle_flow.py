"""The Python flow, step by step: oracle_flow.py MODEL.pt2 CALIBRATION_FOLDER SAMPLES OUT.pte [--fp32] [--backend vulkan|coreml]

Prints one JSON object: CPU seconds of each step, CPU milliseconds of calibration per image, peak resident memory.
"""

import argparse
import json
import resource
import time
from pathlib import Path

clock = time.process_time
started = clock()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # noqa: E402
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (  # noqa: E402
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # noqa: E402


def partitioner_of(backend):
    if backend == "vulkan":
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        return VulkanPartitioner()
    if backend == "coreml":
        import coremltools as ct
        import torchao.prototype.quantization.codebook_coreml  # noqa: F401  registers its operators
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        return CoreMLPartitioner(compile_specs=CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18))
    return XnnpackPartitioner()


def flow(program_path, samples, out, fp32=False, per_tensor=False, converted_path=None, repeat_calibration=0, backend="xnnpack"):
    """Runs the whole flow; returns what `main` prints, and the converted program (None for fp32)."""
    partitioner = partitioner_of(backend)
    steps = {"import": clock() - started}
    torch.set_num_threads(1)

    def timed(name, action):
        start = clock()
        result = action()
        steps[name] = clock() - start
        return result

    program = timed("load", lambda: torch.export.load(program_path))
    per_image, converted = None, None
    if not fp32:
        config = get_symmetric_quantization_config(is_per_channel=not per_tensor)
        quantizer = XNNPACKQuantizer().set_global(config)
        prepared = timed("prepare", lambda: prepare_pt2e(program.module(), quantizer))
        timed("calibrate", lambda: [prepared(*sample) for sample in samples])
        if repeat_calibration:
            start = clock()
            for index in range(repeat_calibration):
                prepared(*samples[index % len(samples)])
            per_image = (clock() - start) / repeat_calibration * 1000
        converted = timed("convert", lambda: convert_pt2e(prepared))
        program = timed("export", lambda: torch.export.export(converted, samples[0]))
        if converted_path:
            torch.export.save(program, converted_path)
    edge = timed("lower", lambda: to_edge_transform_and_lower(program, partitioner=[partitioner]))
    executorch = timed("to_executorch", edge.to_executorch)
    Path(out).write_bytes(executorch.buffer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_seconds": steps, "calibration_ms_per_image": per_image, "peak_mb": peak}, converted


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("samples", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--per-tensor", action="store_true")
    parser.add_argument("--backend", choices=["xnnpack", "vulkan", "coreml"], default="xnnpack", help="with --fp32, which leaves a program as it is")
    parser.add_argument("--converted", type=Path, help="also save the converted program")
    parser.add_argument("--repeat-calibration", type=int, default=0, help="time this many more images")
    arguments = parser.parse_args()
    files = sorted(arguments.calibration.iterdir())[: arguments.samples]
    samples = [(torch.from_numpy(np.load(file)),) for file in files]
    figures, _ = flow(
        arguments.program,
        samples,
        arguments.out,
        arguments.fp32,
        arguments.per_tensor,
        arguments.converted,
        arguments.repeat_calibration,
        arguments.backend,
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    with torch.no_grad():
        main()
