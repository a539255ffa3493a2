// Many tensors in one launch: their descriptors travel as the kernel's argument, so nothing is copied beforehand.
#pragma once

#include "automodel/kernels/cuda/device.cuh"

namespace automodel::kernels::cuda {

/// Descriptors and, for each, the number of the first chunk of work that belongs to it.
template <typename Tensor>
struct List {
  static constexpr int kMost = (28 * 1024) / (sizeof(Tensor) + 8);  // a kernel takes 32,764 bytes of arguments
  int count = 0;
  int64_t chunks = 0;
  int64_t first_chunk[kMost];
  Tensor tensors[kMost];

  struct Place {
    int tensor;
    int64_t chunk;  // within the tensor
  };
  __device__ __forceinline__ Place find(int64_t chunk) const {
    int low = 0, high = count - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (first_chunk[middle] <= chunk)
        low = middle;
      else
        high = middle - 1;
    }
    return {low, chunk - first_chunk[low]};
  }
};

/// Calls run(list) for as few lists as hold all tensors; chunks_of(tensor) pieces of work each, tensors without are
/// left out.
template <typename Tensor, typename Chunks, typename Run>
void for_each_list(const Tensor* tensors, int64_t count, const Chunks& chunks_of, const Run& run) {
  List<Tensor> list;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t chunks = chunks_of(tensors[i]);
    if (chunks == 0) continue;
    if (list.count == List<Tensor>::kMost) {
      run(list);
      list.count = 0, list.chunks = 0;
    }
    list.first_chunk[list.count] = list.chunks;
    list.tensors[list.count++] = tensors[i];
    list.chunks += chunks;
  }
  if (list.count > 0) run(list);
}

}  // namespace automodel::kernels::cuda
