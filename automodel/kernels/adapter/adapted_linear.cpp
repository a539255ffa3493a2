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
#include "automodel/kernels/one_device.h"
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

// out = a b (+ c); c may be out.
void multiply(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c = {}) {
  if (out.is_cuda()) return product_gpu(out, a, b, c);
  if (!c.defined())
    at::mm_out(out, a, b);
  else if (c.is_same(out))
    at::addmm_out(out, out, a, b);
  else
    at::mm_out(out, a, b).add_(c);
}

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
  multiply(xa, out.x, storage.a_padded().t());
  multiply(out.y, wide, storage.columns().t(), residual);
  if (bias) out.y.add_(bias->value());
  out.xa = xa;
  return out;
}

// dxa = s dy B [T, extra] and B's gradient from one reading of dy; false, and nothing done, where the GPU has no kernel
// for it.
bool add_b_grad_on_gpu(const AdapterStorage& storage, const at::Tensor& xa, const at::Tensor& dy, at::Tensor& dxa) {
  using cuda::AdapterGradients;
  const auto& pieces = storage.pieces();
  auto& b = storage.b();
  if (!dy.is_cuda() || !b.trainable || pieces.size() > AdapterGradients::kMostPieces) return false;
  const auto sb = storage.b_padded();
  AdapterGradients call{.dtype = cuda_dtype(dy),
                        .dy = dy.const_data_ptr(),
                        .xa = xa.const_data_ptr(),
                        .sb = sb.const_data_ptr(),
                        .dxa = dxa.mutable_data_ptr(),
                        .tokens = dy.size(0),
                        .extra = storage.extra(),
                        .step = storage.step(),
                        .rank = storage.rank(),
                        .b_rows = b.shape()[0],
                        .dy_stride = dy.stride(0),
                        .xa_stride = xa.stride(0),
                        .sb_stride = sb.stride(0),
                        .dxa_stride = dxa.stride(0),
                        .scale = static_cast<float>(storage.scale()),
                        .pieces = static_cast<int>(pieces.size())};
  for (size_t j = 0; j < pieces.size(); ++j) call.piece[j] = {pieces[j].begin, pieces[j].rows, pieces[j].b_begin};
  const CudaLaunch on(dy);
  call.multiprocessors = on.multiprocessors();
  const int64_t room = cuda_table().adapter.workspace(call);
  if (room == 0) return false;
  b.add_grad([&](at::Tensor& grad, double beta) {
    const auto workspace = at::empty({room}, dy.options().dtype(at::kFloat).requires_grad(false));
    call.workspace = workspace.mutable_data_ptr<float>();
    call.db = grad.mutable_data_ptr(), call.grad_dtype = cuda_dtype(grad), call.beta = static_cast<float>(beta);
    on(cuda_table().adapter.gradients(call, on.stream()));
  });
  return true;
}

// The same by products. xa = x A^T [T, extra].
void add_b_grad(const AdapterStorage& storage, const at::Tensor& xa, const at::Tensor& dy, at::Tensor& dxa) {
  if (add_b_grad_on_gpu(storage, xa, dy, dxa)) return;
  multiply(dxa, dy, storage.b_padded());
  storage.b().add_grad([&](at::Tensor& grad, double beta) {
    for (size_t j = 0; j < storage.pieces().size(); ++j) {
      const auto& piece = storage.pieces()[j];
      auto part = grad.narrow(0, piece.b_begin, piece.rows);
      accumulate_outer(part, beta, dy.narrow(1, piece.begin, piece.rows),
                       xa.narrow(1, static_cast<int64_t>(j) * storage.step(), storage.rank()), storage.scale());
    }
  });
}

void add_a_grad(const AdapterStorage& storage, const at::Tensor& x, const at::Tensor& dxa) {
  const int64_t rank = storage.rank(), step = storage.step(), count = static_cast<int64_t>(storage.pieces().size());
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
                            const std::optional<at::Tensor>& residual, AdapterStorage* storage, Parameter* bias,
                            const Remade& input) {
    const auto out = kernels::forward(x, *storage, bias, residual.value_or(at::Tensor()));
    auto& data = ctx->saved_data;
    data["recipe"] = input.recipe();
    // x A^T is copied: a second reader of x may use the same room.
    ctx->save_for_backward({data["recipe"].isNone() ? out.x : at::Tensor(), out.xa.clone()});
    data["storage"] = reinterpret_cast<int64_t>(storage), data["bias"] = reinterpret_cast<int64_t>(bias);
    data["has_residual"] = residual.has_value();
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
    const int64_t out = dy.size(1), extra = storage.extra();
    const bool has_room = row_padding(dy) == extra;
    const auto options = x.options().requires_grad(false);
    const auto wide = has_room ? with_padding(dy) : at::Tensor();
    auto dxa = has_room ? wide.narrow(1, out, extra) : at::empty({dy.size(0), extra}, options);
    add_b_grad(storage, xa, dy, dxa);
    at::Tensor dx;
    if (data["wants_dx"].toBool()) {
      dx = empty_padded(x.size(0), x.size(1), data["x_padding"].toInt(), options);
      if (has_room) {
        multiply(dx, wide, storage.rows());
      } else {
        multiply(dx, dy, storage.weight().value());
        multiply(dx, dxa, storage.a_padded(), dx);
      }
    }
    add_a_grad(storage, x, dxa);
    storage.weight().add_grad([&](at::Tensor& grad, double beta) { accumulate_outer(grad, beta, dy, x); });
    if (bias && bias->trainable) bias->add_grad(at::sum(dy, {0}, false, bias->grad_dtype));
    return {dx,           at::Tensor(), data["has_residual"].toBool() ? dy : at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor adapted_linear(const Remade& input, AdapterStorage& storage, Parameter* bias, const at::Tensor& residual) {
  const at::Tensor& x = input.value();
  expect_one_device("adapted_linear", {"x", x}, {{"weight", storage.weight()}, {"bias", bias}, {"residual", residual}});
  if (!at::GradMode::is_enabled()) return forward(x, storage, bias, residual).y;
  const auto beside = residual.defined() ? std::optional(residual) : std::nullopt;
  return AdaptedFunction::apply(x, gradient_anchor(), beside, &storage, bias, input);
}

}  // namespace automodel::kernels
