#include "automodel/kernels/rms_norm/norm_gpu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/padded.h"

namespace automodel::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Result {
  at::Tensor y, mean, rstd;
};

const void* value_of(Parameter* parameter) { return parameter ? parameter->value().const_data_ptr() : nullptr; }

// As the kernels read it: rows of D elements side by side, any distance apart.
at::Tensor in_rows(const at::Tensor& x) { return x.dim() == 2 && x.stride(1) == 1 ? x : x.contiguous(); }
int64_t row_stride(const at::Tensor& x) { return x.dim() == 2 ? x.stride(0) : x.size(-1); }

at::Tensor empty_rows(const at::Tensor& x, int64_t padding) {
  const auto options = x.options().requires_grad(false);
  return x.dim() == 2 ? empty_padded(x.size(0), x.size(1), padding, options) : at::empty(x.sizes(), options);
}

Result forward(const at::Tensor& x, const NormSettings& norm, bool keep) {
  const int64_t D = x.size(-1), rows = D > 0 ? x.numel() / D : 0;
  Result out{empty_rows(x, norm.row_padding), {}, {}};
  if (keep) out.rstd = at::empty({rows}, x.options().dtype(at::kFloat));
  if (keep && norm.center) out.mean = at::empty_like(out.rstd);
  const CudaLaunch on(x);
  on(cuda_table().norm.forward({.dtype = cuda_dtype(x),
                                .rows = rows,
                                .columns = D,
                                .x = x.const_data_ptr(),
                                .weight = value_of(norm.weight),
                                .bias = value_of(norm.bias),
                                .y = out.y.mutable_data_ptr(),
                                .mean = out.mean.defined() ? out.mean.mutable_data_ptr<float>() : nullptr,
                                .rstd = keep ? out.rstd.mutable_data_ptr<float>() : nullptr,
                                .x_stride = row_stride(x),
                                .y_stride = row_stride(out.y),
                                .eps = static_cast<float>(norm.eps),
                                .shift = norm.plus_one ? 1.0f : 0.0f,
                                .center = norm.center},
                               on.stream()));
  return out;
}

// What the backward needs of the forward.
struct Saved {
  at::Tensor x, mean, rstd;
};

// `through`: the gradient that reached x on its own way, undefined if none.
at::Tensor backward(const Saved& saved, const NormSettings& norm, const at::Tensor& dy, const at::Tensor& through) {
  const int64_t D = dy.size(-1), rows = D > 0 ? dy.numel() / D : 0;
  const CudaLaunch on(dy);
  const bool trains_weight = norm.weight->trainable, trains_bias = norm.bias && norm.bias->trainable;
  const int64_t partials = cuda::norm_partials(rows, D, on.multiprocessors());
  const auto wide = dy.options().dtype(at::kFloat);
  const auto dw = trains_weight ? at::empty({partials, D}, wide) : at::Tensor();
  const auto db = trains_bias ? at::empty({partials, D}, wide) : at::Tensor();
  auto dx = empty_rows(saved.x, row_padding(saved.x));
  on(cuda_table().norm.backward({.dtype = cuda_dtype(dy),
                                 .rows = rows,
                                 .columns = D,
                                 .x = saved.x.const_data_ptr(),
                                 .weight = value_of(norm.weight),
                                 .mean = norm.center ? saved.mean.const_data_ptr<float>() : nullptr,
                                 .rstd = saved.rstd.const_data_ptr<float>(),
                                 .dy = dy.const_data_ptr(),
                                 .through = through.defined() ? through.const_data_ptr() : nullptr,
                                 .dx = dx.mutable_data_ptr(),
                                 .partial_weight = trains_weight ? dw.mutable_data_ptr<float>() : nullptr,
                                 .partial_bias = trains_bias ? db.mutable_data_ptr<float>() : nullptr,
                                 .partials = partials,
                                 .x_stride = row_stride(saved.x),
                                 .dy_stride = row_stride(dy),
                                 .shift = norm.plus_one ? 1.0f : 0.0f,
                                 .center = norm.center,
                                 .through_stride = through.defined() ? row_stride(through) : 0,
                                 .dx_stride = row_stride(dx)},
                                on.stream()));
  add_column_sums(on, norm.weight, dw);
  add_column_sums(on, norm.bias, db);
  return dx;
}

at::Tensor forward_of(AutogradContext* ctx, const at::Tensor& x, const NormSettings& norm) {
  const auto result = forward(x, norm, true);
  ctx->save_for_backward({x, result.mean, result.rstd});
  auto& data = ctx->saved_data;
  data["weight"] = reinterpret_cast<int64_t>(norm.weight), data["bias"] = reinterpret_cast<int64_t>(norm.bias);
  data["plus_one"] = norm.plus_one, data["center"] = norm.center;
  return result.y;
}

at::Tensor backward_of(AutogradContext* ctx, const at::Tensor& dy, const at::Tensor& through) {
  const auto saved = ctx->get_saved_variables();
  auto& data = ctx->saved_data;
  const NormSettings norm{.weight = reinterpret_cast<Parameter*>(data["weight"].toInt()),
                          .bias = reinterpret_cast<Parameter*>(data["bias"].toInt()),
                          .plus_one = data["plus_one"].toBool(),
                          .center = data["center"].toBool()};
  return backward({saved[0], saved[1], saved[2]}, norm, in_rows(dy), through.defined() ? in_rows(through) : through);
}

struct NormFunction : torch::autograd::Function<NormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                            const NormSettings& norm) {
    return forward_of(ctx, x, norm);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {backward_of(ctx, grads[0], {}), at::Tensor(), at::Tensor()};
  }
};

struct PassNormFunction : torch::autograd::Function<PassNormFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                               const NormSettings& norm) {
    return {x, forward_of(ctx, x, norm)};
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto dx = grads[1].defined() ? backward_of(ctx, grads[1], grads[0]) : grads[0];
    return {dx, at::Tensor(), at::Tensor()};
  }
};

bool wants_graph(const at::Tensor& x, const NormSettings& norm) {
  return at::GradMode::is_enabled() &&
         (x.requires_grad() || norm.weight->trainable || (norm.bias && norm.bias->trainable));
}

}  // namespace

void add_column_sums(const CudaLaunch& on, Parameter* parameter, const at::Tensor& partial) {
  if (!partial.defined()) return;
  parameter->add_grad([&](at::Tensor& sink, double beta) {
    on(cuda_table().norm.column_sum({.partial = partial.const_data_ptr<float>(),
                                     .rows = partial.size(0),
                                     .columns = partial.size(1),
                                     .dtype = cuda_dtype(sink),
                                     .sum = sink.mutable_data_ptr(),
                                     .add = beta != 0},
                                    on.stream()));
  });
}

bool has_norm_gpu(const at::Tensor& x, const NormSettings& norm) {
  const auto fits = [&](Parameter* p) { return p->dtype() == x.scalar_type() && p->value().device() == x.device(); };
  return x.is_cuda() && has_cuda_dtype(x) && fits(norm.weight) && (!norm.bias || fits(norm.bias));
}

at::Tensor norm_gpu(const at::Tensor& x, const NormSettings& norm) {
  const auto dense = in_rows(x);
  return wants_graph(x, norm) ? NormFunction::apply(dense, gradient_anchor(), norm) : forward(dense, norm, false).y;
}

PassNorm pass_norm_gpu(const at::Tensor& x, const NormSettings& norm) {
  const auto rows = in_rows(x);
  if (!wants_graph(x, norm)) return {x, forward(rows, norm, false).y};
  const auto out = PassNormFunction::apply(rows, gradient_anchor(), norm);
  return {out[0], out[1]};
}

}  // namespace automodel::kernels
