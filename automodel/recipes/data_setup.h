// From dataset sections to loaders.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/config/recipe_config.h"
#include "automodel/data/loader.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::recipes {

/// A data set opened, before a loader is put on it.
struct OpenedData {
  std::shared_ptr<data::Rows> rows;
  std::shared_ptr<const data::SampleBuilder> builder;
  data::LoaderOptions options;
};

/// The tokenizer may be null where needs_tokenizer() is false. `max_positions` bounds a sample where the configuration
/// names no length; `vocab` is the model's. Throws ConfigError, DataError.
OpenedData open_training_data(const config::RecipeConfig& config, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                              int64_t max_positions, int64_t vocab);
OpenedData open_validation_data(const config::RecipeConfig& config, const config::ValidationSet& set,
                                std::shared_ptr<const tokenizer::Tokenizer> tokenizer, int64_t max_positions,
                                int64_t vocab);

/// Whether any data set of the run needs a tokenizer: random ids and files of tokens do not.
bool needs_tokenizer(const config::RecipeConfig& config);

std::unique_ptr<data::Loader> make_loader(const OpenedData& data);

struct ValidationLoader {
  std::string name;
  std::unique_ptr<data::Loader> loader;
};
std::vector<ValidationLoader> make_validation_loaders(const config::RecipeConfig& config,
                                                      std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                                                      int64_t max_positions, int64_t vocab);

}  // namespace automodel::recipes
