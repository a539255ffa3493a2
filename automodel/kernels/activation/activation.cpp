#include "automodel/kernels/activation/activation.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/simd.h"

namespace automodel::kernels {

Activation parse_activation(const std::string& name, const std::string& key) {
  static const std::map<std::string, Activation> names = {
      {"silu", Activation::Silu},          {"swish", Activation::Silu},
      {"gelu", Activation::Gelu},          {"gelu_new", Activation::GeluTanh},
      {"gelu_fast", Activation::GeluTanh}, {"gelu_pytorch_tanh", Activation::GeluTanh},
      {"relu", Activation::Relu},          {"relu2", Activation::ReluSquared},
  };
  if (const auto found = names.find(name); found != names.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [word, unused] : names) known.push_back(word);
  throw UnsupportedError(key, fmt::format("activation '{}' is not known; expected one of {}", name, join(known, ", ")));
}

at::Tensor activation(const at::Tensor& x, Activation f) {
  switch (f) {
    case Activation::Silu:
      return at::silu(x);
    case Activation::Gelu:
      return at::gelu(x);
    case Activation::GeluTanh:
      return at::gelu(x, "tanh");
    case Activation::Relu:
      return at::relu(x);
    case Activation::ReluSquared: {
      const auto positive = at::relu(x);
      return positive * positive;
    }
  }
  throw CheckError("activation without a case");
}

at::Tensor gated_activation_reference(const at::Tensor& gate_up, Activation f) {
  const int64_t I = gate_up.size(-1) / 2;
  return activation(gate_up.narrow(-1, 0, I), f) * gate_up.narrow(-1, I, I);
}

// Legend: T rows, I columns of gate and of up.
AM_SIMD static void silu_forward(const float* gate_up, int64_t begin, int64_t end, int64_t I, float* y) {
  for (int64_t t = begin; t < end; ++t) {
    const float *gate = gate_up + t * 2 * I, *up = gate + I;
    float* out = y + t * I;
    for (int64_t i = 0; i < I; ++i) out[i] = gate[i] * sigmoid_fast(gate[i]) * up[i];
  }
}

AM_SIMD static void silu_backward(const float* gate_up, const float* dy, int64_t begin, int64_t end, int64_t I,
                                  float* d) {
  for (int64_t t = begin; t < end; ++t) {
    const float *gate = gate_up + t * 2 * I, *up = gate + I, *g = dy + t * I;
    float *d_gate = d + t * 2 * I, *d_up = d_gate + I;
    for (int64_t i = 0; i < I; ++i) {
      const float s = sigmoid_fast(gate[i]);
      d_up[i] = g[i] * gate[i] * s;
      d_gate[i] = g[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
    }
  }
}

static constexpr float kRoot = 0.7978845608f, kCube = 0.044715f;  // sqrt(2 / pi), and Hendrycks and Gimpel's constant

AM_SIMD static void gelu_forward(const float* gate_up, int64_t begin, int64_t end, int64_t I, float* y) {
  for (int64_t t = begin; t < end; ++t) {
    const float *gate = gate_up + t * 2 * I, *up = gate + I;
    float* out = y + t * I;
    for (int64_t i = 0; i < I; ++i) {
      const float x = gate[i];
      out[i] = 0.5f * x * (1.0f + tanh_fast(kRoot * (x + kCube * x * x * x))) * up[i];
    }
  }
}

AM_SIMD static void gelu_backward(const float* gate_up, const float* dy, int64_t begin, int64_t end, int64_t I,
                                  float* d) {
  for (int64_t t = begin; t < end; ++t) {
    const float *gate = gate_up + t * 2 * I, *up = gate + I, *g = dy + t * I;
    float *d_gate = d + t * 2 * I, *d_up = d_gate + I;
    for (int64_t i = 0; i < I; ++i) {
      const float x = gate[i];
      const float h = tanh_fast(kRoot * (x + kCube * x * x * x));
      const float slope = 0.5f * (1.0f + h) + 0.5f * x * (1.0f - h * h) * kRoot * (1.0f + 3.0f * kCube * x * x);
      d_up[i] = g[i] * 0.5f * x * (1.0f + h);
      d_gate[i] = g[i] * up[i] * slope;
    }
  }
}

static constexpr int64_t kGrain = 16;

static at::Tensor forward_cpu(const at::Tensor& gate_up, Activation f) {
  const int64_t T = gate_up.size(0), I = gate_up.size(1) / 2;
  auto y = at::empty({T, I}, gate_up.options());
  const float* from = gate_up.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  const auto run = f == Activation::Silu ? silu_forward : gelu_forward;
  at::parallel_for(0, T, kGrain, [&](int64_t begin, int64_t end) { run(from, begin, end, I, to); });
  return y;
}

static at::Tensor forward_gpu(const at::Tensor& gate_up, Activation f, int64_t padding) {
  const int64_t T = gate_up.size(0), I = gate_up.size(1) / 2;
  auto y = empty_padded(T, I, padding, gate_up.options().requires_grad(false));
  const CudaLaunch on(gate_up);
  on(cuda_table().gated.forward({.dtype = cuda_dtype(gate_up),
                                 .f = static_cast<int32_t>(f),
                                 .rows = T,
                                 .columns = I,
                                 .gate_up = gate_up.const_data_ptr(),
                                 .y = y.mutable_data_ptr(),
                                 .gate_up_stride = gate_up.stride(0),
                                 .y_stride = y.stride(0)},
                                on.stream()));
  return y;
}

static at::Tensor backward_gpu(const at::Tensor& gate_up, const at::Tensor& dy, Activation f) {
  const int64_t I = gate_up.size(1) / 2;
  auto d = empty_padded_like(gate_up);
  const CudaLaunch on(gate_up);
  on(cuda_table().gated.backward({.dtype = cuda_dtype(gate_up),
                                  .f = static_cast<int32_t>(f),
                                  .rows = gate_up.size(0),
                                  .columns = I,
                                  .gate_up = gate_up.const_data_ptr(),
                                  .dy = dy.const_data_ptr(),
                                  .d_gate_up = d.mutable_data_ptr(),
                                  .y = nullptr,
                                  .gate_up_stride = gate_up.stride(0),
                                  .dy_stride = dy.stride(0),
                                  .d_stride = d.stride(0)},
                                 on.stream()));
  return d;
}

static at::Tensor forward_fused(const at::Tensor& gate_up, Activation f, int64_t padding) {
  return gate_up.is_cuda() ? forward_gpu(gate_up, f, padding) : forward_cpu(gate_up, f);
}

// Rows of elements side by side; on a GPU they may have gaps between them.
static bool in_rows(const at::Tensor& x) {
  return x.is_contiguous() || (x.is_cuda() && x.dim() == 2 && x.stride(1) == 1 && x.stride(0) >= x.size(1));
}

namespace {
struct GatedFunction : torch::autograd::Function<GatedFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& gate_up, int64_t f,
                            int64_t padding) {
    ctx->save_for_backward({gate_up});
    ctx->saved_data["f"] = f;
    return forward_fused(gate_up, static_cast<Activation>(f), padding);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto gate_up = ctx->get_saved_variables()[0];
    const auto dy = in_rows(grads[0]) ? grads[0] : grads[0].contiguous();
    const auto f = static_cast<Activation>(ctx->saved_data["f"].toInt());
    if (gate_up.is_cuda()) return {backward_gpu(gate_up, dy, f), at::Tensor(), at::Tensor()};
    auto d = at::empty_like(gate_up);
    const float *from = gate_up.const_data_ptr<float>(), *grad = dy.const_data_ptr<float>();
    float* to = d.mutable_data_ptr<float>();
    const int64_t I = gate_up.size(1) / 2;
    const auto run = f == Activation::Silu ? silu_backward : gelu_backward;
    at::parallel_for(0, gate_up.size(0), kGrain,
                     [&](int64_t begin, int64_t end) { run(from, grad, begin, end, I, to); });
    return {d, at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor gated_activation(const at::Tensor& gate_up, Activation f, int64_t padding) {
  if (gate_up.is_cuda() && gate_up.dim() == 2 && !in_rows(gate_up))
    return gated_activation(gate_up.contiguous(), f, padding);
  const bool dense = in_rows(gate_up) && gate_up.dim() == 2;
  const bool on_cpu = gate_up.device().is_cpu() && gate_up.scalar_type() == at::kFloat &&
                      (f == Activation::Silu || f == Activation::GeluTanh);
  const bool on_gpu = gate_up.is_cuda() && has_cuda_dtype(gate_up);
  if (!dense || !(on_cpu || on_gpu)) return gated_activation_reference(gate_up, f);
  if (!at::GradMode::is_enabled() || !gate_up.requires_grad()) return forward_fused(gate_up, f, padding);
  return GatedFunction::apply(gate_up, static_cast<int64_t>(f), padding);
}

at::Tensor gated_activation(const at::Tensor& gate_up, Activation f) { return gated_activation(gate_up, f, 0); }

}  // namespace automodel::kernels
