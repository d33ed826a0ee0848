// The C interface of libintaglio_runtime.so. No types of ours or of ExecuTorch's cross it.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

enum IntaglioTag : int32_t {
  tag_none,
  tag_tensor,           // items: one IntaglioTensor
  tag_int,              // integer
  tag_double,           // number
  tag_bool,             // integer
  tag_string,           // items: chars
  tag_int_list,         // items: int64_t
  tag_double_list,      // items: double
  tag_bool_list,        // items: bytes, 0 or 1
  tag_tensor_list,      // items: IntaglioTensor
  tag_optional_tensors  // items: IntaglioTensor; data is null and rank -1 for None
};

struct IntaglioTensor {
  void* data;
  int32_t* sizes;  // written when the kernel makes an output smaller
  uint8_t* dim_order;
  int32_t* strides;
  int32_t rank;
  int32_t scalar_type;
};

struct IntaglioValue {
  IntaglioTag tag;
  int64_t integer;
  double number;
  const void* items;
  size_t count;
};

constexpr int kernel_abi_version = 1;

// Each is exported under its own name with the prefix `intaglio_`.
struct IntaglioRuntime {
  int (*abi)();
  // Names of the registered kernels; at most `capacity` are written. Returns how many there are.
  size_t (*kernel_names)(const char** names, size_t capacity);
  int (*has_kernel)(const char* name);
  // `values` are the arguments in schema order, outs included; the call adds the return. Returns ExecuTorch's error
  // code; 0xffff when the runtime gave up. `message` receives what it logged.
  uint32_t (*call_kernel)(const char* name, IntaglioValue* values, size_t count, size_t outs, char* message, size_t capacity);
};
}
