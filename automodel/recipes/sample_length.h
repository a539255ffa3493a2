// How long a document of a run may be: what the configuration asks for, against what the model was made for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "automodel/config/recipe_config.h"
#include "automodel/models/family.h"

namespace automodel::recipes {

/// The longest text that a model was made for, in tokens: what a rope scaling reaches may be more than
/// max_position_embeddings says.
int64_t longest_text(const models::DecoderSpec& spec);

/// The longest document that the training set may bring, in tokens: the length asked for, else the model's
/// max_position_embeddings, and no more than a pack. 0: nothing limits it (truncation: false).
int64_t longest_document(const config::RecipeConfig& config, int64_t max_positions);

struct LengthRemarks {
  std::vector<std::string> warnings;  ///< a length asked for is beyond longest_text(): it is obeyed
  std::vector<std::string> notes;     ///< a pack could hold a longer document than the model's own limit leaves
};

/// What is to be said of the lengths that the configuration asks for, of training and validation sets. Rotary positions
/// go on beyond longest_text(), as in transformers, which says nothing. Throws ConfigError where positions are learned:
/// there are no more of them.
LengthRemarks check_lengths(const config::RecipeConfig& config, const models::DecoderSpec& spec);

/// Logs what check_lengths() says, and throws what it throws.
void tell_lengths(const config::RecipeConfig& config, const models::DecoderSpec& spec);

}  // namespace automodel::recipes
