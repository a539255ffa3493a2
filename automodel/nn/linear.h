// Linear: a slot for the operation that computes y = x W^T + b. Storage ops (dense here; nf4, fp8 later) hold the
// weight; others (lora, column and row cuts) wrap one: Shard(Adapter(Storage)). Names of parameters never depend on
// what is in the slot.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "automodel/kernels/adapter/adapted_linear.h"
#include "automodel/kernels/remade/remade.h"
#include "automodel/tensor/batch.h"
#include "automodel/tensor/parameter.h"

namespace automodel::nn {

/// What a fused kernel may know about an op: pointers into it, valid while it lives.
struct LinearView {
  Parameter* weight = nullptr;  // [out, in], all slices in one storage
  Parameter* bias = nullptr;    // [out] or null
  struct Adapter {
    int64_t slice;     // which slice of the weight it adapts
    Parameter *a, *b;  // of all adapters of the linear: [n r, in] and [adapted rows, r], a slice of each an adapter
    double scale;
  };
  std::vector<Adapter> adapters;
};

/// What an op keeps of a forward for its backward, by shapes alone; in values a token.
struct LinearKeeps {
  bool input = false;  // x, or how to make it
  int64_t values = 0;  // beside it
  int64_t room = 0;    // spare elements behind the rows of x and y, as on a GPU
};

struct LinearOp {
  virtual ~LinearOp() = default;
  /// x [T, in] -> [T, out]. Differentiable; parameters' gradients go to their sinks. What of x the backward needs is
  /// kept, or made again where x comes with a recipe.
  virtual at::Tensor forward(const kernels::Remade& x, Context& context) = 0;
  /// residual + forward(x), added in the product itself where it can be. residual [T, out].
  virtual at::Tensor forward_onto(const at::Tensor& residual, const kernels::Remade& x, Context& context) {
    return residual + forward(x, context);
  }
  /// L2 norm of each row of the weight in effect, [out] fp32, without gradient (DoRA's denominator).
  virtual at::Tensor row_norms() const = 0;
  /// Appends its parameters, storage first, in checkpoint order.
  virtual void collect(std::vector<ParameterPtr>& out) const = 0;
  virtual LinearView view() const = 0;
  /// Where its adapters and its weight lie together, if a forward there and then takes them as one product
  /// (kernels/adapter/adapted_linear.h); else null. Needs no values.
  virtual kernels::AdapterStorage* adapter_storage(at::Device device, bool training) const { return nullptr; }
  /// Dropout of what those adapters add, in this forward.
  virtual DropoutMask adapter_dropout(const Context& context) const { return {}; }
  /// `device`: where it will run; needs no values.
  virtual LinearKeeps keeps(at::Device device) const { return {.input = view().weight->trainable}; }
  /// Spare elements it likes behind each row of x (kernels/linear/padded.h); without them it may have to copy x.
  virtual int64_t input_padding() const { return 0; }
};

/// The weight as it is: W [out, in] and an optional bias.
struct Dense : LinearOp {
  ParameterPtr weight, bias;

  Dense(ParameterPtr weight, ParameterPtr bias) : weight(std::move(weight)), bias(std::move(bias)) {}
  at::Tensor forward(const kernels::Remade& x, Context& context) override;
  at::Tensor forward_onto(const at::Tensor& residual, const kernels::Remade& x, Context& context) override;
  at::Tensor row_norms() const override;
  void collect(std::vector<ParameterPtr>& out) const override;
  LinearView view() const override { return {weight.get(), bias.get(), {}}; }
};

/// One or several Hugging Face linears that read the same input, fused into one product.
struct LinearSpec {
  std::vector<std::string> modules;  // HF module names, e.g. {"...q_proj", "...k_proj", "...v_proj"}
  std::vector<int64_t> rows;         // outputs of each
  int64_t in = 0;
  bool bias = false;
  bool transposed = false;  // the checkpoint holds [in, out] (Conv1D)
  Init init;
};

class Linear {
 public:
  Linear(const LinearSpec& spec, at::ScalarType dtype);
  at::Tensor forward(const kernels::Remade& x, Context& context) { return op->forward(x, context); }
  /// With a residual: residual + forward(x); undefined: forward(x).
  at::Tensor forward(const kernels::Remade& x, Context& context, const at::Tensor& residual) {
    return residual.defined() ? op->forward_onto(residual, x, context) : op->forward(x, context);
  }

  const LinearSpec& spec() const { return spec_; }
  int64_t out() const;

  std::unique_ptr<LinearOp> op;  // the slot

 private:
  LinearSpec spec_;
};

}  // namespace automodel::nn
