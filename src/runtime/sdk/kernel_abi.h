// The C interface of libintaglio_runtime.so. No types of ours or of ExecuTorch's cross it.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

enum IntaglioTag : int32_t {
  kTagNone,
  kTagTensor,          // items: one IntaglioTensor
  kTagInt,             // integer
  kTagDouble,          // number
  kTagBool,            // integer
  kTagString,          // items: chars
  kTagIntList,         // items: int64_t
  kTagDoubleList,      // items: double
  kTagBoolList,        // items: bytes, 0 or 1
  kTagTensorList,      // items: IntaglioTensor
  kTagOptionalTensors  // items: IntaglioTensor; data is null and rank -1 for None
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

constexpr int kIntaglioAbi = 1;

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
