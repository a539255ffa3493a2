#include "automodel/peft/lora.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "automodel/base/error.h"
#include "automodel/peft/lora_product.h"
#include "automodel/tensor/dropout.h"

namespace automodel::peft {

double LoraOptions::scale() const {
  return rslora ? alpha / std::sqrt(static_cast<double>(rank)) : alpha / static_cast<double>(rank);
}

static std::string module_of(const ParameterSlice& slice) {
  return slice.name.substr(0, slice.name.size() - std::string_view(".weight").size());
}

Lora::Lora(std::unique_ptr<nn::LinearOp> inner, std::vector<int64_t> slices, const LoraOptions& options, uint64_t id)
    : inner_(std::move(inner)), options_(options), id_(id) {
  const Parameter& weight = *inner_->view().weight;
  const auto dtype = options.dtype.value_or(weight.dtype());
  std::vector<ParameterSlice> a, b, m;
  int64_t rows = 0;
  for (size_t j = 0; j < slices.size(); ++j) {
    const auto& slice = weight.slices().at(static_cast<size_t>(slices[j]));
    const std::string module = "base_model.model." + module_of(slice);
    a.push_back({module + ".lora_A.weight", static_cast<int64_t>(j) * options.rank, options.rank});
    b.push_back({module + ".lora_B.weight", rows, slice.rows});
    m.push_back({module + ".lora_magnitude_vector", rows, slice.rows});
    pieces_.push_back({slices[j], slice.begin, slice.rows, rows});
    rows += slice.rows;
  }
  const Init init{options.xavier ? Init::Kind::XavierNormal : Init::Kind::KaimingUniform};
  const int64_t in = weight.shape()[1], n = static_cast<int64_t>(slices.size());
  a_ = std::make_shared<Parameter>(a, std::vector<int64_t>{n * options.rank, in}, dtype, init);
  b_ = std::make_shared<Parameter>(b, std::vector<int64_t>{rows, options.rank}, dtype, Init{Init::Kind::Zeros});
  if (options.dora)
    magnitude_ = std::make_shared<Parameter>(m, std::vector<int64_t>{rows}, dtype, Init{Init::Kind::Ones});
  if (has_one_product()) {
    std::vector<kernels::AdapterPiece> places;
    for (const auto& piece : pieces_) places.push_back({piece.begin, piece.rows, piece.b_begin});
    storage_ = std::make_unique<kernels::AdapterStorage>(*inner_->view().weight, *a_, *b_, options_.rank,
                                                         options_.scale(), places);
  }
}

bool Lora::has_one_product() const {
  return dynamic_cast<const nn::Dense*>(inner_.get()) && a_->dtype() == inner_->view().weight->dtype();
}

bool Lora::drops_inputs(bool training) const { return training && options_.dropout > 0 && options_.dropout_before; }

bool Lora::are_columns(at::Device device, bool training) const {
  return storage_ && device.is_cuda() && !drops_inputs(training);
}

int64_t Lora::input_padding() const {
  return storage_ && a_->has_value() && a_->value().is_cuda() ? storage_->extra() : 0;
}

kernels::AdapterStorage* Lora::adapter_storage(at::Device device, bool training) const {
  return are_columns(device, training) && !options_.dora ? storage_.get() : nullptr;
}

DropoutMask Lora::adapter_dropout(const Context& context) const {
  return dropout_mask(context.training ? options_.dropout : 0, context.key.with(id_));
}

std::string Lora::why_beside() const {
  if (drops_inputs(/*training=*/true)) return "peft.dropout_position";
  return storage_ ? "" : "peft.lora_dtype";
}

at::Tensor Lora::one_product(const kernels::Remade& x, Context& context, Parameter* bias, const at::Tensor& residual) {
  storage_->refresh(!context.recomputing);
  return kernels::adapted_linear(x, *storage_, bias, residual, adapter_dropout(context));
}

at::Tensor Lora::forward_onto(const at::Tensor& residual, const kernels::Remade& x, Context& context) {
  return adapter_storage(x.value().device(), context.training) ? one_product(x, context, inner_->view().bias, residual)
                                                               : residual + forward(x, context);
}

at::Tensor Lora::forward(const kernels::Remade& x, Context& context) {
  if (options_.dora) return dora_forward(x, context);
  if (are_columns(x.value().device(), context.training)) return one_product(x, context, inner_->view().bias, {});
  return add_products(inner_->forward(x, context), adapter_input(x, context), context);
}

kernels::Remade Lora::adapter_input(const kernels::Remade& x, const Context& context) const {
  return drops_inputs(context.training) ? kernels::Remade(dropout(x, options_.dropout, context.key.with(id_))) : x;
}

// y + the adapters' own products of x, in place where it can be.
at::Tensor Lora::add_products(const at::Tensor& y, const kernels::Remade& x, const Context& context) {
  std::vector<LoraPiece> places;
  for (const auto& piece : pieces_) places.push_back({piece.begin, piece.rows, piece.b_begin});
  const double after = context.training && !options_.dropout_before ? options_.dropout : 0;
  const auto own = a_->dtype();  // peft.lora_dtype; its product is then computed in it
  if (after == 0 && own == y.scalar_type())
    return add_lora_product(y, x, *a_, *b_, options_.rank, options_.scale(), places);
  const auto delta = add_lora_product(at::zeros_like(y, y.options().dtype(own)), x.value().to(own), *a_, *b_,
                                      options_.rank, options_.scale(), places)
                         .to(y.scalar_type());
  return y + dropout(delta, after, context.key.with(id_));
}

// |W + s B A|^2 = |W|^2 + 2 s (W A^T) B + s^2 B (A A^T) B, row by row: nothing of W's size is made.
at::Tensor Lora::row_norms() const {
  at::NoGradGuard guard;
  const auto weight = inner_->view().weight->value();
  const double s = options_.scale();
  auto squares = at::linalg_vector_norm(weight, 2, {1}, false, at::kFloat).square_();
  for (size_t j = 0; j < pieces_.size(); ++j) {
    const auto a = a_->view(a_->slices()[j]), b = b_->view(b_->slices()[j]).to(at::kFloat), wide = a.to(at::kFloat);
    const auto of_piece = weight.narrow(0, pieces_[j].begin, pieces_[j].rows);
    const auto crossed = at::mm(of_piece, a.to(weight.scalar_type()).t()).to(at::kFloat);
    const auto squared = at::mm(b, at::mm(wide, wide.t()));
    squares.narrow(0, pieces_[j].begin, pieces_[j].rows).add_(((2 * s * crossed + s * s * squared) * b).sum(1));
  }
  return squares.clamp_min_(0).sqrt_();
}

// m / |W + s B A| on the adapted rows, 1 on the others.
at::Tensor Lora::dora_factors(at::ScalarType dtype) const {
  const auto norms = row_norms();
  const auto m = differentiable(*magnitude_).to(at::kFloat);
  std::vector<at::Tensor> parts;
  int64_t next = 0;
  const auto ones_until = [&](int64_t end) {
    if (end > next) parts.push_back(at::ones({end - next}, norms.options()));
  };
  for (const auto& piece : pieces_) {
    ones_until(piece.begin);
    parts.push_back(m.narrow(0, piece.b_begin, piece.rows) / norms.narrow(0, piece.begin, piece.rows));
    next = piece.begin + piece.rows;
  }
  ones_until(norms.size(0));
  return at::cat(parts).to(dtype);
}

// y = f * (x W^T + s x A^T B^T) + b. With dropout before, the base sees in it what is dropped, as in PEFT, and what it
// sees alone is plain: y = x W^T + b - d W^T + f * (d W^T + s d A^T B^T) with d = drop(x).
at::Tensor Lora::dora_forward(const kernels::Remade& x, Context& context) {
  const auto factors = dora_factors(x.value().scalar_type());
  auto* const bias = inner_->view().bias;
  const auto unbiased = [&](const kernels::Remade& of) {
    const auto y = inner_->forward(of, context);
    return bias ? y - bias->value() : y;
  };
  if (drops_inputs(context.training)) {
    const auto dropped = adapter_input(x, context);
    const auto again = unbiased(dropped);
    return inner_->forward(x, context) - again + add_products(again.clone(), dropped, context) * factors;
  }
  const auto sum = are_columns(x.value().device(), context.training) ? one_product(x, context, nullptr, {})
                                                                     : add_products(unbiased(x), x, context);
  return bias ? at::addcmul(bias->value(), sum, factors) : sum * factors;
}

void Lora::collect(std::vector<ParameterPtr>& out) const {
  inner_->collect(out);
  out.push_back(a_);
  out.push_back(b_);
  if (magnitude_) out.push_back(magnitude_);
}

nn::LinearView Lora::view() const {
  auto view = inner_->view();
  for (const auto& piece : pieces_) view.adapters.push_back({piece.slice, a_.get(), b_.get(), options_.scale()});
  return view;
}

// One product of all adapters keeps x A^T with its padding; DoRA the sum that its factors multiply, and with dropout
// before also the base's of what is dropped.
nn::LinearKeeps Lora::keeps(at::Device device) const {
  const bool one = are_columns(device, true);
  const int64_t room = one ? storage_->extra() : 0, out = inner_->view().weight->shape()[0];
  const int64_t of_dora = !options_.dora ? 0 : drops_inputs(true) ? 2 * out : out;
  return {.input = true, .values = (one ? room : a_->shape()[0]) + of_dora, .room = room};
}

void Lora::initialize_magnitude() {
  if (!magnitude_) return;
  at::NoGradGuard guard;
  const auto norms = inner_->row_norms();
  if (!magnitude_->has_value()) magnitude_->allocate(norms.device());
  for (const auto& piece : pieces_)
    magnitude_->value().narrow(0, piece.b_begin, piece.rows).copy_(norms.narrow(0, piece.begin, piece.rows));
}

at::Tensor Lora::effective_weight() const {
  at::NoGradGuard guard;
  auto weight = inner_->view().weight->value().to(at::kFloat).clone();
  for (size_t j = 0; j < pieces_.size(); ++j) {
    const auto a = a_->view(a_->slices()[j]).to(at::kFloat), b = b_->view(b_->slices()[j]).to(at::kFloat);
    weight.narrow(0, pieces_[j].begin, pieces_[j].rows).addmm_(b, a, 1, options_.scale());
  }
  return weight;
}

std::unique_ptr<nn::LinearOp> Lora::merge() {
  at::NoGradGuard guard;
  auto weight = effective_weight();
  if (options_.dora) {
    const auto norms = at::linalg_vector_norm(weight, 2, {1});
    for (const auto& piece : pieces_) {
      const auto m = magnitude_->value().narrow(0, piece.b_begin, piece.rows).to(at::kFloat);
      weight.narrow(0, piece.begin, piece.rows).mul_((m / norms.narrow(0, piece.begin, piece.rows)).unsqueeze(1));
    }
  }
  Parameter& base = *inner_->view().weight;
  base.set_value(weight.to(base.dtype()));  // a new storage: the old one may be the file's own bytes
  return std::move(inner_);
}

}  // namespace automodel::peft
