"""A case on disk with what PyTorch computes of it, for tests that measure recipes."""

from pathlib import Path

import numpy as np

from cases import Case
from oracle import executorch
from oracle.archives import save
from oracle.compare import digest_of_calls, outputs_of


class Subject:
    """FOLDER/model.pt2, its samples in FOLDER/model/{calibration,test}, and the float model's outputs on the test calls."""

    def __init__(self, name: str, case: Case, folder: Path, calibration: list, test: list):
        self.name, self.case, self.folder, self.calibration, self.test = name, case, folder, calibration, test
        self.program = folder / "model.pt2"
        save(case, self.program, calibration=calibration, test=test)
        self.calibration_folder, self.test_folder = (folder / "model" / split for split in ("calibration", "test"))
        self.reference = outputs_of(case.module, test)
        assert np.isfinite(self.reference).all() and np.ptp(self.reference) > 0.1, "zero or constant"

    def digests(self) -> dict:
        return {"calibration_sha256": digest_of_calls(self.calibration), "test_sha256": digest_of_calls(self.test)}

    def is_the_records(self, recorded: dict) -> None:
        assert self.digests().items() <= recorded.items(), "other inputs than the record's"

    def arguments(self, recipe) -> list:
        """Of `build` and `quantize`; a recipe is a name or the path of a file."""
        calibrated = "static" in str(recipe) or str(recipe).endswith(".json")
        return ["--recipe", recipe, *(["--calibrate", self.calibration_folder] if calibrated else [])]

    def built(self, document, recipe, *settings, calls: int | None = None) -> tuple[dict, np.ndarray]:
        """What `build` says, and the `.pte`'s outputs on the first test calls, or on all."""
        pte = self.folder / f"{Path(recipe).stem}.pte"
        said = document("build", self.program, "-o", pte, *self.arguments(recipe), *settings)
        return said, executorch.run(pte, self.test[:calls])
