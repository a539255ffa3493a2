#include "automodel/peft/lora_product.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/one_device.h"

namespace automodel::peft {

static at::Tensor add_pieces(at::Tensor y, const at::Tensor& xa, const at::Tensor& b, int64_t rank, double scale,
                             const std::vector<LoraPiece>& pieces) {
  for (size_t j = 0; j < pieces.size(); ++j) {
    const auto& piece = pieces[j];
    y.narrow(1, piece.begin, piece.rows)
        .addmm_(xa.narrow(1, static_cast<int64_t>(j) * rank, rank), b.narrow(0, piece.b_begin, piece.rows).t(), 1,
                scale);
  }
  return y;
}

namespace {
using torch::autograd::variable_list;

struct ProductFunction : torch::autograd::Function<ProductFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, at::Tensor y, const at::Tensor& x,
                            const at::Tensor& anchor, Parameter* a, Parameter* b, int64_t rank, double scale,
                            const std::vector<LoraPiece>& pieces, const kernels::Remade& input) {
    const auto xa = at::mm(x, a->value().t());
    ctx->save_for_backward({input.kept(), xa});
    auto& data = ctx->saved_data;
    data["recipe"] = input.recipe();
    data["a"] = reinterpret_cast<int64_t>(a), data["b"] = reinterpret_cast<int64_t>(b), data["rank"] = rank,
    data["scale"] = scale;
    std::vector<int64_t> flat;
    for (const auto& piece : pieces) flat.insert(flat.end(), {piece.begin, piece.rows, piece.b_begin});
    data["pieces"] = flat;
    data["wants_dx"] = x.requires_grad();
    ctx->mark_dirty({y});
    return add_pieces(y, xa, b->value(), rank, scale, pieces);
  }

  static variable_list backward(torch::autograd::AutogradContext* ctx, variable_list grads) {
    auto& data = ctx->saved_data;
    auto *a = reinterpret_cast<Parameter*>(data["a"].toInt()), *b = reinterpret_cast<Parameter*>(data["b"].toInt());
    const int64_t rank = data["rank"].toInt();
    const double scale = data["scale"].toDouble();
    const auto flat = data["pieces"].toIntVector();
    const auto saved = ctx->get_saved_variables();
    const auto x = kernels::remake(saved[0], data["recipe"]);
    const auto &xa = saved[1], &dy = grads[0];
    auto dxa = at::empty_like(xa);  // scale * dy_j B_j, side by side
    for (size_t j = 0; j < flat.size() / 3; ++j) {
      const int64_t begin = flat[3 * j], rows = flat[3 * j + 1], b_begin = flat[3 * j + 2];
      dxa.narrow(1, static_cast<int64_t>(j) * rank, rank)
          .copy_(at::mm(dy.narrow(1, begin, rows), b->value().narrow(0, b_begin, rows)).mul_(scale));
    }
    b->add_grad([&](at::Tensor& grad, double beta) {
      for (size_t j = 0; j < flat.size() / 3; ++j) {
        auto part = grad.narrow(0, flat[3 * j + 2], flat[3 * j + 1]);
        kernels::accumulate_outer(part, beta, dy.narrow(1, flat[3 * j], flat[3 * j + 1]),
                                  xa.narrow(1, static_cast<int64_t>(j) * rank, rank) * scale);
      }
    });
    a->add_grad([&](at::Tensor& grad, double beta) { kernels::accumulate_outer(grad, beta, dxa, x); });
    const auto dx = data["wants_dx"].toBool() ? at::mm(dxa, a->value()) : at::Tensor();
    variable_list gradients(9);  // one an argument of the forward
    gradients[0] = dy, gradients[1] = dx;
    return gradients;
  }
};
}  // namespace

at::Tensor add_lora_product(const at::Tensor& y, const kernels::Remade& input, Parameter& a, Parameter& b, int64_t rank,
                            double scale, const std::vector<LoraPiece>& pieces) {
  const at::Tensor& x = input.value();
  kernels::expect_one_device("lora_product", {"y", y}, {{"x", x}, {"A", a}, {"B", b}});
  if (!at::GradMode::is_enabled()) return add_pieces(y, at::mm(x, a.value().t()), b.value(), rank, scale, pieces);
  return ProductFunction::apply(y, x, gradient_anchor(), &a, &b, rank, scale, pieces, input);
}

}  // namespace automodel::peft
