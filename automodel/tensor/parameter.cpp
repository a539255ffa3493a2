#include "automodel/tensor/parameter.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel {

Parameter::Parameter(std::vector<ParameterSlice> slices, std::vector<int64_t> shape, at::ScalarType dtype, Init init)
    : slices_(std::move(slices)), shape_(std::move(shape)), dtype_(dtype), init_(init) {
  int64_t next = 0;
  for (const auto& slice : slices_) {
    AM_CHECK(slice.begin == next, "slices of {} must follow each other", name());
    next += slice.rows;
  }
  AM_CHECK(!shape_.empty() && next == shape_[0], "slices of {} cover {} of {} rows", name(), next,
           shape_.empty() ? 0 : shape_[0]);
}

Parameter::Parameter(std::string name, std::vector<int64_t> shape, at::ScalarType dtype, Init init)
    : Parameter(std::vector<ParameterSlice>{{std::move(name), 0, shape.at(0)}}, shape, dtype, init) {}

int64_t Parameter::numel() const {
  int64_t product = 1;
  for (const int64_t size : shape_) product *= size;
  return product;
}

std::string Parameter::name() const {
  std::vector<std::string> names;
  for (const auto& slice : slices_) names.push_back(slice.name);
  return join(names, "+");
}

const at::Tensor& Parameter::value() const {
  AM_CHECK(value_.defined(), "{} was used while its storage is away", name());
  return value_;
}

void Parameter::set_value(at::Tensor value) {
  if (value.defined())
    AM_CHECK(value.sizes() == at::IntArrayRef(shape_) && value.scalar_type() == dtype_, "{}", name());
  value_ = std::move(value);
}

void Parameter::allocate(at::Device device) {
  value_ = at::empty(shape_, at::TensorOptions().dtype(dtype_).device(device));
}

at::Tensor Parameter::view(const at::Tensor& whole, const ParameterSlice& slice) {
  return whole.narrow(0, slice.begin, slice.rows);
}

void Parameter::add_grad(const Accumulate& accumulate) {
  if (!trainable) return;
  at::NoGradGuard guard;
  if (!grad_.defined()) grad_ = at::empty(shape_, value().options().dtype(grad_dtype));
  accumulate(grad_, has_grad_ ? 1 : 0);
  has_grad_ = true;
}

void Parameter::add_grad(const at::Tensor& contribution) {
  add_grad([&](at::Tensor& grad, double beta) { beta == 0 ? grad.copy_(contribution) : grad.add_(contribution); });
}

void Parameter::drop_grad() {
  grad_ = at::Tensor();
  has_grad_ = false;
}

namespace {
// Forward: the value itself, attached to the graph by `anchor`. Backward: hands the gradient to the sink.
struct Differentiable : torch::autograd::Function<Differentiable> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& anchor, Parameter* parameter) {
    ctx->saved_data["parameter"] = reinterpret_cast<int64_t>(parameter);
    return parameter->value().detach();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    auto* parameter = reinterpret_cast<Parameter*>(ctx->saved_data["parameter"].toInt());
    parameter->add_grad(grads[0]);
    return {at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor differentiable(Parameter& parameter) {
  if (!parameter.trainable || !at::GradMode::is_enabled()) return parameter.value();
  return Differentiable::apply(gradient_anchor(), &parameter);
}

at::Tensor gradient_anchor() { return at::empty({0}).requires_grad_(); }

}  // namespace automodel
