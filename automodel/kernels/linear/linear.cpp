#include "automodel/kernels/linear/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/one_device.h"
#include "automodel/kernels/product/product.h"
#include "automodel/kernels/product/product_gpu.h"

namespace automodel::kernels {

void accumulate_outer(at::Tensor& grad, double beta, const at::Tensor& a, const at::Tensor& b, double alpha) {
  const auto dtype = grad.scalar_type();
  if (grad.is_cuda()) return product_gpu(grad, a.t(), b, beta != 0 ? grad : at::Tensor(), alpha);
  // The CPU has no product with a wider output, so narrower inputs are widened first.
  const auto wide_a = a.to(dtype), wide_b = alpha == 1 ? b.to(dtype) : b.to(dtype) * alpha;
  // The tokens are summed over: whole blocks of them through product(), the rest added by MKL (see kTokenBlock).
  const int64_t tokens = a.size(0),
                whole = prefers_onednn() && dtype == at::kFloat ? tokens / kTokenBlock * kTokenBlock : 0;
  if (whole > 0) {
    const auto sum = product(wide_a.narrow(0, 0, whole).t(), wide_b.narrow(0, 0, whole).t());
    if (beta == 0)
      grad.copy_(sum);
    else
      grad.add_(sum);
  }
  if (whole < tokens || tokens == 0) {
    const auto rest_a = wide_a.narrow(0, whole, tokens - whole), rest_b = wide_b.narrow(0, whole, tokens - whole);
    at::addmm_out(grad, grad, rest_a.t(), rest_b, whole > 0 ? 1 : beta, 1);
  }
}

static at::Tensor forward_linear(const at::Tensor& x, Parameter& weight, Parameter* bias, const at::Tensor& residual) {
  if (x.is_cuda()) {
    if (bias && !residual.defined())
      return at::addmm(bias->value(), x, weight.value().t());  // the bias on the way, too
    auto y = at::empty({x.size(0), weight.shape()[0]}, x.options().requires_grad(false));
    product_gpu(y, x, weight.value().t(), residual);
    return bias ? y.add_(bias->value()) : y;
  }
  auto y = product(x, weight.value());
  if (bias) y.add_(bias->value());
  return residual.defined() ? residual + y : y;
}

namespace {
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                            const std::optional<at::Tensor>& residual, Parameter* weight, Parameter* bias,
                            const Remade& input) {
    ctx->saved_data["weight"] = reinterpret_cast<int64_t>(weight);
    ctx->saved_data["bias"] = reinterpret_cast<int64_t>(bias);
    ctx->saved_data["wants_dx"] = x.requires_grad();
    ctx->saved_data["has_residual"] = residual.has_value();
    ctx->saved_data["x_padding"] = row_padding(x);
    if (weight->trainable) {
      ctx->save_for_backward({input.kept()});
      ctx->saved_data["recipe"] = input.recipe();
    }
    return forward_linear(x, *weight, bias, residual.value_or(at::Tensor()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    auto* weight = reinterpret_cast<Parameter*>(ctx->saved_data["weight"].toInt());
    auto* bias = reinterpret_cast<Parameter*>(ctx->saved_data["bias"].toInt());
    const auto& dy = grads[0];
    at::Tensor dx;
    if (ctx->saved_data["wants_dx"].toBool()) {
      if (dy.is_cuda()) {
        dx = empty_padded(dy.size(0), weight->shape()[1], ctx->saved_data["x_padding"].toInt(), dy.options());
        product_gpu(dx, dy, weight->value());
      } else {
        dx = product(dy, weight->value().t());
      }
    }
    if (weight->trainable) {
      const auto x = remake(ctx->get_saved_variables()[0], ctx->saved_data["recipe"]);
      weight->add_grad([&](at::Tensor& grad, double beta) { accumulate_outer(grad, beta, dy, x); });
    }
    if (bias && bias->trainable) bias->add_grad(at::sum(dy, {0}, false, bias->grad_dtype));
    const auto beside = ctx->saved_data["has_residual"].toBool() ? dy : at::Tensor();
    return {dx, at::Tensor(), beside, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor linear(const Remade& input, Parameter& weight, Parameter* bias, const at::Tensor& residual) {
  const at::Tensor& x = input.value();
  expect_one_device("linear", {"x", x}, {{"weight", weight}, {"bias", bias}, {"residual", residual}});
  const bool trains = weight.trainable || (bias && bias->trainable),
             wants = trains || x.requires_grad() || (residual.defined() && residual.requires_grad());
  if (!at::GradMode::is_enabled() || !wants) return forward_linear(x, weight, bias, residual);
  const auto beside = residual.defined() ? std::optional(residual) : std::nullopt;
  return LinearFunction::apply(x, gradient_anchor(), beside, &weight, bias, input);
}

}  // namespace automodel::kernels
