#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>

#include <bit>

#include "automodel/base/error.h"
#include "automodel/kernels/attention/attention_gpu.h"
#include "automodel/kernels/attention/attention_sinks.h"
#include "automodel/kernels/cuda/device_error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/padded.h"

namespace automodel::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gap between tokens; the heads of a token lie side by side.
bool side_by_side(const at::Tensor& x) {
  return x.stride(2) == 1 && (x.size(1) == 1 || x.stride(1) == x.size(2)) && x.stride(0) % 8 == 0 &&
         reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0;
}
at::Tensor in_rows(const at::Tensor& x) { return side_by_side(x) ? x : x.clone(at::MemoryFormat::Contiguous); }

// [T, heads, D], tokens `row` elements apart, no view to autograd.
at::Tensor empty_rows(int64_t T, int64_t heads, int64_t D, int64_t row, const at::TensorOptions& options) {
  const auto rows = empty_padded(T, heads * D, row - heads * D, options);
  const at::AutoDispatchBelowADInplaceOrView below;
  return rows.view({T, heads, D});
}

int64_t power_of_two(int64_t n) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))); }

// Up to a fifth more than n: few different programs serve all batches.
int64_t rounded(int64_t n) {
  const int64_t step = std::max<int64_t>(128, power_of_two(n) / 4);
  return (n + step - 1) / step * step;
}

constexpr int64_t kDenseBlock = 512;  // dense programs are made for documents of whole blocks, so that they stay few

cuda::AttentionShape shape_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const AttentionPlan& plan) {
  const auto count = static_cast<int64_t>(plan.q_begin.size()) - 1;
  int64_t longest = 0, shortest = q.size(0);
  for (int64_t d = 0; d < count; ++d) {
    const int64_t length = plan.q_begin[d + 1] - plan.q_begin[d];
    longest = std::max(longest, length), shortest = std::min(shortest, length);
  }
  cuda::AttentionShape s{};
  s.dtype = cuda_dtype(q);
  s.dense = longest == shortest && longest % kDenseBlock == 0;
  s.documents = s.dense ? count : power_of_two(count);
  s.longest = s.dense ? longest : std::max<int64_t>(128, power_of_two(longest));
  s.q_heads = q.size(1), s.kv_heads = k.size(1), s.head_dim = q.size(2);
  s.window = plan.window < longest ? plan.window : 0;
  s.q_row = q.stride(0), s.k_row = k.stride(0), s.v_row = v.stride(0);
  s.o_row = q.size(1) * q.size(2) + plan.row_padding;
  s.scale = static_cast<float>(plan.scale), s.softcap = static_cast<float>(plan.softcap);
  s.wide = rounded(q.size(0)) * std::max({s.q_row, s.k_row, s.v_row, s.o_row}) > INT32_MAX;
  return s;
}

cuda::AttentionShape backward_shape(cuda::AttentionShape s, int64_t tokens) {
  s.backward = true;
  s.tokens = s.dense ? 0 : rounded(tokens);
  s.deterministic = at::globalContext().deterministicAlgorithms();
  return s;
}

struct Program {
  int64_t workspace = 0;
  const char* reason = nullptr;
  const cuda::AttentionProgram* program;  // the last: finding it sets the others
  explicit Program(const cuda::AttentionShape& s) : program(cuda_table().attention.program(s, &workspace, &reason)) {}
};

void run(const CudaLaunch& on, const cuda::AttentionShape& shape, cuda::AttentionBuffers buffers,
         const at::TensorOptions& options) {
  const Program found(shape);
  AM_CHECK(found.program, "cuDNN: {}", found.reason);
  const auto workspace = at::empty({found.workspace}, options.dtype(at::kByte));
  buffers.workspace = workspace.mutable_data_ptr();
  if (const char* error = cuda_table().attention.run(found.program, buffers, on.stream()))
    throw DeviceError("attention", fmt::format("cuDNN: {}", error));
}

at::Tensor borders_of(const at::Tensor& q, const AttentionPlan& plan) {
  if (plan.borders.defined()) return plan.borders;
  auto host = at::empty({static_cast<int64_t>(plan.q_begin.size())}, at::kInt);
  std::copy(plan.q_begin.begin(), plan.q_begin.end(), host.mutable_data_ptr<int32_t>());
  return host.to(q.device());
}

struct Forward {
  at::Tensor o, statistics, offsets;
};

// Of a document's heads and tokens, whatever their order: the log-sum-exp as [..., Hq] and x as [..., Hq, D].
at::Tensor by_token(const at::Tensor& statistics, const cuda::AttentionShape& s) {
  return s.dense ? statistics.view({s.documents, s.q_heads, s.longest}).transpose(1, 2) : statistics;
}
at::Tensor by_token_and_head(const at::Tensor& x, const cuda::AttentionShape& s) {
  return s.dense ? x.unflatten(0, {s.documents, s.longest}) : x;
}

Forward forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                const cuda::AttentionShape& s) {
  const auto options = q.options().requires_grad(false);
  Forward out{empty_rows(q.size(0), s.q_heads, s.head_dim, s.o_row, options),
              at::empty({q.size(0), s.q_heads}, options.dtype(at::kFloat)), at::Tensor()};
  const CudaLaunch on(q);
  if (!s.dense) {
    const auto borders = borders_of(q, plan);
    out.offsets = at::empty({cuda::attention_offsets_bytes(s)}, options.dtype(at::kByte));
    on(cuda_table().attention.offsets({.shape = &s,
                                       .borders = borders.const_data_ptr<int32_t>(),
                                       .count = static_cast<int64_t>(plan.q_begin.size()) - 1,
                                       .out = out.offsets.mutable_data_ptr()},
                                      on.stream()));
  }
  run(on, s,
      {.q = q.const_data_ptr(),
       .k = k.const_data_ptr(),
       .v = v.const_data_ptr(),
       .o = out.o.mutable_data_ptr(),
       .statistics = out.statistics.mutable_data_ptr<float>(),
       .offsets = s.dense ? nullptr : out.offsets.const_data_ptr()},
      options);
  if (plan.sinks) add_sinks(by_token_and_head(out.o, s), by_token(out.statistics, s), *plan.sinks);
  return out;
}

struct Gradients {
  at::Tensor q, k, v;
};

// Like q, k and v: the parts of one packed tensor where they are, so that what comes before attention gets one gradient
// without a copy. cuDNN writes dq where q's offsets say: the rows must be as far apart.
Gradients empty_gradients(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t T = q.size(0), D = q.size(2), row = q.stride(0), nq = q.size(1) * D, nk = k.size(1) * D;
  const auto options = q.options().requires_grad(false);
  const auto* base = static_cast<const char*>(q.const_data_ptr());
  const auto at_element = [&](int64_t i) { return base + i * static_cast<int64_t>(q.element_size()); };
  const bool packed = k.stride(0) == row && v.stride(0) == row && row >= nq + 2 * nk &&
                      k.const_data_ptr() == at_element(nq) && v.const_data_ptr() == at_element(nq + nk);
  if (!packed)
    return {empty_rows(T, q.size(1), D, row, options), empty_rows(T, k.size(1), D, k.stride(0), options),
            empty_rows(T, k.size(1), D, v.stride(0), options)};
  const at::AutoDispatchBelowADInplaceOrView below;  // nothing but the three parts holds the storage
  const auto all = empty_padded(T, nq + 2 * nk, row - nq - 2 * nk, options);
  const auto part = [&](int64_t first, int64_t heads) { return all.as_strided({T, heads, D}, {row, D, 1}, first); };
  return {part(0, q.size(1)), part(nq, k.size(1)), part(nq + nk, k.size(1))};
}

// What the backward needs of the plan.
struct Kept : torch::CustomClassHolder {
  cuda::AttentionShape shape;
  Parameter* sinks = nullptr;
};

struct CudnnFunction : torch::autograd::Function<CudnnFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionPlan* plan) {
    const auto kept = c10::make_intrusive<Kept>();
    kept->shape = shape_of(q, k, v, *plan);
    kept->sinks = plan->sinks;
    const auto out = kernels::forward(q, k, v, *plan, kept->shape);
    ctx->save_for_backward({q, k, v, out.o, out.statistics, out.offsets});
    ctx->saved_data["kept"] = c10::IValue::make_capsule(kept);
    return out.o;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2], &o = saved[3];
    const auto capsule = ctx->saved_data["kept"].toCapsule();
    const auto& kept = static_cast<const Kept&>(*capsule);
    const auto s = backward_shape(kept.shape, q.size(0));
    auto d_o = grads[0];
    if (!side_by_side(d_o) || d_o.stride(0) != s.o_row) {
      d_o = empty_rows(q.size(0), s.q_heads, s.head_dim, s.o_row, o.options());
      d_o.copy_(grads[0]);
    }
    if (kept.sinks)
      add_sinks_gradient(by_token_and_head(d_o, s), by_token_and_head(o, s), by_token(saved[4], s), *kept.sinks);
    const auto d = empty_gradients(q, k, v);
    const CudaLaunch on(q);
    run(on, s,
        {.q = q.const_data_ptr(),
         .k = k.const_data_ptr(),
         .v = v.const_data_ptr(),
         .o = const_cast<void*>(o.const_data_ptr()),
         .statistics = const_cast<float*>(saved[4].const_data_ptr<float>()),
         .d_o = d_o.const_data_ptr(),
         .dq = d.q.mutable_data_ptr(),
         .dk = d.k.mutable_data_ptr(),
         .dv = d.v.mutable_data_ptr(),
         .offsets = s.dense ? nullptr : saved[5].const_data_ptr()},
        o.options());
    return {d.q, d.k, d.v, at::Tensor()};
  }
};

bool wants_graph(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
}

}  // namespace

bool has_attention_cudnn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                         std::string& reason) {
  if (!cuda_table().attention.program) {
    reason = "the GPU library was built without cuDNN";
    return false;
  }
  const CudaLaunch on(q);  // programs are a device's
  auto s = shape_of(in_rows(q), in_rows(k), in_rows(v), plan);
  Program found(s);
  if (found.program && wants_graph(q, k, v)) found = Program(backward_shape(s, q.size(0)));
  if (!found.program) reason = found.reason;
  return found.program != nullptr;
}

at::Tensor attention_cudnn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan) {
  AM_CHECK(cuda_table().attention.program, "the GPU library was built without cuDNN");
  const auto q_rows = in_rows(q), k_rows = in_rows(k), v_rows = in_rows(v);
  if (wants_graph(q, k, v)) return CudnnFunction::apply(q_rows, k_rows, v_rows, &plan);
  return forward(q_rows, k_rows, v_rows, plan, shape_of(q_rows, k_rows, v_rows, plan)).o;
}

}  // namespace automodel::kernels
