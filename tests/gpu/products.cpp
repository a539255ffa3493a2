// Attention, products and adapters at the sizes of an 8B model: milliseconds, TFLOP/s, what a call costs the host.
//   gpu_products [PART,PART...]      only what contains one of them
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "automodel/base/text.h"
#include "automodel/kernels/adapter/adapted_linear.h"
#include "automodel/kernels/attention/attention_gpu.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/product/product_gpu.h"

namespace automodel::kernels {
namespace {

const at::Device kGpu("cuda:0");
std::string wanted;

at::Tensor random(at::IntArrayRef sizes) {
  return at::randn(sizes, at::TensorOptions().device(kGpu).dtype(at::kBFloat16));
}

bool is_wanted(const std::string& name) {
  for (const auto& part : split(wanted, ','))
    if (name.find(part) != std::string::npos) return true;
  return wanted.empty();
}

// Runs for a while under load before it measures: a cool chip runs faster than it can keep up.
void measure(const std::string& name, double flops, const std::function<void()>& run) {
  if (!is_wanted(name)) return;
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  const auto stream = guard.getStream(kGpu);
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  };
  const auto time_of = [&](int runs) {
    c10::Event begin(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT),
        end(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);
    begin.record(stream);
    for (int i = 0; i < runs; ++i) run();
    end.record(stream);
    end.synchronize();
    return begin.elapsedTime(end) / runs;
  };
  time_of(2);
  const double guess = time_of(3);
  const int runs = std::max(5, static_cast<int>(120 / guess));
  double host = 1e9;
  for (int i = 0; i < 3; ++i) {  // on an empty queue, which is deep enough for ten calls
    const auto begin = Clock::now();
    for (int j = 0; j < 10; ++j) run();
    host = std::min(host, seconds(begin) / 10);
    time_of(1);
  }
  time_of(runs);
  const double ms = time_of(runs);
  std::printf("%-62s %8.3f ms %6.0f TFLOP/s   host %5.1f us\n", name.c_str(), ms, flops / ms / 1e9, 1e6 * host);
  std::fflush(stdout);
}

// --- attention

using Implementation = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, const AttentionPlan&);

void run_attention(const std::string& what, const std::vector<int64_t>& lengths, int64_t heads, int64_t kv_heads,
                   int64_t D, int64_t window) {
  AttentionPlan plan;
  plan.q_begin = {0};
  double pairs = 0;
  for (const int64_t n : lengths) {
    plan.q_begin.push_back(plan.q_begin.back() + n);
    const double seen = window > 0 ? static_cast<double>(std::min(window, n)) : static_cast<double>(n);
    pairs += seen * static_cast<double>(n) - seen * seen / 2;
  }
  plan.k_begin = plan.q_begin;
  plan.window = window, plan.scale = 1 / std::sqrt(static_cast<double>(D));
  const int64_t T = plan.q_begin.back();
  auto borders = at::empty({static_cast<int64_t>(plan.q_begin.size())}, at::kInt);
  std::copy(plan.q_begin.begin(), plan.q_begin.end(), borders.mutable_data_ptr<int32_t>());
  plan.borders = borders.to(kGpu);
  const auto qkv = random({T, (heads + 2 * kv_heads) * D});
  const auto part = [&](int64_t first, int64_t count) {
    return qkv.narrow(1, first * D, count * D).view({T, count, D}).detach().requires_grad_();
  };
  const auto q = part(0, heads), k = part(heads, kv_heads), v = part(heads + kv_heads, kv_heads);
  const auto dy = random({T, heads, D});
  const double flops = 4 * pairs * static_cast<double>(heads * D);
  const std::pair<const char*, Implementation> ways[] = {{"cudnn", attention_cudnn}, {"flash", attention_flash}};
  for (const auto& [name, op] : ways) {
    const auto title = fmt::format("attention {} {} {}/{}x{} window {}", name, what, heads, kv_heads, D, window);
    const auto run = op;
    try {
      measure(title + " forward", flops, [&] {
        const at::NoGradGuard guard;
        run(q, k, v, plan);
      });
      const auto y = run(q, k, v, plan);
      measure(title + " backward", 2.5 * flops, [&] { torch::autograd::grad({y}, {q, k, v}, {dy}, true); });
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", title.c_str(), error.what());
    }
  }
}

void run_all_attention() {
  const std::vector<int64_t> uneven = {1347, 8,   255, 130, 611, 90,  402, 77,  333, 1021, 58,  266,
                                       149,  520, 71,  188, 301, 460, 95,  212, 640, 33,   177, 748};  // 8192
  run_attention("2x4096", {4096, 4096}, 32, 8, 128, 0);
  run_attention("24 uneven", uneven, 32, 8, 128, 0);
  run_attention("1x8192", {8192}, 32, 8, 128, 0);
  run_attention("3 uneven", {1000, 5000, 2192}, 32, 8, 128, 0);
  for (const int64_t window : {512, 1024, 4096}) run_attention("1x8192", {8192}, 32, 8, 128, window);
  run_attention("24 uneven", uneven, 32, 8, 128, 512);
  run_attention("2x4096", {4096, 4096}, 32, 8, 64, 0);
  run_attention("2x4096", {4096, 4096}, 32, 8, 80, 0);
  run_attention("2x4096", {4096, 4096}, 32, 8, 96, 0);
  run_attention("2x4096", {4096, 4096}, 16, 4, 256, 0);
  run_attention("24 uneven", uneven, 32, 8, 64, 0);
  run_attention("24 uneven", uneven, 16, 4, 256, 0);
  run_attention("2x4096", {4096, 4096}, 16, 4, 256, 1024);
}

// --- products

struct Shape {
  const char* name;
  int64_t in, out;
  std::vector<AdapterPiece> pieces;
};

std::unique_ptr<Parameter> parameter(std::vector<int64_t> shape, bool trained) {
  auto made = std::make_unique<Parameter>("weight", shape, at::kBFloat16, Init{});
  made->set_value(random(shape) * 0.02);
  made->trainable = trained;
  return made;
}

// libtorch's products beside ours.
void measure_products(const std::string& name, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& w,
                      double flops) {
  const at::NoGradGuard off;
  auto out = at::empty_like(dy), dx = at::empty_like(x), thin = random({x.size(0), 64}), dw = at::empty_like(w);
  const auto residual = random(dy.sizes()), a = random({64, x.size(1)}), b = random({dy.size(1), 64});
  const double thin_flops = flops / static_cast<double>(dy.size(1)) * 64;
  measure(name + "libtorch y", flops, [&] { at::mm_out(out, x, w.t()); });
  measure(name + "product_gpu y", flops, [&] { product_gpu(out, x, w.t()); });
  measure(name + "product_gpu y + residual", flops, [&] { product_gpu(out, x, w.t(), residual); });
  measure(name + "libtorch dx", flops, [&] { at::mm_out(dx, dy, w); });
  measure(name + "product_gpu dx", flops, [&] { product_gpu(dx, dy, w); });
  measure(name + "libtorch x A^T", thin_flops, [&] { at::mm_out(thin, x, a.t()); });
  measure(name + "product_gpu x A^T", thin_flops, [&] { product_gpu(thin, x, a.t()); });
  const double back_flops = flops / static_cast<double>(x.size(1)) * 64;
  measure(name + "libtorch dy B", back_flops, [&] { at::mm_out(thin, dy, b); });
  measure(name + "product_gpu dy B", back_flops, [&] { product_gpu(thin, dy, b); });
  auto da = at::empty({16, x.size(1)}, x.options().dtype(at::kFloat)),
       db = at::empty({dy.size(1), 16}, x.options().dtype(at::kFloat));
  const auto part = thin.narrow(1, 0, 16);
  measure(name + "libtorch dA", thin_flops / 4, [&] { at::addmm_out(da, da, part.t(), x, at::kFloat, 1, 1); });
  measure(name + "product_gpu dA", thin_flops / 4, [&] { product_gpu(da, part.t(), x, da); });
  measure(name + "libtorch dB", back_flops / 4, [&] { at::addmm_out(db, db, dy.t(), part, at::kFloat, 1, 1); });
  measure(name + "product_gpu dB", back_flops / 4, [&] { product_gpu(db, dy.t(), part, db); });
}

void run_products() {
  const int64_t T = 8192, rank = 16;
  const std::vector<Shape> shapes = {{"qkv", 4096, 6144, {{0, 4096, 0}, {4096, 1024, 4096}, {5120, 1024, 5120}}},
                                     {"o", 4096, 4096, {{0, 4096, 0}}},
                                     {"gate_up", 4096, 28672, {{0, 14336, 0}, {14336, 14336, 14336}}},
                                     {"down", 14336, 4096, {{0, 4096, 0}}}};
  for (const auto& s : shapes) {
    const double flops = 2.0 * static_cast<double>(T) * static_cast<double>(s.in) * static_cast<double>(s.out);
    const auto count = static_cast<int64_t>(s.pieces.size());
    const auto weight = parameter({s.out, s.in}, true), a = parameter({count * rank, s.in}, true),
               b = parameter({s.out, rank}, true);
    const auto x = random({T, s.in}).requires_grad_(), dy = random({T, s.out});
    const auto name = fmt::format("{} {}x{}x{} ", s.name, T, s.in, s.out);
    measure(name + "linear forward", flops, [&] {
      const at::NoGradGuard guard;
      linear(x, *weight, nullptr);
    });
    weight->trainable = false;
    const auto y = linear(x, *weight, nullptr);
    measure(name + "linear dx", flops, [&] { torch::autograd::grad({y}, {x}, {dy}, true); });
    auto grad = random({s.out, s.in}).to(at::kFloat);
    measure(name + "linear dw, fp32, added", flops, [&] { accumulate_outer(grad, 1, dy, x); });

    measure_products(name, x.detach(), dy, weight->value(), flops);

    AdapterStorage storage(*weight, *a, *b, rank, 2, s.pieces);
    storage.refresh(true);
    measure(name + "strided linear forward", flops, [&] {
      const at::NoGradGuard guard;
      linear(x, *weight, nullptr);
    });
    measure(name + "refresh of adapters", 0, [&] { storage.refresh(true); });
    const auto room_x = padded(x, storage.extra()).requires_grad_(), room_dy = padded(dy, storage.extra());
    for (const bool room : {false, true}) {
      const auto given = room ? room_x : x;
      const auto title = name + (room ? "adapted, room, " : "adapted, no room, ");
      measure(title + "forward", flops, [&] {
        const at::NoGradGuard guard;
        adapted_linear(given, storage, nullptr);
      });
      const auto adapted = adapted_linear(given, storage, nullptr);
      measure(title + "backward", flops,
              [&] { torch::autograd::grad({adapted}, {given}, {room ? room_dy : dy}, true); });
    }
  }
}

}  // namespace
}  // namespace automodel::kernels

int main(int count, char** arguments) {
  using namespace automodel::kernels;
  const auto& found = load_cuda();
  if (!found.ready) {
    std::printf("no GPU: %s\n", found.reason.c_str());
    return 77;
  }
  if (count > 1) wanted = arguments[1];
  std::printf("%s\n", found.gpus.at(0).name.c_str());
  run_all_attention();
  run_products();
}
