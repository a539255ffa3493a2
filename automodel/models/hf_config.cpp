#include "automodel/models/hf_config.h"

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::models {

// Keys of config.json without effect on training: who made it, how to generate, how Python should run it.
static const std::set<std::string> kWithoutEffect = {
    "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "name_or_path",
    "auto_map", "use_cache", "cache_implementation", "_attn_implementation", "attn_implementation",
    "_attn_implementation_autoset", "_commit_hash", "pretraining_tp", "return_dict", "output_attentions",
    "output_hidden_states", "torchscript", "use_bfloat16", "pruned_heads", "chunk_size_feed_forward",
    "is_encoder_decoder", "is_decoder", "cross_attention_hidden_size", "add_cross_attention", "tie_encoder_decoder",
    "finetuning_task", "task_specific_params", "problem_type", "id2label", "label2id", "num_labels", "bos_token_id",
    "eos_token_id", "sep_token_id", "decoder_start_token_id", "prefix", "tokenizer_class",
    // generation settings that older configs carry
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
    "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores", "return_dict_in_generate",
    "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty",
    "suppress_tokens", "begin_suppress_tokens", "tf_legacy_loss", "unsloth_version", "unsloth_fixed",
    "gradient_checkpointing",
    // heads of other tasks
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout",
    "classifier_dropout"};

HfConfig::HfConfig(Json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
  if (!json_.is_object()) throw ConfigError(where_, "expected a JSON object");
}

void HfConfig::wrong(const std::string& key, const std::string& expected) const {
  const std::string came = json_.contains(key) ? json_.at(key).dump() : "nothing";
  throw ConfigError(where_ + ": " + key, fmt::format("expected {}, got {}", expected, came.substr(0, 80)));
}

std::string HfConfig::model_type() const {
  if (!json_.contains("model_type") || !json_.at("model_type").is_string())
    wrong("model_type", "the name of a model family");
  return json_.at("model_type").get<std::string>();
}

const Json& HfConfig::value(const std::string& key) {
  static const Json null = nullptr;
  obeyed_.insert(key);
  const auto found = json_.find(key);
  return found == json_.end() ? null : *found;
}

std::string IntegerRange::text() const {
  return least == 1 ? fmt::format("a positive integer up to {}", most)
                    : fmt::format("an integer from {} to {}", least, most);
}

bool NumberRange::holds(double value) const {
  return (above ? value > least : value >= least) && (below ? value < most : value <= most);  // never NaN
}

std::string NumberRange::text() const {
  return fmt::format("a number {} {} to {}{}", above ? "above" : "from", least, below ? "below " : "", most);
}

std::optional<int64_t> HfConfig::optional_integer(const std::string& key, const IntegerRange& range) {
  const Json& found = value(key);
  if (found.is_null()) return std::nullopt;
  if (!found.is_number_integer()) wrong(key, "an integer");
  const bool huge = found.is_number_unsigned() && found.get<uint64_t>() > uint64_t{1} << 62;
  if (huge || found.get<int64_t>() < range.least || found.get<int64_t>() > range.most) wrong(key, range.text());
  return found.get<int64_t>();
}
int64_t HfConfig::integer(const std::string& key, const IntegerRange& range) {
  const auto found = optional_integer(key, range);
  if (!found) wrong(key, "an integer");
  return *found;
}
int64_t HfConfig::integer(const std::string& key, int64_t fallback, const IntegerRange& range) {
  return optional_integer(key, range).value_or(fallback);
}

std::optional<double> HfConfig::optional_number(const std::string& key, const NumberRange& range) {
  const Json& found = value(key);
  if (found.is_null()) return std::nullopt;
  if (!found.is_number()) wrong(key, "a number");
  if (!range.holds(found.get<double>())) wrong(key, range.text());
  return found.get<double>();
}
double HfConfig::number(const std::string& key, double fallback, const NumberRange& range) {
  return optional_number(key, range).value_or(fallback);
}

bool HfConfig::boolean(const std::string& key, bool fallback) {
  const Json& found = value(key);
  if (found.is_null()) return fallback;
  if (!found.is_boolean()) wrong(key, "true or false");
  return found.get<bool>();
}

std::string HfConfig::text(const std::string& key, const std::string& fallback) {
  const Json& found = value(key);
  if (found.is_null()) return fallback;
  if (!found.is_string()) wrong(key, "a string");
  return found.get<std::string>();
}

std::vector<std::string> HfConfig::texts(const std::string& key) {
  const Json& found = value(key);
  std::vector<std::string> out;
  if (found.is_null()) return out;
  if (!found.is_array()) wrong(key, "a list of strings");
  for (const auto& item : found) {
    if (!item.is_string()) wrong(key, "a list of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

void HfConfig::require(const std::string& key, const Json& expected, const std::string& why) {
  const Json& found = value(key);
  if (found.is_null() || found == expected) return;
  throw UnsupportedError(where_ + ": " + key,
                         fmt::format("is {}, this build can only do {}: {}", found.dump(), expected.dump(), why));
}

void HfConfig::finish(const std::vector<std::string>& allowed) const {
  std::vector<std::string> known(obeyed_.begin(), obeyed_.end());
  for (const auto& [key, unused] : json_.items()) {
    if (obeyed_.count(key) || kWithoutEffect.count(key) ||
        std::find(allowed.begin(), allowed.end(), key) != allowed.end())
      continue;
    const auto meant = nearest(key, known);
    throw ConfigError(
        where_ + ": " + key,
        fmt::format("is a key that family '{}' does not know{}", model_type(),
                    meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant)),
        fmt::format("if it has no effect on training, let it pass with --model.allow_config_keys \"['{}']\"", key));
  }
}

}  // namespace automodel::models
