// score, generate: a model run without training it.
#include <cmath>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/place_file.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/safetensors_writer.h"
#include "automodel/cli/chat_input.h"
#include "automodel/cli/commands.h"
#include "automodel/cli/line_input.h"
#include "automodel/engine/engine.h"
#include "automodel/generate/generate.h"
#include "automodel/recipes/model_setup.h"
#include "automodel/recipes/sample_length.h"
#include "automodel/tokenizer/stream_decoder.h"

namespace automodel::cli {
namespace fs = std::filesystem;

static std::vector<int32_t> id_list(const Json& json, const std::string& where) {
  if (!json.is_array()) throw DataError(where, "expected a list of ids");
  std::vector<int32_t> ids;
  for (const auto& id : json) {
    if (!id.is_number_integer() || id.get<int64_t>() < INT32_MIN || id.get<int64_t>() > INT32_MAX)
      throw DataError(where, "expected ids, got " + id.dump());
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

static Batch load_batch(const std::string& file, int64_t vocab) {
  const auto json = load_json(file);
  if (!json.is_object() || !json.contains("documents") || !json.at("documents").is_array())
    throw DataError(file, "expected {\"documents\": [{\"input_ids\": [...], \"labels\": [...]}]}");
  std::vector<std::vector<int32_t>> ids, labels;
  for (const auto& document : json.at("documents")) {
    const auto where = fmt::format("{}: document {}", file, ids.size());
    if (!document.is_object() || !document.contains("input_ids"))
      throw DataError(where, "expected an object with input_ids");
    for (const auto& [key, value] : document.items())
      if (key != "input_ids" && key != "labels")
        throw DataError(where, fmt::format("has the unknown key '{}', expected input_ids and labels", key));
    ids.push_back(id_list(document.at("input_ids"), where + ": input_ids"));
    if (ids.back().empty()) throw DataError(where, "expected at least one id");
    for (const int32_t id : ids.back())
      if (id < 0 || id >= vocab)
        throw DataError(where, fmt::format("id {} is outside the model's vocabulary of {}", id, vocab));
    if (document.contains("labels")) {
      labels.push_back(id_list(document.at("labels"), where + ": labels"));
      if (labels.back().size() != ids.back().size())
        throw DataError(where, fmt::format("has {} ids and {} labels", ids.back().size(), labels.back().size()));
      for (const int32_t label : labels.back())
        if (label != kIgnoreLabel && (label < 0 || label >= vocab))
          throw DataError(where,
                          fmt::format("label {} is neither -100 nor in the model's vocabulary of {}", label, vocab));
    }
    if (!labels.empty() && labels.size() != ids.size())
      throw DataError(where, "expected labels in all documents or in none");
  }
  if (ids.empty()) throw DataError(file, "has no documents");
  return make_batch(ids, labels);
}

// A file that is there stays as it is until the new one is whole; a device is written to itself.
static void write_tensors(const fs::path& given, const std::vector<checkpoint::NamedTensor>& tensors) {
  if (fs::exists(given) && !fs::is_regular_file(given)) {
    checkpoint::write_safetensors(given, tensors);
    return;
  }
  const fs::path file = fs::is_symlink(given) ? fs::weakly_canonical(given) : given;
  const fs::path temporary = temporary_beside(file);
  checkpoint::write_safetensors(temporary, tensors);
  place_file(temporary, file);
}

static void write_gradients(recipes::TrainedModel& loaded, const Batch& batch, const std::string& file) {
  engine::Engine engine(*loaded.model);
  Context context;
  context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  engine.forward_backward(batch, context);
  std::vector<checkpoint::NamedTensor> tensors;
  for (const auto& parameter : loaded.trained_parameters()) {
    if (!parameter->grad().defined()) continue;
    for (const auto& slice : parameter->slices())
      tensors.push_back({slice.name, checkpoint::checkpoint_view(parameter->grad(), slice), {}});
  }
  write_tensors(file, tensors);
}

int run_score(const ScoreOptions& options) {
  auto loaded = recipes::load_inference_model(options.model, options.lora, options.dtype, options.device);
  const auto batch = load_batch(options.batch, loaded.folder.spec.embedding.vocab).to(loaded.model->device);
  if (batch.trained_tokens == 0) throw DataError(options.batch, "has no trained token: every label is -100");
  Context context;
  const auto hidden = nn::forward_hidden(*loaded.model, batch, context);
  const auto log_probs = loaded.model->head->log_probs(hidden, batch.labels).cpu(), labels = batch.labels.cpu();
  double total = 0;
  Json documents = Json::array();
  const float* value = log_probs.const_data_ptr<float>();
  const auto* label = labels.const_data_ptr<int64_t>();
  for (int64_t d = 0; d < batch.documents(); ++d) {
    Json list = Json::array();
    for (int64_t t = batch.cu_seqlens[d]; t < batch.cu_seqlens[d + 1]; ++t) {
      list.push_back(label[t] == kIgnoreLabel ? Json(nullptr) : Json(value[t]));
      total -= value[t];
    }
    documents.push_back({{"log_probs", list}});
  }
  if (!options.logits.empty()) write_tensors(options.logits, {{"logits", loaded.model->head->logits(hidden), {}}});
  if (!options.grads.empty()) write_gradients(loaded, batch, options.grads);
  const Json report{{"loss", total / static_cast<double>(batch.trained_tokens)},
                    {"tokens", batch.tokens()},
                    {"trained_tokens", batch.trained_tokens},
                    {"documents", documents}};
  std::cout << report.dump() << "\n";
  return 0;
}

static std::vector<int32_t> prompt_ids(const GenerateOptions& options, const tokenizer::Tokenizer& tokenizer) {
  if (const size_t at = find_invalid_utf8(options.prompt); at != std::string::npos)
    throw ConfigError("--prompt", fmt::format("not UTF-8 at byte {}", at));
  if (options.chat.empty()) return tokenizer.encode(options.prompt, true);
  if (tokenizer.template_for(true).empty())
    throw DataError(options.model, "its tokenizer has no chat template", "use --prompt TEXT");
  const std::string where = shown_name(options.chat);
  const Json chat = parse_json(read_input(options.chat), where);
  return tokenizer.encode(render_prompt(tokenizer, chat, options.continued, where), false);
}

static std::vector<int32_t> stop_ids(const recipes::TrainedModel& loaded) {
  std::vector<int32_t> ids;
  if (loaded.tokenizer->eos_id) ids.push_back(*loaded.tokenizer->eos_id);
  const auto file = loaded.folder.path / "generation_config.json";
  const Json generation = fs::exists(file) ? load_json(file) : Json::object();
  if (!generation.is_object())
    throw CheckpointError(file.string(), fmt::format("expected an object, got {}", generation.type_name()));
  for (const auto& json : {loaded.folder.config, generation}) {
    const auto eos = json.value("eos_token_id", Json());
    for (const auto& id : eos.is_array() ? eos : Json::array({eos}))
      if (id.is_number_integer()) ids.push_back(id.get<int32_t>());
  }
  return ids;
}

int run_generate(const GenerateOptions& options) {
  if (options.prompt.empty() && options.chat.empty())
    throw ConfigError("generate", "expected --prompt TEXT or --chat FILE");
  if (!(options.temperature >= 0 && std::isfinite(options.temperature)) || !(options.top_p > 0 && options.top_p <= 1) ||
      options.max_new_tokens < 1 || options.top_k < 0 || options.seed < 0)
    throw ConfigError(
        "generate", "expected --temperature >= 0, 0 < --top-p <= 1, --top-k >= 0, --max-new-tokens >= 1, --seed >= 0");
  auto loaded = recipes::load_inference_model(options.model, options.lora, options.dtype, options.device);
  if (!loaded.tokenizer) throw DataError(options.model, "has no tokenizer.json");
  const generate::SamplingOptions sampling{.max_new_tokens = options.max_new_tokens,
                                           .temperature = options.temperature,
                                           .top_k = options.top_k,
                                           .top_p = options.top_p,
                                           .seed = static_cast<uint64_t>(options.seed),
                                           .stop_ids = stop_ids(loaded),
                                           .max_positions = recipes::longest_text(loaded.folder.spec)};
  const auto prompt = prompt_ids(options, *loaded.tokenizer);
  tokenizer::StreamDecoder stream(loaded.tokenizer, true);
  std::string text;
  const auto show = [&](const std::string& piece) {
    text += piece;
    if (!options.json) std::cout << piece << std::flush;
  };
  const auto ids = generate::generate(*loaded.model, prompt, sampling, [&](int32_t id) {
    show(stream.push(id));
    return true;
  });
  show(stream.finish());
  if (options.json)
    std::cout << Json{{"text", text}, {"ids", ids}, {"prompt_tokens", prompt.size()}}.dump(
        -1, ' ', false, Json::error_handler_t::replace);
  std::cout << "\n";
  return 0;
}

}  // namespace automodel::cli
