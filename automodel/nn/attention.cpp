#include "automodel/nn/attention.h"

#include <ATen/ops/empty.h>

#include "automodel/base/error.h"

namespace automodel::nn {

namespace {
constexpr uint64_t kProbabilityDropout = 5;  // a stream of the layer's own, beside those of decoder.cpp

struct DefaultCore : AttentionCore {
  at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const kernels::AttentionPlan& plan) override {
    return kernels::attention(q, k, v, plan);
  }
};

// Appends to one layer's cache and returns all keys and values so far.
std::pair<at::Tensor, at::Tensor> extend(LayerCache& cache, const at::Tensor& k, const at::Tensor& v) {
  const int64_t length = cache.length + k.size(0);
  if (!cache.keys.defined() || length > cache.keys.size(0)) {
    const int64_t capacity = std::max<int64_t>(256, 2 * length);  // doubled, so that a token costs O(1) copies
    const auto grow = [&](at::Tensor& store) {
      auto larger = at::empty({capacity, k.size(1), k.size(2)}, k.options());
      if (cache.length > 0) larger.narrow(0, 0, cache.length).copy_(store.narrow(0, 0, cache.length));
      store = larger;
    };
    grow(cache.keys), grow(cache.values);
  }
  cache.keys.narrow(0, cache.length, k.size(0)).copy_(k);
  cache.values.narrow(0, cache.length, v.size(0)).copy_(v);
  cache.length = length;
  return {cache.keys.narrow(0, 0, length), cache.values.narrow(0, 0, length)};
}
}  // namespace

Attention::Attention(const AttentionSpec& spec, int64_t layer, at::ScalarType dtype)
    : core(std::make_unique<DefaultCore>()), spec_(spec), layer_(layer), qkv_(spec.qkv, dtype), out_(spec.out, dtype) {
  AM_CHECK(qkv_.out() == (spec.heads + 2 * spec.kv_heads) * spec.head_dim, "layer {}: qkv has {} rows", layer,
           qkv_.out());
  if (spec.qk_norm) {
    q_norm_ = std::make_unique<Norm>(*spec.qk_norm, spec.q_norm_module, spec.head_dim, dtype);
    k_norm_ = std::make_unique<Norm>(*spec.qk_norm, spec.k_norm_module, spec.head_dim, dtype);
  }
}

at::Tensor Attention::forward(const kernels::Remade& x, const Batch& batch, Context& context,
                              const at::Tensor& residual) {
  kernels::QkNorm norm;
  if (spec_.qk_norm) norm = {q_norm_->weight(), k_norm_->weight(), spec_.qk_norm->eps, spec_.qk_norm->plus_one};
  const auto rope = spec_.rope ? rope_table(*spec_.rope, batch, context) : kernels::RopeTable{};
  auto [q, k, v] =
      kernels::split_qkv_in_place(qkv_.forward(x, context), {spec_.heads, spec_.kv_heads, spec_.head_dim}, norm, rope);

  kernels::AttentionPlan plan{batch.cu_seqlens,
                              batch.cu_seqlens,
                              spec_.window,
                              spec_.scale,
                              context.training ? spec_.dropout : 0,
                              context.key.with(static_cast<uint64_t>(layer_)).with(kProbabilityDropout)};
  plan.row_padding = out_.op->input_padding();
  plan.borders = batch.borders;
  plan.softcap = spec_.softcap;
  if (context.cache) {
    AM_CHECK(batch.documents() == 1, "a cache holds one document, the batch has {}", batch.documents());
    std::tie(k, v) = extend(context.cache->layers.at(static_cast<size_t>(layer_)), k, v);
    plan.k_begin = {0, k.size(0)};
    plan.borders = at::Tensor();
  }
  return out_.forward(core->forward(q, k, v, plan).flatten(1), context, residual);
}

void Attention::collect(std::vector<ParameterPtr>& out) const {
  qkv_.op->collect(out);
  out_.op->collect(out);
  if (q_norm_) q_norm_->collect(out), k_norm_->collect(out);
}

void Attention::collect_linears(std::vector<Linear*>& out) {
  out.push_back(&qkv_);
  out.push_back(&out_);
}

}  // namespace automodel::nn
