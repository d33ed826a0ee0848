#define INTAGLIO_ISA baseline
#define INTAGLIO_ISA_NAME "baseline"
#include "quant/kernels/kernels_impl.h"
