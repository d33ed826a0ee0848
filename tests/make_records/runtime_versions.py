"""Records since which release the ExecuTorch runtime has each kernel, element type and XNNPACK node: what is newer than 1.0.

    .venv/bin/python tests/make_records/runtime_versions.py [PROGRAMS]

Kernels are asked of each wheel's runtime, nodes of the schema in the wheel. Types are tried: PROGRAMS is the folder that
`INTAGLIO_DTYPE_PROGRAMS=PROGRAMS build/src/edge/edge_test --gtest_filter='KernelDtypes.*'` leaves, one program for each kernel
and type that the newest runtime takes; without it the record keeps the types it has. tools/make_kernel_table.py and the
tables' tests read the record.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oracle.build import record, write_record  # noqa: E402
from oracle.runtimes import WHEELS, Runtime  # noqa: E402


def runs(runtime: Runtime, program: Path) -> bool:
    try:
        runtime.run(program)
        return True
    except RuntimeError:
        return False


def newer(has: dict[str, set], newest: str) -> dict[str, str]:
    """What the newest release has and the oldest has not: since when."""
    oldest = next(iter(has))
    since = {}
    for thing in sorted(has[newest] - has[oldest]):
        lacking = [version for version in has if thing not in has[version]]
        since[thing] = list(has)[list(has).index(lacking[-1]) + 1]
    return since


def main() -> None:
    programs = sorted(Path(sys.argv[1]).glob("*.pte")) if len(sys.argv) > 1 else []
    kernels, nodes, types = {}, {}, {}
    for version in WHEELS:
        with Runtime(version) as runtime:
            kernels[version], nodes[version] = set(runtime.kernels()), set(runtime.xnnpack_nodes())
            # A file's name: number, operator, types.
            types[version] = {program.stem.split(".", 1)[1] for program in programs if runs(runtime, program)}
        print(version, len(kernels[version]), "kernels", len(nodes[version]), "nodes", len(types[version]), "types")
    newest = list(WHEELS)[-1]
    lost = {thing for has in (kernels, nodes) for older in has.values() for thing in older - has[newest]}
    assert not lost, f"releases only add, but {lost} went"
    write_record("runtime_versions", {
        "kernels": newer(kernels, newest),
        "xnnpack_nodes": newer(nodes, newest),
        "types": newer(types, newest) if programs else record("runtime_versions").get("types", {}),
    }, versions={"executorch": [wheel for wheel, _ in WHEELS.values()]})


if __name__ == "__main__":
    main()
