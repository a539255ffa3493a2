// Bytes a second of every kernel at the sizes of an 8B model, beside what a copy reaches in the same run.
//   gpu_speed [NAME PART]      only the kernels whose name contains it
#include "tests/gpu/speed.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdio>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/optimizer/optimizer_gpu.h"

namespace automodel::kernels::speed {
namespace {

std::string wanted;
double copy_rate = 0;
constexpr int kRuns = 8;

at::Tensor like(const at::Tensor& x, at::ScalarType dtype) { return at::empty(x.sizes(), x.options().dtype(dtype)); }

}  // namespace

at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::randn(sizes, at::TensorOptions().device(kGpu).dtype(dtype));
}

void measure(const std::string& name, double bytes, const std::function<void()>& run) {
  if (name != "copy" && name.find(wanted) == std::string::npos) return;
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  const auto stream = guard.getStream(kGpu);
  for (int i = 0; i < 3; ++i) run();
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    c10::Event begin(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT),
        end(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);
    begin.record(stream);
    for (int k = 0; k < kRuns; ++k) run();
    end.record(stream);
    end.synchronize();
    times.push_back(begin.elapsedTime(end) / kRuns);
  }
  std::sort(times.begin(), times.end());
  const double ms = times[times.size() / 2], rate = bytes / ms / 1e6;
  if (name == "copy") copy_rate = rate;
  std::printf("%-44s %9.3f ms %8.0f GB/s %5.0f %% of copy\n", name.c_str(), ms, rate, 100 * rate / copy_rate);
  std::fflush(stdout);
}

namespace {

void run_norms() {
  const int64_t T = 16384;
  for (const int64_t D : {2048, 4096, 8192}) {
    const double unit = static_cast<double>(T * D) * 2;
    const auto x = random({T, D}), through = random({T, D}), weight = random({D}), dy = random({T, D});
    auto y = at::empty_like(x), dx = at::empty_like(x);
    auto rstd = at::empty({T}, x.options().dtype(at::kFloat));
    const CudaLaunch on(x);
    const int64_t partials = cuda::norm_partials(T, D, on.multiprocessors());
    auto partial = at::empty({partials, D}, rstd.options());
    const auto size = " " + std::to_string(T) + "x" + std::to_string(D);
    cuda::NormForward forward{.dtype = cuda::DType::BFloat16,
                              .rows = T,
                              .columns = D,
                              .x = x.const_data_ptr(),
                              .weight = weight.const_data_ptr(),
                              .y = y.mutable_data_ptr(),
                              .rstd = rstd.mutable_data_ptr<float>(),
                              .x_stride = D,
                              .y_stride = D,
                              .eps = 1e-5f};
    measure("rms_norm forward" + size, 2 * unit, [&] { on(cuda_table().norm.forward(forward, on.stream())); });
    cuda::NormBackward backward{.dtype = cuda::DType::BFloat16,
                                .rows = T,
                                .columns = D,
                                .x = x.const_data_ptr(),
                                .weight = weight.const_data_ptr(),
                                .rstd = rstd.const_data_ptr<float>(),
                                .dy = dy.const_data_ptr(),
                                .through = through.const_data_ptr(),
                                .dx = dx.mutable_data_ptr(),
                                .x_stride = D,
                                .dy_stride = D};
    measure("rms_norm + residual backward" + size, 4 * unit,
            [&] { on(cuda_table().norm.backward(backward, on.stream())); });
    backward.partial_weight = partial.mutable_data_ptr<float>(), backward.partials = partials;
    auto sum = at::zeros({D}, rstd.options());
    measure("rms_norm + residual backward, dw" + size, 4 * unit, [&] {
      on(cuda_table().norm.backward(backward, on.stream()));
      on(cuda_table().norm.column_sum({.partial = partial.const_data_ptr<float>(),
                                       .rows = partials,
                                       .columns = D,
                                       .dtype = cuda::DType::Float,
                                       .sum = sum.mutable_data_ptr(),
                                       .add = true},
                                      on.stream()));
    });
    auto mean = at::empty_like(rstd);
    forward.center = backward.center = true, forward.mean = mean.mutable_data_ptr<float>();
    backward.mean = mean.const_data_ptr<float>(), forward.bias = weight.const_data_ptr();
    measure("layer_norm forward" + size, 2 * unit, [&] { on(cuda_table().norm.forward(forward, on.stream())); });
    auto partial_bias = at::empty_like(partial);
    backward.partial_bias = partial_bias.mutable_data_ptr<float>();
    measure("layer_norm + residual backward, dw db" + size, 4 * unit,
            [&] { on(cuda_table().norm.backward(backward, on.stream())); });
  }
}

void run_qkv() {
  for (const int64_t D : {64, 128, 256}) {
    const int64_t T = 16384, Q = 4096 / D, K = Q / 4, W = (Q + 2 * K) * D;
    const auto qkv = random({T, W}), cos = random({T, D / 2}, at::kFloat), sin = random({T, D / 2}, at::kFloat),
               weight = random({D});
    auto out = at::empty_like(qkv), d = at::empty_like(qkv);
    const auto places = [&](const at::Tensor& x, int64_t head) {
      return cuda::Heads{static_cast<char*>(x.mutable_data_ptr()) + head * D * 2, W};
    };
    const CudaLaunch on(qkv);
    const auto size = " " + std::to_string(Q) + "/" + std::to_string(K) + "x" + std::to_string(D);
    cuda::QkvForward forward{.dtype = cuda::DType::BFloat16,
                             .tokens = T,
                             .q_heads = Q,
                             .kv_heads = K,
                             .head_dim = D,
                             .rotated = D,
                             .qkv = qkv.const_data_ptr(),
                             .qkv_stride = W,
                             .q = places(qkv, 0),
                             .k = places(qkv, Q),
                             .v = places(qkv, Q + K),
                             .cos = cos.const_data_ptr<float>(),
                             .sin = sin.const_data_ptr<float>(),
                             .eps = 1e-6f};
    const double turned = 2.0 * static_cast<double>(T * (Q + K) * D) * 2, all = 2.0 * static_cast<double>(T * W) * 2;
    measure("rope forward in place" + size, turned, [&] { on(cuda_table().split_qkv.forward(forward, on.stream())); });
    forward.q = places(out, 0), forward.k = places(out, Q), forward.v = places(out, Q + K);
    forward.q_weight = forward.k_weight = weight.const_data_ptr();
    measure("qk norm + rope forward" + size, all, [&] { on(cuda_table().split_qkv.forward(forward, on.stream())); });
    cuda::QkvBackward backward{.dtype = cuda::DType::BFloat16,
                               .tokens = T,
                               .q_heads = Q,
                               .kv_heads = K,
                               .head_dim = D,
                               .rotated = D,
                               .qkv = qkv.const_data_ptr(),
                               .qkv_stride = W,
                               .dq = places(d, 0),
                               .dk = places(d, Q),
                               .dv = places(d, Q + K),
                               .d_qkv = d.mutable_data_ptr(),
                               .d_stride = W,
                               .cos = cos.const_data_ptr<float>(),
                               .sin = sin.const_data_ptr<float>(),
                               .eps = 1e-6f};
    measure("rope backward in place" + size, turned,
            [&] { on(cuda_table().split_qkv.backward(backward, on.stream())); });
    backward.q_weight = backward.k_weight = weight.const_data_ptr();
    measure("qk norm + rope backward in place" + size, 1.5 * turned,
            [&] { on(cuda_table().split_qkv.backward(backward, on.stream())); });
    const int64_t partials = 16 * on.multiprocessors();
    auto sums = at::empty({2, partials, D}, cos.options());
    backward.partials = partials, backward.partial_q = sums.mutable_data_ptr<float>();
    backward.partial_k = backward.partial_q + partials * D;
    measure("qk norm + rope backward in place, dw" + size, 1.5 * turned,
            [&] { on(cuda_table().split_qkv.backward(backward, on.stream())); });
  }
}

void run_gated() {
  const int64_t T = 8192, I = 14336;
  const double unit = static_cast<double>(T * I) * 2;
  const auto gate_up = random({T, 2 * I}), dy = random({T, I});
  auto y = at::empty_like(dy), d = at::empty_like(gate_up);
  const CudaLaunch on(dy);
  for (const auto& [f, name] : {std::pair{0, "swiglu"}, {1, "geglu (erf)"}, {2, "geglu (tanh)"}}) {
    const cuda::GatedForward forward{.dtype = cuda::DType::BFloat16,
                                     .f = f,
                                     .rows = T,
                                     .columns = I,
                                     .gate_up = gate_up.const_data_ptr(),
                                     .y = y.mutable_data_ptr(),
                                     .gate_up_stride = 2 * I,
                                     .y_stride = I};
    measure(std::string(name) + " forward", 3 * unit, [&] { on(cuda_table().gated.forward(forward, on.stream())); });
    const cuda::GatedBackward backward{.dtype = cuda::DType::BFloat16,
                                       .f = f,
                                       .rows = T,
                                       .columns = I,
                                       .gate_up = gate_up.const_data_ptr(),
                                       .dy = dy.const_data_ptr(),
                                       .d_gate_up = d.mutable_data_ptr(),
                                       .gate_up_stride = 2 * I,
                                       .dy_stride = I,
                                       .d_stride = 2 * I};
    measure(std::string(name) + " backward", 5 * unit, [&] { on(cuda_table().gated.backward(backward, on.stream())); });
  }
}

void run_embedding() {
  const int64_t T = 32768, H = 4096, V = 128256;
  const auto table = random({V, H}), dy = random({T, H});
  const auto ids = at::randint(V, {T}, at::TensorOptions().device(kGpu).dtype(at::kLong));
  auto y = at::empty_like(dy), grad = at::zeros({V, H}, table.options().dtype(at::kFloat));
  const double unit = static_cast<double>(T * H);
  const CudaLaunch on(table);
  measure("embedding forward", 4 * unit, [&] {
    on(cuda_table().embedding.forward({.dtype = cuda::DType::BFloat16,
                                       .tokens = T,
                                       .columns = H,
                                       .ids = ids.const_data_ptr<int64_t>(),
                                       .table = table.const_data_ptr(),
                                       .y = y.mutable_data_ptr(),
                                       .scale = 1},
                                      on.stream()));
  });
  for (const bool skewed : {false, true}) {  // skewed: a third of the tokens are one id
    const auto some = skewed ? ids * (ids % 3 > 0) : ids;
    const auto [sorted, order] = at::sort(some, std::optional<bool>(true), 0);
    auto partial = at::empty({cuda::embedding_partials(T), H}, grad.options());
    measure(skewed ? "embedding backward, a third one id" : "embedding backward", (2 + 8) * unit, [&] {
      on(cuda_table().embedding.backward({.dtype = cuda::DType::BFloat16,
                                          .grad_dtype = cuda::DType::Float,
                                          .tokens = T,
                                          .columns = H,
                                          .sorted_ids = sorted.const_data_ptr<int64_t>(),
                                          .order = order.const_data_ptr<int64_t>(),
                                          .dy = dy.const_data_ptr(),
                                          .grad = grad.mutable_data_ptr(),
                                          .partial = partial.mutable_data_ptr<float>(),
                                          .padding = -1,
                                          .scale = 1},
                                         on.stream()));
    });
  }
}

void run_cross_entropy() {
  const int64_t T = 4096, V = 128256;
  const auto logits = random({T, V});
  const auto labels = at::randint(V, {T}, at::TensorOptions().device(kGpu).dtype(at::kLong));
  auto loss = at::empty({T}, logits.options().dtype(at::kFloat));
  const CudaLaunch on(logits);
  for (const float softcap : {0.0f, 30.0f})
    measure(softcap > 0 ? "cross entropy of logits, softcap" : "cross entropy of logits",
            4.0 * static_cast<double>(T * V), [&] {
              on(cuda_table().cross_entropy.softmax_loss({.dtype = cuda::DType::BFloat16,
                                                          .rows = T,
                                                          .columns = V,
                                                          .logits = logits.mutable_data_ptr(),
                                                          .stride = V,
                                                          .labels = labels.const_data_ptr<int64_t>(),
                                                          .loss = loss.mutable_data_ptr<float>(),
                                                          .lse = nullptr,
                                                          .ignore = -100,
                                                          .scale = 1,
                                                          .softcap = softcap,
                                                          .logit_scale = 1,
                                                          .smoothing = 0,
                                                          .z_loss = 0,
                                                          .gradient = true},
                                                         on.stream()));
            });
}

void run_optimizer() {
  using cuda::Master;
  struct Case {
    const char* name;
    at::ScalarType weight, grad, state;
    Master master;
    int bytes;  // read and written an element
  };
  for (const auto& c :
       {Case{"adamw fp32", at::kFloat, at::kFloat, at::kFloat, Master::None, 28},
        Case{"adamw bf16, fp32 gradient, fp32 master", at::kBFloat16, at::kFloat, at::kFloat, Master::Full, 30},
        Case{"adamw bf16, split master", at::kBFloat16, at::kBFloat16, at::kFloat, Master::Split, 26},
        Case{"adamw bf16, all in bf16", at::kBFloat16, at::kBFloat16, at::kBFloat16, Master::None, 14},
        Case{"adamw bf16 by chance, bf16 states", at::kBFloat16, at::kBFloat16, at::kBFloat16, Master::Stochastic,
             14}}) {
    std::vector<AdamItem> items;
    std::vector<at::Tensor> grads;
    double count = 0;
    for (uint64_t i = 0; i < 40; ++i) {  // ten layers' worth of tensors of unequal sizes
      AdamItem item{.weight = random({i % 4 == 0 ? 4096 : int64_t(1) << (21 + i % 4)}, c.weight),
                    .lr = 1e-5,
                    .decay = 0.1,
                    .key = i};
      item.grad = like(item.weight, c.grad).normal_();
      item.m = at::zeros_like(item.weight, item.weight.options().dtype(c.state)), item.v = at::zeros_like(item.m);
      if (c.master == Master::Full) item.low = item.weight.to(at::kFloat);
      if (c.master == Master::Split) item.low = at::zeros_like(item.weight, item.weight.options().dtype(at::kShort));
      item.step = at::zeros({}, item.m.options().dtype(at::kFloat));
      count += static_cast<double>(item.weight.numel());
      grads.push_back(item.grad);
      items.push_back(item);
    }
    at::Tensor stats;
    measure(std::string("gradient norm, ") + toString(c.grad), count * static_cast<double>(c10::elementSize(c.grad)),
            [&] { stats = sum_gradients(grads, 1.0).stats; });
    if (!stats.defined()) stats = sum_gradients(grads, 1.0).stats;
    measure(c.name, count * c.bytes, [&] { adam_update(items, {.master = c.master, .seed = 1}, stats); });
  }
  // Adapters of rank 16 into the extra columns of [4096, 4096 + 64], 200 of them.
  std::vector<at::Tensor> from, to;
  std::vector<cuda::CopyTensor> copies;
  for (int i = 0; i < 200; ++i) {
    from.push_back(random({4096, 16}, at::kFloat)),
        to.push_back(at::empty({4096, 4160}, from[0].options().dtype(at::kBFloat16)));
    copies.push_back({from.back().const_data_ptr(), static_cast<char*>(to.back().mutable_data_ptr()) + 4096 * 2, 4096,
                      16, 16, 4160, 2.0f});
  }
  const CudaLaunch on(from[0]);
  measure("200 adapters into their bases", 200.0 * 4096 * 16 * 6, [&] {
    on(cuda_table().optimizer.copy({copies.data(), 200, cuda::DType::Float, cuda::DType::BFloat16}, on.stream()));
  });
}

void run() {
  require_cuda("gpu_speed");
  const auto& state = load_cuda();
  std::printf("%s, driver for CUDA %d.%d, kernels for %s\n", state.gpus[0].name.c_str(), state.driver_version / 1000,
              state.driver_version % 1000 / 10, state.archs.c_str());
  {
    const auto from = random({int64_t{1} << 30});
    auto to = at::empty_like(from);
    measure("copy", 4.0 * static_cast<double>(from.numel()), [&] { to.copy_(from); });
  }
  run_norms();
  run_qkv();
  run_gated();
  run_adapters();
  run_attention();
  run_embedding();
  run_cross_entropy();
  run_optimizer();
}

void run_all(const char* name_part) {
  wanted = name_part;
  run();
}

}  // namespace
}  // namespace automodel::kernels::speed

int main(int argc, char** argv) {
  try {
    automodel::kernels::speed::run_all(argc > 1 ? argv[1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_speed: %s\n", error.what());
    return 1;
  }
}
