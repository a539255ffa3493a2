#include "automodel/tensor/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace automodel {

DropoutMask dropout_mask(double p, RandomKey key) {
  return {std::round(p * 65536) / 65536, RandomKey{key.value()}.value()};
}

static at::Tensor scaled_mask(at::IntArrayRef sizes, const at::TensorOptions& options, const DropoutMask& mask) {
  auto scaled = at::empty(sizes, at::kFloat);
  float* out = scaled.mutable_data_ptr<float>();
  const int64_t size = scaled.numel();
  const float kept = mask.kept();
  const uint32_t threshold = mask.threshold();
  const auto k0 = static_cast<uint32_t>(mask.key), k1 = static_cast<uint32_t>(mask.key >> 32);
  at::parallel_for(0, (size + 7) / 8, 512, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto counter = static_cast<uint64_t>(block);
      const auto words =
          philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}, k0, k1);
      for (int64_t lane = 0; lane < 8 && block * 8 + lane < size; ++lane)
        out[block * 8 + lane] =
            (words[static_cast<size_t>(lane / 2)] >> lane % 2 * 16 & 0xffff) < threshold ? 0.0f : kept;
    }
  });
  return scaled.to(options);
}

static GpuDropout gpu_dropout = nullptr;

void set_gpu_dropout(GpuDropout compute) { gpu_dropout = compute; }

at::Tensor drop(const at::Tensor& x, const DropoutMask& mask) {
  if (mask.p == 0) return x;
  const auto dtype = x.scalar_type();
  if (x.is_cuda() && gpu_dropout && (dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf))
    return gpu_dropout(x, mask);
  return x * scaled_mask(x.sizes(), x.options(), mask);
}

namespace {
struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, double p, int64_t key) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return drop(x, {p, static_cast<uint64_t>(key)});
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto key = static_cast<uint64_t>(ctx->saved_data["key"].toInt());
    return {drop(grads[0], {ctx->saved_data["p"].toDouble(), key}), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor dropout(const at::Tensor& x, double p, RandomKey key) {
  const auto mask = dropout_mask(p, key);
  if (mask.p == 0) return x;
  return DropoutFunction::apply(x, mask.p, static_cast<int64_t>(mask.key));
}

}  // namespace automodel
