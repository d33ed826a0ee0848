/* A compiler for Exynos, as a library that Intaglio loads (`--set enn_compiler=LIBRARY`).
 *
 * The library exports `intaglio_enn_compiler`. For each delegate its functions are called in this order, which is that of the graph
 * library in Samsung's SDK: create_graph; define_tensor for each tensor, followed by set_data_for_constant_tensor and
 * set_quantize_param_for_tensor where it has such; define_op_node for each operator in execution order, each followed by add_op_parameter
 * for each of its parameters; set_graph_input_tensors, set_graph_output_tensors, finish_build_graph; compile; release_graph. An operator's
 * tensors are defined before it. When a function fails, error_message is called and then release_graph.
 *
 * Functions return 0 for success. Pointers that are handed over are valid during the call alone, texts end with a zero byte, and calls come
 * from one thread. Nothing may throw. */
#ifndef INTAGLIO_ENN_COMPILER_H
#define INTAGLIO_ENN_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INTAGLIO_ENN_COMPILER_VERSION 1

/* Element types of operator parameters; CHAR is a text. */
typedef enum {
  INTAGLIO_ENN_CHAR,
  INTAGLIO_ENN_BOOL, /* uint8_t, 0 or 1 */
  INTAGLIO_ENN_UINT32,
  INTAGLIO_ENN_INT32,
  INTAGLIO_ENN_UINT64,
  INTAGLIO_ENN_INT64,
  INTAGLIO_ENN_FLOAT64
} IntaglioEnnType;

typedef struct {
  uint32_t version; /* INTAGLIO_ENN_COMPILER_VERSION */

  /* `options`: the flatbuffer of `enn_compile_options`. `chipset`: 9955, 9965. NULL when there is no graph to be had. */
  void* (*create_graph)(const uint8_t* options, size_t option_bytes, int32_t chipset);

  /* `data_type`: "INT8", "FLOAT32", ... `layout`: "NCHW" or "UNDEFINED". The library chooses the id that later calls name the tensor by. */
  int (*define_tensor)(void* graph, const char* name, const uint32_t* dims, size_t rank, const char* data_type, const char* layout,
                       uint32_t* tensor);
  /* Row-major, little-endian elements. */
  int (*set_data_for_constant_tensor)(void* graph, uint32_t tensor, const void* data, size_t bytes);
  /* `type`: "AINT8", or "" beside a float tensor. One scale, or one for each index of the first dimension. */
  int (*set_quantize_param_for_tensor)(void* graph, uint32_t tensor, const char* type, const float* scales, const int32_t* zero_points,
                                       size_t count);

  /* `type`: "CONV2D", ... The library chooses the id. */
  int (*define_op_node)(void* graph, const char* name, const char* type, const uint32_t* inputs, size_t input_count,
                        const uint32_t* outputs, size_t output_count, uint32_t* op);
  /* `values`: `count` elements of `type`; of a text its bytes, with a zero byte behind them; of a number one element,
   with is_vector 0. */
  int (*add_op_parameter)(void* graph, uint32_t op, const char* key, IntaglioEnnType type, int is_vector, const void* values, size_t count);

  int (*set_graph_input_tensors)(void* graph, const uint32_t* tensors, size_t count);
  int (*set_graph_output_tensors)(void* graph, const uint32_t* tensors, size_t count);
  int (*finish_build_graph)(void* graph);

  /* The binary that the runtime on the phone opens; the library owns it until release_graph. */
  int (*compile)(void* graph, const uint8_t** binary, size_t* bytes);

  /* Of the call that failed last: one line, owned by the library. May be NULL. */
  const char* (*error_message)(void* graph);
  void (*release_graph)(void* graph);
} IntaglioEnnCompiler;

const IntaglioEnnCompiler* intaglio_enn_compiler(void);

#ifdef __cplusplus
}
#endif

#endif
