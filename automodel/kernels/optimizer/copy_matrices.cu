#include "automodel/kernels/cuda/list.cuh"
#include "automodel/kernels/optimizer/launches.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256, kChunk = 1024;  // small: a few rows of an adapter must still fill the GPU

template <typename From, typename To>
__global__ void __launch_bounds__(kThreads) copy_chunks(const __grid_constant__ List<CopyTensor> list) {
  for (int64_t chunk = blockIdx.x; chunk < list.chunks; chunk += gridDim.x) {
    const auto place = list.find(chunk);
    const CopyTensor& t = list.tensors[place.tensor];
    const int64_t begin = place.chunk * kChunk, end = min(begin + kChunk, t.rows * t.columns);
    int64_t row = (begin + threadIdx.x) / t.columns, column = (begin + threadIdx.x) - row * t.columns;
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      const float x = to_float(static_cast<const From*>(t.from)[row * t.from_stride + column]);
      static_cast<To*>(t.to)[row * t.to_stride + column] = from_float<To>(x * t.scale);
      column += kThreads;
      if (column >= t.columns) {
        const int64_t steps = column / t.columns;
        row += steps;
        column -= steps * t.columns;
      }
    }
  }
}

}  // namespace

Status copy_matrices(const CopyMatrices& a, Stream stream) {
  with_type(a.from, [&](auto from) {
    with_type(a.to, [&](auto to) {
      for_each_list(
          a.tensors, a.count, [](const CopyTensor& t) { return divide_up(t.rows * t.columns, kChunk); },
          [&](const List<CopyTensor>& list) {
            copy_chunks<decltype(from), decltype(to)>
                <<<blocks_for(list.chunks), kThreads, 0, stream_of(stream)>>>(list);
          });
    });
  });
  return launched();
}

const Optimizer kOptimizer = {gradient_norm, adam_update, adam_steps, copy_matrices};

}  // namespace automodel::kernels::cuda
