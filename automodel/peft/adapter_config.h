// adapter_config.json: a LoRA as PEFT describes it.
#pragma once

#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/peft/lora.h"

namespace automodel::peft {

/// What PEFT 0.21 reads to load the adapter onto `base`. `adapted` are the modules with an adapter; they are listed by
/// their last name parts where these alone say which, else whole. `revision` is the base's on the Hub; "": main.
Json adapter_config(const LoraOptions& options, const nn::Model& model, const std::vector<std::string>& adapted,
                    const std::string& base, const std::string& revision = "");

struct AdapterConfig {
  LoraOptions options;
  std::string base, revision;  // base_model_name_or_path, and which of it on the Hub
};

/// Reads an adapter_config.json. Throws UnsupportedError naming the key for what this build cannot apply (other PEFT
/// methods, biases, per-module ranks, modules_to_save), ConfigError for what is no adapter config.
AdapterConfig read_adapter_config(const Json& json, const std::string& where);

}  // namespace automodel::peft
