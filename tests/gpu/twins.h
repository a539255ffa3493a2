// The same model in two precisions, and how far bf16 may be from fp32.
//
// Where a bound comes from. bf16 keeps 8 bits, so to round a number moves it by at most u = 2^-8 of itself. What that
// does to a logit or a gradient depends on the model, and the model can be asked: every weight is moved by a random
// share of itself, uniform in [-u, u], and everything is computed in fp32. A tensor g then moves by e = |g(W') - g(W)|:
// the effect of one rounding of one operand of every product. A run in bf16 rounds the weights, the other operand, the
// result and what stands between products (norm, rotation, activation, residual), and in the backward each of their
// gradients. Of one layer the longest chain holds 4 such roundings for one of a weight, and as many backward,
// independent of each other and each no larger in effect: sqrt(1 + 4 + 4) = 3 times e in the root mean square. Twice
// that is allowed, since e is one sample of its kind and small tensors scatter, and 2 u |g| for what no weight reaches
// (the last bias) and for the rounding of the result itself:
//     |g(bf16) - g(W)| <= 6 e + 2 u |g|            (norms over the whole tensor)
// What comes out in practice is a third of it; a bias added to all keys, whose gradient is all cancellation, fits in
// too.
#pragma once

#include <functional>

#include "tests/parity/golden.h"

namespace automodel::gpu {

using parity::Tensors;

/// Blocks without values.
using Build = std::function<std::unique_ptr<nn::Model>(at::ScalarType)>;

/// A model of `dtype` on `device` with the values of `from`, rounded.
std::unique_ptr<nn::Model> make_twin(const nn::Model& from, const Build& build, at::ScalarType dtype,
                                     at::Device device);
/// Moves every weight by a random share of itself, uniform in +-u.
void disturb_weights(nn::Model& model);

/// Loads what a GPU needs and makes its arithmetic what the tests compare; throws where there is none.
void require_gpu();

/// parity::run on the device of the model; its tensors are fp32 and stay there.
Tensors run(nn::Model& model, const Batch& batch, engine::Recompute recompute = engine::Recompute::None);

/// Of each tensor of `truth`: the norm of its difference from `found` over what is allowed; at most 1 is good.
/// `disturbed` is the fp32 run with disturbed weights. Infinity for NaN, another shape or a missing tensor.
std::map<std::string, double> bf16_errors(const Tensors& found, const Tensors& disturbed, const Tensors& truth);

Tensors to_cpu(Tensors tensors);

/// EXPECTs that all errors are at most 1, and prints the worst.
void expect_within_rounding(const Tensors& found, const Tensors& disturbed, const Tensors& truth);

/// The three runs of one model and the comparison: `fp32` on the device of the tests, `build` its structure.
void expect_bf16_follows(const nn::Model& fp32, const Build& build, const Batch& batch);

}  // namespace automodel::gpu
