// Models that are known by their Hub id without the Hub: what configs/benchmark/models holds is part of the program, so
// that a benchmark, which needs no weights and no tokenizer, runs without a network.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::models {

struct KnownModel {
  std::string id;          // "meta-llama/Llama-3.1-8B"
  std::string model_type;  // config.json's: the family, whether this build has it or not
  Json config;             // config.json of revision main; null where the family is none of this build's
  int64_t parameters = 0;  // as published; 0 without config
};

/// In the order of configs/benchmark/models/index.json.
const std::vector<KnownModel>& known_models();

/// Ids are written exactly. nullptr: not known.
const KnownModel* find_known_model(std::string_view id);

}  // namespace automodel::models
