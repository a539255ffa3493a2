// The list of families.
#pragma once

#include <string>
#include <vector>

#include "automodel/models/family.h"

namespace automodel::models {

extern const Family kLlama, kMistral, kQwen2, kQwen3, kPhi3, kGemma2, kGemma3Text, kGpt2;

/// The windows of Qwen 2 and 3: use_sliding_window, sliding_window, max_window_layers, layer_types.
void apply_qwen_window(HfConfig& config, DecoderSpec& spec);

const std::vector<const Family*>& families();

/// Throws UnsupportedError naming the model types known.
const Family& find_family(const std::string& model_type, const std::string& where);

}  // namespace automodel::models
