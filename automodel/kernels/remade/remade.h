// Remade: a tensor that whoever needs it in the backward may make again instead of keeping it.
//
// What costs the memory of training are the inputs of the products, kept for the gradients of weights and adapters.
// Some of them (a norm's output, an activation's) are one cheap pass over a tensor that is kept anyway. Such an input
// travels with its recipe; a Function that would keep it keeps the recipe instead:
//
//   forward:   ctx->saved_data["recipe"] = x.recipe();  ctx->save_for_backward({x.kept()});
//   backward:  const at::Tensor x = remake(ctx->get_saved_variables()[0], ctx->saved_data["recipe"]);
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>

namespace automodel::kernels {

class Remade {
 public:
  Remade(at::Tensor value) : value_(std::move(value)) {}  // an ordinary tensor: kept as it is
  /// `make` returns the value again, bit for bit. It is called in the backward at most once however many keep it,
  /// without gradients; what it holds is let go with the last reader. It must hold nothing but detached tensors that
  /// are kept anyway.
  Remade(at::Tensor value, std::function<at::Tensor()> make);

  const at::Tensor& value() const { return value_; }
  operator const at::Tensor&() const { return value_; }

  /// For save_for_backward: the value, or undefined where there is a recipe.
  at::Tensor kept() const { return recipe_.isNone() ? value_ : at::Tensor(); }
  /// For saved_data: what remake() takes. Each call is one reader more, and each reader must remake once.
  c10::IValue recipe() const;

 private:
  at::Tensor value_;
  c10::IValue recipe_;  // None, or shared by all who read the value
};

/// In the backward: what was kept, or made again. Lets go of the recipe: a second call throws CheckError.
at::Tensor remake(const at::Tensor& kept, const c10::IValue& recipe);

}  // namespace automodel::kernels
