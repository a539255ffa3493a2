#include "automodel/peft/lora.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
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
  return dynamic_cast<const nn::Dense*>(inner_.get()) && !options_.dora &&
         a_->dtype() == inner_->view().weight->dtype();
}

int64_t Lora::input_padding() const {
  return storage_ && a_->has_value() && a_->value().is_cuda() ? storage_->extra() : 0;
}

kernels::AdapterStorage* Lora::adapter_storage(at::Device device, bool training) const {
  const bool drops_inputs = training && options_.dropout > 0 && options_.dropout_before;
  return device.is_cuda() && !drops_inputs ? storage_.get() : nullptr;
}

DropoutMask Lora::adapter_dropout(const Context& context) const {
  return dropout_mask(context.training ? options_.dropout : 0, context.key.with(id_));
}

std::string Lora::why_beside() const {
  if (options_.dora) return "peft.use_dora";
  if (options_.dropout > 0 && options_.dropout_before) return "peft.dropout_position";
  return storage_ ? "" : "peft.lora_dtype";
}

at::Tensor Lora::one_product(const kernels::Remade& x, Context& context, const at::Tensor& residual) {
  storage_->refresh(!context.recomputing);
  return kernels::adapted_linear(x, *storage_, inner_->view().bias, residual, adapter_dropout(context));
}

at::Tensor Lora::forward_onto(const at::Tensor& residual, const kernels::Remade& x, Context& context) {
  return adapter_storage(x.value().device(), context.training) ? one_product(x, context, residual)
                                                               : residual + forward(x, context);
}

at::Tensor Lora::forward(const kernels::Remade& x, Context& context) {
  const double p = context.training ? options_.dropout : 0;
  if (adapter_storage(x.value().device(), context.training)) return one_product(x, context, {});
  const auto key = context.key.with(id_);
  const auto dropped = options_.dropout_before && p > 0 ? kernels::Remade(dropout(x, p, key)) : x;
  if (options_.dora) return dora_forward(x, dropped, context);
  auto y = inner_->forward(x, context);
  std::vector<LoraPiece> places;
  for (const auto& piece : pieces_) places.push_back({piece.begin, piece.rows, piece.b_begin});
  const bool after = !options_.dropout_before && p > 0;
  const auto own = a_->dtype();  // peft.lora_dtype; its product is then computed in it
  if (!after && own == y.scalar_type())
    return add_lora_product(y, dropped, *a_, *b_, options_.rank, options_.scale(), places);
  const auto delta = add_lora_product(at::zeros_like(y, y.options().dtype(own)), dropped.value().to(own), *a_, *b_,
                                      options_.rank, options_.scale(), places)
                         .to(y.scalar_type());
  return y + dropout(delta, after ? p : 0, key);
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

at::Tensor Lora::row_norms() const {
  at::NoGradGuard guard;
  return at::linalg_vector_norm(effective_weight(), 2, {1});
}

// y = x W^T + b, then on the adapted rows + (m / norm - 1) (drop(x) W^T) + m / norm * scale * drop(x) A^T B^T;
// dropout after the adapter falls on the product with A and B.
at::Tensor Lora::dora_forward(const at::Tensor& x, const at::Tensor& dropped, Context& context) {
  const auto view = inner_->view();
  const auto with_bias = inner_->forward(x, context);
  auto plain = dropped.is_same(x) ? with_bias : inner_->forward(dropped, context);
  if (view.bias) plain = plain - view.bias->value();
  const double after = context.training && !options_.dropout_before ? options_.dropout : 0;
  const auto norms = row_norms().to(x.scalar_type());
  const auto dtype = x.scalar_type();
  const auto a = differentiable(*a_).to(dtype), b = differentiable(*b_).to(dtype),
             m = differentiable(*magnitude_).to(dtype);
  const auto inner = at::mm(dropped, a.t());
  std::vector<at::Tensor> parts;
  int64_t next = 0;
  for (size_t j = 0; j < pieces_.size(); ++j) {
    const auto& piece = pieces_[j];
    if (piece.begin > next) parts.push_back(with_bias.narrow(1, next, piece.begin - next));
    const auto factor = m.narrow(0, piece.b_begin, piece.rows) / norms.narrow(0, piece.begin, piece.rows);
    auto product = at::mm(inner.narrow(1, static_cast<int64_t>(j) * options_.rank, options_.rank),
                          b.narrow(0, piece.b_begin, piece.rows).t());
    if (after > 0) product = dropout(product, after, context.key.with(id_).with(j));
    parts.push_back(with_bias.narrow(1, piece.begin, piece.rows) +
                    (factor - 1) * plain.narrow(1, piece.begin, piece.rows) + factor * product * options_.scale());
    next = piece.begin + piece.rows;
  }
  if (next < with_bias.size(1)) parts.push_back(with_bias.narrow(1, next, with_bias.size(1) - next));
  return parts.size() == 1 ? parts[0] : at::cat(parts, 1);
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

// One product of all adapters keeps x A^T with its padding; DoRA the product with the base and that of A and B.
nn::LinearKeeps Lora::keeps(at::Device device) const {
  const bool one = adapter_storage(device, true);
  const int64_t room = one ? storage_->extra() : 0, out = inner_->view().weight->shape()[0];
  return {.input = true, .values = one ? room : a_->shape()[0] + (options_.dora ? 2 * out : 0), .room = room};
}

void Lora::initialize_magnitude() {
  if (!magnitude_) return;
  at::NoGradGuard guard;
  const auto norms = inner_->row_norms();
  if (!magnitude_->has_value()) magnitude_->allocate(norms.device());
  for (const auto& piece : pieces_)
    magnitude_->value().narrow(0, piece.b_begin, piece.rows).copy_(norms.narrow(0, piece.begin, piece.rows));
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
