"""The Vulkan delegate's side of the proof: the SDK has no Vulkan runtime, so payloads are decoded and computed here.

    flatbuffer   reads any table of a schema that ships in the `executorch` wheel
    package      a `.pte`: plans, constants, named data, delegates
    payload      a VkGraph blob: header, values, chain, constants verified by their keys
    operators    which operators the runtime has: what their tensors may be, which arguments stay raw constants
    kernels      what each operator computes, packed weights decoded from their bytes
    checks       what the runtime aborts on, and memory objects that are used twice at a time
    interpreter  runs a payload, and a whole `.pte` with several
    meaning      payloads as text, and the differences of two

Only numpy and torch's arithmetic are used, and nothing of ExecuTorch's Vulkan code or of Intaglio: tests/test_vulkan_oracle.py holds
all of it to ExecuTorch's own payloads first.
"""
