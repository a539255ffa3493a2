#include "automodel/models/activations.h"

#include <numeric>

#include "automodel/models/flops.h"

namespace automodel::models {
namespace {

int64_t sum(const std::vector<int64_t>& rows) { return std::accumulate(rows.begin(), rows.end(), int64_t{0}); }

// The sizes of one layer, in values a token.
struct Layer {
  int64_t H, qkv, Q, gate_up, inner;     // qkv: all heads
  int64_t norms_out, statistics, pairs;  // outputs of further norms' inputs; fp32 numbers; values under dropout
  nn::LinearKeeps of_qkv, of_out, of_in, of_down;  // what the four linears keep
  bool qk_norm;

  int64_t between() const {  // what can be made again
    return (of_qkv.input ? H + of_qkv.room : 0) + (of_in.input ? H + of_in.room : 0) + activated();
  }
  int64_t activated() const { return of_down.input ? inner + of_down.room : 0; }
  int64_t kept(nn::Recompute recompute) const {
    if (recompute == nn::Recompute::Full) return H;
    const int64_t room = of_qkv.room + 2 * of_out.room + of_in.room + of_down.room;
    const int64_t values = of_qkv.values + of_out.values + of_in.values + of_down.values;
    return 2 * H + qkv * (qk_norm ? 2 : 1) + Q + gate_up + norms_out + pairs + room + values +
           (recompute == nn::Recompute::None ? between() : 0);
  }
  // On top of what all layers keep, in this one's backward: gradients of its output, of the activated and of gate and
  // up, when what is kept is gone as far as its readers have run.
  int64_t passing(nn::Recompute recompute) const {
    const int64_t made_again = recompute == nn::Recompute::Selective ? activated() : 0;
    const int64_t kept_until_read = recompute == nn::Recompute::Selective ? 0 : activated();
    const int64_t most = std::max(H + inner + made_again, H + inner + gate_up - kept_until_read);
    return most + (recompute == nn::Recompute::Full ? kept(nn::Recompute::None) - H : 0);
  }
};

Layer layer_of(const nn::LayerSpec& spec, nn::Block& block, at::Device device, int64_t document_tokens) {
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
          // Scores, probabilities and mask of every pair: the plain operations that dropout on them takes.
          .pairs = a.dropout > 0 ? 3 * a.heads * document_tokens : 0,
          .of_qkv = keeps(0),
          .of_out = keeps(1),
          .of_in = keeps(2),
          .of_down = keeps(3),
          .qk_norm = a.qk_norm.has_value()};
}

// The head at its worst moment: the last norm, its gathered rows, their gradient, and a chunk of logits.
uint64_t head_bytes(const DecoderSpec& spec, const nn::Model& model, uint64_t tokens, uint64_t element) {
  const auto V = static_cast<uint64_t>(spec.embedding.vocab), H = static_cast<uint64_t>(spec.embedding.hidden);
  const bool gpu = !model.device.is_cpu();
  const uint64_t rows = gpu ? std::max<uint64_t>(1024, (uint64_t{1} << 29) / (2 * V))
                            : std::max<uint64_t>(16, (uint64_t{32} << 20) / (4 * V));
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
  uint64_t values = H, passing = 0, statistics = 0;  // H: what the last layer puts out
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const auto layer = layer_of(spec.layers[i], *model.layers.at(i), model.device, shape.document_tokens);
    values += static_cast<uint64_t>(layer.kept(recompute));
    if (recompute != nn::Recompute::Full) statistics += 4 * static_cast<uint64_t>(layer.statistics);
    passing = std::max(passing, static_cast<uint64_t>(layer.passing(recompute)));
  }
  return {.kept = T * (values * element + statistics) + shared_bytes(spec, T),
          .passing = std::max(T * passing * element, head_bytes(spec, model, T, element))};
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
      const auto layer = layer_of(spec.layers[i], *model.layers.at(i), model.device, 0);
      double values = (layer.of_qkv.input + layer.of_in.input) * 2.0 * static_cast<double>(layer.H);
      if (layer.of_down.input) values += static_cast<double>(layer.gate_up + layer.inner);
      again += operations_a_byte * values * static_cast<double>(c10::elementSize(model.embedding->weight()->dtype()));
    }
  return 1 + again / whole;
}

}  // namespace automodel::models
