#include "automodel/kernels/cuda/list.cuh"
#include "automodel/kernels/optimizer/launches.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__device__ double block_sum_wide(double x) {
  __shared__ double sums[kThreads / 32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  x = 0;
  for (int i = 0; i < kThreads / 32; ++i) x += sums[i];
  return x;
}

template <typename T>
__device__ double square_sum(const T* data, int64_t count) {
  constexpr int N = kVector<T>;
  float sums[4] = {};
  if (reinterpret_cast<uintptr_t>(data) % 16 == 0) {
    const int64_t whole = count / N;
    int64_t i = threadIdx.x;
    for (; i + 3 * kThreads < whole; i += 4 * kThreads) {
      Vector<T> v[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) v[k] = Vector<T>::stream(data + (i + k * kThreads) * N);
#pragma unroll
      for (int k = 0; k < 4; ++k)
#pragma unroll
        for (int j = 0; j < N; ++j) sums[k] += v[k][j] * v[k][j];
    }
    for (; i < whole; i += kThreads) {
      const auto v = Vector<T>::stream(data + i * N);
#pragma unroll
      for (int j = 0; j < N; ++j) sums[0] += v[j] * v[j];
    }
    for (int64_t k = whole * N + threadIdx.x; k < count; k += kThreads) {
      const float x = to_float(data[k]);
      sums[1] += x * x;
    }
  } else {
    for (int64_t k = threadIdx.x; k < count; k += kThreads) {
      const float x = to_float(data[k]);
      sums[0] += x * x;
    }
  }
  return (double(sums[0]) + sums[1]) + (double(sums[2]) + sums[3]);
}

__global__ void __launch_bounds__(kThreads) sum_chunks(const __grid_constant__ List<NormTensor> list, double* partial) {
  for (int64_t chunk = blockIdx.x; chunk < list.chunks; chunk += gridDim.x) {
    const auto place = list.find(chunk);
    const NormTensor& tensor = list.tensors[place.tensor];
    const int64_t begin = place.chunk * kNormChunk, count = min(kNormChunk, tensor.count - begin);
    double sum;
    if (tensor.dtype == DType::Float)
      sum = square_sum(static_cast<const float*>(tensor.data) + begin, count);
    else if (tensor.dtype == DType::BFloat16)
      sum = square_sum(static_cast<const bf16*>(tensor.data) + begin, count);
    else
      sum = square_sum(static_cast<const __half*>(tensor.data) + begin, count);
    sum = block_sum_wide(sum);
    if (threadIdx.x == 0) partial[chunk] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    finish(const double* partial, int64_t count, float max_norm, const float* loss_scale, GradientStats* stats) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += partial[i];
  sum = block_sum_wide(sum);
  if (threadIdx.x != 0) return;
  const double unscale = loss_scale ? 1.0 / *loss_scale : 1.0, norm = sqrt(sum) * unscale;
  const bool bad = !isfinite(norm);
  const double clip = max_norm > 0 && !bad ? fmin(1.0, max_norm / (norm + 1e-6)) : 1.0;
  *stats = {sum * unscale * unscale, float(norm), float(clip * unscale), bad, 0};
}

}  // namespace

Status gradient_norm(const GradientNorm& a, Stream stream) {
  int64_t done = 0;
  for_each_list(
      a.tensors, a.count, [](const NormTensor& t) { return divide_up(t.count, kNormChunk); },
      [&](const List<NormTensor>& list) {
        sum_chunks<<<blocks_for(list.chunks), kThreads, 0, stream_of(stream)>>>(list, a.partial + done);
        done += list.chunks;
      });
  finish<<<1, kThreads, 0, stream_of(stream)>>>(a.partial, done, a.max_norm, a.loss_scale, a.stats);
  return launched();
}

}  // namespace automodel::kernels::cuda
