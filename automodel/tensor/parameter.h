// Parameter: one weight, its gradient, and the names under which checkpoints know it.
//
// A parameter owns its storage. Autograd functions keep the Parameter*, never the tensor, and ask for value() again in
// their backward: an engine may take the storage away between the two (sharding, streaming). They return no gradient
// for it but hand a closure to add_grad(), so accumulation in fp32, tied weights and postponed weight gradients need
// nothing more. Not thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace automodel {

/// A piece of a parameter under its Hugging Face name: rows [begin, begin + rows) of dim 0. A fused weight (q, k and v
/// in one storage) has several; an ordinary one has one that covers it.
struct ParameterSlice {
  std::string name;  // as in the checkpoint, e.g. "model.layers.0.self_attn.q_proj.weight"
  int64_t begin = 0;
  int64_t rows = 0;
  bool transposed = false;  // the checkpoint holds the transpose of our [rows, columns] (GPT-2's Conv1D)
};

/// How a parameter is filled when there is no checkpoint, as the family's own rule says.
struct Init {
  enum class Kind { Normal, Zeros, Ones, Uniform, XavierNormal, KaimingUniform } kind = Kind::Normal;
  double scale = 0.02;    // standard deviation of Normal, half width of Uniform
  int64_t zero_row = -1;  // a row set to zero afterwards (padding_idx of an embedding)
};

class Parameter {
 public:
  /// Nothing is allocated: value() is undefined until set_value() or allocate().
  Parameter(std::vector<ParameterSlice> slices, std::vector<int64_t> shape, at::ScalarType dtype, Init init);
  /// An ordinary parameter: one slice that covers it.
  Parameter(std::string name, std::vector<int64_t> shape, at::ScalarType dtype, Init init);
  Parameter(const Parameter&) = delete;

  const std::vector<ParameterSlice>& slices() const { return slices_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t numel() const;
  at::ScalarType dtype() const { return dtype_; }
  const Init& init() const { return init_; }
  /// All names joined by '+', for messages.
  std::string name() const;

  /// The storage, [shape]. REQUIRES that it is there (allocated, acquired).
  const at::Tensor& value() const;
  bool has_value() const { return value_.defined(); }
  void set_value(at::Tensor value);  // shape and dtype must fit; an undefined tensor takes it away
  void allocate(at::Device device);  // uninitialised
  /// The rows of one slice, a view of value() (or of any tensor shaped like it).
  at::Tensor view(const ParameterSlice& slice) const { return view(value(), slice); }
  static at::Tensor view(const at::Tensor& whole, const ParameterSlice& slice);

  bool trainable = true;

  /// Adds to the gradient: accumulate(grad, beta) must do grad = beta * grad + contribution, with beta 0 (grad is then
  /// uninitialised) or 1; grad has the parameter's shape and the dtype grad_dtype. Does nothing when the parameter is
  /// frozen.
  using Accumulate = std::function<void(at::Tensor& grad, double beta)>;
  void add_grad(const Accumulate& accumulate);
  /// Adds a contribution that exists as a tensor, [shape], any float dtype.
  void add_grad(const at::Tensor& contribution);

  /// The gradient gathered since clear_grad(); undefined if there was none.
  const at::Tensor& grad() const { return has_grad_ ? grad_ : none_; }
  at::Tensor& mutable_grad() { return grad_; }
  void clear_grad() { has_grad_ = false; }  // keeps the buffer
  void drop_grad();                         // frees the buffer too
  at::ScalarType grad_dtype = at::kFloat;

 private:
  std::vector<ParameterSlice> slices_;
  std::vector<int64_t> shape_;
  at::ScalarType dtype_;
  Init init_;
  at::Tensor value_, grad_, none_;
  bool has_grad_ = false;
};

using ParameterPtr = std::shared_ptr<Parameter>;  // shared where weights are tied: the head borrows the embedding's

/// The parameter as an ordinary differentiable tensor whose gradient goes to the parameter's sink. For small weights in
/// plainly written code (norms, biases): it keeps the storage alive in the graph, which big weights must not. Returns
/// value() itself when gradients are off or the parameter is frozen.
at::Tensor differentiable(Parameter& parameter);

/// An empty tensor that wants a gradient. Autograd gives a function a node only if one of its inputs wants a gradient;
/// where the only thing trained is a Parameter, this stands in for it.
at::Tensor gradient_anchor();

}  // namespace automodel
