#include "automodel/kernels/attention/fused_attention.h"

#include <fmt/format.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/dtype.h"

namespace automodel::kernels {

static bool lacks_cudnn() { return load_cuda().ready && !cuda_table().attention.program; }

std::string why_not_fused(const AttentionKind& kind) {
  const bool gpu = kind.device != at::kCPU, half = kind.dtype == at::kBFloat16 || kind.dtype == at::kHalf;
  if (!half && (gpu || kind.dtype != at::kFloat)) return "it is computed in " + dtype_name(kind.dtype);
  if (kind.dropout > 0) return "attention_dropout is set";
  if (!gpu) return "";
  if (kind.head_dim % 8 != 0 || kind.head_dim > 256)
    return fmt::format("head dim {} is not a multiple of 8 up to 256", kind.head_dim);
  if (kind.softcap > 0 && lacks_cudnn()) return "scores are capped, and the GPU library was built without cuDNN";
  return "";
}

ReferenceMemory reference_memory(const AttentionKind& kind, int64_t tokens, int64_t document_tokens) {
  const auto T = static_cast<uint64_t>(tokens), n = static_cast<uint64_t>(document_tokens),
             heads = static_cast<uint64_t>(kind.heads), D = static_cast<uint64_t>(kind.head_dim),
             element = static_cast<uint64_t>(c10::elementSize(kind.dtype));
  uint64_t a_head = 4;
  if (kind.softcap > 0) a_head += element;
  if (kind.dropout > 0 || kind.dtype != at::kFloat) a_head += element;
  return {.kept = T * n * (heads * a_head + 1) + 2 * T * heads * D * element, .passing = 8 * n * n * heads};
}

}  // namespace automodel::kernels
