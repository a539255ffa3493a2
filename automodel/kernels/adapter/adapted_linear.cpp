#include "automodel/kernels/adapter/adapted_linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/product/product_gpu.h"

namespace automodel::kernels {

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

AdapterStorage::AdapterStorage(Parameter& weight, Parameter& a, Parameter& b, int64_t rank, double scale,
                               std::vector<AdapterPiece> pieces)
    : weight_(weight), a_(a), b_(b), rank_(rank), scale_(scale), pieces_(std::move(pieces)) {
  // Steps of 8 keep every adapter's columns 16-byte aligned; 64 columns more or less cost a product nothing.
  step_ = round_up(rank, 8);
  extra_ = round_up(step_ * static_cast<int64_t>(pieces_.size()), 64);
  out_ = weight.shape()[0], in_ = weight.shape()[1];
  for (const auto& piece : pieces_)
    AM_CHECK(piece.begin >= 0 && piece.begin + piece.rows <= out_, "an adapter of rows {} to {} of {}", piece.begin,
             piece.begin + piece.rows, out_);
}

at::Tensor AdapterStorage::rows() const { return all_.narrow(1, 0, in_); }
at::Tensor AdapterStorage::columns() const { return all_.narrow(0, 0, out_); }
at::Tensor AdapterStorage::a_padded() const { return rows().narrow(0, out_, extra_); }
at::Tensor AdapterStorage::b_padded() const { return columns().narrow(1, in_, extra_); }

void AdapterStorage::refresh(bool copy) {
  const at::NoGradGuard guard;
  if (!all_.defined() || !weight_.value().is_alias_of(all_)) {
    all_ = at::zeros({out_ + extra_, in_ + extra_}, weight_.value().options());
    auto place = columns().narrow(1, 0, in_);
    place.copy_(weight_.value());
    weight_.set_value(place);
    copy = true;
  }
  if (!copy) return;
  struct Copy {
    at::Tensor from, to;
    double scale;
  };
  std::vector<Copy> copies;
  for (size_t j = 0; j < pieces_.size(); ++j) {
    const auto& piece = pieces_[j];
    const auto at = static_cast<int64_t>(j);
    copies.push_back({a_.value().narrow(0, at * rank_, rank_), a_padded().narrow(0, at * step_, rank_), 1});
    copies.push_back({b_.value().narrow(0, piece.b_begin, piece.rows),
                      b_padded().narrow(0, piece.begin, piece.rows).narrow(1, at * step_, rank_), scale_});
  }
  if (!all_.is_cuda()) {
    for (const auto& [from, to, scale] : copies) at::Tensor(to).copy_(from * scale);
    return;
  }
  std::vector<cuda::CopyTensor> list;
  for (const auto& [from, to, scale] : copies)
    list.push_back({.from = from.const_data_ptr(),
                    .to = to.mutable_data_ptr(),
                    .rows = from.size(0),
                    .columns = from.size(1),
                    .from_stride = from.stride(0),
                    .to_stride = to.stride(0),
                    .scale = static_cast<float>(scale)});
  const CudaLaunch on(all_);
  on(cuda_table().optimizer.copy({.tensors = list.data(),
                                  .count = static_cast<int64_t>(list.size()),
                                  .from = cuda_dtype(a_.value()),
                                  .to = cuda_dtype(all_)},
                                 on.stream()));
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Forward {
  at::Tensor y, x, xa;
};

Forward forward(const at::Tensor& x, const AdapterStorage& storage, Parameter* bias, const at::Tensor& residual) {
  const int64_t extra = storage.extra(), in = x.size(1);
  Forward out{empty_padded(x.size(0), storage.weight().shape()[0], extra, x.options().requires_grad(false)),
              padded(x, extra),
              {}};
  const auto wide = with_padding(out.x);
  auto xa = wide.narrow(1, in, extra);
  at::mm_out(xa, out.x, storage.a_padded().t());
  const auto columns = storage.columns().t();
  if (residual.defined() && x.is_cuda())
    product_gpu(out.y, wide, columns, residual);
  else if (residual.defined())
    at::mm_out(out.y, wide, columns).add_(residual);
  else if (bias)
    at::addmm_out(out.y, bias->value(), wide, columns);
  else
    at::mm_out(out.y, wide, columns);
  if (residual.defined() && bias) out.y.add_(bias->value());
  out.xa = xa;
  return out;
}

// Gradients of the adapters from dxa = s dy B [T, extra] and xa = x A^T [T, extra].
void add_adapter_grads(const AdapterStorage& storage, const at::Tensor& x, const at::Tensor& xa, const at::Tensor& dy,
                       const at::Tensor& dxa) {
  const auto& pieces = storage.pieces();
  const int64_t rank = storage.rank(), step = storage.step(), count = static_cast<int64_t>(pieces.size());
  storage.b().add_grad([&](at::Tensor& grad, double beta) {
    for (int64_t j = 0; j < count; ++j) {
      const auto& piece = pieces[static_cast<size_t>(j)];
      auto part = grad.narrow(0, piece.b_begin, piece.rows);
      accumulate_outer(part, beta, dy.narrow(1, piece.begin, piece.rows), xa.narrow(1, j * step, rank),
                       storage.scale());
    }
  });
  storage.a().add_grad([&](at::Tensor& grad, double beta) {
    if (rank == step) return accumulate_outer(grad, beta, dxa.narrow(1, 0, count * rank), x);
    for (int64_t j = 0; j < count; ++j) {
      auto part = grad.narrow(0, j * rank, rank);
      accumulate_outer(part, beta, dxa.narrow(1, j * step, rank), x);
    }
  });
}

struct AdaptedFunction : torch::autograd::Function<AdaptedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                            const std::optional<at::Tensor>& residual, AdapterStorage* storage, Parameter* bias) {
    const auto out = kernels::forward(x, *storage, bias, residual.value_or(at::Tensor()));
    // x A^T is copied: a second reader of x may use the same room.
    ctx->save_for_backward({out.x, out.xa.clone()});
    auto& data = ctx->saved_data;
    data["storage"] = reinterpret_cast<int64_t>(storage), data["bias"] = reinterpret_cast<int64_t>(bias);
    data["wants_dx"] = x.requires_grad(), data["x_padding"] = row_padding(x);
    return out.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto& data = ctx->saved_data;
    auto& storage = *reinterpret_cast<AdapterStorage*>(data["storage"].toInt());
    auto* bias = reinterpret_cast<Parameter*>(data["bias"].toInt());
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &xa = saved[1], &dy = grads[0];
    const int64_t out = dy.size(1), extra = storage.extra();
    const bool has_room = row_padding(dy) == extra;
    const auto options = x.options().requires_grad(false);
    const auto wide = has_room ? with_padding(dy) : at::Tensor();
    auto dxa = has_room ? wide.narrow(1, out, extra) : at::empty({dy.size(0), extra}, options);
    at::mm_out(dxa, dy, storage.b_padded());
    at::Tensor dx;
    if (data["wants_dx"].toBool()) {
      dx = empty_padded(x.size(0), x.size(1), data["x_padding"].toInt(), options);
      if (has_room) {
        at::mm_out(dx, wide, storage.rows());
      } else {
        at::mm_out(dx, dy, storage.weight().value());
        at::addmm_out(dx, dx, dxa, storage.a_padded());
      }
    }
    add_adapter_grads(storage, x, xa, dy, dxa);
    storage.weight().add_grad([&](at::Tensor& grad, double beta) { accumulate_outer(grad, beta, dy, x); });
    if (bias && bias->trainable) bias->add_grad(at::sum(dy, {0}, false, bias->grad_dtype));
    return {dx, at::Tensor(), dy, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor adapted_linear(const at::Tensor& x, AdapterStorage& storage, Parameter* bias, const at::Tensor& residual) {
  if (!at::GradMode::is_enabled()) return forward(x, storage, bias, residual).y;
  const auto beside = residual.defined() ? std::optional(residual) : std::nullopt;
  return AdaptedFunction::apply(x, gradient_anchor(), beside, &storage, bias);
}

}  // namespace automodel::kernels
