#include "automodel/kernels/embedding/embedding.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/scalar_tensor.h>

namespace automodel::kernels {

static at::Tensor look_up(const at::Tensor& ids, const at::Tensor& weight, double scale) {
  auto y = at::index_select(weight, 0, ids);
  if (scale != 1) y.mul_(at::scalar_tensor(scale, weight.options()));  // rounded to the weight's dtype first
  return y;
}

namespace {
struct EmbeddingFunction : torch::autograd::Function<EmbeddingFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& anchor, const at::Tensor& ids,
                            Parameter* weight, double scale, int64_t padding) {
    ctx->saved_data["weight"] = reinterpret_cast<int64_t>(weight);
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["padding"] = padding;
    ctx->save_for_backward({ids});
    return look_up(ids, weight->value(), scale);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    auto* weight = reinterpret_cast<Parameter*>(ctx->saved_data["weight"].toInt());
    const double scale = ctx->saved_data["scale"].toDouble();
    const int64_t padding = ctx->saved_data["padding"].toInt();
    const auto ids = ctx->get_saved_variables()[0];
    weight->add_grad([&](at::Tensor& grad, double beta) {
      if (beta == 0) grad.zero_();
      auto dy = grads[0];
      if (padding >= 0) dy = dy.masked_fill(ids.eq(padding).unsqueeze(1), 0);
      if (scale != 1) dy = dy * at::scalar_tensor(scale, dy.options());
      grad.index_add_(0, ids, dy.to(grad.scalar_type()));
    });
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor embedding(const at::Tensor& ids, Parameter& weight, double scale, int64_t padding) {
  if (!weight.trainable || !at::GradMode::is_enabled()) return look_up(ids, weight.value(), scale);
  return EmbeddingFunction::apply(gradient_anchor(), ids, &weight, scale, padding);
}

}  // namespace automodel::kernels
