// Dropout whose mask is a pure function of a key, so that a recomputation draws the same one and nothing has to be
// saved.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/base/random.h"

namespace automodel {

/// y = x * m / (1 - p), m[i] = 0 with probability p and 1 otherwise, decided by (key, i). Returns x itself when p is 0.
/// The mask is computed again in the backward, on the CPU.
at::Tensor dropout(const at::Tensor& x, double p, RandomKey key);

}  // namespace automodel
