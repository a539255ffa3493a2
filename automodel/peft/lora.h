// LoRA and DoRA: low-rank adapters in the slots of a model's linears. The base is frozen.
#pragma once

#include <string>
#include <vector>

#include "automodel/kernels/adapter/adapted_linear.h"
#include "automodel/nn/model.h"

namespace automodel::peft {

struct LoraOptions {
  std::vector<std::string>
      target_modules;  // patterns; a name without '*' means itself or the last parts of a module's name
  std::vector<std::string> exclude_modules;  // every linear but these; not together with target_modules
  bool match_all_linear = false;
  int64_t rank = 8;
  double alpha = 32;
  double dropout = 0;
  bool dropout_before = false;  // true: of the adapter's input (PEFT); false: of its output (NeMo AutoModel's default)
  bool xavier = true;           // A: Xavier normal; else Kaiming uniform with a = sqrt(5), as PEFT
  bool dora = false;
  bool rslora = false;
  std::optional<at::ScalarType> dtype;  // of the adapters; nothing: the base weight's

  double scale() const;  // alpha / rank; rsLoRA: alpha / sqrt(rank)
};

/// The adapters of one fused linear: y += scale * drop(x) A^T B^T on the rows of each adapted slice;
/// DoRA: y = m / |W + scale B A| * (x W^T + scale x A^T B^T) + b, with the row norms taken as constants; dropout before
/// falls on x in the adapter's part, dropout after on the product with A and B. On a GPU, but for dropout before, the
/// adapters are extra columns of the base's own product (with dropout after they are added in a pass of their own), and
/// the base weight moves into a storage with room for them at the first forward. Source: Hu et al. 2021, Kalajdzievski
/// 2023 (rsLoRA), Liu et al. 2024 (DoRA); equals peft.tuners.lora.
class Lora : public nn::LinearOp {
 public:
  /// `slices` of inner's weight are adapted; `id` tells this linear's dropout apart from others'.
  Lora(std::unique_ptr<nn::LinearOp> inner, std::vector<int64_t> slices, const LoraOptions& options, uint64_t id);

  at::Tensor forward(const kernels::Remade& x, Context& context) override;
  at::Tensor forward_onto(const at::Tensor& residual, const kernels::Remade& x, Context& context) override;
  at::Tensor row_norms() const override;
  void collect(std::vector<ParameterPtr>& out) const override;
  nn::LinearView view() const override;
  nn::LinearKeeps keeps(at::Device device) const override;
  int64_t input_padding() const override;
  kernels::AdapterStorage* adapter_storage(at::Device device, bool training) const override;
  DropoutMask adapter_dropout(const Context& context) const override;

  /// On a GPU: the key for which a step takes products of the adapters beside the base's, slower than as columns of
  /// them; "" if none.
  std::string why_beside() const;

  /// A [n r, in], one slice an adapter; B [adapted rows, r]; magnitude [adapted rows] or null. Slices carry PEFT's
  /// names.
  const ParameterPtr& a() const { return a_; }
  const ParameterPtr& b() const { return b_; }
  const ParameterPtr& magnitude() const { return magnitude_; }
  /// Sets the magnitudes to the row norms of the base: what DoRA starts from.
  void initialize_magnitude();
  /// Writes the adapter's effect into the base weight and returns the base.
  std::unique_ptr<nn::LinearOp> merge();

 private:
  struct Piece {
    int64_t slice, begin, rows;  // rows of the base weight
    int64_t b_begin;             // rows of B
  };
  at::Tensor effective_weight() const;                       // W + scale B A, [out, in] fp32
  at::Tensor dora_factors(at::ScalarType dtype) const;       // [out]
  bool has_one_product() const;                              // the adapters can be columns of the base's product
  bool are_columns(at::Device device, bool training) const;  // and are in this forward (kernels/adapter)
  bool drops_inputs(bool training) const;
  kernels::Remade adapter_input(const kernels::Remade& x, const Context& context) const;
  at::Tensor one_product(const kernels::Remade& x, Context& context, Parameter* bias, const at::Tensor& residual);
  at::Tensor add_products(const at::Tensor& y, const kernels::Remade& x, const Context& context);
  at::Tensor dora_forward(const kernels::Remade& x, Context& context);

  std::unique_ptr<nn::LinearOp> inner_;
  LoraOptions options_;
  uint64_t id_;
  std::vector<Piece> pieces_;
  ParameterPtr a_, b_, magnitude_;
  std::unique_ptr<kernels::AdapterStorage> storage_;
};

/// Freezes the model and puts adapters into the linears that the options name. Values are not set (see
/// initialize_adapters). Returns the adapted modules' Hugging Face names. Throws ConfigError for a pattern that matches
/// nothing and for patterns that leave nothing to adapt, naming the modules there are.
std::vector<std::string> apply_lora(nn::Model& model, const LoraOptions& options);

/// A by its rule from (seed, name), B zero, DoRA's magnitudes from the base, whose weights must be there.
void initialize_adapters(nn::Model& model, uint64_t seed);

/// The adapters of a model in row order; empty if it has none.
std::vector<Lora*> adapters(const nn::Model& model);
std::vector<ParameterPtr> adapter_parameters(const nn::Model& model);

/// Writes every adapter into its base weight and takes it out of its slot.
void merge_lora(nn::Model& model);

}  // namespace automodel::peft
