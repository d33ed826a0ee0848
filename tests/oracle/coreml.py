"""Core ML's tools on Linux: nothing runs there, but packages are opened, checked and decompressed; ExecuTorch's own payloads."""

import warnings
from pathlib import Path

import numpy as np
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import coremltools as ct
    import coremltools.optimize.coreml
    from coremltools.converters.mil.frontend.milproto.load import load as load_mil
    from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipeline, PassPipelineManager

from executorch.backends.apple.coreml import executorchcoreml


class Package:
    """A payload as ExecuTorch's runtime unpacks it and coremltools then loads it: raises for what either refuses."""

    def __init__(self, payload: bytes, folder: Path):
        folder.mkdir()
        assert executorchcoreml.unflatten_directory_contents(payload, str(folder))
        (self.root,) = [path for path in folder.rglob("model.mlpackage")]
        self.metadata = (self.root.parent / "metadata.json").read_text()
        self.spec = ct.utils.load_spec(str(self.root))
        self.model = model = ct.models.MLModel(str(self.root), skip_model_load=True)
        # Operations are looked up, types inferred anew and compared with those that are written, weights read.
        self.program = load_mil(self.spec, specification_version=self.spec.specificationVersion, file_weights_dir=model.weights_dir)

    def weights_metadata(self) -> dict:
        """Of constants, however few elements they have, as coremltools' compression looks at them."""
        return ct.optimize.coreml.get_weights_metadata(self.model, weight_threshold=1)

    def optimize(self) -> None:
        """All of coremltools' passes over the program."""
        PassPipelineManager.apply_pipeline(self.program, PassPipeline.DEFAULT)

    def operations(self, name: str = "main") -> list:
        return list(self.program.functions[name].operations)

    def kinds(self) -> list[str]:
        return [operation.op_type for operation in self.operations() if operation.op_type != "const"]

    def weight(self, name: str) -> np.ndarray:
        """What the device computes with: the constant, or what is decompressed."""
        (operation,) = [one for one in self.operations() if one.outputs[0].name == name]
        return operation.val.val if operation.op_type == "const" else operation.materialized_val_inference()


def payload_of(module, inputs: tuple | None, target: str, precision: str = "FLOAT16", dynamic_shapes=None) -> bytes:
    """ExecuTorch's own payload of the whole module, or of a program."""
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    specs = CoreMLBackend.generate_compile_specs(
        minimum_deployment_target=getattr(ct.target, target), compute_precision=getattr(ct.precision, precision)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_program = isinstance(module, torch.export.ExportedProgram)
        program = module if is_program else torch.export.export(module.eval(), inputs, dynamic_shapes=dynamic_shapes)
        edge = to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    lowered = [getattr(edge.exported_program().graph_module, node.target) for node in edge.exported_program().graph.nodes if node.op == "get_attr"]
    (payload,) = [module.processed_bytes for module in lowered if hasattr(module, "processed_bytes")]
    return payload
