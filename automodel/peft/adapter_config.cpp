#include "automodel/peft/adapter_config.h"

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::peft {

static std::string last_part(const std::string& module) { return module.substr(module.rfind('.') + 1); }

static std::vector<std::string> shortest_targets(const nn::Model& model, const std::vector<std::string>& adapted) {
  std::vector<std::string> targets;
  for (const auto& module : adapted)
    if (std::find(targets.begin(), targets.end(), last_part(module)) == targets.end())
      targets.push_back(last_part(module));
  for (nn::Linear* linear : model.linears())
    for (const auto& module : linear->spec().modules) {
      const bool meant = std::find(adapted.begin(), adapted.end(), module) != adapted.end();
      const bool named = std::find(targets.begin(), targets.end(), last_part(module)) != targets.end();
      if (named && !meant) return adapted;  // the last part would also name a module without an adapter
    }
  return targets;
}

Json adapter_config(const LoraOptions& options, const nn::Model& model, const std::vector<std::string>& adapted,
                    const std::string& base, const std::string& revision) {
  bool transposed = false;
  for (nn::Linear* linear : model.linears()) transposed |= linear->spec().transposed;
  Json json;
  json["peft_type"] = "LORA";
  json["task_type"] = "CAUSAL_LM";
  json["base_model_name_or_path"] = base;
  json["revision"] = revision.empty() ? Json(nullptr) : Json(revision);
  json["r"] = options.rank;
  json["lora_alpha"] = options.alpha;
  json["lora_dropout"] = options.dropout;
  json["target_modules"] = shortest_targets(model, adapted);
  json["use_dora"] = options.dora;
  json["use_rslora"] = options.rslora;
  json["fan_in_fan_out"] = transposed;
  json["bias"] = "none";
  json["init_lora_weights"] = true;
  json["inference_mode"] = true;
  json["modules_to_save"] = nullptr;
  json["rank_pattern"] = Json::object();
  json["alpha_pattern"] = Json::object();
  return json;
}

// Keys that change what the adapter computes and that must be at their default here.
static void refuse_variants(const Json& json, const std::string& where) {
  const std::pair<const char*, Json> fixed[] = {{"bias", "none"},
                                                {"lora_bias", false},
                                                {"rank_pattern", Json::object()},
                                                {"alpha_pattern", Json::object()},
                                                {"modules_to_save", nullptr},
                                                {"layers_to_transform", nullptr},
                                                {"layer_replication", nullptr},
                                                {"target_parameters", nullptr},
                                                {"trainable_token_indices", nullptr},
                                                {"exclude_modules", nullptr},
                                                {"alora_invocation_tokens", nullptr},
                                                {"use_qalora", false}};
  for (const auto& [key, value] : fixed)
    if (json.contains(key) && !json.at(key).is_null() && json.at(key) != value)
      throw UnsupportedError(where + ": " + key,
                             fmt::format("is {}, this build can only do {}", json.at(key).dump(), value.dump()));
}

// Initialisations of PEFT that subtract something from the base weights, so that the adapter alone does not fit them.
static void refuse_changed_base(const Json& json, const std::string& where) {
  const Json init = json.value("init_lora_weights", Json());
  for (const char* name : {"pissa", "olora", "corda", "loftq"})
    if (init.is_string() && init.get<std::string>().starts_with(name))
      throw UnsupportedError(where + ": init_lora_weights",
                             fmt::format("is {}: it changes the base weights", init.dump()),
                             "save it from PEFT with path_initial_model_for_weight_conversion");
}

[[noreturn]] static void refuse_value(const Json& json, const char* key, const std::string& where,
                                      const std::string& expected) {
  throw ConfigError(where + ": " + key,
                    fmt::format("expected {}, got {}", expected, json.contains(key) ? json.at(key).dump() : "nothing"));
}

static const Json& number_of(const Json& json, const char* key, const std::string& where, bool whole) {
  if (!json.contains(key) || !(whole ? json.at(key).is_number_integer() : json.at(key).is_number()))
    refuse_value(json, key, where, whole ? "a whole number" : "a number");
  return json.at(key);
}

static bool flag_of(const Json& json, const char* key, const std::string& where) {
  if (!json.contains(key)) return false;
  if (!json.at(key).is_boolean()) refuse_value(json, key, where, "true or false");
  return json.at(key).get<bool>();
}

static void read_targets(const Json& json, const std::string& where, LoraOptions& options) {
  const Json targets = json.value("target_modules", Json());
  if (targets == "all-linear") {
    options.match_all_linear = true;
    return;
  }
  if (targets.is_string())
    throw UnsupportedError(where + ": target_modules",
                           "is a regular expression, this build can only do a list of names");
  const auto is_name = [](const Json& name) { return name.is_string(); };
  if (!targets.is_array() || !std::all_of(targets.begin(), targets.end(), is_name))
    refuse_value(json, "target_modules", where, "a list of names");
  options.target_modules = targets.get<std::vector<std::string>>();
}

AdapterConfig read_adapter_config(const Json& json, const std::string& where) {
  if (!json.is_object() || !json.contains("peft_type"))
    throw ConfigError(where, "is no adapter config: expected an object with peft_type");
  if (json.at("peft_type") != "LORA")
    throw UnsupportedError(where + ": peft_type",
                           fmt::format("is {}, this build can only do \"LORA\"", json.at("peft_type").dump()));
  refuse_variants(json, where);
  refuse_changed_base(json, where);
  AdapterConfig out;
  out.options.rank = number_of(json, "r", where, true).get<int64_t>();
  out.options.alpha = number_of(json, "lora_alpha", where, false).get<double>();
  if (json.contains("lora_dropout")) out.options.dropout = number_of(json, "lora_dropout", where, false).get<double>();
  out.options.dropout_before = true;
  out.options.dora = flag_of(json, "use_dora", where);
  out.options.rslora = flag_of(json, "use_rslora", where);
  const auto text = [&](const char* key) {
    return json.contains(key) && json.at(key).is_string() ? json.at(key).get<std::string>() : std::string();
  };
  out.base = text("base_model_name_or_path"), out.revision = text("revision");
  read_targets(json, where, out.options);
  return out;
}

}  // namespace automodel::peft
