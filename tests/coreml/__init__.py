"""Core ML has no runtime on Linux: here its programs are decoded from their bytes and computed.

    package      the delegate's blob and `.mlpackage` folders: files, metadata, the model's protobuf
    weights      constants: in the program, in `weight.bin`; what every constexpr form stands for
    kernels      one function an operation
    interpreter  `Model(package)(*inputs)`: functions, states, the type that each operation declares

Only the protobuf's classes are coremltools'. `test_coreml_interpreter.py` holds all of it to the eager modules that ExecuTorch's own
programs come from, before any test computes ours with it.
"""


def require(holds, message: str) -> None:
    if not holds:
        raise ValueError(message)
