// Norm: RMSNorm or LayerNorm, as a family's config says.
#pragma once

#include <string>
#include <vector>

#include "automodel/kernels/remade/remade.h"
#include "automodel/kernels/rms_norm/norm_gpu.h"
#include "automodel/tensor/batch.h"
#include "automodel/tensor/parameter.h"

namespace automodel::nn {

struct NormSpec {
  enum class Kind { Rms, Layer } kind = Kind::Rms;
  double eps = 1e-6;
  bool plus_one = false;  // the weight is the difference to one (Gemma)
  bool bias = false;      // LayerNorm's
};

/// A residual stream that goes on beside its norm.
struct Normed {
  at::Tensor h;
  kernels::Remade y;
};

class Norm {
 public:
  /// `module` is its Hugging Face name ("model.layers.0.input_layernorm"), D the width.
  Norm(const NormSpec& spec, const std::string& module, int64_t D, at::ScalarType dtype);
  at::Tensor forward(const at::Tensor& x);  // [..., D] -> [..., D]
  /// {x, forward(x)} for a residual stream that goes on beside its norm: on a GPU the two gradients are added in the
  /// norm's backward. The norm has `padding` spare elements behind each row where that is of use
  /// (kernels/linear/padded.h), and a recipe if context.remakes.
  Normed pass(const at::Tensor& x, int64_t padding, const Context& context);
  void collect(std::vector<ParameterPtr>& out) const;
  Parameter* weight() const { return weight_.get(); }
  const NormSpec& spec() const { return spec_; }

 private:
  kernels::PassNorm pass(const at::Tensor& x, int64_t padding) const;

  NormSpec spec_;
  ParameterPtr weight_, bias_;
};

}  // namespace automodel::nn
