#if defined(__x86_64__)
#define INTAGLIO_ISA avx2
#define INTAGLIO_ISA_NAME "avx2"
#include "quant/kernels/kernels_impl.h"
#endif
