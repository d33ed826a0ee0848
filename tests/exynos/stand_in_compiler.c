/* A compiler that compiles nothing: its binary is the calls that it got, a line each. */
#include <intaglio/enn_compiler.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char* text;
  size_t size;
  FILE* out;
  uint32_t tensors, ops;
  int is_finished;
} Log;

static void ids(FILE* out, const uint32_t* list, size_t count) {
  for (size_t i = 0; i < count; ++i) fprintf(out, " %" PRIu32, list[i]);
}

static void* create_graph(const uint8_t* options, size_t bytes, int32_t chipset) {
  if (bytes < 8 || memcmp(options + 4, "EETO", 4) != 0) return NULL;
  Log* log = calloc(1, sizeof(Log));
  log->out = open_memstream(&log->text, &log->size);
  fprintf(log->out, "graph %" PRId32 "\n", chipset);
  return log;
}

/* Ids count from 100: nobody else's numbers. */
static int define_tensor(void* graph, const char* name, const uint32_t* dims, size_t rank, const char* type, const char* layout, uint32_t* id) {
  Log* log = graph;
  *id = 100 + log->tensors++;
  fprintf(log->out, "tensor %" PRIu32 " %s %s %s", *id, name, type, layout);
  ids(log->out, dims, rank);
  return fputs("\n", log->out) < 0;
}

static int set_data(void* graph, uint32_t tensor, const void* data, size_t bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes; ++i) sum += ((const uint8_t*)data)[i];
  return fprintf(((Log*)graph)->out, "data %" PRIu32 " %zu %" PRIu32 "\n", tensor, bytes, sum) < 0;
}

static int set_quantize(void* graph, uint32_t tensor, const char* type, const float* scales, const int32_t* zero_points, size_t count) {
  Log* log = graph;
  fprintf(log->out, "quantize %" PRIu32 " '%s' %zu", tensor, type, count);
  for (size_t i = 0; i < count; ++i) fprintf(log->out, " %.9g/%" PRId32, scales[i], zero_points[i]);
  return fputs("\n", log->out) < 0;
}

static int define_op(void* graph, const char* name, const char* type, const uint32_t* inputs, size_t input_count, const uint32_t* outputs,
                     size_t output_count, uint32_t* op) {
  Log* log = graph;
  if (getenv("STAND_IN_REFUSES") != NULL && strcmp(type, getenv("STAND_IN_REFUSES")) == 0) return 7;
  *op = 500 + log->ops++;
  fprintf(log->out, "op %" PRIu32 " %s %s inputs", *op, name, type);
  ids(log->out, inputs, input_count);
  fputs(" outputs", log->out);
  ids(log->out, outputs, output_count);
  return fputs("\n", log->out) < 0;
}

static int add_param(void* graph, uint32_t op, const char* key, IntaglioEnnType type, int is_vector, const void* values, size_t count) {
  FILE* out = ((Log*)graph)->out;
  fprintf(out, "param %" PRIu32 " %s %d %d %zu", op, key, (int)type, is_vector, count);
  if (type == INTAGLIO_ENN_CHAR) fprintf(out, " %.*s", (int)count, (const char*)values);
  for (size_t i = 0; type != INTAGLIO_ENN_CHAR && i < count; ++i) switch (type) {
      case INTAGLIO_ENN_BOOL: fprintf(out, " %d", ((const uint8_t*)values)[i]); break;
      case INTAGLIO_ENN_UINT32: fprintf(out, " %" PRIu32, ((const uint32_t*)values)[i]); break;
      case INTAGLIO_ENN_INT32: fprintf(out, " %" PRId32, ((const int32_t*)values)[i]); break;
      case INTAGLIO_ENN_UINT64: fprintf(out, " %" PRIu64, ((const uint64_t*)values)[i]); break;
      case INTAGLIO_ENN_INT64: fprintf(out, " %" PRId64, ((const int64_t*)values)[i]); break;
      default: fprintf(out, " %.17g", ((const double*)values)[i]);
    }
  return fputs("\n", out) < 0;
}

static int set_ends(void* graph, const char* title, const uint32_t* tensors, size_t count) {
  FILE* out = ((Log*)graph)->out;
  fputs(title, out);
  ids(out, tensors, count);
  return fputs("\n", out) < 0;
}
static int set_inputs(void* graph, const uint32_t* tensors, size_t count) { return set_ends(graph, "inputs", tensors, count); }
static int set_outputs(void* graph, const uint32_t* tensors, size_t count) { return set_ends(graph, "outputs", tensors, count); }

static int finish(void* graph) {
  ((Log*)graph)->is_finished = 1;
  return 0;
}

static int compile(void* graph, const uint8_t** binary, size_t* bytes) {
  Log* log = graph;
  if (!log->is_finished) return 1;
  fflush(log->out);
  *binary = (const uint8_t*)log->text;
  *bytes = log->size;
  return 0;
}

static const char* error_message(void* graph) {
  (void)graph;
  return "the stand-in was told to refuse it";
}

static void release(void* graph) {
  Log* log = graph;
  fclose(log->out);
  free(log->text);
  free(log);
}

const IntaglioEnnCompiler* intaglio_enn_compiler(void) {
  static const IntaglioEnnCompiler compiler = {INTAGLIO_ENN_COMPILER_VERSION, create_graph, define_tensor, set_data,    set_quantize,
                                               define_op,  add_param,  set_inputs,  set_outputs, finish, compile, error_message, release};
  return &compiler;
}
