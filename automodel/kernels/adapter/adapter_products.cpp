#include "automodel/kernels/adapter/adapter_products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/product/product_gpu.h"

namespace automodel::kernels {

void multiply_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  if (out.is_cuda()) return product_gpu(out, a, b, c);
  if (!c.defined())
    at::mm_out(out, a, b);
  else if (c.is_same(out))
    at::addmm_out(out, out, a, b);
  else
    at::mm_out(out, a, b).add_(c);
}

AdaptedForward adapted_forward(const at::Tensor& x, const AdapterStorage& storage, Parameter* bias,
                               const at::Tensor& residual, const DropoutMask& dropout) {
  AdaptedForward out;
  out.x = padded(x, storage.extra());
  out.xa = with_padding(out.x).narrow(1, x.size(1), storage.extra());
  multiply_into(out.xa, out.x, storage.a_padded().t());
  out.y = adapted_product(out.x, storage, residual, dropout);
  if (bias) out.y.add_(bias->value());
  return out;
}

template <typename Call>
static void set_pieces(Call& call, const std::vector<AdapterPiece>& pieces) {
  call.pieces = static_cast<int>(pieces.size());
  for (size_t j = 0; j < pieces.size(); ++j) call.piece[j] = {pieces[j].begin, pieces[j].rows, pieces[j].b_begin};
}

// y += m s x A^T B^T in one pass; false, and nothing done, where the GPU has no kernel for it.
static bool add_dropped_on_gpu(const at::Tensor& y, const at::Tensor& xa, const AdapterStorage& storage,
                               const DropoutMask& dropout) {
  using cuda::DroppedAdapters;
  if (!y.is_cuda() || storage.pieces().size() > DroppedAdapters::kMostPieces) return false;
  const auto sb = storage.b_padded();
  DroppedAdapters call{.dtype = cuda_dtype(y),
                       .y = y.mutable_data_ptr(),
                       .xa = xa.const_data_ptr(),
                       .sb = sb.const_data_ptr(),
                       .tokens = y.size(0),
                       .extra = storage.extra(),
                       .step = storage.step(),
                       .y_stride = y.stride(0),
                       .xa_stride = xa.stride(0),
                       .sb_stride = sb.stride(0),
                       .mask = cuda_mask(dropout),
                       .mask_columns = y.size(1)};
  set_pieces(call, storage.pieces());
  const CudaLaunch on(y);
  if (!cuda_table().adapter.takes_dropped(call)) return false;
  on(cuda_table().adapter.add_dropped(call, on.stream()));
  return true;
}

at::Tensor adapted_product(const at::Tensor& x, const AdapterStorage& storage, const at::Tensor& residual,
                           const DropoutMask& dropout) {
  auto y = empty_padded(x.size(0), storage.weight().shape()[0], storage.extra(), x.options().requires_grad(false));
  if (dropout.p == 0) {
    multiply_into(y, with_padding(x), storage.columns().t(), residual);
    return y;
  }
  multiply_into(y, x, storage.weight().value().t(), residual);
  const auto xa = with_padding(x).narrow(1, x.size(1), storage.extra());
  if (add_dropped_on_gpu(y, xa, storage, dropout)) return y;
  auto added = at::empty(y.sizes(), y.options());
  multiply_into(added, xa, storage.b_padded().t());
  y.add_(drop(added, dropout));
  return y;
}

at::Tensor room_for_dxa(const AdapterStorage& storage, const at::Tensor& dy) {
  if (row_padding(dy) == storage.extra()) return with_padding(dy).narrow(1, dy.size(1), storage.extra());
  return at::empty({dy.size(0), storage.extra()}, dy.options().requires_grad(false));
}

at::Tensor adapted_input_gradient(const AdapterStorage& storage, const at::Tensor& dy, const at::Tensor& dxa,
                                  int64_t padding) {
  auto dx = empty_padded(dy.size(0), storage.a().shape()[1], padding, dy.options().requires_grad(false));
  if (row_padding(dy) == storage.extra()) {
    multiply_into(dx, with_padding(dy), storage.rows());
  } else {
    multiply_into(dx, dy, storage.weight().value());
    multiply_into(dx, dxa, storage.a_padded(), dx);
  }
  return dx;
}

// dxa = s dy B [T, extra] and B's gradient from one reading of dy; false, and nothing done, where the GPU has no kernel
// for it.
static bool add_b_grad_on_gpu(const AdapterStorage& storage, const at::Tensor& xa, const at::Tensor& dy, at::Tensor dxa,
                              const DropoutMask& dropout) {
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
                        .mask = cuda_mask(dropout),
                        .mask_columns = dy.size(1)};
  set_pieces(call, pieces);
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

void add_b_grad(const AdapterStorage& storage, const at::Tensor& xa, const at::Tensor& given, at::Tensor dxa,
                const DropoutMask& dropout) {
  if (add_b_grad_on_gpu(storage, xa, given, dxa, dropout)) return;
  const auto dy = drop(given, dropout);
  multiply_into(dxa, dy, storage.b_padded());
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

void keep_mask(torch::autograd::AutogradContext* ctx, const std::string& name, const DropoutMask& mask) {
  ctx->saved_data[name] = mask.p;
  ctx->saved_data[name + "_key"] = static_cast<int64_t>(mask.key);
}
DropoutMask kept_mask(torch::autograd::AutogradContext* ctx, const std::string& name) {
  return {ctx->saved_data[name].toDouble(), static_cast<uint64_t>(ctx->saved_data[name + "_key"].toInt())};
}

}  // namespace automodel::kernels
