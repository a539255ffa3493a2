// Where the documents of a packed batch lie, as cuDNN wants it.
#include "automodel/kernels/attention/attention_cuda.h"
#include "automodel/kernels/cuda/device.cuh"

namespace automodel::kernels::cuda {

namespace {
struct Rows {
  int64_t size[5];  // elements a token takes in q, k, v, o and the statistics
};

// Documents beyond the last one are empty and begin at its end.
template <typename Offset>
__global__ void write_offsets(const int32_t* borders, int64_t count, int64_t documents, int64_t step, Rows rows,
                              int32_t* lengths, Offset* offsets) {
  const int64_t d = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (d > documents) return;
  const int64_t begin = borders[min(d, count)];
  if (d < documents) lengths[d] = d < count ? static_cast<int32_t>(borders[d + 1] - begin) : 0;
#pragma unroll
  for (int i = 0; i < 5; ++i) offsets[i * step + d] = static_cast<Offset>(begin * rows.size[i]);
}
}  // namespace

Status write_attention_offsets(const AttentionOffsets& to, Stream stream) {
  const auto& shape = *to.shape;
  const int64_t step = attention_offsets_step(shape);
  const Rows rows{{shape.q_row, shape.k_row, shape.v_row, shape.o_row, shape.q_heads}};
  auto* lengths = static_cast<int32_t*>(to.out);
  const auto blocks = static_cast<unsigned>(shape.documents / 256 + 1);
  const auto on = static_cast<cudaStream_t>(stream);
  if (shape.wide)
    write_offsets<<<blocks, 256, 0, on>>>(to.borders, to.count, shape.documents, step, rows, lengths,
                                          reinterpret_cast<int64_t*>(lengths + step));
  else
    write_offsets<<<blocks, 256, 0, on>>>(to.borders, to.count, shape.documents, step, rows, lengths, lengths + step);
  return cudaGetLastError();
}

}  // namespace automodel::kernels::cuda
