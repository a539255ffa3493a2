#include "automodel/kernels/adapter/adapted_linear.h"

#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "automodel/base/error.h"
#include "automodel/kernels/adapter/adapter_products.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/one_device.h"

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
  expect_one_device("adapters", {"weight", weight_}, {{"A", a_}, {"B", b_}});
  if (!all_.defined() || !weight_.value().is_alias_of(all_)) {
    all_ = at::zeros({out_ + extra_, in_ + extra_}, weight_.value().options());
    auto place = columns().narrow(1, 0, in_);
    place.copy_(weight_.value());
    weight_.set_value(place);
    copy = true;
  }
  if (!copy) return;
  if (all_.is_cuda()) return copy_on_gpu();
  for (const auto& [from, to, scale] : copies()) at::Tensor(to).copy_(from * scale);
}

std::vector<AdapterStorage::Copy> AdapterStorage::copies() const {
  std::vector<Copy> copies;
  for (size_t j = 0; j < pieces_.size(); ++j) {
    const auto& piece = pieces_[j];
    const auto at = static_cast<int64_t>(j);
    copies.push_back({a_.value().narrow(0, at * rank_, rank_), a_padded().narrow(0, at * step_, rank_), 1});
    copies.push_back({b_.value().narrow(0, piece.b_begin, piece.rows),
                      b_padded().narrow(0, piece.begin, piece.rows).narrow(1, at * step_, rank_), scale_});
  }
  return copies;
}

// What to copy is worked out again only if a storage is another one: the views would cost more than the launch.
void AdapterStorage::copy_on_gpu() {
  const std::array<const void*, 3> from = {a_.value().const_data_ptr(), b_.value().const_data_ptr(),
                                           all_.const_data_ptr()};
  if (list_.empty() || from != list_of_) {
    list_.clear();
    for (const auto& [source, to, scale] : copies())
      list_.push_back({.from = source.const_data_ptr(),
                       .to = to.mutable_data_ptr(),
                       .rows = source.size(0),
                       .columns = source.size(1),
                       .from_stride = source.stride(0),
                       .to_stride = to.stride(0),
                       .scale = static_cast<float>(scale)});
    list_of_ = from;
  }
  const CudaLaunch on(all_);
  on(cuda_table().optimizer.copy({.tensors = list_.data(),
                                  .count = static_cast<int64_t>(list_.size()),
                                  .from = cuda_dtype(a_.value()),
                                  .to = cuda_dtype(all_)},
                                 on.stream()));
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct AdaptedFunction : torch::autograd::Function<AdaptedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                            const std::optional<at::Tensor>& residual, AdapterStorage* storage, Parameter* bias,
                            const Remade& input, const DropoutMask& dropout) {
    const auto out = adapted_forward(x, *storage, bias, residual.value_or(at::Tensor()), dropout);
    auto& data = ctx->saved_data;
    data["recipe"] = input.recipe();
    // x A^T is copied: a second reader of x may use the same room.
    ctx->save_for_backward({data["recipe"].isNone() ? out.x : at::Tensor(), out.xa.clone()});
    data["storage"] = reinterpret_cast<int64_t>(storage), data["bias"] = reinterpret_cast<int64_t>(bias);
    data["has_residual"] = residual.has_value();
    keep_mask(ctx, "dropout", dropout);
    data["wants_dx"] = x.requires_grad(), data["x_padding"] = row_padding(x);
    return out.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto& data = ctx->saved_data;
    auto& storage = *reinterpret_cast<AdapterStorage*>(data["storage"].toInt());
    auto* bias = reinterpret_cast<Parameter*>(data["bias"].toInt());
    const auto saved = ctx->get_saved_variables();
    const auto x = remake(saved[0], data["recipe"]);
    const auto &xa = saved[1], &dy = grads[0];
    const auto dxa = room_for_dxa(storage, dy);
    add_b_grad(storage, xa, dy, dxa, kept_mask(ctx, "dropout"));
    at::Tensor dx;
    if (data["wants_dx"].toBool()) dx = adapted_input_gradient(storage, dy, dxa, data["x_padding"].toInt());
    add_a_grad(storage, x, dxa);
    storage.weight().add_grad([&](at::Tensor& grad, double beta) { accumulate_outer(grad, beta, dy, x); });
    if (bias && bias->trainable) bias->add_grad(at::sum(dy, {0}, false, bias->grad_dtype));
    return {dx,           at::Tensor(), data["has_residual"].toBool() ? dy : at::Tensor(), at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor adapted_linear(const Remade& input, AdapterStorage& storage, Parameter* bias, const at::Tensor& residual,
                          const DropoutMask& dropout) {
  const at::Tensor& x = input.value();
  expect_one_device("adapted_linear", {"x", x}, {{"weight", storage.weight()}, {"bias", bias}, {"residual", residual}});
  if (!at::GradMode::is_enabled()) return adapted_forward(x, storage, bias, residual, dropout).y;
  const auto beside = residual.defined() ? std::optional(residual) : std::nullopt;
  return AdaptedFunction::apply(x, gradient_anchor(), beside, &storage, bias, input, dropout);
}

}  // namespace automodel::kernels
