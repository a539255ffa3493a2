#include "automodel/kernels/embedding/embedding.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sort.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/one_device.h"

namespace automodel::kernels {

// The scale as it is in the weight's dtype.
static float rounded(double scale, const at::Tensor& weight) {
  return at::scalar_tensor(scale, at::TensorOptions().dtype(weight.scalar_type())).to(at::kFloat).item<float>();
}

static at::Tensor look_up_gpu(const at::Tensor& ids, const at::Tensor& weight, double scale) {
  auto y = at::empty({ids.numel(), weight.size(1)}, weight.options());
  const CudaLaunch on(weight);
  on(cuda_table().embedding.forward({.dtype = cuda_dtype(weight),
                                     .tokens = ids.numel(),
                                     .columns = weight.size(1),
                                     .ids = ids.const_data_ptr<int64_t>(),
                                     .table = weight.const_data_ptr(),
                                     .y = y.mutable_data_ptr(),
                                     .scale = rounded(scale, weight)},
                                    on.stream()));
  return y;
}

static void add_grad_gpu(at::Tensor& grad, const at::Tensor& ids, const at::Tensor& dy, double scale, int64_t padding) {
  const auto [sorted, order] = at::sort(ids, /*stable=*/std::optional<bool>(true), /*dim=*/0);
  const auto partial = at::empty({cuda::embedding_partials(ids.numel()), dy.size(1)}, dy.options().dtype(at::kFloat));
  const CudaLaunch on(grad);
  on(cuda_table().embedding.backward({.dtype = cuda_dtype(dy),
                                      .grad_dtype = cuda_dtype(grad),
                                      .tokens = ids.numel(),
                                      .columns = dy.size(1),
                                      .sorted_ids = sorted.const_data_ptr<int64_t>(),
                                      .order = order.const_data_ptr<int64_t>(),
                                      .dy = dy.const_data_ptr(),
                                      .grad = grad.mutable_data_ptr(),
                                      .partial = partial.mutable_data_ptr<float>(),
                                      .padding = padding,
                                      .scale = rounded(scale, dy)},
                                     on.stream()));
}

static at::Tensor look_up(const at::Tensor& ids, const at::Tensor& weight, double scale) {
  if (weight.is_cuda() && has_cuda_dtype(weight)) return look_up_gpu(ids.contiguous(), weight, scale);
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
      if (grad.is_cuda() && has_cuda_dtype(grad) && has_cuda_dtype(dy)) {
        add_grad_gpu(grad, ids, dy.contiguous(), scale, padding);
        return;
      }
      if (padding >= 0) dy = dy.masked_fill(ids.eq(padding).unsqueeze(1), 0);
      if (scale != 1) dy = dy * at::scalar_tensor(scale, dy.options());
      grad.index_add_(0, ids, dy.to(grad.scalar_type()));
    });
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor embedding(const at::Tensor& ids, Parameter& weight, double scale, int64_t padding) {
  expect_one_device("embedding", {"ids", ids}, {{"weight", weight}});
  if (!weight.trainable || !at::GradMode::is_enabled()) return look_up(ids, weight.value(), scale);
  return EmbeddingFunction::apply(gradient_anchor(), ids, &weight, scale, padding);
}

}  // namespace automodel::kernels
