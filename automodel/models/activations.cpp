#include "automodel/models/activations.h"

#include <numeric>

#include "automodel/kernels/attention/fused_attention.h"
#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"
#include "automodel/models/flops.h"

namespace automodel::models {
namespace {

int64_t sum(const std::vector<int64_t>& rows) { return std::accumulate(rows.begin(), rows.end(), int64_t{0}); }

// The sizes of one layer, in values a token.
struct Layer {
  int64_t H, qkv, Q, gate_up, inner;               // qkv: all heads
  int64_t norms_out, statistics;                   // outputs of further norms' inputs; fp32 numbers
  nn::LinearKeeps of_qkv, of_out, of_in, of_down;  // what the four linears keep
  bool qk_norm, one_mlp;                           // one_mlp: kernels/adapter/adapted_mlp.h

  int64_t between() const {  // what can be made again
    return (of_qkv.input ? H + of_qkv.room : 0) + (of_in.input ? H + of_in.room : 0) + activated();
  }
  int64_t activated() const { return of_down.input && !one_mlp ? inner + of_down.room : 0; }
  int64_t kept(nn::Recompute recompute) const {
    if (recompute == nn::Recompute::Full) return H;
    const int64_t room = of_qkv.room + 2 * of_out.room + of_in.room + of_down.room;
    const int64_t values = of_qkv.values + of_out.values + of_in.values + of_down.values;
    return 2 * H + qkv * (qk_norm ? 2 : 1) + Q + gate_up + norms_out + room + values +
           (recompute == nn::Recompute::None ? between() : 0);
  }
  // On top of what all layers keep, in this one's backward: gradients of its output, of the activated and of gate and
  // up, when what is kept is gone as far as its readers have run; one_mlp's fp32 sums of three gradients of 16 ranks
  // for every 512 rows.
  int64_t passing(nn::Recompute recompute) const {
    const int64_t made_again = recompute == nn::Recompute::Selective ? activated() : 0;
    const int64_t kept_until_read = recompute == nn::Recompute::Selective ? 0 : activated();
    const int64_t sums = one_mlp ? inner * 3 * 16 * 2 / 512 : 0;
    const int64_t most = std::max(H + inner + made_again, H + inner + gate_up - kept_until_read + sums);
    return most + made_whole(recompute);
  }
  // The same in attention's backward, where the MLP's part is gone; beside scores.
  int64_t passing_attention(nn::Recompute recompute) const {
    const int64_t gone = gate_up + (recompute == nn::Recompute::Selective ? 0 : activated());
    return H + 2 * Q + qkv - gone + made_whole(recompute);
  }
  int64_t made_whole(nn::Recompute recompute) const {
    return recompute == nn::Recompute::Full ? kept(nn::Recompute::None) - H : 0;
  }
};

Layer layer_of(const nn::LayerSpec& spec, nn::Block& block, at::Device device) {
  std::vector<nn::Linear*> linears;  // qkv, out, in, down
  block.collect_linears(linears);
  const auto keeps = [&](size_t i) { return linears.at(i)->op->keeps(device); };
  const auto& a = spec.attention;
  const int64_t H = a.qkv.in, after = !spec.post_attention_norm.empty() + !spec.post_mlp_norm.empty();
  return {.H = H,
          .qkv = sum(a.qkv.rows),
          .Q = a.heads * a.head_dim,
          .gate_up = sum(spec.mlp.in.rows),
          .inner = spec.mlp.out.in,
          .norms_out = after * H,
          .statistics = a.heads,
          .of_qkv = keeps(0),
          .of_out = keeps(1),
          .of_in = keeps(2),
          .of_down = keeps(3),
          .qk_norm = a.qk_norm.has_value(),
          .one_mlp = nn::mlp_adapters(spec.mlp, *linears[2]->op, *linears[3]->op, device, true).in != nullptr};
}

kernels::AttentionKind kind_of(const nn::AttentionSpec& a, const nn::Model& model) {
  return {model.device.type(), model.embedding->weight()->dtype(), a.heads, a.head_dim, a.dropout, a.softcap};
}

// Of attention that no fused kernel takes: what grows with pairs of tokens.
kernels::ReferenceMemory pairs_of(const nn::AttentionSpec& a, const nn::Model& model, const MicrobatchShape& shape) {
  const auto kind = kind_of(a, model);
  if (kernels::why_not_fused(kind).empty()) return {};
  return kernels::reference_memory(kind, shape.tokens, shape.document_tokens);
}

// The head at its worst moment: the last norm, its gathered rows, their gradient, and a chunk of logits.
uint64_t head_bytes(const DecoderSpec& spec, const nn::Model& model, uint64_t tokens, uint64_t element) {
  const auto V = static_cast<uint64_t>(spec.embedding.vocab), H = static_cast<uint64_t>(spec.embedding.hidden);
  const bool gpu = !model.device.is_cpu();
  const auto rows = static_cast<uint64_t>(kernels::logits_chunk_rows(spec.embedding.vocab, gpu));
  // A CPU has them beside their scaled form, and a chunk's gradient beside the whole.
  const uint64_t chunk = std::min(rows, tokens) * (gpu ? V * element : 8 * V + 4 * H);
  return 3 * tokens * H * element + chunk;
}

// Tables of cosines and sines, fp32, one for each kind of rotation; ids, labels and positions.
uint64_t shared_bytes(const DecoderSpec& spec, uint64_t tokens) {
  std::map<std::string, int64_t> tables;
  for (const auto& layer : spec.layers)
    if (const auto& rope = layer.attention.rope) tables[rope->key()] = rope->dim;
  uint64_t bytes = 24 * tokens;
  for (const auto& [key, dim] : tables) bytes += tokens * static_cast<uint64_t>(dim) * 4;
  return bytes;
}

}  // namespace

ActivationMemory activation_memory(const DecoderSpec& spec, const nn::Model& model, const MicrobatchShape& shape,
                                   nn::Recompute recompute) {
  const auto element = static_cast<uint64_t>(c10::elementSize(model.embedding->weight()->dtype()));
  const auto T = static_cast<uint64_t>(shape.tokens), H = static_cast<uint64_t>(spec.embedding.hidden);
  const bool full = recompute == nn::Recompute::Full;
  uint64_t kept = T * H * element, passing = head_bytes(spec, model, T, element);  // H: what the last layer puts out
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const auto layer = layer_of(spec.layers[i], *model.layers.at(i), model.device);
    const auto pairs = pairs_of(spec.layers[i].attention, model, shape);
    kept += T * static_cast<uint64_t>(layer.kept(recompute)) * element;
    if (!full) kept += T * 4 * static_cast<uint64_t>(layer.statistics) + pairs.kept;
    uint64_t most = T * element * static_cast<uint64_t>(layer.passing(recompute));
    if (pairs.passing > 0) {
      const auto values = std::max<int64_t>(0, layer.passing_attention(recompute));
      most = std::max(most, T * element * static_cast<uint64_t>(values) + pairs.passing);
    }
    passing = std::max(passing, most + (full ? pairs.kept : 0));
  }
  return {.kept = kept + shared_bytes(spec, T), .passing = passing};
}

std::string why_pairs_are_kept(const DecoderSpec& spec, const nn::Model& model) {
  for (const auto& layer : spec.layers)
    if (const auto why = kernels::why_not_fused(kind_of(layer.attention, model)); !why.empty()) return why;
  return "";
}

double relative_step_time(const DecoderSpec& spec, const nn::Model& model, int64_t document_tokens,
                          nn::Recompute recompute) {
  const double operations_a_byte = model.device.is_cpu() ? 15 : 150;
  bool adapters = false;
  for (nn::Linear* linear : model.linears()) adapters |= !linear->op->view().adapters.empty();
  const double whole = training_flops_per_token(spec, document_tokens, adapters);
  double again = 0;
  if (recompute == nn::Recompute::Full) again = layers_forward_flops_per_token(spec, document_tokens);
  if (recompute == nn::Recompute::Selective)
    for (size_t i = 0; i < spec.layers.size(); ++i) {
      const auto layer = layer_of(spec.layers[i], *model.layers.at(i), model.device);
      double values = (layer.of_qkv.input + layer.of_in.input) * 2.0 * static_cast<double>(layer.H);
      if (layer.activated() > 0) values += static_cast<double>(layer.gate_up + layer.inner);
      again += operations_a_byte * values * static_cast<double>(c10::elementSize(model.embedding->weight()->dtype()));
    }
  return 1 + again / whole;
}

}  // namespace automodel::models
