// One test body for every op: forward and backward against plain fp64 tensor operations. Included by tests only.
#pragma once

#include <functional>
#include <vector>

#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {

/// The op under test as a function of its input; it reaches its parameters by itself.
using Ours = std::function<at::Tensor(const at::Tensor& x)>;
/// The same formula in fp64 by operations that torch differentiates.
using Plain = std::function<at::Tensor(const at::Tensor& x, const std::vector<at::Tensor>& weights)>;

struct OpCheck {
  std::vector<Parameter*> weights;
  bool x_grad = true;       // the input wants a gradient
  double tolerance = 2e-6;  // of the largest element, for outputs and gradients
  at::Tensor dy;            // the gradient of the output; undefined: random numbers
};

/// Output, gradient of the input, gradients of the trained weights; the backward runs twice with the sinks kept, so
/// gradients must have doubled, the second time from a gradient with holes between its elements. Frozen weights must
/// get none.
inline void expect_equals_plain(const Ours& ours, const Plain& plain, const at::Tensor& x, const OpCheck& check) {
  const auto x64 = x.detach().to(at::kDouble).requires_grad_();
  std::vector<at::Tensor> w64;
  bool trains = false;
  for (Parameter* weight : check.weights) {
    w64.push_back(weight->value().detach().to(at::kDouble).requires_grad_());
    trains = trains || weight->trainable;
    weight->clear_grad();
  }
  const auto y64 = plain(x64, w64);
  const auto dy = check.dy.defined() ? check.dy : random_tensor(y64.sizes(), 99, x.scalar_type());
  y64.backward(dy.to(at::kDouble));
  for (int round = 1; round <= 2; ++round) {
    SCOPED_TRACE(round == 1 ? "first backward" : "second backward");
    const auto leaf = x.detach().requires_grad_(check.x_grad);
    const auto y = ours(leaf);
    ASSERT_EQ(y.scalar_type(), check.dy.defined() ? check.dy.scalar_type() : x.scalar_type());
    EXPECT_TRUE(is_close(y, y64, check.tolerance)) << "output";
    ASSERT_EQ(y.requires_grad(), check.x_grad || trains);
    if (!y.requires_grad()) return;
    y.backward(round == 1 ? dy : strided(dy));
    if (check.x_grad) {
      EXPECT_TRUE(is_close(leaf.grad(), x64.grad(), check.tolerance)) << "gradient of the input";
    }
    for (size_t i = 0; i < w64.size(); ++i) {
      SCOPED_TRACE("weight " + std::to_string(i));
      const auto& grad = check.weights[i]->grad();
      const auto expected = w64[i].grad().defined() ? w64[i].grad() * round : w64[i].detach() * 0;
      if (!check.weights[i]->trainable) {
        EXPECT_FALSE(grad.defined()) << "a frozen weight got a gradient";
      } else if (grad.defined()) {
        EXPECT_TRUE(is_close(grad, expected, check.tolerance));
      } else {
        EXPECT_TRUE(expected.abs().sum().item<double>() == 0) << "got no gradient";
      }
    }
  }
  const at::NoGradGuard guard;
  EXPECT_TRUE(is_close(ours(x.detach()), y64, check.tolerance)) << "output without gradients";
  for (Parameter* weight : check.weights) weight->clear_grad();
}

/// f() gives the same bits on one thread and on two.
inline void expect_same_on_one_and_two_threads(const std::function<std::vector<at::Tensor>()>& f) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = f();
  at::set_num_threads(2);
  const auto two = f();
  at::set_num_threads(before);
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    ASSERT_TRUE(one[i].defined() && two[i].defined()) << "tensor " << i;
    EXPECT_TRUE(one[i].equal(two[i])) << "tensor " << i;
  }
}

/// Ops this small only lose on several threads, most of all on a busy machine; tests of threads ask for them.
inline const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

/// A dtype and how exact an op in it is: fp32 by itself, the others by their rounding of a few operations.
struct Precision {
  at::ScalarType dtype;
  double tolerance;
};
inline const Precision kPrecisions[] = {{at::kFloat, 3e-6}, {at::kBFloat16, 0x1p-6}, {at::kHalf, 0x1p-9}};

}  // namespace automodel::kernels
