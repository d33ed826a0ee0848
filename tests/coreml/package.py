"""Where a Core ML program is found: a folder, or the blob that a delegate holds."""

import json
import warnings
from pathlib import Path

from coreml import require

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from coremltools.proto import Model_pb2

MODEL, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"


def files_of(blob: bytes) -> dict[str, bytes]:
    """The files of a blob by their path: their bytes, then the tree as JSON with its bytes reversed."""
    text = blob.rstrip(b"\0")[::-1].decode("utf-8", "replace")
    tree, _ = json.JSONDecoder().raw_decode(text)
    nodes, files = tree["nodes"], {}

    def walk(index: int, path: str) -> None:
        node = nodes[index]
        if node["kind"] == 1:
            for name, child in node["children"].items():
                require(child < index, f"{path}/{name} stands behind the folder that it is in")
                walk(child, f"{path}/{name}" if path else name)
        else:
            region = node["dataRegion"]
            require(region["offset"] + region["size"] <= len(blob), f"{path} ends behind the blob")
            files[path] = blob[region["offset"] : region["offset"] + region["size"]]

    walk(len(nodes) - 1, "")
    return files


class Package:
    """`source`: a blob, or an `.mlpackage` folder (which has no metadata of the delegate's)."""

    def __init__(self, source: bytes | str | Path):
        if isinstance(source, (bytes, bytearray)):
            files = files_of(bytes(source))
            self.metadata = json.loads(files["metadata.json"])
            self.files = {path.removeprefix("model.mlpackage/"): data for path, data in files.items() if path.startswith("model.mlpackage/")}
        else:
            self.metadata = None
            self.files = {str(path.relative_to(source)): path.read_bytes() for path in Path(source).rglob("*") if path.is_file()}
        manifest = json.loads(self.files["Manifest.json"])
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        require("Data/" + root["path"] == MODEL, f"the model is {root['path']}")
        self.model = Model_pb2.Model()
        require(self.model.ParseFromString(self.files[MODEL]) == len(self.files[MODEL]), "bytes behind the model")

    @property
    def weights(self) -> bytes:
        return self.files.get(WEIGHTS, b"")
