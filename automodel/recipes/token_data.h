// Pre-training data that is tokens already, from a dataset section: Megatron's indexed sets and NanoGPT's shards.
#pragma once

#include "automodel/config/recipe_config.h"
#include "automodel/recipes/data_kinds.h"
#include "automodel/recipes/data_setup.h"

namespace automodel::recipes {

enum class DataUse { Training, Validation };

/// Fills rows, builder and the reading options of `data`. As many samples are drawn as the run takes: max_steps *
/// global_batch_size, or one epoch without max_steps; a validation set of Megatron's holds num_val_samples, or
/// global_batch_size for each validation of the run, as in NeMo AutoModel. `tokenizer` may be null where
/// needs_tokenizer() is false. Throws ConfigError, DataError.
void open_token_data(const config::RecipeConfig& config, const config::DatasetSection& section, DataUse use,
                     const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer, OpenedData& data);

}  // namespace automodel::recipes
