// The one function that libautomodel_cuda.so exports.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "automodel/kernels/cuda/table.h"
#include "automodel/kernels/cuda/version_text.h"

namespace automodel::kernels::cuda {

static const char* compiler() {
  static char text[64];
  std::snprintf(text, sizeof text, "nvcc %s, CUDA %d.%d",
                AM_VERSION_TEXT(__CUDACC_VER_MAJOR__, __CUDACC_VER_MINOR__, __CUDACC_VER_BUILD__),
                CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  return text;
}

static const char* error_text(Status status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); }

extern "C" __attribute__((visibility("default"))) const char* automodel_cuda_open(const char* version, Table* table) {
  if (std::strcmp(version, AUTOMODEL_CUDA_VERSION) != 0) return AUTOMODEL_CUDA_VERSION;
  *table = {AUTOMODEL_CUDA_ARCHS, compiler(),    error_text, kNorm,    kGated,   kSplitQkv,     kEmbedding,
            kOptimizer,           kCrossEntropy, kAttention, kProduct, kAdapter, kGatedAdapter, kDropout};
  return AUTOMODEL_CUDA_VERSION;
}

}  // namespace automodel::kernels::cuda
