#include "automodel/kernels/qkv/qkv_gpu.h"

#include <ATen/ops/empty.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/rms_norm/norm_gpu.h"

namespace automodel::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Shape {
  int64_t T, Q, K, D, rotated;
  int64_t padding;  // spare elements behind each row of qkv, and so of its gradient
  bool plus_one;
  double eps;
  int64_t width() const { return (Q + 2 * K) * D; }
};

const void* value_of(Parameter* parameter) { return parameter ? parameter->value().const_data_ptr() : nullptr; }
const float* angles(const at::Tensor& table) { return table.defined() ? table.const_data_ptr<float>() : nullptr; }

// The parts of a packed [T, width] tensor.
Qkv parts_of(const at::Tensor& packed, const Shape& s) {
  const auto part = [&](int64_t first, int64_t heads) {
    return packed.narrow(1, first * s.D, heads * s.D).view({s.T, heads, s.D});
  };
  return {part(0, s.Q), part(s.Q, s.K), part(s.Q + s.K, s.K)};
}

cuda::Heads place_of(const at::Tensor& x) { return {const_cast<void*>(x.const_data_ptr()), x.stride(0)}; }

// [T, heads, D] with heads side by side, whatever the distance of tokens.
at::Tensor side_by_side(const at::Tensor& x) {
  const bool is = x.numel() == 0 || (x.stride(2) == 1 && (x.size(1) == 1 || x.stride(1) == x.size(2)));
  return is ? x : x.contiguous();
}

Qkv forward(const at::Tensor& qkv, const Shape& s, const QkNorm& norm, const RopeTable& rope, bool overwrite) {
  const bool in_place = overwrite && !norm.q && !norm.k;
  // A tensor of its own over the same storage: the caller's does not become part of our graph.
  const auto packed =
      in_place ? qkv.variable_data() : empty_padded(s.T, s.width(), s.padding, qkv.options().requires_grad(false));
  const auto out = parts_of(packed, s);
  const CudaLaunch on(qkv);
  on(cuda_table().split_qkv.forward({.dtype = cuda_dtype(qkv),
                                     .tokens = s.T,
                                     .q_heads = s.Q,
                                     .kv_heads = s.K,
                                     .head_dim = s.D,
                                     .rotated = s.rotated,
                                     .qkv = qkv.const_data_ptr(),
                                     .qkv_stride = qkv.stride(0),
                                     .q = place_of(out.q),
                                     .k = place_of(out.k),
                                     .v = place_of(out.v),
                                     .cos = angles(rope.cos),
                                     .sin = angles(rope.sin),
                                     .q_weight = value_of(norm.q),
                                     .k_weight = value_of(norm.k),
                                     .eps = static_cast<float>(norm.eps),
                                     .shift = norm.plus_one ? 1.0f : 0.0f},
                                    on.stream()));
  return out;
}

// The packed tensor that dq, dk and dv are the parts of, if they are and nobody else holds its storage: then the result
// may be written over them.
at::Tensor packed_of(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv, const Shape& s) {
  const auto size = dq.element_size();
  const int64_t row = s.width() + s.padding;
  const auto* base = static_cast<const char*>(dq.const_data_ptr());
  const bool is = s.T > 0 && dq.storage().use_count() <= 3 && dq.stride(0) == row && dk.stride(0) == row &&
                  dv.stride(0) == row && dk.const_data_ptr() == base + static_cast<size_t>(s.Q * s.D) * size &&
                  dv.const_data_ptr() == base + static_cast<size_t>((s.Q + s.K) * s.D) * size;
  return is ? dq.as_strided({s.T, s.width()}, {row, 1}) : at::Tensor();
}

at::Tensor backward(const at::Tensor& qkv, const Shape& s, const QkNorm& norm, const RopeTable& rope,
                    const Qkv& grads) {
  const auto dq = side_by_side(grads.q), dk = side_by_side(grads.k), dv = side_by_side(grads.v);
  auto d = packed_of(dq, dk, dv, s);
  if (!d.defined()) d = empty_padded(s.T, s.width(), s.padding, dq.options());
  const CudaLaunch on(d);
  const int64_t partials = 16 * on.multiprocessors();
  const auto sums = [&](Parameter* weight) {
    return weight && weight->trainable ? at::empty({partials, s.D}, dq.options().dtype(at::kFloat)) : at::Tensor();
  };
  const auto sums_q = sums(norm.q), sums_k = sums(norm.k);
  on(cuda_table().split_qkv.backward({.dtype = cuda_dtype(d),
                                      .tokens = s.T,
                                      .q_heads = s.Q,
                                      .kv_heads = s.K,
                                      .head_dim = s.D,
                                      .rotated = s.rotated,
                                      .qkv = qkv.defined() ? qkv.const_data_ptr() : nullptr,
                                      .qkv_stride = s.width() + s.padding,
                                      .dq = place_of(dq),
                                      .dk = place_of(dk),
                                      .dv = place_of(dv),
                                      .d_qkv = d.mutable_data_ptr(),
                                      .d_stride = d.stride(0),
                                      .cos = angles(rope.cos),
                                      .sin = angles(rope.sin),
                                      .q_weight = value_of(norm.q),
                                      .k_weight = value_of(norm.k),
                                      .partial_q = sums_q.defined() ? sums_q.mutable_data_ptr<float>() : nullptr,
                                      .partial_k = sums_k.defined() ? sums_k.mutable_data_ptr<float>() : nullptr,
                                      .partials = partials,
                                      .eps = static_cast<float>(norm.eps),
                                      .shift = norm.plus_one ? 1.0f : 0.0f},
                                     on.stream()));
  add_column_sums(on, norm.q, sums_q);
  add_column_sums(on, norm.k, sums_k);
  return d;
}

struct SplitGpuFunction : torch::autograd::Function<SplitGpuFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& qkv, const at::Tensor& anchor, const Shape& s,
                               const QkNorm& norm, const RopeTable& rope, bool overwrite) {
    ctx->save_for_backward({norm.q || norm.k ? qkv : at::Tensor(), rope.cos, rope.sin});
    auto& data = ctx->saved_data;
    data["shape"] = std::vector<int64_t>{s.T, s.Q, s.K, s.D, s.rotated, s.padding};
    data["plus_one"] = s.plus_one, data["eps"] = s.eps;
    data["q_norm"] = reinterpret_cast<int64_t>(norm.q), data["k_norm"] = reinterpret_cast<int64_t>(norm.k);
    auto out = kernels::forward(qkv, s, norm, rope, overwrite);
    return {out.q, out.k, out.v};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto& data = ctx->saved_data;
    const auto sizes = data["shape"].toIntVector();
    const Shape s{
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], data["plus_one"].toBool(), data["eps"].toDouble()};
    const QkNorm norm{reinterpret_cast<Parameter*>(data["q_norm"].toInt()),
                      reinterpret_cast<Parameter*>(data["k_norm"].toInt()), s.eps, s.plus_one};
    const auto saved = ctx->get_saved_variables();
    const auto none = at::Tensor();
    return {kernels::backward(saved[0], s, norm, {saved[1], saved[2]}, {grads[0], grads[1], grads[2]}),
            none,
            none,
            none,
            none,
            none};
  }
};

}  // namespace

bool has_split_qkv_gpu(const at::Tensor& qkv, const QkNorm& norm) {
  const auto fits = [&](Parameter* p) { return !p || p->dtype() == qkv.scalar_type(); };
  return qkv.is_cuda() && has_cuda_dtype(qkv) && fits(norm.q) && fits(norm.k);
}

Qkv split_qkv_gpu(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope, bool overwrite) {
  const Shape shape{
      qkv.size(0),      heads.q_heads, heads.kv_heads, heads.head_dim, rope.cos.defined() ? 2 * rope.cos.size(1) : 0,
      row_padding(qkv), norm.plus_one, norm.eps};
  AM_CHECK(qkv.size(1) == shape.width(), "qkv has {} columns, heads need {}", qkv.size(1), shape.width());
  const auto dense = row_padding(qkv) > 0 ? qkv : qkv.contiguous();
  const bool trains = (norm.q && norm.q->trainable) || (norm.k && norm.k->trainable);
  if (!at::GradMode::is_enabled() || (!trains && !qkv.requires_grad()))
    return forward(dense, shape, norm, rope, overwrite);
  const auto out = SplitGpuFunction::apply(dense, gradient_anchor(), shape, norm, rope, overwrite);
  return {out[0], out[1], out[2]};
}

}  // namespace automodel::kernels
