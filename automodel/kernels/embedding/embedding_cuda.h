// Embedding look-up and its gradient on the GPU.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// y[t] = scale * table[ids[t]], rounded once.
struct EmbeddingForward {
  DType dtype;
  int64_t tokens, columns;
  const int64_t* ids;  // [tokens], each a row of the table: the caller has checked them
  const void* table;   // [rows, columns]
  void* y;             // [tokens, columns]
  float scale;
};

/// grad[id] += scale * sum of dy[t] over the tokens with that id, in the order of t: the same bits every time, without
/// atomics. Rows of ids that do not occur are not touched.
struct EmbeddingBackward {
  DType dtype, grad_dtype;
  int64_t tokens, columns;
  const int64_t* sorted_ids;  // [tokens], ascending
  const int64_t* order;       // sorted_ids[i] = ids[order[i]], by a stable sort
  const void* dy;             // [tokens, columns]
  void* grad;                 // [rows, columns]
  float* partial;             // [embedding_partials(tokens), columns], scratch
  int64_t padding;            // an id that gets no gradient, -1: none
  float scale;
};

/// Sorted tokens are summed in runs of this many; sums that cross a border go through scratch, two rows a run.
inline constexpr int64_t kEmbeddingRun = 16;
inline int64_t embedding_partials(int64_t tokens) { return 2 * ((tokens + kEmbeddingRun - 1) / kEmbeddingRun); }

struct Embedding {
  Status (*forward)(const EmbeddingForward&, Stream);
  Status (*backward)(const EmbeddingBackward&, Stream);
};
extern const Embedding kEmbedding;  // in the library

}  // namespace automodel::kernels::cuda
