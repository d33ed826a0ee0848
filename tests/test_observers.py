"""Our observers against torchao, live: the records that the C++ tests read are what torchao computes today, and random
inputs (other seeds every day) give the same bits through the compiled room."""
import datetime
import subprocess
import warnings

import pytest
import torch

from make_records import observers as records

warnings.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # histogram counters saturate per thread
    yield
    torch.set_num_threads(before)


def recorded(name):
    lines = (records.OUT / "observers.txt").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"sequence name={name} "))
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("sequence ")), len(lines))
    return lines[start:end]


@pytest.mark.parametrize("name", ["bell_grows", "tail", "constants_move", "infinities", "subnormal", "int16", "weight_axis1",
                                  "moving_average", "symmetric_uint8", "random7", "random31", "random50"])
def test_record_is_what_torchao_computes(name):
    case = next(c for c in records.observer_specs() if c[0] == name)
    assert records.observer_record(case) == recorded(name)


def test_primitive_records_are_what_torch_computes():
    assert records.primitive_records() == (records.OUT / "primitives.txt").read_text().splitlines()


def test_affine_records_are_what_torch_computes():
    assert records.affine_records() == (records.OUT / "affine.txt").read_text().splitlines()


def test_new_random_sequences(build, tmp_path):
    """Sequences that no record holds, in the records' format, read by the C++ test from another folder."""
    seed = 100000 + 100 * (datetime.date.today() - datetime.date(2020, 1, 1)).days
    lines = records.observer_lines(records.random_cases(20, seed))
    (tmp_path / "observers.txt").write_text("\n".join(lines) + "\n")
    tool = build / "src" / "quant" / "quant_test"
    environment = {"INTAGLIO_OBSERVER_RECORDS": str(tmp_path)}
    run = subprocess.run([tool, "--gtest_filter=Record.Observers"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
