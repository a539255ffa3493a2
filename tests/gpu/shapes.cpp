#include "tests/gpu/shapes.h"

#include "automodel/base/random.h"
#include "automodel/tensor/testing.h"

namespace automodel::gpu {

static const std::string kBenchmark = "configs/benchmark/models/", kGolden = "tests/parity/golden/";

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> list = {
      {"llama_3_8b",
       kBenchmark + "llama-3-8b/config.json",
       {},
       {{"hidden_size", 256}, {"intermediate_size", 320}, {"num_attention_heads", 2}, {"num_key_value_heads", 1}}},
      {"llama_3_2_1b",
       kBenchmark + "llama-3.2-1b/config.json",
       {},
       {{"hidden_size", 256}, {"intermediate_size", 320}, {"num_attention_heads", 4}, {"num_key_value_heads", 1}}},
      {"mistral_7b",
       kBenchmark + "mistral-7b/config.json",
       {{"sliding_window", 256}},
       {{"hidden_size", 256},
        {"intermediate_size", 320},
        {"num_attention_heads", 2},
        {"num_key_value_heads", 1},
        {"sliding_window", 64}}},
      {"qwen2_7b",
       kGolden + "qwen2/config.json",
       {{"hidden_size", 3584},
        {"intermediate_size", 18944},
        {"num_attention_heads", 28},
        {"num_key_value_heads", 4},
        {"rope_theta", 1e6},
        {"tie_word_embeddings", false}},
       {{"hidden_size", 256}, {"intermediate_size", 320}, {"num_attention_heads", 2}, {"num_key_value_heads", 1}}},
      {"qwen3_8b",
       kBenchmark + "qwen3-8b/config.json",
       {},
       {{"hidden_size", 256}, {"intermediate_size", 320}, {"num_attention_heads", 2}, {"num_key_value_heads", 1}}},
      {"gemma_2_9b",  // capped scores
       kGolden + "gemma2/config.json",
       {{"hidden_size", 3584},
        {"intermediate_size", 14336},
        {"num_attention_heads", 16},
        {"num_key_value_heads", 8},
        {"head_dim", 256},
        {"query_pre_attn_scalar", 256},
        {"sliding_window", 256}},
       {{"hidden_size", 256},
        {"intermediate_size", 320},
        {"num_attention_heads", 2},
        {"num_key_value_heads", 1},
        {"head_dim", 256},
        {"query_pre_attn_scalar", 256},
        {"sliding_window", 64}}},
      {"gemma_3_12b",
       kBenchmark + "gemma-3-12b/config.json",
       {{"sliding_window", 256}, {"sliding_window_pattern", 2}},
       {{"hidden_size", 256},
        {"intermediate_size", 320},
        {"num_attention_heads", 2},
        {"num_key_value_heads", 1},
        {"sliding_window", 64},
        {"sliding_window_pattern", 2}}},
      {"phi_3_mini",
       kGolden + "phi3/config.json",
       {{"hidden_size", 3072}, {"intermediate_size", 8192}, {"num_attention_heads", 32}, {"num_key_value_heads", 32}},
       {{"hidden_size", 192}, {"intermediate_size", 320}, {"num_attention_heads", 2}, {"num_key_value_heads", 2}}},
      {"gpt2", kGolden + "gpt2/config.json", {{"n_embd", 768}, {"n_head", 12}}, {{"n_embd", 128}, {"n_head", 2}}},
  };
  return list;
}

Json shape_config(const Shape& shape, bool full) {
  Json config = load_json(parity::source_folder() / shape.config);
  Json over = full ? shape.full : shape.narrow;
  over["vocab_size"] = kShapeVocab;
  if (shape.name == "gpt2")
    over.update({{"n_layer", 2}, {"n_positions", 1024}, {"n_ctx", 1024}});
  else
    over.update({{"num_hidden_layers", 2}, {"max_position_embeddings", 2048}});
  if (shape.name == "phi_3_mini") over["original_max_position_embeddings"] = 2048;
  // Special ids of the real vocabularies lie outside the small one.
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id"}) config.erase(id);
  config.update(over);
  return config;
}

Build shape_build(const Shape& shape, bool full) {
  return [config = shape_config(shape, full), name = shape.name](at::ScalarType dtype) {
    return models::build(models::read_config(config, name), dtype);
  };
}

std::unique_ptr<nn::Model> make_shape(const Build& build) {
  if (test_device().is_cuda()) require_gpu();
  auto model = build(at::kFloat);
  model->device = test_device();
  models::initialize(*model, 11);
  model->device = model->parameters().front()->value().device();  // with its index
  return model;
}

Documents uneven_documents(uint64_t key) {
  Documents documents;
  uint64_t place = 0;
  const auto draw = [&] {
    return static_cast<int32_t>(uniform(RandomKey{key}, place++) * static_cast<double>(kShapeVocab));
  };
  for (const int64_t length : kUneven) {
    documents.ids.emplace_back(), documents.labels.emplace_back();
    for (int64_t t = 0; t < length; ++t) {
      documents.ids.back().push_back(draw());
      documents.labels.back().push_back(draw());
    }
  }
  std::fill(documents.labels.back().begin(), documents.labels.back().end(), static_cast<int32_t>(kIgnoreLabel));
  return documents;
}

}  // namespace automodel::gpu
