#include "automodel/kernels/adapter/adapted_mlp.h"

#include <ATen/ops/empty.h>

#include "automodel/base/error.h"
#include "automodel/kernels/adapter/adapter_products.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/one_device.h"

namespace automodel::kernels {
namespace {

using cuda::GatedAdapterBackward;
using cuda::GatedAdapterForward;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool is_frozen_with_trained_adapters(const AdapterStorage& storage) {
  return !storage.weight().trainable && storage.a().trainable && storage.b().trainable;
}

// The gate's adapter and that of up, and one of all of down.
bool covers(const AdapterStorage& gate_up, const AdapterStorage& down) {
  const auto &both = gate_up.pieces(), &one = down.pieces();
  const int64_t I = down.a().shape()[1];
  return both.size() == 2 && both[0].begin == 0 && both[0].rows == I && both[0].b_begin == 0 && both[1].begin == I &&
         both[1].rows == I && both[1].b_begin == I && one.size() == 1 && one[0].rows == down.weight().shape()[0];
}

// What both kernels are asked for, without places: has_adapted_mlp asks with it too.
GatedAdapterForward forward_call(const AdapterStorage& down, int64_t T, Activation f, cuda::DType dtype) {
  const int64_t I = down.a().shape()[1];
  return {.dtype = dtype,
          .f = static_cast<int32_t>(f),
          .rows = T,
          .columns = I,
          .rank = down.rank(),
          .extra = down.extra()};
}

GatedAdapterBackward backward_call(const AdapterStorage& gate_up, const AdapterStorage& down, int64_t T, Activation f,
                                   cuda::DType dtype, cuda::DType grad_dtype) {
  return {.dtype = dtype,
          .grad_dtype = grad_dtype,
          .f = static_cast<int32_t>(f),
          .rows = T,
          .columns = down.a().shape()[1],
          .rank = gate_up.rank(),
          .rank_after = down.rank(),
          .extra = gate_up.extra(),
          .step = gate_up.step()};
}

at::Tensor workspace_of(int64_t elements, const at::Tensor& x) {
  return at::empty({elements}, x.options().dtype(at::kFloat).requires_grad(false));
}

// y = f(gate) * up with y A^T in the room behind it.
at::Tensor activate(const at::Tensor& gate_up, const AdapterStorage& down, Activation f) {
  const int64_t T = gate_up.size(0), I = gate_up.size(1) / 2;
  auto y = empty_padded(T, I, down.extra(), gate_up.options().requires_grad(false));
  auto xa = with_padding(y).narrow(1, I, down.extra());
  const auto a = down.a_padded();
  if (T > 0 && gate_up.is_cuda()) {
    auto call = forward_call(down, T, f, cuda_dtype(gate_up));
    call.gate_up = gate_up.const_data_ptr(), call.gate_up_stride = gate_up.stride(0);
    call.a = a.const_data_ptr(), call.a_stride = a.stride(0);
    call.y = y.mutable_data_ptr(), call.y_stride = y.stride(0);
    call.xa = xa.mutable_data_ptr(), call.xa_stride = xa.stride(0);
    const CudaLaunch on(gate_up);
    call.multiprocessors = on.multiprocessors();
    if (const int64_t room = cuda_table().gated_adapter.forward_workspace(call)) {
      const auto workspace = workspace_of(room, gate_up);
      call.workspace = workspace.mutable_data_ptr<float>();
      on(cuda_table().gated_adapter.forward(call, on.stream()));
      return y;
    }
  }
  y.copy_(gated_activation_reference(gate_up, f));
  multiply_into(xa, y, a.t());
  return y;
}

struct Kept {
  const at::Tensor &gate_up, &xa;  // of gate and up
};

// d_gate_up with dxa in its room; B's gradient of gate and up, and A's of down.
bool gradients_on_gpu(const AdapterStorage& gate_up, const AdapterStorage& down, Activation f, const Kept& kept,
                      const DropoutMask& dropout, const at::Tensor& dy, const at::Tensor& dxa_after, at::Tensor& d,
                      at::Tensor& dxa) {
  if (!dy.is_cuda() || dy.size(0) == 0) return false;
  auto &a = down.a(), &b = gate_up.b();
  const auto sb = gate_up.b_padded();
  const auto grad_dtype = b.grad_dtype == at::kFloat ? cuda::DType::Float : cuda_dtype(dy);
  auto call = backward_call(gate_up, down, dy.size(0), f, cuda_dtype(dy), grad_dtype);
  call.gate_up = kept.gate_up.const_data_ptr(), call.gate_up_stride = kept.gate_up.stride(0);
  call.dy = dy.const_data_ptr(), call.dy_stride = dy.stride(0);
  call.xa = kept.xa.const_data_ptr(), call.xa_stride = kept.xa.stride(0);
  call.sb = sb.const_data_ptr(), call.sb_stride = sb.stride(0);
  call.dxa_after = dxa_after.const_data_ptr(), call.dxa_after_stride = dxa_after.stride(0);
  call.d_gate_up = d.mutable_data_ptr(), call.d_stride = d.stride(0);
  call.dxa = dxa.mutable_data_ptr(), call.dxa_stride = dxa.stride(0);
  call.scale = static_cast<float>(gate_up.scale());
  call.mask = cuda_mask(dropout);
  const CudaLaunch on(dy);
  call.multiprocessors = on.multiprocessors();
  const int64_t room = cuda_table().gated_adapter.backward_workspace(call);
  if (room == 0) return false;
  const auto workspace = workspace_of(room, dy);
  call.workspace = workspace.mutable_data_ptr<float>();
  b.add_grad([&](at::Tensor& db, double beta_b) {
    a.add_grad([&](at::Tensor& da, double beta_a) {
      call.db = db.mutable_data_ptr(), call.beta_b = static_cast<float>(beta_b);
      call.da = da.mutable_data_ptr(), call.beta_a = static_cast<float>(beta_a);
      on(cuda_table().gated_adapter.backward(call, on.stream()));
    });
  });
  return true;
}

at::Tensor gradients(const AdapterStorage& gate_up, const AdapterStorage& down, Activation f, const Kept& kept,
                     const DropoutMask& dropout, const at::Tensor& dy, const at::Tensor& dxa_after) {
  const auto leaf = kept.gate_up.detach();
  auto d = empty_padded(leaf.size(0), leaf.size(1), gate_up.extra(), leaf.options());
  auto dxa = with_padding(d).narrow(1, d.size(1), gate_up.extra());
  if (gradients_on_gpu(gate_up, down, f, kept, dropout, dy, dxa_after, d, dxa)) return d;
  const at::AutoGradMode with_grad(true);
  const auto source = leaf.requires_grad_();
  const auto y = gated_activation_reference(source, f);
  d.copy_(torch::autograd::grad({y}, {source}, {dy})[0]);
  add_a_grad(down, y.detach(), dxa_after);
  add_b_grad(gate_up, kept.xa, d, dxa, dropout);
  return d;
}

struct MlpFunction : torch::autograd::Function<MlpFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                            const std::optional<at::Tensor>& residual, AdapterStorage* gate_up, AdapterStorage* down,
                            int64_t f, const Remade& input, const MlpDropout& dropout) {
    const auto first = adapted_forward(x, *gate_up, nullptr, {}, dropout.gate_up);
    const auto y = activate(first.y, *down, static_cast<Activation>(f));
    auto& data = ctx->saved_data;
    data["recipe"] = input.recipe();
    // x A^T are copied: a second reader of x may use the same room, and y goes.
    ctx->save_for_backward({data["recipe"].isNone() ? first.x : at::Tensor(), first.xa.clone(), first.y,
                            with_padding(y).narrow(1, y.size(1), down->extra()).clone()});
    data["gate_up"] = reinterpret_cast<int64_t>(gate_up), data["down"] = reinterpret_cast<int64_t>(down), data["f"] = f,
    data["has_residual"] = residual.has_value();
    keep_mask(ctx, "dropout", dropout.gate_up), keep_mask(ctx, "dropout_down", dropout.down);
    data["wants_dx"] = x.requires_grad(), data["x_padding"] = row_padding(x);
    return adapted_product(y, *down, residual.value_or(at::Tensor()), dropout.down);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto& data = ctx->saved_data;
    const auto& gate_up = *reinterpret_cast<AdapterStorage*>(data["gate_up"].toInt());
    const auto& down = *reinterpret_cast<AdapterStorage*>(data["down"].toInt());
    const auto saved = ctx->get_saved_variables();
    const auto& dy = grads[0];
    const auto dxa_down = room_for_dxa(down, dy);
    add_b_grad(down, saved[3], dy, dxa_down, kept_mask(ctx, "dropout_down"));
    // The gradient of the activated goes as soon as those of gate and up are made.
    const auto d = gradients(gate_up, down, static_cast<Activation>(data["f"].toInt()), {saved[2], saved[1]},
                             kept_mask(ctx, "dropout"), adapted_input_gradient(down, dy, dxa_down, 0), dxa_down);
    const auto dxa = with_padding(d).narrow(1, d.size(1), gate_up.extra());
    at::Tensor dx;
    if (data["wants_dx"].toBool()) dx = adapted_input_gradient(gate_up, d, dxa, data["x_padding"].toInt());
    add_a_grad(gate_up, remake(saved[0], data["recipe"]), dxa);
    variable_list gradients(8);  // one an argument of the forward
    gradients[0] = dx;
    if (data["has_residual"].toBool()) gradients[2] = dy;
    return gradients;
  }
};

}  // namespace

bool has_adapted_mlp(const AdapterStorage& gate_up, const AdapterStorage& down, Activation f, at::Device device) {
  const auto dtype = down.weight().dtype();
  const int64_t in = gate_up.a().shape()[1];  // s B begins behind that many columns, and must be aligned
  if (!device.is_cuda() || in % 8 != 0 || (dtype != at::kBFloat16 && dtype != at::kHalf) || !covers(gate_up, down) ||
      !is_frozen_with_trained_adapters(gate_up) || !is_frozen_with_trained_adapters(down) ||
      gate_up.b().grad_dtype != down.a().grad_dtype)
    return false;
  if (!load_cuda().ready)
    return std::max(gate_up.rank(), down.rank()) <= 16 && (f == Activation::Silu || f == Activation::GeluTanh);
  const auto ours = dtype == at::kHalf ? cuda::DType::Half : cuda::DType::BFloat16;
  const auto grad = gate_up.b().grad_dtype == at::kFloat ? cuda::DType::Float : ours;
  auto forward = forward_call(down, 1, f, ours);
  auto backward = backward_call(gate_up, down, 1, f, ours, grad);
  forward.multiprocessors = backward.multiprocessors = 1;
  return cuda_table().gated_adapter.forward_workspace(forward) > 0 &&
         cuda_table().gated_adapter.backward_workspace(backward) > 0;
}

at::Tensor adapted_mlp(const Remade& input, AdapterStorage& gate_up, AdapterStorage& down, Activation f,
                       const at::Tensor& residual, const MlpDropout& dropout) {
  AM_CHECK(covers(gate_up, down) && is_frozen_with_trained_adapters(gate_up) && is_frozen_with_trained_adapters(down),
           "an MLP of other adapters");
  const at::Tensor& x = input.value();
  expect_one_device("adapted_mlp", {"x", x},
                    {{"gate_up", gate_up.weight()}, {"down", down.weight()}, {"residual", residual}});
  if (!at::GradMode::is_enabled()) {
    const auto y = activate(adapted_forward(x, gate_up, nullptr, {}, dropout.gate_up).y, down, f);
    return adapted_product(y, down, residual, dropout.down);
  }
  const auto beside = residual.defined() ? std::optional(residual) : std::nullopt;
  return MlpFunction::apply(x, gradient_anchor(), beside, &gate_up, &down, static_cast<int64_t>(f), input, dropout);
}

}  // namespace automodel::kernels
