#if defined(__x86_64__)
#define INTAGLIO_ISA avx512
#define INTAGLIO_ISA_NAME "avx512"
#include "quant/kernels/kernels_impl.h"
#endif
