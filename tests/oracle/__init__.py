"""The tests' other side: what PyTorch, torchao and ExecuTorch make of the cases, and how the results are compared.

    build       the build under test, its tools, records
    archives    programs and samples on disk
    compare     measures of closeness, digests
    subject     a case on disk with what PyTorch computes of it, for tests that measure recipes
    vulkan      its quantizer and lowering to Vulkan
    torchao     its quantizer, and its view of a prepared program
    executorch  the stock runtime and the stock lowering
"""
